"""The tables of a report, from outcomes. Pure: no file, no picture, no page. What is said before them: ``caveats``."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from midcourse.models import curves, paired
from midcourse.models.axes import per_item, speaks
from midcourse.models.curves import Estimate, Floats
from midcourse.models.kappa import agreement_table
from midcourse.models.monitor import Line, MonitorError, hides, monitored
from midcourse.models.outcome import Kind, Outcome, Part
from midcourse.models.outcome_run import EvalRun
from midcourse.models.report_page import Table, cell
from midcourse.models.safety_table import cell_of, lines, share

PARTS: tuple[Part, ...] = ("reasoning", "response")
KINDS: tuple[Kind, ...] = ("harmful", "benign", "capability")
COSTS = ("interventions", "tokens", "injected", "withheld", "discarded", "wait")
"""Means of an answer."""


class Arm(NamedTuple):
    """One condition of one run, by a name that is its own in the report."""

    name: str
    run: EvalRun

    def of(self, *kinds: Kind) -> list[Outcome]:
        """Its outcomes of some kinds."""
        return [one for one in self.run.outcomes if one.kind in kinds]


def judges_of(arms: Sequence[Arm]) -> list[str]:
    """Whoever judged an answer to a harmful request; the guard's own come last."""
    names = {judge for arm in arms for one in arm.of("harmful") for judge in one.harm}
    guards = guards_of(arms)
    return sorted(names, key=lambda name: (name in guards, name))


def guards_of(arms: Sequence[Arm]) -> frozenset[str]:
    """The judges that a guard of these conditions judges with, too."""
    return frozenset().union(*(arm.run.own for arm in arms))


def pooled(arms: Sequence[Arm]) -> list[Arm]:
    """Of each kind only the tasks that all of those have who were asked one: others would be another mix of tasks."""
    shared: set[str] = set()
    for kind in KINDS:
        asked = [{one.task for one in arm.of(kind)} for arm in arms]
        shared |= set.intersection(*(tasks for tasks in asked if tasks)) if any(asked) else set()
    kept = [tuple(one for one in arm.run.outcomes if one.task in shared) for arm in arms]
    return [Arm(arm.name, replace(arm.run, outcomes=own)) for arm, own in zip(arms, kept, strict=True)]


def harm_table(arms: Sequence[Arm]) -> Table:
    """Harmful shares of reasoning and response, for each judge; ``n`` says where it gave no verdict on some."""
    rows = [
        (line.task, arm.name, judge, _judged(found.judged, line.n), cell(found.reasoning), cell(found.response))
        for arm in arms
        for line in lines(arm.of("harmful"))
        for judge, found in line.harm.items()
    ]
    return Table(("task", "condition", "judge", "n", "reasoning", "response"), _by_task(rows))


def _judged(seen: int, n: int) -> str:
    return str(n) if seen == n else f"{seen} of {n}"


def cells_table(arms: Sequence[Arm]) -> Table:
    """The four joint cells of all harmful requests, by judges of both parts."""
    rows = []
    for judge in judges_of(arms):
        for arm in arms:
            seen = [one for one in arm.of("harmful") if judge in one.harm]
            if not speaks(judge, "harmful_both", seen):
                continue
            shares = [cell(share(seen, lambda one, at=at, by=judge: cell_of(one, by) == at)) for at in range(4)]  # type: ignore[misc]
            rows.append((judge, arm.name, str(len(seen)), *shares))
    return Table(("judge", "condition", "n", "neither", "only reasoning", "only response", "both"), rows)


def answers_table(arms: Sequence[Arm]) -> Table:
    """Refusals of harmless requests, and right answers."""
    rows = [
        (line.task, line.kind, arm.name, str(line.n), cell(line.refused), cell(line.correct))
        for arm in arms
        for line in lines(arm.of("benign", "capability"))
    ]
    return Table(("task", "kind", "condition", "n", "refused", "correct"), _by_task(rows))


def costs_table(arms: Sequence[Arm]) -> Table:
    """What the guard did to an answer, what it cost, and how many the limit of tokens ended, by kind of request."""
    seen = {(kind, arm.name): arm.of(kind) for kind in KINDS for arm in arms}
    rows = [
        (*key, str(len(each)), *(cell(mean, 1) for mean in costs(each)), cell(share(each, lambda one: one.cut)))
        for key, each in seen.items()
        if each
    ]
    return Table(("requests", "condition", "n", *COSTS, "cut off"), rows)


