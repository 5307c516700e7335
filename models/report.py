"""The report of one run or several: what was run, what came of it, how sure that is. Blocks; pages are elsewhere.

The first condition of the first run is what the others are compared with.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from midcourse.models import report_plots as plots
from midcourse.models.axes import speaks
from midcourse.models.caveats import caveats
from midcourse.models.curves import Estimate, Ranking
from midcourse.models.monitor import MEASURES
from midcourse.models.outcome import Outcome, Part
from midcourse.models.report_page import Block, Code, Heading, Picture, Table, Words, cell
from midcourse.models.report_tables import (
    Arm,
    agreement_tables,
    answers_table,
    cells_table,
    costs_table,
    differences_table,
    harm_table,
    hiding_table,
    judges_of,
    pooled,
)
from midcourse.models.safety_table import cells, harmful, lines, share

MANY = 3
"""Interventions from here on are one place of the curve."""
STREAM = ("detection", "localisation", "false_alarms")
"""Of what ``midcourse eval streaming`` finds in rows."""


class More(NamedTuple):
    """What else is known, besides the runs.

    Args:
        streaming: what ``midcourse eval streaming --json`` printed, by the file's name.
        roc: judges of answers on labelled answers, by the judge's name.
    """

    streaming: Mapping[str, Mapping[str, Any]]
    roc: Mapping[str, Ranking]


def blocks(arms: Sequence[Arm], more: More) -> list[Block]:
    """The whole report."""
    alike = pooled(arms)
    return [
        *(Words(text, warning=True) for text in caveats(arms)),
        Words(
            "Values stand with their intervals of 95 %. Where a request has several answers, requests were drawn, not"
            " answers. Triggers and refusals of the guard were taken out before anybody judged. Where several tasks are"
            " taken together, it is those that all conditions were asked."
        ),
        *_ran(arms),
        *_section("Harm", harm_table(arms), _HARM),
        *_section(
            "Reasoning and response together", cells_table(alike), "The four joint cells.", *_cells_picture(alike)
        ),
        *_section("Against the first condition", differences_table(arms), _PAIRED.format(arms[0].name), *_before(arms)),
        *_section(
            "Over-refusal and capability", answers_table(arms), "Harmless requests, and tasks with a right answer."
        ),
        *_plane(alike),
        *_section(
            "What the guard did and cost", costs_table(alike), "Means of an answer; tokens are those the client got."
        ),
        *_curve(alike),
        *_section(
            "Do the judges agree?", agreement_tables(arms), "Cohen's kappa of harmful or not, over all conditions."
        ),
        *_section(
            "Does training teach the model to hide?",
            hiding_table(arms),
            " ".join(f"{k}: {v}." for k, v in MEASURES.items()),
        ),
        *_streaming(more.streaming),
        *_roc(more.roc),
    ]


_HARM = (
    "Share of answers that a judge finds harmful, reasoning and response apart. A part that is not there (a response"
    " that the limit of tokens cut off, or that the guard wrote) counts as harmless."
)
_PAIRED = (
    "The same items, after minus before, where before is {}. p: of a difference as large between two that are alike."
)


def _section(title: str, table: Table, text: str, *rest: Block) -> list[Block]:
    """Nothing where there is nothing to show."""
    return [Heading(title), Words(text), table, *rest] if table.rows else []


def _ran(arms: Sequence[Arm]) -> list[Block]:
    found: list[Block] = [Heading("What was run")]
    manifests = {arm.run.name.rpartition(":")[0]: arm.run.manifest for arm in arms}
    for name, told in manifests.items():
        facts = {key: told.get(key) for key in ("model", "date", "commit", "seconds")}
        facts |= {key: told.get(key) for key in ("sampling", "judges", "versions")}
        found.append(Table(("run", name), [(key, _plain(value)) for key, value in facts.items() if value]))
        commands = [shlex.join(map(str, command)) for command in told.get("commands") or ()]
        found.append(Code("\n".join(commands) or "(the command was not recorded)"))
        conditions, tasks = told.get("conditions") or {}, told.get("tasks") or {}
        settings = [(key, _plain(value)) for key, value in conditions.items()]
        rows = [(key, *(_plain(value.get(k)) for k in ("kind", "n", "file", "sha256"))) for key, value in tasks.items()]
        tables = (Table(("condition", "settings"), settings), Table(("task", "kind", "n", "file", "sha256"), rows))
        found += [table for table in tables if table.rows]
    return found


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def _cells_picture(arms: Sequence[Arm]) -> list[Block]:
    bars = {
        judge: {arm.name: cells(arm.of("harmful"), judge) for arm in arms if arm.of("harmful")}
        for judge in judges_of(arms)
        if any(speaks(judge, "harmful_both", arm.of("harmful")) for arm in arms)
    }
    if not bars:
        return []
    return [Picture("cells", "Where answers to harmful requests are harmful, by judge", plots.draw_cells(bars))]


def _before(arms: Sequence[Arm]) -> list[Block]:
    """Points with their intervals, a row for each task and judge."""
    rows: dict[str, dict[str, Estimate]] = {}
    for arm in arms:
        for line in lines(arm.run.outcomes):
            for judge, found in line.harm.items():
                rows.setdefault(f"{line.task}: harmful response ({judge})", {})[arm.name] = found.response
            if line.kind == "benign":
                rows.setdefault(f"{line.task}: refused", {})[arm.name] = line.refused
            if line.kind == "capability":
                rows.setdefault(f"{line.task}: correct", {})[arm.name] = line.correct
    if not rows:
        return []
    drawn = plots.draw_before_after(rows, "share of answers")
    return [Picture("before_after", f"Before ({arms[0].name}, hollow) and after, every task", drawn)]


def _plane(arms: Sequence[Arm]) -> list[Block]:
    """Over-refusal against harm, where both were measured."""
    points = {
        judge: [
            plots.Point(arm.name, harmful(arm.of("harmful"), judge, "response"), _refused(arm.of("benign")))
            for arm in arms
        ]
        for judge in judges_of(arms)
    }
    if not any(each.refused.value is not None for found in points.values() for each in found):
        return []
    text = "Harmful responses against refused harmless requests: down and to the left is better"
    return [Picture("plane", text, plots.draw_plane(points))]


def _refused(outcomes: Sequence[Outcome]) -> Estimate:
    return share(outcomes, lambda one: one.refused)


def _curve(arms: Sequence[Arm]) -> list[Block]:
    """Harm by the number of interventions that an answer had."""
    if not any(one.interventions for arm in arms for one in arm.of("harmful")):
        return []
    panels = {
        f"judge {judge}": {arm.name: [_after(arm.of("harmful"), judge, k) for k in range(MANY + 1)] for arm in arms}
        for judge in judges_of(arms)
    }
    text = (
        f"Harmful responses among the answers that the guard changed k times ({MANY} or more at the end). Answers that"
        " needed more of them were worse to begin with: the curve shows what went out, not what one more would do."
    )
    drawn = plots.draw_curves(panels, "interventions in the answer", "harmful responses", f"{MANY}+")
    return [Words(text), Picture("interventions", "Harm by interventions", drawn)]


def _after(outcomes: Sequence[Outcome], judge: str, k: int, part: Part = "response") -> Estimate:
    chosen = [one for one in outcomes if min(one.interventions, MANY) == k and judge in one.harm]
    return harmful(chosen, judge, part) if chosen else Estimate(None, None, None, 0)


def _streaming(found: Mapping[str, Mapping[str, Any]]) -> list[Block]:
    """What ``midcourse eval streaming`` found, and harm after k interventions in its traces."""
    rows = [row for file, told in found.items() for row in stream_rows(file, told)]
    series = {
        f"{each['judge']} ({file})": [Estimate(**share) for share in each["harm"]]
        for file, told in found.items()
        for each in told["traffic"]
        if each["harm"]
    }
    table = Table(("file", "judge", "of", "", "value", "n"), rows)
    text = "False alarms are for a million tokens of benign reasoning; traffic are means of a generation."
    if not series:
        return _section("The stream", table, text)
    longest = str(max(map(len, series.values())) - 1)
    drawn = plots.draw_curves({"": series}, "interventions", "share that still holds a cue", longest)
    picture = Picture("after_k", "Of generations with a cue, those that still hold one after k", drawn)
    return _section("The stream", table, text, picture)


def stream_rows(file: str, told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The lines of one file.

    Raises:
        KeyError, TypeError, AttributeError: it is not what ``midcourse eval streaming --json`` prints.
    """
    sections = {(told["judge"], name): told[name] for name in STREAM if told.get(name)}
    sections |= {(each["judge"], "traffic"): each["means"] for each in told["traffic"]}
    return [
        (file, judge, section, name, cell(Estimate(**each)), str(each["n"]))
        for (judge, section), found in sections.items()
        for name, each in found.items()
    ]


def _roc(judges: Mapping[str, Ranking]) -> list[Block]:
    if not judges:
        return []
    rows = [(name, str(len(each.positive)), str(int(np.sum(each.positive)))) for name, each in judges.items()]
    picture = Picture("roc", "Recall against false positives, on answers that people labelled", plots.draw_roc(judges))
    text = "Judges of answers on answers whose harm is known."
    return _section("How good are the judges?", Table(("judge", "answers", "harmful"), rows), text, picture)
