"""``midcourse traces review``, ``approve``, ``reject``, ``quarantine``, ``reopen``, ``rules`` and ``history``.

Knows flags and what is printed. What a decision does is the store's, what a rule means is ``rules``'.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from midcourse.guard.policy import Policy, with_one_trigger
from midcourse.guard.trace import Review, Reviewed, Trace
from midcourse.models.terminal import visible
from midcourse.server.config import load
from midcourse.server.cue_cli import late
from midcourse.server.errors import CallerError, StoreError
from midcourse.server.review_desk import Desk
from midcourse.server.reviews import Decision
from midcourse.server.rows import Filters
from midcourse.server.rules import EXAMPLE, Rule, Rules, read_rules
from midcourse.server.show import review_text
from midcourse.server.store import PAGE, Store
from midcourse.server.traces_args import (
    AsJson,
    Before,
    ByCuts,
    ByModel,
    ByOutcome,
    ByPurpose,
    Config,
    Since,
    StoreUrl,
    date,
    found,
    opened,
)

app = typer.Typer()

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids, or their beginnings.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the history.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who decides; default: the user's name.")]
ByState = Annotated[Review, typer.Option("--review", help="Those in this state.")]


@app.command()
def review(
    *,
    store: StoreUrl = None,
    config: Config = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 100,
    state: ByState = "pending",
    outcome: ByOutcome = None,
    min_interventions: ByCuts = 0,
    model: ByModel = None,
    purpose: ByPurpose = None,
    since: Since = None,
    before: Before = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Look at traces one by one, oldest first: a approve, r reject, x quarantine, enter leaves it, b back, q quits."""
    with opened(store, config) as traces:
        where = Filters(outcome, min_interventions, state, model, purpose, date(since), date(before))
        pile = list(islice(traces.iterate(where), limit))
        desk = Desk(traces, pile, lambda state: _decision(state, by, reason), Console(stderr=as_json))
        desk.run(late("train.label:keys")())
        left = traces.counts().reviews.get("pending", 0)
    if as_json:
        typer.echo(json.dumps({"shown": len(pile), "decided": dict(desk.counts), "pending": left}))
    else:
        told = ", ".join(f"{n} {state}" for state, n in desk.counts.items()) or "nothing decided"
        typer.echo(f"{told}; {left} pending in the store")


@app.command()
def approve(
    ids: Ids,
    *,
    store: StoreUrl = None,
    config: Config = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Approve traces: they may be trained on."""
    _set(opened(store, config), ids, _decision("approved", by, reason), as_json)


@app.command()
def reject(
    ids: Ids,
    *,
    store: StoreUrl = None,
    config: Config = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Reject traces: nothing is to be learned from them."""
    _set(opened(store, config), ids, _decision("rejected", by, reason), as_json)


@app.command()
def quarantine(
    ids: Ids,
    *,
    store: StoreUrl = None,
    config: Config = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Put traces aside for somebody to look at: a rule thought them odd, or you do."""
    _set(opened(store, config), ids, _decision("quarantined", by, reason), as_json)


@app.command()
def reopen(
    ids: Ids,
    *,
    store: StoreUrl = None,
    config: Config = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Take decisions back: the traces are pending again."""
    _set(opened(store, config), ids, _decision("pending", by, reason), as_json)


@app.command()
def history(
    trace_id: Annotated[str, typer.Argument(metavar="ID", help="An id, its beginning, or 'last' for the newest.")],
    *,
    store: StoreUrl = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show who decided what about a trace, when and why, oldest first."""
    with opened(store, config) as traces:
        trace = found(traces, trace_id)
        changes = traces.history(trace.id)
    if as_json:
        typer.echo(json.dumps([asdict(change) for change in changes], indent=2))
        return
    for change in changes:
        said = Reviewed(change.at, change.by, change.rule, change.reason)
        typer.echo(visible(f"{change.was} -> {review_text(change.review, said)}"))
    if not changes:
        typer.echo(f"{trace.review}; nobody has decided about it yet")


@app.command()
def rules(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="YAML file of rules, see docs/review.md.")] = None,
    *,
    store: StoreUrl = None,
    config: Config = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what each rule would decide.")] = False,
    example: Annotated[bool, typer.Option("--example", help="Print an example file, to begin with.")] = False,
    state: ByState = "pending",
    purpose: ByPurpose = None,
    since: Since = None,
    before: Before = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Review traces by rules: the first that holds decides, what none decides stays as it is."""
    if example:
        typer.echo(EXAMPLE.read_text(encoding="utf-8"), nl=False)
        return
    with opened(store, config) as traces:
        if file is None:
            raise CallerError("say which rules: midcourse traces rules FILE; --example prints a file to begin with")
        given = read_rules(file, _own(load(config).policy))
        where = Filters(review=state, purpose=purpose, since=date(since), before=date(before))
        applied = _apply(given, traces, where, None if dry_run else _decision("pending", by, None))
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "operator_policies": given.policies, **applied._asdict()}))
        return
    Console().print(_table(given, applied))
    typer.echo(f"your policies: {', '.join(given.policies)}")
    if applied.other_policies:
        typer.echo(
            f"{applied.other_policies} of the traces had another policy: wished for by a request, or its server has"
            " other settings than these (--config)"
        )
    if dry_run:
        typer.echo("dry run: nothing was changed")


