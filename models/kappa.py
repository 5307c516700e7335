"""How far two readers, or two judges, agree: Cohen's kappa (1960), accuracy, precision and recall, with intervals.

Functions of tables of counts, and of verdicts that are yes or no. Knows no label, no trace and no judge. Intervals come
from drawing items, not answers: several answers to one request resemble each other (see ``models.curves``).
"""

import itertools
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from midcourse.models import curves
from midcourse.models.curves import Estimate, Floats
from midcourse.models.outcome import HARMFUL, Outcome, Part

FEWEST = 20
"""Items, for an interval: of fewer, draws resemble each other more than new items would resemble them."""


class Pair(NamedTuple):
    """Two judges on the answers that both of them judged, which are answers to so many items."""

    one: str
    other: str
    found: dict[str, Estimate]
    items: int


def kappa(tables: Floats) -> Floats:
    """Agreement beyond chance, of tables (samples, labels, labels).

    Not a number where a reader used one label alone: it is 0 then, or no quotient, and neither says how far they agree.
    """
    total = tables.sum(axis=(1, 2))
    seen = np.trace(tables, axis1=1, axis2=2) / total
    theirs, ours = tables.sum(axis=1), tables.sum(axis=2)  # (samples, labels)
    chance = (theirs * ours).sum(axis=1) / total**2
    several = ((theirs > 0).sum(axis=1) > 1) & ((ours > 0).sum(axis=1) > 1)
    return np.where(several, curves.divided(seen - chance, 1 - chance), np.nan)


def f1(tables: Floats) -> Floats:
    """Harmonic mean of precision and recall of the second label, of tables (samples, 2, 2); the same both ways."""
    return curves.divided(2 * tables[:, 1, 1], tables[:, 1, :].sum(axis=1) + tables[:, :, 1].sum(axis=1))


def drawn(weights: Floats, tables: Floats) -> Floats:
    """Tables of items (items, labels, labels), added up for each sample (samples, items)."""
    summed: Floats = np.tensordot(weights, tables, axes=1)
    return summed


def agreement(
    truth: Sequence[bool],
    said: Sequence[bool],
    items: Sequence[Hashable] | None = None,
    *,
    resamples: int = curves.RESAMPLES,
) -> dict[str, Estimate]:
    """What two verdicts on the same answers have in common.

    Args:
        truth: (answers,) what a person says, or the first judge.
        said: (answers,) what the judge says, or the second one.
        items: (answers,) what each answer is an answer to; None where every answer stands for itself.

    Returns:
        ``accuracy``, ``kappa``, ``precision`` and ``recall`` of yes, ``n`` the answers, those that were found, or
        those that there are; of fewer than ``FEWEST`` items without intervals.

    Raises:
        ValueError: the two are not equally long.
    """
    index: dict[Hashable, int] = {}
    at = [index.setdefault(item, len(index)) for item in (items if items is not None else range(len(truth)))]
    tables = np.zeros((len(index), 2, 2))  # (items, truth, said)
    for item, one, other in zip(at, truth, said, strict=True):
        tables[item, int(one), int(other)] += 1
    if not len(truth):
        return {name: Estimate(None, None, None, 0) for name in ("accuracy", "kappa", "precision", "recall")}
    weights = curves.samples(len(index), np.random.default_rng(0), resamples)
    yes = tables[:, 1, 1]
    found = {
        "accuracy": curves.ratio(weights, tables[:, 0, 0] + yes, tables.sum(axis=(1, 2))),
        "kappa": curves.mean(kappa(drawn(weights, tables)), len(truth)),
        "precision": curves.ratio(weights, yes, tables[:, :, 1].sum(axis=1)),
        "recall": curves.ratio(weights, yes, tables[:, 1, :].sum(axis=1)),
    }
    if len(index) >= FEWEST:
        return found
    return {name: each._replace(low=None, high=None) for name, each in found.items()}


def agreement_table(
    outcomes: Iterable[Outcome], part: Part = "response", *, resamples: int = curves.RESAMPLES
) -> list[Pair]:
    """Every judge against every other, over the answers on which both gave a verdict; drawn are items of tasks."""
    rows = [(outcome, _verdicts(outcome, part)) for outcome in outcomes]
    names = sorted({name for _, verdicts in rows for name in verdicts})
    pairs = []
    for one, other in itertools.combinations(names, 2):
        both = [(o.key[:2], v[one], v[other]) for o, v in rows if one in v and other in v]
        truth, said, items = [a for _, a, _ in both], [b for _, _, b in both], [item for item, _, _ in both]
        pairs.append(Pair(one, other, agreement(truth, said, items, resamples=resamples), len(set(items))))
    return pairs


def _verdicts(outcome: Outcome, part: Part) -> dict[str, bool]:
    scores = {name: getattr(harm, part) for name, harm in outcome.harm.items()}
    return {name: score >= HARMFUL for name, score in scores.items() if score is not None}
