"""What every command on the trace store takes: which store, which traces, and one-line errors.

Knows flags. Refuses to know what a command does with them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from midcourse.guard.trace import Outcome, Review, Trace
from midcourse.server.config import load
from midcourse.server.errors import CallerError, MidcourseError
from midcourse.server.store import Store, open_store

StoreUrl = Annotated[
    str | None, typer.Option("--store", envvar="MIDCOURSE_STORE", help="Store URL; default: that of the settings.")
]
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file with settings; MIDCOURSE_CONFIG names it, too.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for a machine.")]
ByOutcome = Annotated[Outcome | None, typer.Option("--outcome", help="Only this outcome.")]
ByCuts = Annotated[int, typer.Option("--min-interventions", min=0, help="Only with at least so many interventions.")]
ByReview = Annotated[Review | None, typer.Option("--review", help="Only in this review state.")]
ByModel = Annotated[str | None, typer.Option("--model", help="Only of this model.")]
ByPurpose = Annotated[str | None, typer.Option("--purpose", help="Only with this purpose.")]
Since = Annotated[str | None, typer.Option("--since", metavar="DATE", help="Only from then on (ISO 8601, UTC).")]
Before = Annotated[str | None, typer.Option("--before", metavar="DATE", help="Only from before then (ISO 8601, UTC).")]


@contextmanager
def opened(url: str | None, config: Path | None) -> Iterator[Store]:
    """The store; whatever is wrong with it, or with what was asked, is one line and exit code 2.

    Args:
        url: None is that of the settings.
        config: their file, where the command line names it.
    """
    try:
        store = open_store(url or load(config).store, create=False)
        try:
            yield store
        finally:
            store.close()
    except MidcourseError as error:
        typer.echo(f"midcourse: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from error


def found(store: Store, trace_id: str) -> Trace:
    """The trace that an id, its beginning or ``last`` names.

    Raises:
        CallerError: there is none, or several begin like this.
    """
    if trace_id == "last":
        newest = store.page(1)
        if not newest:
            raise CallerError("the store holds no trace yet")
        trace_id = newest[0].id
    trace = store.find(trace_id)
    if trace is None:
        raise CallerError(f"no trace {trace_id!r}; 'midcourse traces list' shows what there is")
    return trace


def date(text: str | None) -> float | None:
    """Epoch seconds of an ISO date or time, UTC where it names no zone."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise CallerError(f"{text!r} is not a date; write 2026-11-21 or 2026-11-21T12:30") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