def _own(policy: Policy) -> list[str]:
    """Hashes of the operator's policy, and of what ``midcourse collect --triggers`` makes of it."""
    return [policy.hash, *(with_one_trigger(policy, trigger).hash for trigger in policy.pool)]


class _Applied(NamedTuple):
    """How many each rule decided, by its name, and how many none did.

    ``by_hand``: a person had decided about them, whom no rule overrules. ``moved_on``: they changed while we looked.
    ``other_policies``: of those that rules looked at, how many were not judged by a policy of the operator's.
    """

    rules: dict[str, int]
    undecided: int = 0
    by_hand: int = 0
    moved_on: int = 0
    other_policies: int = 0


def _apply(given: Rules, traces: Store, where: Filters, decision: Decision | None) -> _Applied:
    """Decide by rules; without a decision to fill in, nothing is changed."""
    counts, undecided, by_hand, moved_on, others = {rule.name: 0 for rule in given.rules}, 0, 0, 0, 0
    now, batch = time.time(), list[tuple[Trace, Rule]]()
    for trace in traces.iterate(where):
        if trace.review != "pending" and trace.reviewed is not None and trace.reviewed.rule is None:
            by_hand += 1
            continue
        others += trace.origin.policy not in given.policies
        rule = given.first(trace, now)
        if rule is None:
            undecided += 1
            continue
        counts[rule.name] += 1
        if rule.review != trace.review:
            batch.append((trace, rule))
        if len(batch) >= PAGE:
            moved_on += _write(traces, batch, decision)
            batch.clear()
    return _Applied(counts, undecided, by_hand, moved_on + _write(traces, batch, decision), others)


def _write(traces: Store, batch: Iterable[tuple[Trace, Rule]], decision: Decision | None) -> int:
    """Set the states; how many had been reviewed or written anew since they were read."""
    if decision is None:
        return 0
    made = [(trace, replace(decision, review=rule.review, rule=rule.name, reason=rule.text)) for trace, rule in batch]
    return len(made) - len(traces.decide(made))


def _table(given: Rules, applied: _Applied) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("rule", "makes them", "traces"):
        table.add_column(name, justify="right" if name == "traces" else "left")
    for rule in given.rules:
        table.add_row(Text(visible(rule.name)), rule.review, str(applied.rules[rule.name]))
    table.add_row("(none)", "", str(applied.undecided))
    for name, count in (("(decided by hand)", applied.by_hand), ("(moved on meanwhile)", applied.moved_on)):
        if count:
            table.add_row(name, "", str(count))
    return table


def _set(store: AbstractContextManager[Store], ids: list[str], decision: Decision, as_json: bool) -> None:
    """All of them; an id that is not there leaves all as they were."""
    with store as traces:
        seen = list({trace.id: trace for trace in _all_found(traces, ids)}.values())
        done = traces.decide([(trace, decision) for trace in seen])
        if len(done) < len(seen):
            missed = next(trace.id for trace in seen if trace.id not in done)
            raise StoreError(f"{missed} was reviewed or written anew meanwhile; look at it again")
    if as_json:
        typer.echo(json.dumps({"review": decision.review, "ids": done}))
    else:
        typer.echo(visible(f"{decision.review}: {', '.join(done)}"))


def _all_found(traces: Store, ids: list[str]) -> Iterator[Trace]:
    return (found(traces, trace_id) for trace_id in ids)


def _decision(review: Review, by: str | None, reason: str | None) -> Decision:
    name = by or os.environ.get("USER") or "unknown"
    return Decision(review, time.time(), name, None, reason)
