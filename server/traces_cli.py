"""``midcourse traces``: look into the trace store from a terminal.

Knows the command line. Knows no SQL and no layout: those are the store's and ``show``'s.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from midcourse.models.terminal import visible
from midcourse.server.errors import CallerError
from midcourse.server.review_cli import app as review_app
from midcourse.server.rows import EVERYTHING, Filters, Row, line
from midcourse.server.show import OUTCOME_STYLES, moment, render
from midcourse.server.traces_args import (
    AsJson,
    Before,
    ByCuts,
    ByModel,
    ByOutcome,
    ByPurpose,
    ByReview,
    Config,
    Since,
    StoreUrl,
    date,
    found,
    opened,
)

SHORT_ID = 17  # "chatcmpl-" and eight digits: leaves room for the prompt in 80 columns

app = typer.Typer(help="List, show, review, export and delete traces.", no_args_is_help=True)
app.add_typer(review_app)


@app.command("list")
def list_traces(
    *,
    store: StoreUrl = None,
    config: Config = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 20,
    outcome: ByOutcome = None,
    min_interventions: ByCuts = 0,
    review: ByReview = None,
    model: ByModel = None,
    purpose: ByPurpose = None,
    since: Since = None,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List traces, newest first."""
    with opened(store, config) as traces:
        where = Filters(outcome, min_interventions, review, model, purpose, date(since), date(before))
        rows = traces.page(limit, where=where)
        total = traces.counts().total if not rows else len(rows)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
    elif rows:
        Console().print(_table(rows))
    else:
        typer.echo(f"no trace matches; the store holds {total}")


@app.command()
def show(
    trace_id: Annotated[str, typer.Argument(metavar="ID", help="An id, its beginning, or 'last' for the newest.")],
    *,
    store: StoreUrl = None,
    config: Config = None,
    scores: Annotated[bool, typer.Option("--scores", help="A step a line, with its score.")] = False,
    full: Annotated[bool, typer.Option("--full", help="All of what was discarded, and of a long prompt.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one trace: what was kept, withheld and forced."""
    with opened(store, config) as traces:
        trace = found(traces, trace_id)
    if as_json:
        sys.stdout.buffer.write(line(trace).encode() + b"\n")
    else:
        Console().print(render(trace, full=full, scores=scores))


@app.command()
def export(
    *,
    store: StoreUrl = None,
    config: Config = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is stdout.")] = "-",
    form: Annotated[Literal["jsonl"], typer.Option("--format", help="One JSON object a line.")] = "jsonl",
    outcome: ByOutcome = None,
    min_interventions: ByCuts = 0,
    review: ByReview = None,
    model: ByModel = None,
    purpose: ByPurpose = None,
    since: Since = None,
    before: Before = None,
) -> None:
    """Write traces to a file, oldest first. The file appears when it is complete."""
    with opened(store, config) as traces:
        where = Filters(outcome, min_interventions, review, model, purpose, date(since), date(before))
        with _written(output) as file:
            count = sum(1 for trace in traces.iterate(where) if file.write(line(trace).encode() + b"\n"))
    if output != "-":
        typer.echo(f"exported {_traces(count)} to {output} as {form}", err=True)


@app.command()
def delete(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Ids, or their beginnings.")] = None,
    *,
    store: StoreUrl = None,
    config: Config = None,
    before: Annotated[str | None, typer.Option("--before", metavar="DATE", help="All from before then.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All there are; needs --yes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Really.")] = False,
    vacuum: Annotated[bool, typer.Option("--vacuum", help="Give the space back, too.")] = False,
) -> None:
    """Delete traces for good: from SQLite's files at once, from PostgreSQL's with --vacuum. Spools are not searched."""
    with opened(store, config) as traces:
        if (bool(ids), before is not None, everything).count(True) != 1:
            raise CallerError("say what to delete: ids, or --before DATE, or --all --yes")
        if everything and not yes:
            raise CallerError("--all deletes every trace; add --yes if you mean it")
        if ids:
            gone = traces.delete([found(traces, trace_id).id for trace_id in ids])
        else:
            gone = traces.delete(EVERYTHING if everything else Filters(before=date(before)))
        if vacuum:
            traces.vacuum()
    typer.echo(f"deleted {_traces(gone)}")


@contextmanager
def _written(output: str) -> Iterator[BinaryIO]:
    """A file that takes its name only once it is complete, and that only its owner can read."""
    if output == "-":
        yield sys.stdout.buffer
        return
    target = Path(output)
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise CallerError(f"--output {output}: {error.strerror}") from error
    draft = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(number)
        draft.replace(target)
    except OSError as error:
        raise CallerError(f"--output {output}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for name in ("id", "when (UTC)", "outcome", "cuts"):
        table.add_column(name, no_wrap=True, justify="right" if name == "cuts" else "left")
    table.add_column("prompt", no_wrap=True, overflow="ellipsis", ratio=1)
    length = _short([row.id for row in rows])
    for row in rows:
        when = moment(row.created).removesuffix(" UTC")[:16]
        outcome = Text(visible(row.outcome), OUTCOME_STYLES.get(row.outcome, ""))
        table.add_row(Text(visible(row.id[:length])), when, outcome, str(row.interventions), Text(visible(row.prompt)))
    return table


def _short(ids: list[str]) -> int:
    """How much of each id tells them apart; ``show`` takes as much."""
    longest = max(map(len, ids))
    return next((n for n in range(SHORT_ID, longest) if len({name[:n] for name in ids}) == len(ids)), longest)


def _traces(count: int) -> str:
    return f"{count} trace" if count == 1 else f"{count} traces"