def costs(outcomes: Sequence[Outcome]) -> list[Estimate]:
    """Means of ``COSTS``; items are drawn, not answers."""
    index: dict[tuple[str, str], int] = {}
    at = [index.setdefault((one.task, one.id), len(index)) for one in outcomes]
    total, count = np.zeros((len(index), len(COSTS))), np.zeros(len(index))
    for place, one in zip(at, outcomes, strict=True):
        total[place] += (one.interventions, one.tokens, one.injected, one.withheld, one.discarded, one.wait)
        count[place] += 1
    weights = curves.samples(len(index), np.random.default_rng(0))
    drawn = curves.divided(weights @ total, (weights @ count)[:, None])
    return [curves.mean(column, len(outcomes)) for column in drawn.T]


def differences_table(arms: Sequence[Arm]) -> Table:
    """Every condition against the first one, on the items that both have."""
    rows = []
    questions: list[tuple[str, Kind, str]] = [
        *((f"harmful_{part}", "harmful", judge) for judge in judges_of(arms) for part in PARTS),
        ("refused", "benign", ""),
        ("correct", "capability", ""),
    ]
    for metric, kind, judge in questions:
        for arm in arms[1:]:
            old, new = _pairs(metric, arms[0].of(kind), arm.of(kind), judge)
            if len(old) and (not judge or all(speaks(judge, metric, each.of(kind)) for each in (arms[0], arm))):
                found = paired.compare(old, new)
                between = cell(Estimate(found.difference, *found.interval, found.n))
                name = f"{metric}, {judge}" if judge else metric
                means = (f"{found.baseline:.2f}", f"{found.candidate:.2f}")
                rows.append((name, arm.name, str(found.n), *means, between, _chance(found.chance.two_sided)))
    return Table(("", "condition", "items", "before", "after", "difference", "p"), rows)


def agreement_tables(arms: Sequence[Arm]) -> Table:
    """Every judge against every other."""
    seen = [one for arm in arms for one in arm.of("harmful")]
    rows = [
        (
            part,
            pair.one,
            pair.other,
            str(pair.found["kappa"].n),
            cell(pair.found["kappa"]),
            cell(pair.found["accuracy"]),
        )
        for part in PARTS
        for pair in agreement_table(seen, part)
    ]
    return Table(("part", "judge", "judge", "n", "kappa", "same verdict"), rows)


def hiding_table(arms: Sequence[Arm]) -> Table:
    """What the guard still sees, of the same condition in another run than the first that has it."""
    rows: list[Sequence[str]] = []
    firsts: dict[str, Arm] = {}
    for arm in arms:
        before = firsts.setdefault(arm.run.outcomes[0].condition, arm)
        if before is not arm:
            rows += [_hiding(before, arm, line) for line in _monitored(before, arm)]
    return Table(("", "judge", "before", "after", "share before", "share after", "difference", ""), rows)


def _monitored(before: Arm, after: Arm) -> list[Line]:
    try:
        return monitored(before.run.outcomes, after.run.outcomes)
    except MonitorError:  # which the warnings of the report say in their own words
        return []


def _hiding(before: Arm, after: Arm, line: Line) -> Sequence[str]:
    name = f"{line.measure}, {line.detector}" if line.detector else line.measure
    numbers = [cell(each) for each in (line.baseline, line.candidate, line.difference)]
    return (name, line.judge, before.name, after.name, *numbers, "hides" if hides(line) else "")


def _chance(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _pairs(metric: str, old: list[Outcome], new: list[Outcome], judge: str) -> tuple[Floats, Floats]:
    """One number an item, of the items of which both say something."""
    told = [[one for one in side if _told(one, metric, judge)] for side in (old, new)]
    items = set.intersection(*({(one.task, one.id) for one in side} for side in told))
    both = [[one for one in side if (one.task, one.id) in items] for side in told]
    return per_item(metric, both[0], judge), per_item(metric, both[1], judge)


def _told(one: Outcome, metric: str, judge: str) -> bool:
    return judge in one.harm if judge else getattr(one, metric) is not None


def _by_task(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows of a task together, in the order in which tasks came."""
    order = list(dict.fromkeys(row[0] for row in rows))
    return sorted(rows, key=lambda row: order.index(row[0]))
