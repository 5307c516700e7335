"""Rows of data: one JSON object a line, with a prompt, a chain of thought and, in labelled files, its sentences.

Knows fields, types and what is wrong with a line. Refuses to know what a judge makes of it. Fields: ``id``, ``prompt``,
``reasoning``; optional ``model``, ``response``, ``benign`` (true, false, null) and ``spans``, a list of
``[start, end, label]`` into ``reasoning``, where the label null marks a span that is not to be scored. Others are free.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from midcourse.guard.verdict import LABELS, Label

Benign = Literal["yes", "no", "undecided", "unsaid"]
SUFFIXES = (".jsonl", ".jsonl.gz", ".csv")
"""Of files that ``rows_of`` reads."""
_BENIGN: dict[bool | None, Benign] = {True: "yes", False: "no", None: "undecided"}


class DataError(ValueError):
    """A file of data is wrong. The message names the file, the line, the field and the fix."""


class Span(NamedTuple):
    """Characters ``start:end`` of the reasoning, and what a reader called them."""

    start: int
    end: int
    label: Label | None


@dataclass(frozen=True, slots=True)
class Row:
    """One trace. ``spans`` is empty where nobody labelled it; ``where`` is ``FILE:LINE``, for messages."""

    id: str
    prompt: str
    reasoning: str
    response: str = ""
    model: str = ""
    benign: Benign = "unsaid"
    spans: tuple[Span, ...] = ()
    where: str = ""


def read(path: Path) -> list[Row]:
    """Every row of a file.

    Raises:
        DataError: it cannot be read, has no rows, or one of them is wrong.
    """
    rows = [row_from(value, where) for where, value in objects(path)]
    if not rows:
        raise DataError(f"{path}: there are no rows in it; give a file with one JSON object a line")
    _unique(rows)
    return rows


def only_train(path: Path) -> None:
    """That no row of a file says it is of another split: what ships learns from *train* alone.

    Raises:
        DataError: the file cannot be read, or a row is not of the split *train*.
    """
    for where, value in objects(path):
        if value.get("split", "train") != "train":
            raise DataError(f"{where}: split: is {value['split']!r}; only train may be learned from")


def check_benign(row: Row, instead: str) -> None:
    """That nothing about a row says that it is not benign.

    Args:
        instead: what to do with a file that has such rows, for the message.

    Raises:
        DataError: it says so, or one of its sentences is labelled cue or harmful.
    """
    if row.benign in ("no", "undecided"):
        said = "false" if row.benign == "no" else "null"
        raise DataError(f"{row.where}: benign: is {said}; {instead}")
    wrong = next((span for span in row.spans if span.label in ("cue", "harmful")), None)
    if wrong is not None:
        raise DataError(
            f"{row.where}: spans: {wrong.label} at {wrong.start} in a benign trace; correct it, or {instead}"
        )


def rows_of(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """``FILE:LINE`` and the row, of JSON lines or CSV.

    Raises:
        DataError: it cannot be read.
    """
    if file.suffix != ".csv":
        yield from objects(file)
        return
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines), 2):
                yield f"{file}:{number}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot read it: {error}; save it as CSV in UTF-8") from error


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """``FILE:LINE`` and the object of every line that is not blank.

    Raises:
        DataError: the file cannot be read, or a line holds no JSON object.
    """
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig") as file:
            lines = file.read().split("\n")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot read it: {getattr(error, 'strerror', None) or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 at byte {error.start}; save it as UTF-8") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:  # JSONDecodeError is one, a number of 5,000 digits another
            raise DataError(f"{where}: is not JSON: {error}; write one object a line") from error
        if not isinstance(value, dict):
            raise DataError(f"{where}: holds a {type(value).__name__}; write one JSON object a line")
        yield where, value


def row_from(value: Mapping[str, Any], where: str) -> Row:
    """A row from plain data.

    Raises:
        DataError: a field is missing or wrong.
    """
    reasoning = _text(value, "reasoning", where)
    response = _text(value, "response", where, optional=True)
    if not (reasoning + response).strip():
        raise DataError(f"{where}: reasoning: is empty; drop the row")
    name = _text(value, "id", where)
    if not name.strip():
        raise DataError(f"{where}: id: is empty; give the row a name of its own")
    benign = value.get("benign")
    if benign is not None and not isinstance(benign, bool):
        raise DataError(f"{where}: benign: is {benign!r:.40}; write true, false or null")
    return Row(
        id=name,
        prompt=_text(value, "prompt", where),
        reasoning=reasoning,
        response=response,
        model=_text(value, "model", where, optional=True),
        benign=_BENIGN[benign] if "benign" in value else "unsaid",
        spans=spans_from(value.get("spans"), len(reasoning), where),
        where=where,
    )


def spans_from(value: object, chars: int | None, where: str) -> tuple[Span, ...]:
    """Spans in their order; none for null.

    Args:
        value: the field.
        chars: length of the text that they cut, if it is known.
        where: for messages.

    Raises:
        DataError: they are no spans, overlap, or reach out of the text.
    """
    if value is None:
        return ()
    if not isinstance(value, list):
        raise DataError(f"{where}: spans: is {value!r:.40}; write a list of [start, end, label], or leave it out")
    spans: list[Span] = []
    for number, item in enumerate(value):
        span = _span(item, f"{where}: spans[{number}]")
        if span.start < (spans[-1].end if spans else 0):
            raise DataError(f"{where}: spans[{number}]: begins at {span.start}, before the end of the span before it")
        if chars is not None and span.end > chars:
            raise DataError(f"{where}: spans[{number}]: ends at {span.end}, but reasoning has {chars} characters")
        spans.append(span)
    return tuple(spans)


def _span(item: object, where: str) -> Span:
    match item:
        case [int() as start, int() as end, (str() | None) as label] if 0 <= start < end:
            known = next((name for name in LABELS if name == label), None)
            if known is None and label is not None:
                raise DataError(f"{where}: label is {label!r}; choose one of {', '.join(LABELS)}, or null")
            return Span(int(start), int(end), known)
    raise DataError(f"{where}: is {item!r:.60}; write [start, end, label] with 0 <= start < end")


def _text(value: Mapping[str, Any], field: str, where: str, *, optional: bool = False) -> str:
    text = value.get(field)
    if text is None and optional:
        return ""
    if not isinstance(text, str):
        problem = "is missing" if field not in value else f"is {text!r:.40}"
        raise DataError(f"{where}: {field}: {problem}; expected text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: {field}: half a surrogate pair at character {error.start}; repair the encoding"
        ) from error
    return text


def _unique(rows: Iterable[Row]) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        if row.id in seen:
            raise DataError(f"{row.where}: id: {row.id!r} is also at {seen[row.id]}; give every row its own")
        seen[row.id] = row.where
