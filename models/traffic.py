"""What the guard did to real requests, from their traces: interventions, tokens waited for, harm after k of them.

Knows the record. Refuses to know where it was kept. Judges are kept apart: a baseline's traces are no guard's.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from midcourse.guard.trace import Trace, TraceError, from_json
from midcourse.models import curves
from midcourse.models.curves import CHUNK, RESAMPLES, Estimate, Flags, Floats, divided, wilson
from midcourse.models.ended import Ended, ended_of, still_harmful
from midcourse.models.rows import DataError, objects

MEANS = ("interventions", "injected", "withheld", "discarded", "wait", "completion")
"""Of one generation. ``wait`` is injected + withheld + discarded: tokens made beyond the model's own answer."""


class Traffic(NamedTuple):
    """The generations of one judge.

    Args:
        judge: its name.
        generations: how many were counted.
        means: of one generation.
        interventions: share with so many of them.
        harm: of those with a cue, the share that still holds one after k interventions, k = 0, 1, ...; it ends
            before the first k that is not known.
        left_out: reasons of ``ended.UNCOUNTED``, and how often; "no cue" is left out of ``harm`` alone.
    """

    judge: str
    generations: int
    means: dict[str, Estimate]
    interventions: dict[str, Estimate]
    harm: list[Estimate]
    left_out: dict[str, int]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        named = {
            name: {key: e._asdict() for key, e in getattr(self, name).items()} for name in ("means", "interventions")
        }
        return {**self._asdict(), **named, "harm": [each._asdict() for each in self.harm]}


class _Seen:
    """What is kept of one judge's traces: six numbers each."""

    def __init__(self) -> None:
        self.values: list[tuple[int, ...]] = []
        self.weights: list[float] = []
        self.ended: list[Ended] = []
        self.left_out: Counter[str] = Counter()

    def add(self, trace: Trace, untouched: float) -> None:
        """Count one."""
        ended = ended_of(trace)
        if isinstance(ended, str):
            self.left_out[ended] += 1
            if ended != "no cue":
                return
        else:
            self.ended.append(ended)
        used = trace.usage
        parts = (used.injected, used.withheld, used.discarded)
        self.values.append((len(trace.interventions), *parts, sum(parts), used.completion))
        self.weights.append(1.0 if trace.interventions or trace.outcome != "untouched" else untouched)


def traffic(traces: Iterable[Trace], sample_rate: float = 1.0, *, resamples: int = RESAMPLES) -> list[Traffic]:
    """The numbers of each judge, by its name.

    Args:
        sample_rate: the server's ``trace_sample_rate``: an untouched trace stands for 1 / rate of its kind.
    """
    seen: defaultdict[str, _Seen] = defaultdict(_Seen)
    for trace in traces:
        seen[trace.origin.judge].add(trace, 1 / sample_rate)
    return [_traffic(judge, seen[judge], resamples) for judge in sorted(seen)]


def exported(path: Path) -> Iterator[Trace]:
    """The traces of a file that ``midcourse traces export`` wrote.

    Raises:
        DataError: a line holds none.
    """
    for where, value in objects(path):
        try:
            yield from_json(json.dumps(value))
        except TraceError as error:
            raise DataError(f"{where}: is no trace: {error}; give what midcourse traces export wrote") from error


def _traffic(judge: str, seen: _Seen, resamples: int) -> Traffic:
    values = np.array(seen.values, float).reshape(-1, len(MEANS))  # (traces, numbers)
    weights, number = np.array(seen.weights), values[:, 0]
    few = {"0": number == 0, "1": number == 1, "2": number == 2, "3 or more": number >= 3}
    cued = [each for each in seen.ended if each.replaced or each.left]
    most = max((each.replaced for each in cued), default=0)
    return Traffic(
        judge,
        len(values),
        dict(zip(MEANS, _means(values, weights, resamples), strict=True)),
        {name: _share(hits, weights) for name, hits in few.items()},
        still_harmful(cued, most) if cued else [],
        dict(seen.left_out),
    )


def _means(values: Floats, weights: Floats, resamples: int) -> list[Estimate]:
    """Weighted means of columns, with the bootstrap over traces in blocks that fit the memory."""
    n, rng = len(values), np.random.default_rng(0)
    size = max(1, CHUNK // max(1, n))
    blocks: list[Floats] = []
    for done in range(0, resamples, size):
        drawn = curves.samples(n, rng, min(size, resamples - done)) * weights
        blocks.append(divided(drawn @ values, drawn.sum(axis=1, keepdims=True))[bool(blocks) :])
    return [curves.mean(column, n) for column in np.concatenate(blocks).T]  # the first row is all traces once


def _share(hits: Flags, weights: Floats) -> Estimate:
    """Wilson's interval for as many traces as the weights leave (Kish 1965); n counts all."""
    if not hits.size:
        return Estimate(None, None, None, 0)
    left = round(float(weights.sum() ** 2 / (weights**2).sum()))
    return wilson(float(weights @ hits / weights.sum()) * left, left)._replace(n=hits.size)
