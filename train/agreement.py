"""How far two readers agree: Cohen's kappa (1960) over four labels and over unsafe against the rest, and first cues.

Sentences count that both labelled, by id and by characters; intervals come from drawing traces.
"""

from collections.abc import Sequence

import numpy as np

from midcourse.guard.verdict import LABELS, Label
from midcourse.models import curves
from midcourse.models.curves import Estimate, Floats
from midcourse.models.kappa import drawn, f1, kappa
from midcourse.models.labels import Readings
from midcourse.models.rows import DataError

UNSAFE: tuple[Label, ...] = ("cue", "harmful")

Pair = tuple[Label, Label]


def agreement(ours: Readings, theirs: Readings, *, resamples: int = curves.RESAMPLES) -> dict[str, Estimate]:
    """Kappa, F1 and first cues.

    Returns:
        ``kappa``: of the four labels. ``kappa_unsafe``, ``f1_unsafe``: cue or harmful against the rest.
        ``first_cue_equal``, ``first_cue_within_2``: of the traces in which both readers see a cue, the share in
        which the first one is the same sentence, or two sentences away at most.

    Raises:
        DataError: no sentence was labelled by both.
    """
    traces = [pairs for name in ours if name in theirs if (pairs := _pairs(ours, theirs, name))]
    if not traces:
        raise DataError("the two readings have no sentence in common; compare labels of the same data file")
    weights = curves.samples(len(traces), np.random.default_rng(0), resamples)
    four = np.array([_table(pairs) for pairs in traces])  # (traces, ours, theirs)
    unsafe = [LABELS.index(label) for label in UNSAFE]
    fold = np.zeros((len(LABELS), 2))
    fold[:, 0], fold[unsafe, 0], fold[unsafe, 1] = 1, 0, 1
    two = fold.T @ four @ fold
    distances = np.array([_distance(pairs) for pairs in traces])
    turning = (~np.isnan(distances)).astype(np.float64)
    n = int(four.sum())
    return {
        "kappa": curves.mean(kappa(drawn(weights, four)), n),
        "kappa_unsafe": curves.mean(kappa(drawn(weights, two)), n),
        "f1_unsafe": curves.mean(f1(drawn(weights, two)), n),
        "first_cue_equal": curves.ratio(weights, (distances == 0).astype(np.float64), turning),
        "first_cue_within_2": curves.ratio(weights, (distances <= 2).astype(np.float64), turning),
    }


def _pairs(ours: Readings, theirs: Readings, name: str) -> list[Pair]:
    other = {(span.start, span.end): span.label for span in theirs[name].spans}
    both = [(span.label, other.get((span.start, span.end))) for span in ours[name].spans]
    return [(mine, yours) for mine, yours in both if mine is not None and yours is not None]


def _table(pairs: Sequence[Pair]) -> Floats:
    table = np.zeros((len(LABELS), len(LABELS)))
    for mine, yours in pairs:
        table[LABELS.index(mine), LABELS.index(yours)] += 1
    return table


def _distance(pairs: Sequence[Pair]) -> float:
    """Sentences between the two first cues; not a number where a reader sees none."""
    mine, yours = (next((n for n, pair in enumerate(pairs) if pair[side] in UNSAFE), None) for side in (0, 1))
    return float("nan") if mine is None or yours is None else float(abs(mine - yours))
