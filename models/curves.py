"""ROC, precision-recall and bootstrap as functions of numpy arrays. Knows no trace, no label and no judge.

A *sample* is a row of weights: how often each trace was drawn. Row 0 draws every trace once, so the first value of a
statistic is the estimate itself and the others are its bootstrap distribution. Sentences of one trace resemble each
other; drawing traces, not sentences, keeps the intervals honest (Efron and Tibshirani 1993, section 8.4: resample the
units that are independent).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
Z = 1.959963984540054  # of a two-sided interval of 95 %
CHUNK = 4_000_000  # numbers in one block of resampled sentences: 32 MB

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]


class Estimate(NamedTuple):
    """A value, its 95 % interval, and how many cases it stands on. None: there were none."""

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Sentences from the highest score to the lowest.

    Args:
        scores: (distinct,) each score once.
        trace: (sentences,) which trace a sentence belongs to.
        positive: (sentences,) whether it should score high.
        last: (distinct,) place of the last sentence with that score; sentences with equal scores are one step.
    """

    scores: Floats
    trace: Whole
    positive: Flags
    last: Whole


class Sweep(NamedTuple):
    """Weight of the positives and of the negatives at or above each score: two times (samples, distinct)."""

    tp: Floats
    fp: Floats


Statistic = Callable[[Sweep], Floats]


def samples(traces: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """How often each trace is drawn: (1 + resamples, traces); row 0 is all ones."""
    if not traces:
        return np.ones((1 + resamples, 0))
    drawn = rng.multinomial(traces, np.full(traces, 1 / traces), size=resamples)
    return np.vstack([np.ones((1, traces)), drawn])


def estimate(values: Floats, n: int) -> Estimate:
    """From a statistic's values, (1 + resamples,); resamples in which it is not defined do not count."""
    defined = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]):
        return Estimate(None, None, None, n)
    if not defined.size:
        return Estimate(float(values[0]), None, None, n)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Estimate(float(values[0]), float(low), float(high), n)


def mean(values: Floats, n: int) -> Estimate:
    """As ``estimate``, of a mean or a kappa: where every draw says the same, that is no certainty."""
    found = estimate(values, n)
    return found if found.low != found.high else found._replace(low=None, high=None)


def ratio(weights: Floats, hits: Floats, out_of: Floats) -> Estimate:
    """A share: the sum of hits over the sum of cases, both (traces,); ``n`` is the number of cases.

    Of a share that is 0 or 1 every draw says the same, which is no certainty: its other bound is Clopper and Pearson's
    for so many traces.
    """
    found = estimate(divided(weights @ hits, weights @ out_of), round(float(out_of.sum())))
    traces = int((out_of > 0).sum())
    if found.value == 0:
        return found._replace(low=0.0, high=1 - 0.025 ** (1 / traces))
    if found.value == 1:
        return found._replace(low=0.025 ** (1 / traces), high=1.0)
    return found


def wilson(hits: float, n: int) -> Estimate:
    """A share of ``n`` cases that are independent, with Wilson's score interval (1927), which keeps to [0, 1]."""
    if not n:
        return Estimate(None, None, None, 0)
    share, z2 = hits / n, Z * Z
    middle, half = share + z2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = ((middle + side * half) / (1 + z2 / n) for side in (-1, 1))
    return Estimate(share, max(0.0, low), min(1.0, high), n)


def divided(above: Floats, below: Floats) -> Floats:
    """A quotient that is not a number where nothing is below the line."""
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient


def ranking(scores: Floats, positive: Flags, trace: Whole) -> Ranking:
    """Order sentences, all (sentences,), by score."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], np.ones(min(1, len(ordered)), bool)))
    return Ranking(ordered[last], trace[order], positive[order], last)


def sweep(ranked: Ranking, weights: Floats) -> Sweep:
    """Lower the threshold over every score, for each sample in ``weights`` (samples, traces)."""
    drawn = weights[:, ranked.trace]  # (samples, sentences)
    tp = np.cumsum(drawn * ranked.positive, axis=1)[:, ranked.last]
    return Sweep(tp, np.cumsum(drawn, axis=1)[:, ranked.last] - tp)


def over(ranked: Ranking, weights: Floats, statistics: Sequence[Statistic]) -> list[Floats]:
    """Statistics of every sample, each (samples,), in blocks that fit the memory."""
    if not ranked.trace.size:
        return [np.full(len(weights), np.nan) for _ in statistics]
    size = max(1, CHUNK // ranked.trace.size)
    blocks = []
    for start in range(0, len(weights), size):
        swept = sweep(ranked, weights[start : start + size])
        blocks.append([statistic(swept) for statistic in statistics])
    return [np.concatenate(values) for values in zip(*blocks, strict=True)]


def auroc(swept: Sweep) -> Floats:
    """Probability that a positive scores above a negative; ties count half. (samples,)"""
    tp, fp = _from_zero(swept.tp), _from_zero(swept.fp)
    area = (np.diff(fp, axis=1) * (tp[:, 1:] + tp[:, :-1]) / 2).sum(axis=1)
    return divided(area, tp[:, -1] * fp[:, -1])


def average_precision(swept: Sweep) -> Floats:
    """Mean precision over the positives, each at its own score, without interpolation. (samples,)"""
    precision = np.nan_to_num(divided(swept.tp, swept.tp + swept.fp))
    return divided((np.diff(_from_zero(swept.tp), axis=1) * precision).sum(axis=1), swept.tp[:, -1])


def recall_at(fpr: float) -> Statistic:
    """Recall at the lowest threshold whose false positive rate is at most ``fpr``."""

    def statistic(swept: Sweep) -> Floats:
        negatives = swept.fp[:, -1]
        allowed = swept.fp <= fpr * negatives[:, None]
        best = np.where(allowed, swept.tp, 0.0).max(axis=1)
        return np.where(negatives > 0, divided(best, swept.tp[:, -1]), np.nan)

    return statistic


def quantile(values: Floats, trace: Whole, weights: Floats, q: float) -> Floats:
    """The smallest value with at least a share ``q`` at or below it, in each sample. (samples,)"""
    if not values.size:
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, trace[order]], axis=1)  # (samples, values)
    found: Floats = values[order][(reached >= q * reached[:, -1:]).argmax(axis=1)]
    return found


def _from_zero(counts: Floats) -> Floats:
    return np.concatenate([np.zeros((len(counts), 1)), counts], axis=1)
