"""Finished traces, asked step by step as the guard asks them. Knows where steps are cut and what is shown with them.

Refuses to know what the answers are worth: see ``evaluate`` and ``calibrate``.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from midcourse.guard.step import split
from midcourse.guard.verdict import Judge, Label, Phase, Query, Verdict, ends_of
from midcourse.models.rows import DataError, Row

TRACES, STEPS = 32, 8
"""Traces that advance together, and steps of each that are handed over at once. The judge makes its own batches."""
TIMED_TRACES, TIMED_STEPS = 50, 8
"""How many traces are timed, and how many steps of each: 400 steps make a 95th percentile of twenty."""

Progress = Callable[[int, int], None]
"""Told how many steps are judged, of how many."""


@dataclass(frozen=True, slots=True)
class Window:
    """How long a step may be and what is shown with it; see ``guard.policy.Policy``."""

    max_step_chars: int = 600
    context_chars: int = 1_500
    prompt_chars: int = 4_000


DEFAULT_WINDOW = Window()


class Asked(NamedTuple):
    """A question, and the label of its step; ``None`` where there is none, or it is not to be scored."""

    query: Query
    label: Label | None


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def by_span(row: Row, window: Window = DEFAULT_WINDOW) -> list[Asked]:
    """The labelled spans of a row in their place; the sentences of its reasoning where nobody labelled them.

    White space that nobody labelled is no step.

    Raises:
        DataError: there is nothing to ask about.
    """
    spans = [(n, s) for n, s in enumerate(row.spans) if s.label is not None or row.reasoning[s.start : s.end].strip()]
    if not spans:
        asked = [Asked(query, None) for query in sentences(row, window) if query.phase == "reasoning"]
    else:
        asked = [
            Asked(_query(row, row.reasoning, start, end, phase="reasoning", n=n, window=window), label)
            for n, (start, end, label) in spans
        ]
    blank = next((query.index for query, _ in asked if not query.step), None)
    if blank is not None:
        raise DataError(f"{row.where}: spans[{blank}]: holds only white space; drop it")
    if not asked:
        raise DataError(f"{row.where}: reasoning: is empty; drop the row")
    return asked


def sentences(row: Row, window: Window = DEFAULT_WINDOW) -> list[Query]:
    """Every sentence of the reasoning, and then of the response, whose context goes back into the reasoning."""
    whole = row.reasoning + row.response
    pieces = [(piece, "reasoning") for piece in split(row.reasoning, window.max_step_chars)]
    pieces += [(piece, "response") for piece in split(row.response, window.max_step_chars)]
    queries: list[Query] = []
    at = {"reasoning": 0, "response": len(row.reasoning)}
    for n, (piece, name) in enumerate(pieces):
        phase: Phase = "response" if name == "response" else "reasoning"
        start, at[name] = at[name], at[name] + len(piece)
        queries.append(_query(row, whole, start, at[name], phase=phase, n=n, window=window))
    return queries


def _query(row: Row, text: str, start: int, end: int, *, phase: Phase, n: int, window: Window) -> Query:
    context = text[max(0, start - window.context_chars) : start]
    return Query(ends_of(row.prompt, window.prompt_chars), context, text[start:end].strip(), phase, n)


def judged(judge: Judge, traces: Sequence[Sequence[Query]], progress: Progress = silent) -> list[list[Verdict]]:
    """The verdicts of each trace. Steps go to the judge in order; traces of like length advance together.

    Raises:
        RuntimeError: the judge gave more or fewer verdicts than it was asked for.
    """
    verdicts: list[list[Verdict]] = [[] for _ in traces]
    order = sorted(range(len(traces)), key=lambda n: len(traces[n]))
    done, total = 0, sum(map(len, traces))
    for group in batched(order, TRACES):
        for start in range(0, len(traces[group[-1]]), STEPS):
            batch = [(n, query) for n in group for query in traces[n][start : start + STEPS]]
            found = judge.judge([query for _, query in batch])
            if len(found) != len(batch):
                raise RuntimeError(f"judge {judge.name} gave {len(found)} verdicts for {len(batch)} steps")
            for (n, _), verdict in zip(batch, found, strict=True):
                verdicts[n].append(verdict)
            done += len(batch)
            progress(done, total)
    return verdicts


def batched(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """``itertools.batched``, which Python 3.11 has not."""
    return (values[start : start + size] for start in range(0, len(values), size))


def timed(judge: Judge, traces: Sequence[Sequence[Query]]) -> list[list[float]]:
    """Milliseconds of single steps: the first ``TIMED_STEPS`` of ``TIMED_TRACES`` traces, spread over all.

    What a judge does once for a prompt is part of the first step. One step is judged before the clock runs.
    """
    stride = max(1, len(traces) // TIMED_TRACES)
    chosen = [trace[:TIMED_STEPS] for trace in traces[::stride][:TIMED_TRACES]]
    if chosen:
        judge.judge([Query("", "", "Hm.", "reasoning", 0)])
    return [[_milliseconds(judge, query) for query in trace] for trace in chosen]


def _milliseconds(judge: Judge, query: Query) -> float:
    began = time.perf_counter()
    judge.judge([query])
    return (time.perf_counter() - began) * 1e3
