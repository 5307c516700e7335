"""The threshold that flags no more than a wanted share of benign steps, and how far that share can be trusted.

Knows counts. Refuses to know policies and files: ``server.cue_cli`` writes what is found here.

The threshold lies just above the (k + 1)-th highest of n benign scores, k = floor(target * n). For independent scores,
the false positive rate of such a threshold on new traffic follows Beta(k + 1, n - k), whose 95 % quantile is
Clopper and Pearson's upper bound for k of n (Biometrika 26, 1934). Steps of one trace are not independent, so the bound
from drawing traces is taken where it is higher. With fewer than 3 / target cases nothing can be said (rule of three).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from midcourse.guard.verdict import Judge, Phase
from midcourse.models import curves
from midcourse.models.replay import DEFAULT_WINDOW, Progress, Window, judged, sentences, silent
from midcourse.models.rows import Row, check_benign

Per = Literal["step", "trace"]
PHASES: tuple[Phase, ...] = get_args(Phase)
STEP = 1e-6
"""Thresholds are multiples of this, so that they can be written and read again without loss."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one phase needs.

    Args:
        threshold: flags ``fpr`` of these cases; None where they are too few or the judge is too sure of too many.
        n: cases: steps, or traces that have steps in this phase.
        traces: traces that have steps in this phase.
        flagged: cases at or above the threshold.
        fpr: ``flagged / n``.
        upper: 95 % upper bound of the false positive rate on traffic like this.
        needed: cases without which nothing can be said.
        problem: why there is no threshold.
    """

    threshold: float | None
    n: int
    traces: int
    flagged: int
    fpr: float
    upper: float
    needed: int
    problem: str | None = None


def calibrate(
    judge: Judge,
    rows: Sequence[Row],
    target: float,
    *,
    per: Per = "step",
    window: Window = DEFAULT_WINDOW,
    progress: Progress = silent,
) -> dict[Phase, Found]:
    """Judge every sentence of benign rows, and find a threshold for each phase that has any.

    Raises:
        DataError: a row is not benign.
        ValueError: the target is no share.
    """
    if not 0 < target < 1:
        raise ValueError(f"target is {target}: expected a share between 0 and 1, such as 0.001")
    for row in rows:
        check_benign(row, "calibrate on benign rows only")
    asked = [sentences(row, window) for row in rows]
    scores: dict[Phase, list[list[float]]] = {phase: [] for phase in PHASES}
    for queries, verdicts in zip(asked, judged(judge, asked, progress), strict=True):
        for phase, traces in scores.items():
            own = [v.unsafe for q, v in zip(queries, verdicts, strict=True) if q.phase == phase]
            if own:
                traces.append(own)
    return {phase: threshold_for(traces, target, per) for phase, traces in scores.items() if traces}


def threshold_for(traces: Sequence[Sequence[float]], target: float, per: Per = "step") -> Found:
    """The smallest threshold for these scores of benign steps, one sequence a trace, none of them empty."""
    cases = [np.array([max(trace)]) if per == "trace" else np.asarray(trace, float) for trace in traces]
    scores = np.concatenate(cases)
    n, needed = len(scores), math.ceil(3 / target)
    spare = math.floor(target * n + 1e-9)  # 0.001 * 3000 is a hair less than 3
    highest = float(np.sort(scores)[::-1][spare])
    threshold = (math.floor(highest / STEP + 1e-6) + 1) * STEP
    threshold = round(max(threshold, STEP), 6)
    problem = None
    if n < needed:
        problem = f"{n} {per}s are too few for {target:g}: give {needed} or more, or raise the target"
    elif threshold > 1.0:
        problem = f"the judge is sure of more than {spare} of {n} benign {per}s (score 1); no threshold spares them"
    hits = np.array([float((case >= threshold).sum()) for case in cases])
    flagged = int(hits.sum())
    return Found(
        threshold=None if problem else threshold,
        n=n,
        traces=len(traces),
        flagged=flagged,
        fpr=flagged / n,
        upper=max(upper_bound(flagged, n), _drawn(hits, np.array([float(len(case)) for case in cases]))),
        needed=needed,
        problem=problem,
    )


def upper_bound(hits: int, n: int, confidence: float = 0.95) -> float:
    """Clopper and Pearson's one-sided bound: the rate at which so few hits would be that improbable."""
    if hits >= n:
        return 1.0
    k = np.arange(hits + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_ways = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    low, high = hits / n, 1.0
    for _ in range(50):  # to the last bit of a float
        rate = (low + high) / 2
        at_most = np.exp(log_ways + k * math.log(rate) + (n - k) * math.log1p(-rate)).sum()
        low, high = (rate, high) if at_most > 1 - confidence else (low, rate)
    return high


def _drawn(hits: curves.Floats, cases: curves.Floats) -> float:
    """95 % of the draws of traces have a lower rate."""
    weights = curves.samples(len(hits), np.random.default_rng(0))
    return float(np.quantile(curves.divided(weights @ hits, weights @ cases), 0.95))
