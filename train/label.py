"""``midcourse cue label``: read traces sentence by sentence at a terminal, and give or correct the labels.

Knows keys and places. The labels go to a file of their own, see ``models.labels``; the text stays where it is.
Keys: n, c, h, s; enter keeps the label that is there; b goes one sentence back; q, or the end of the input, quits.
"""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import typer

from midcourse.guard.verdict import Label, ends_of
from midcourse.models.labels import Reading, Readings, own_labels, read_labels, spans_of, write_labels
from midcourse.models.rows import DataError, Row, Span, read

KEYS: dict[str, Label] = {"n": "neutral", "c": "cue", "h": "harmful", "s": "safety"}
PROMPT_CHARS, CONTEXT_CHARS = 700, 500
ENTER = ("\r", "\n")

Place = tuple[str, int, int]


@dataclass(slots=True)
class Reader:
    """The reading so far, saved after every key.

    Args:
        rows: what to read, in order.
        target: the label file.
        name: of the reader.
        blind: whether the labels in the data are hidden.
        say: prints a line.
    """

    rows: Sequence[Row]
    target: Path
    name: str
    blind: bool
    say: Callable[[str], None]
    readings: Readings = field(default_factory=dict)
    given: dict[Place, Label | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.target.exists():
            self.readings = read_labels(self.target)
            _check(self.readings, self.rows, self.target)
        self.given = {
            (reading.id, span.start, span.end): span.label
            for reading in self.readings.values()
            for span in reading.spans
        }

    def run(self, keys: Iterator[str]) -> int:
        """Show sentence after sentence and obey the keys.

        Returns:
            How many sentences were labelled or confirmed.
        """
        places = [(row, n, span) for row in self.rows for n, span in enumerate(spans_of(row))]
        at = next((n for n, (row, _, span) in enumerate(places) if place(row, span) not in self.given), 0)
        done = 0
        while at < len(places):
            row, n, span = places[at]
            self._show(row, n, span, at == 0 or n == 0)
            key = next(keys, "q")
            if key == "q":
                break
            if key == "b":
                at = max(0, at - 1)
            elif key in KEYS or (key in ENTER and self._has_label(row, span)):
                self._give(row, span, KEYS[key] if key in KEYS else self._label(row, span))
                at, done = at + 1, done + 1
            else:
                self.say("keys: n neutral, c cue, h harmful, s safety, enter keeps the label, b back, q quit")
        return done

    def _label(self, row: Row, span: Span) -> Label | None:
        return self.given.get(place(row, span), None if self.blind else span.label)

    def _has_label(self, row: Row, span: Span) -> bool:
        """Whether enter has something to keep; a null in the data is a label, too."""
        return place(row, span) in self.given or (bool(row.spans) and not self.blind)

    def _give(self, row: Row, span: Span, label: Label | None) -> None:
        self.given[place(row, span)] = label
        spans = tuple(
            Span(other.start, other.end, self.given[place(row, other)])
            for other in spans_of(row)
            if place(row, other) in self.given
        )
        self.readings[row.id] = Reading(row.id, spans, self.name)
        write_labels(self.target, self.readings.values())

    def _show(self, row: Row, n: int, span: Span, begins: bool) -> None:
        if begins:
            self.say(f"\n=== {row.id} {row.model}\n{clean(ends_of(row.prompt, PROMPT_CHARS))}\n---")
        before = row.reasoning[max(0, span.start - CONTEXT_CHARS) : span.start].strip()
        label = self._label(row, span) if self._has_label(row, span) else "?"
        self.say(f"\n{clean(before)}\n\n[{n + 1}] >>> {clean(row.reasoning[span.start : span.end].strip())}")
        self.say(f"    label: {label or 'none (not scored)'}   n c h s, enter, b, q")


def label(
    files: Sequence[Path],
    target: Path,
    *,
    name: str,
    start: int = 1,
    blind: bool = False,
    sample: int | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> int:
    """Read a file of data at the terminal, or by keys from a pipe.

    Args:
        files: rows, labelled or not.
        target: the label file; a reading that was begun goes on.
        name: the reader's.
        start: number of the first trace, from 1.
        blind: hide the labels in the data.
        sample: only so many traces, drawn with ``seed``, in the order of the file.
        quiet: show it on stderr, and leave stdout to others.

    Returns:
        How many sentences were labelled.

    Raises:
        DataError: a file is wrong.
    """
    rows = [row for file in files for row in read(file)]
    if sample is not None:
        chosen = sorted(random.Random(seed).sample(range(len(rows)), min(sample, len(rows))))
        rows = [rows[n] for n in chosen]
    if not 1 <= start <= len(rows):
        raise DataError(f"--start {start}: there are {len(rows)} traces; give 1 to {len(rows)}")
    return Reader(rows[start - 1 :], target, name, blind, partial(typer.echo, err=quiet)).run(keys())


def readings(files: Sequence[Path], labels: Path | None) -> Readings:
    """A label file's readings, or the labels in the data where there is none.

    Raises:
        DataError: neither is there, or one is wrong.
    """
    if labels is not None:
        return read_labels(labels)
    found = own_labels(row for file in files for row in read(file))
    if not found:
        raise DataError("the data has no labels of its own; give a label file with --labels")
    return found


def keys() -> Iterator[str]:
    """Keys as they are pressed; from a pipe every character is a key, and an empty line is enter."""
    if sys.stdin.isatty():
        while True:
            try:
                yield typer.getchar().lower()
            except EOFError:
                return
    for line in sys.stdin:
        yield from line.strip().lower() or "\n"


def _check(readings: Readings, rows: Sequence[Row], target: Path) -> None:
    """Labels of other cuts would be lost at the first save."""
    for row in rows:
        cuts = {(span.start, span.end) for span in spans_of(row)}
        for start, end, _ in readings[row.id].spans if row.id in readings else ():
            if (start, end) not in cuts:
                raise DataError(f"{target}: {row.id}: {start}:{end} is no sentence of the data; give another --labels")


def place(row: Row, span: Span) -> Place:
    """What a label belongs to."""
    return row.id, span.start, span.end


def clean(text: str) -> str:
    """Text for a terminal: what a model wrote may not move the cursor."""
    return "".join(c if c.isprintable() or c == "\n" else "·" for c in text)
