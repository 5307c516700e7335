"""A linear head over frozen features, fitted under one of several sample weightings and chosen across sources.

Knows tensors and codes of sources, no text. Every method is a (K, n) stack of weights: one head is fitted for each row,
and because heads are linear, the mean of their logits is one head again. Nothing here favours a method: ``erm`` is the
default, and ``best`` returns whatever leaving one source out says, ERM included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import softplus

from midcourse.train.reweight import Examined, dwr, examine, group_weights, sawa, srdo, standardise

Method = Literal["erm", "groups", "seeds", "dwr", "srdo", "sawa", "dwr_models"]
METHODS: tuple[Method, ...] = get_args(Method)
MAX_NEWTON = 50  # a dozen suffice wherever there is an l2 penalty


class Head(NamedTuple):
    """Coefficients (p,) and bias of a logistic regression."""

    coefficients: Tensor
    bias: Tensor

    def logits(self, x: Tensor) -> Tensor:
        """(n, p) to (n,)."""
        return x @ self.coefficients + self.bias


class Rows(NamedTuple):
    """What a head is fitted on.

    Args:
        features: (n, p), what the head sees, standardised.
        labels: (n,), 0 or 1.
        sources: (n,), codes of the source: the nuisance of group balancing, and what validation leaves out.
        covariates: (n, c), what weights decorrelate; often the features themselves.
        nuisance: (n, q), what they are decorrelated from; None: from each other.
    """

    features: Tensor
    labels: Tensor
    sources: Tensor
    covariates: Tensor
    nuisance: Tensor | None = None

    def where(self, keep: Tensor) -> "Rows":
        """The rows of a mask (n,)."""
        nuisance = None if self.nuisance is None else self.nuisance[keep]
        return Rows(self.features[keep], self.labels[keep], self.sources[keep], self.covariates[keep], nuisance)


@dataclass(frozen=True, slots=True)
class Plan:
    """How weights are learnt, whatever the method.

    Args:
        learners: K.
        steps: of a DWR learner.
        seed: of the first learner.

    Raises:
        ValueError: a field is out of its range.
    """

    learners: int = 10
    steps: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learners", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"plan.{name} is {getattr(self, name)}: give at least 1")


class Validated(NamedTuple):
    """A method after leaving one source out at a time.

    Args:
        score: the highest AUROC over groups (``group_auroc``) of a penalty.
        l2: that penalty.
        threshold: the one threshold of logits with the highest balanced accuracy over groups, held-out rows pooled.
        accuracy: that accuracy; sources differ in their offset, so it says more about the sources than about methods.
    """

    method: Method
    l2: float
    score: float
    threshold: float
    accuracy: float


class Fitted(NamedTuple):
    """A head, and what its weights did; None for ``erm``, ``groups`` and ``seeds``, which learn none."""

    head: Head
    examined: Examined | None


def fit(x: Tensor, labels: Tensor, weights: Tensor | None = None, *, l2: float = 1e-2) -> Head:
    """Logistic regression: minimises sum_i w_i log(1 + exp(-s_i z_i)) / sum w + l2 / 2 |b|^2, bias free, by Newton.

    Args:
        x: (n, p).
        labels: (n,), 0 or 1, both present.
        weights: (n,), not negative; None: ERM, which is weights of one.
        l2: above 0; without it separable rows have no minimum.

    Raises:
        ValueError: an argument is of the wrong kind.
    """
    w = torch.ones_like(labels) if weights is None else weights
    _check(x, labels, w, l2)
    a = torch.cat([x, torch.ones_like(x[:, :1])], 1)  # (n, p + 1)
    y, share = labels.to(x), (w / w.sum()).to(x)  # (n,)
    penalty = torch.full_like(a[0], l2)  # (p + 1,)
    penalty[-1] = 0.0
    b = torch.zeros_like(a[0])
    tolerance = 1e-4 if x.dtype == torch.float32 else 1e-9
    value = _loss(a, y, share, penalty, b)
    for _ in range(MAX_NEWTON):
        p = torch.sigmoid(a @ b)  # (n,)
        slope = a.T @ (share * (p - y)) + penalty * b
        curve = (a * (share * p * (1 - p))[:, None]).T @ a + penalty.diag()  # (p + 1, p + 1)
        curve[-1, -1] += 1e-9  # the bias has no penalty
        step = torch.linalg.solve(curve.double(), slope.double()).to(x)
        size = 1.0
        while (trial := _loss(a, y, share, penalty, b - size * step)) > value + 1e-6 and size > 1e-6:
            size /= 2
        b, value = b - size * step, trial
        if float((size * step).abs().max()) < tolerance:
            return Head(b[:-1], b[-1])
    raise ValueError(f"l2 is {l2}: no minimum after {MAX_NEWTON} Newton steps; raise l2 or standardise x")


def stacks(methods: Sequence[Method], rows: Rows, plan: Plan) -> dict[Method, Tensor]:
    """The weights of each method, (K, n): one head is fitted under each row. Methods share their DWR learners.

    - ``erm``: weights of one. ``groups``: label x source. ``seeds``: K bootstrap draws, since a convex head has no
      other seed.
    - ``dwr``, ``srdo``: one learner. ``sawa``: the mean weights of K DWR learners. ``dwr_models``: those K learners, so
      that models are averaged and not weights.

    Raises:
        ValueError: a method has another name.
    """
    if wrong := [method for method in methods if method not in METHODS]:
        raise ValueError(f"method is {wrong[0]!r}: choose one of {', '.join(METHODS)}")
    n, seeds = len(rows.labels), range(plan.seed, plan.seed + plan.learners)
    x, nuisance = _blocks(rows)
    made: dict[Method, Tensor] = {}
    if "erm" in methods:
        made["erm"] = torch.ones(1, n)
    if "groups" in methods:
        made["groups"] = group_weights(rows.labels, rows.sources)[None]
    if "seeds" in methods:
        made["seeds"] = torch.stack([_bootstrap(n, seed) for seed in seeds])
    if "srdo" in methods:
        made["srdo"] = srdo(x, plan.seed, nuisance=nuisance)[None]
    if used := seeds if {"sawa", "dwr_models"} & {*methods} else seeds[:1] if "dwr" in methods else ():
        learners = torch.stack([dwr(x, seed, nuisance=nuisance, steps=plan.steps) for seed in used])  # (K, n)
        made |= {"dwr": learners[:1], "sawa": sawa(learners)[None], "dwr_models": learners}
    return {method: made[method] for method in methods}


def train(rows: Rows, stack: Tensor, method: Method, *, l2: float) -> Fitted:
    """A head under the weights of a method; learnt weights are examined, and warn, before they are used."""
    if method in ("erm", "groups", "seeds"):
        return Fitted(fit_stack(rows, stack, l2=l2), None)
    x, nuisance = _blocks(rows)
    examined = examine(x, stack[0].to(x), nuisance)
    return Fitted(fit_stack(rows, stack, l2=l2), examined)


def fit_stack(rows: Rows, stack: Tensor, *, l2: float) -> Head:
    """One head for each row of a (K, n) stack, and the mean of their logits as one head."""
    heads = [fit(rows.features, rows.labels, weights, l2=l2) for weights in stack]
    return Head(torch.stack([h.coefficients for h in heads]).mean(0), torch.stack([h.bias for h in heads]).mean(0))


def leave_one_source_out(
    rows: Rows, methods: Sequence[Method], plan: Plan, penalties: Sequence[float]
) -> list[Validated]:
    """Every source is scored by heads, and by weights, that never saw it; the penalty with the best score stays.

    Raises:
        ValueError: without one of the sources a single label is left.
    """
    logits = {method: torch.zeros(len(penalties), len(rows.labels)) for method in methods}  # (penalties, n) each
    for source in rows.sources.unique():
        held = rows.sources == source  # (n,)
        rest = rows.where(~held)
        if len(rest.labels.unique()) < 2:
            raise ValueError(f"sources: without source {int(source)} one label is left; give both labels two sources")
        for method, stack in stacks(methods, rest, plan).items():
            for number, l2 in enumerate(penalties):
                logits[method][number, held] = fit_stack(rest, stack, l2=l2).logits(rows.features[held]).float()
    found = []
    for method in methods:
        scores = [group_auroc(row, rows.labels, rows.sources) for row in logits[method]]
        number = max(range(len(penalties)), key=scores.__getitem__)
        threshold, accuracy = best_threshold(logits[method][number], rows.labels, rows.sources)
        found.append(Validated(method, penalties[number], scores[number], threshold, accuracy))
    return found


def best(candidates: Sequence[Validated]) -> Validated:
    """The highest score; the earlier of two that are equal, so list the plain methods first."""
    return max(candidates, key=lambda candidate: candidate.score)


def group_auroc(logits: Tensor, labels: Tensor, sources: Tensor) -> float:
    """AUROC in which every group (label x source) weighs the same among those of its label; ties count half."""
    share = _shares(labels, sources)
    values, place = logits.unique(return_inverse=True)
    positive = torch.zeros(len(values), dtype=torch.float64).index_add(0, place, share * (labels == 1))
    negative = torch.zeros(len(values), dtype=torch.float64).index_add(0, place, share * (labels == 0))
    return 4 * float(positive @ (negative.cumsum(0) - negative / 2))  # the shares of a label sum to one half


def best_threshold(logits: Tensor, labels: Tensor, sources: Tensor) -> tuple[float, float]:
    """The threshold with the highest balanced accuracy over groups (label x source), and that accuracy."""
    share = _shares(labels, sources)
    order = logits.argsort()
    gain = torch.where(labels[order] == 1, -share[order], share[order])  # (n,), of raising the threshold past the row
    scores = 0.5 + torch.cat([torch.zeros(1), gain.cumsum(0)])  # (n + 1,)
    at = int(scores.argmax())
    edges = torch.cat([logits[order[:1]] - 1, logits[order], logits[order[-1:]] + 1]).double()  # (n + 2,)
    return float((edges[at] + edges[at + 1]) / 2), float(scores[at])


def _shares(labels: Tensor, sources: Tensor) -> Tensor:
    """Half to the groups of either label, equal among them, (n,)."""
    share = group_weights(labels, sources)
    for label in (0, 1):
        share[labels == label] *= 0.5 / share[labels == label].sum()
    return share


def _blocks(rows: Rows) -> tuple[Tensor, Tensor | None]:
    """Covariates and nuisance, standardised on the rows at hand."""
    return standardise(rows.covariates), None if rows.nuisance is None else standardise(rows.nuisance)


def _bootstrap(n: int, seed: int) -> Tensor:
    drawn = torch.randint(n, (n,), generator=torch.Generator().manual_seed(seed))
    return torch.bincount(drawn, minlength=n).float()


def _loss(a: Tensor, y: Tensor, share: Tensor, penalty: Tensor, b: Tensor) -> float:
    z = a @ b  # (n,)
    return float(share @ (softplus(z) - y * z) + 0.5 * (penalty * b.square()).sum())


def _check(x: Tensor, labels: Tensor, weights: Tensor, l2: float) -> None:
    if x.ndim != 2 or labels.shape != x.shape[:1] or weights.shape != labels.shape:
        raise ValueError(
            f"labels: shape {tuple(labels.shape)}, weights {tuple(weights.shape)}, x {tuple(x.shape)}; give x as "
            "(n, p) and one label and one weight for each row"
        )
    if set(labels.unique().tolist()) != {0, 1}:
        raise ValueError(f"labels: values {labels.unique().tolist()[:5]}; give 0 and 1, at least one of each")
    if not bool((weights >= 0).all() and weights.sum() > 0 and weights.isfinite().all()):
        raise ValueError("weights: negative, not finite, or all zero; clamp them at zero and keep at least one row")
    if not l2 > 0:
        raise ValueError(f"l2 is {l2}: give a penalty above 0, such as 0.01")
