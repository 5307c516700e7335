"""Label files: what a reader called the sentences of a trace, by its id and by character, without any of its text.

One line a trace: ``{"id", "spans": [[start, end, label], ...], "reader"}``. Knows that form, and nothing of reading.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from midcourse.guard.step import split
from midcourse.models.files import write_atomically
from midcourse.models.rows import DataError, Row, Span, objects, spans_from


@dataclass(frozen=True, slots=True)
class Reading:
    """One reader's labels of one trace."""

    id: str
    spans: tuple[Span, ...]
    reader: str = ""


Readings = dict[str, Reading]


def read_labels(path: Path) -> Readings:
    """The readings of a file, by id.

    Raises:
        DataError: it cannot be read, or a line of it is wrong.
    """
    found: Readings = {}
    for where, value in objects(path):
        name, reader = value.get("id"), value.get("reader", "")
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: id: is {name!r}; expected the id of a trace")
        if not isinstance(reader, str):
            raise DataError(f"{where}: reader: is {reader!r}; expected a name")
        if name in found:
            raise DataError(f"{where}: id: {name!r} is there twice; keep one of the lines")
        found[name] = Reading(name, spans_from(value.get("spans"), None, where), reader)
    return found


def write_labels(path: Path, readings: Iterable[Reading]) -> None:
    """Put readings in the place of a file, all or none.

    Raises:
        DataError: it cannot be written.
    """
    lines = [
        json.dumps({"id": reading.id, "spans": [list(span) for span in reading.spans], "reader": reading.reader})
        for reading in readings
    ]
    try:
        write_atomically(path, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise DataError(f"{path}: cannot write it: {error.strerror}") from error


def own_labels(rows: Iterable[Row]) -> Readings:
    """The labels that a file of data brings along."""
    return {row.id: Reading(row.id, row.spans, "the data") for row in rows if row.spans}


def relabelled(rows: Sequence[Row], corrections: Readings) -> list[Row]:
    """Rows with other labels for some of their spans; corrections of traces that are not there are none of ours.

    Raises:
        DataError: a correction names characters that are no span of its row, or no sentence where it has no spans.
    """
    return [_corrected(row, corrections[row.id]) if row.id in corrections else row for row in rows]


def _corrected(row: Row, correction: Reading) -> Row:
    new = {(span.start, span.end): span.label for span in correction.spans}
    own = spans_of(row)
    cuts = {(span.start, span.end) for span in own}
    for start, end in new:
        if (start, end) not in cuts:
            raise DataError(
                f"{row.where}: spans: none is {start}:{end}, which the labels of {row.id!r} correct; drop it"
            )
    return replace(row, spans=tuple(Span(s, e, new.get((s, e), label)) for s, e, label in own))


def spans_of(row: Row) -> tuple[Span, ...]:
    """The sentences to read: the row's own, or ours without a label."""
    if row.spans:
        return row.spans
    spans, at = [], 0
    for step in split(row.reasoning):
        spans.append(Span(at, at + len(step), None))
        at += len(step)
    return tuple(spans)
