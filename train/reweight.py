"""Sample weights against covariate shift: DWR, SRDO, their mean (SAWA), and group balancing.

Knows matrices only: no text, no model, no file. Weights are learnt without labels and without environments; they are
normalised to sum to n, so that a plain mean of several learners' weights is a valid weight again. An option, off by
default: for low-dimensional named features or with a named block of nuisances. Group balancing is the baseline to beat.

Sources: DWR, Shen et al., arXiv 1911.12580, and the loss as in section 2 of our reference; SRDO, Shen et al., AAAI 2020
(section "sample reweighted decorrelation operator"); SAWA, arXiv 2502.07414.
"""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

MAX_FREE_FEATURES = 32  # beyond it the pairs outnumber what the weights of some thousand rows can settle
MAX_BALANCE_RATIO = 0.5
MIN_EFFECTIVE_SHARE = 0.1
DECORRELATION, WEIGHT_DECAY, ROOT_FLOOR = 2_000.0, 5e-5, 1e-10  # constants of the DWR loss
LEARNING_RATE = 0.01
MAX_LOG_RATIO = 5.0  # SRDO: a density ratio beyond e^5 is the classifier's confidence, not evidence


class ShiftWarning(UserWarning):
    """The weights can be computed, but there is reason not to trust them."""


class Examined(NamedTuple):
    """What weights did: the balance before (weights of one) and after, n_eff, and n_eff / n."""

    before: float
    after: float
    n_eff: float
    share: float


def standardise(x: Tensor) -> Tensor:
    """Columns of mean 0 and deviation 1; a constant column becomes zero, whatever rounding left of its deviation."""
    centred = x - x.mean(0)  # (n, p)
    deviation = centred.square().mean(0).sqrt()  # (p,)
    constant = deviation <= 1e-6 * x.abs().amax(0).clamp(min=1e-6)
    return torch.where(constant, 0.0, centred / torch.where(constant, 1.0, deviation))


def weighted_covariance(x: Tensor, weights: Tensor, other: Tensor | None = None) -> Tensor:
    """Covariance of the columns of ``x`` (with those of ``other``) under ``weights``, divided by their sum.

    Args:
        x: (n, p).
        weights: (n,), not negative.
        other: (n, q); None: ``x`` itself.

    Returns:
        (p, q), or (p, p).
    """
    _check(x, weights=weights, nuisance=other)
    return _covariance(x, weights, x if other is None else other)


def balance(x: Tensor, weights: Tensor, nuisance: Tensor | None = None) -> float:
    """How much correlation is left: mean over j of sqrt(sum over k of C_jk^2), k != j; with a nuisance, its k only."""
    _check(x, weights=weights, nuisance=nuisance)
    return float(_rows(x, weights, nuisance).mean())


def effective_size(weights: Tensor) -> float:
    """n_eff = (sum w)^2 / sum w^2 (Kish). Equal weights give n."""
    total = float(weights.double().square().sum())
    if total == 0.0:
        raise ValueError("weights: all are zero; n_eff is not defined, give at least one row a weight")
    return float(weights.double().sum()) ** 2 / total


def dwr(x: Tensor, seed: int, *, nuisance: Tensor | None = None, steps: int = 300) -> Tensor:
    """Decorrelated weights: w = v^2, Adam 0.01, from v uniform in (0, 2), so that learners differ by their seed.

    Loss: (2000 / p) sum_j sqrt(sum_k C_jk^2 + 1e-10) + 5e-5 sum w^2, with k != j over the features, or over the columns
    of the nuisance block alone. The published loss adds 1/2 (sum w - n)^2; here w is rescaled to sum to n in every
    step, so that this term is zero. As a penalty it swamps the others where n is large: at n = 9,712 300 steps took the
    balance from 0.338 to 0.327 with it, and to 0.003 without.

    Args:
        x: (n, p), columns on one scale (``standardise``).
        seed: of the initialisation.
        nuisance: (n, q), what the features are to be made independent of.
        steps: of Adam. More of them buy balance with n_eff: in our replication 1000 did worse than 300.

    Returns:
        (n,), their sum is n.
    """
    _check(x, nuisance=nuisance)
    n, p = x.shape
    start = torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(x) * 2  # (n,)
    v = (start * (n / start.square().sum()).sqrt()).requires_grad_()
    optimiser = torch.optim.Adam([v], lr=LEARNING_RATE)
    for _ in range(steps):
        w = _normal(v.square())
        loss = DECORRELATION / p * _rows(x, w, nuisance).sum() + WEIGHT_DECAY * w.square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return _normal(v.detach().square())


def srdo(x: Tensor, seed: int, *, nuisance: Tensor | None = None, steps: int = 200, hidden: int = 64) -> Tensor:
    """Density-ratio weights: tell X from Q, in which the columns are independent, and weigh by w = (1 - p) / p.

    Q permutes every column of X by itself; with a nuisance, the rows of the nuisance block as a whole. The classifier
    is a perceptron with one hidden layer: a linear one sees no difference, the margins of X and Q are the same.

    Args:
        x: (n, p), columns on one scale.
        seed: of the permutation and of the classifier.
        nuisance: (n, q).
        steps: of Adam on all rows.
        hidden: units.

    Returns:
        (n,), their sum is n.
    """
    _check(x, nuisance=nuisance)
    n = len(x)
    random = torch.Generator().manual_seed(seed)
    if nuisance is None:
        order = torch.rand(x.shape, generator=random).argsort(0)  # (n, p)
        real, mixed = x, x.gather(0, order)
    else:
        real = torch.cat([x, nuisance], 1)  # (n, p + q)
        mixed = torch.cat([x, nuisance[torch.randperm(n, generator=random)]], 1)
    rows = torch.cat([real, mixed])  # (2 n, columns)
    target = torch.cat([torch.ones(n), torch.zeros(n)]).to(rows)  # (2 n,); 1: from X
    shapes = [(rows.shape[1], hidden), (hidden,), (hidden, 1)]
    first, bias, last = (torch.randn(shape, generator=random).to(rows) / shape[0] ** 0.5 for shape in shapes)
    parameters = [part.requires_grad_() for part in (first, bias, last)]
    optimiser = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.1)
    for _ in range(steps):
        logits = (torch.relu(rows @ first + bias) @ last).squeeze(1)  # (2 n,)
        optimiser.zero_grad()
        binary_cross_entropy_with_logits(logits, target).backward()
        optimiser.step()
    with torch.no_grad():
        logits = (torch.relu(real @ first + bias) @ last).squeeze(1)  # (n,)
    return _normal((-logits).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp())  # (1 - p) / p = exp(-logit)


def sawa(learners: Tensor) -> Tensor:
    """Simple mean of K learners' weights, each first normalised to sum to n.

    n_eff of the mean is at least the harmonic mean of theirs (Minkowski). But the covariance under the mean is the mean
    of the covariances *plus* ``spread_of_means``: averaging can undo decorrelation, so examine the mean again.

    Args:
        learners: (K, n), not negative.

    Returns:
        (n,), their sum is n.
    """
    if learners.ndim != 2 or not len(learners):
        raise ValueError(f"learners: shape {tuple(learners.shape)}; stack the weights of K learners into (K, n)")
    return torch.stack([_normal(weights) for weights in learners]).mean(0)


def spread_of_means(x: Tensor, learners: Tensor) -> Tensor:
    """Covariance, over K learners, of their weighted means of the columns: the second identity's excess, (p, p)."""
    shares = learners / learners.sum(1, keepdim=True)  # (K, n)
    means = shares @ x  # (K, p)
    centred = means - means.mean(0)
    return centred.T @ centred / len(learners)


def group_weights(labels: Tensor, nuisance: Tensor) -> Tensor:
    """Every group that occurs (label x nuisance) weighs the same; within it the rows do.

    Args:
        labels: (n,), of any discrete type.
        nuisance: (n,), codes of the named nuisance, such as the source.

    Returns:
        (n,), their sum is n.
    """
    if labels.ndim != 1 or labels.shape != nuisance.shape:
        raise ValueError(
            f"nuisance: shape {tuple(nuisance.shape)} for labels of {tuple(labels.shape)}; give one code for each label"
        )
    pairs = torch.stack([labels.long(), nuisance.long()], 1)  # (n, 2)
    _, group, sizes = pairs.unique(dim=0, return_inverse=True, return_counts=True)
    share: Tensor = 1 / (len(sizes) * sizes[group].double())  # (n,)
    return share * len(labels)


def examine(x: Tensor, weights: Tensor, nuisance: Tensor | None = None) -> Examined:
    """What the weights did, with a ``ShiftWarning`` for each of the three reasons for doubt (reference, section 2)."""
    before, after = balance(x, torch.ones_like(weights), nuisance), balance(x, weights, nuisance)
    n_eff = effective_size(weights)
    found = Examined(before, after, n_eff, n_eff / len(weights))
    for text in _doubts(x.shape[1], nuisance is not None, found):
        warnings.warn(text, ShiftWarning, stacklevel=2)
    return found


def _doubts(features: int, named: bool, found: Examined) -> list[str]:
    doubts = []
    if features > MAX_FREE_FEATURES and not named:
        doubts.append(
            f"x: {features} features and no nuisance; above {MAX_FREE_FEATURES} weights did not help, name a nuisance"
        )
    if found.after > MAX_BALANCE_RATIO * found.before:
        doubts.append(
            f"weights: the balance is {found.after:.3g} after {found.before:.3g}, more than half; take more steps or "
            "fewer features"
        )
    if found.share < MIN_EFFECTIVE_SHARE:
        doubts.append(
            f"weights: n_eff is {found.n_eff:.1f}, {found.share:.1%} of the rows and below 10 %; average more learners "
            "or use group balancing"
        )
    return doubts


def _covariance(x: Tensor, weights: Tensor, other: Tensor) -> Tensor:
    share, other = (weights / weights.sum()).to(x), other.to(x)  # (n,), (n, q)
    return (x * share[:, None]).T @ other - torch.outer(share @ x, share @ other)  # (p, q)


def _rows(x: Tensor, weights: Tensor, nuisance: Tensor | None) -> Tensor:
    """sqrt(sum_k C_jk^2 + 1e-10) for each feature j, (p,)."""
    covariance = _covariance(x, weights, x if nuisance is None else nuisance)
    if nuisance is None:
        covariance = covariance - covariance.diag().diag()
    return torch.sqrt(covariance.square().sum(1).add(ROOT_FLOOR))


def _normal(weights: Tensor) -> Tensor:
    return weights * (len(weights) / weights.sum())


def _check(x: Tensor, *, weights: Tensor | None = None, nuisance: Tensor | None = None) -> None:
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x: shape {tuple(x.shape)}; give (n, p) with at least two rows")
    if not bool(x.isfinite().all()):
        raise ValueError("x: holds NaN or infinity; drop these rows or fill them in")
    if nuisance is None and x.shape[1] < 2 and weights is None:
        raise ValueError("x: one feature has nothing to be decorrelated from; add features or a nuisance")
    if nuisance is not None and (nuisance.ndim != 2 or len(nuisance) != len(x)):
        raise ValueError(f"nuisance: shape {tuple(nuisance.shape)}; give (n, q) with the {len(x)} rows of x")
    if weights is not None and weights.shape != x.shape[:1]:
        raise ValueError(f"weights: shape {tuple(weights.shape)}; give one for each of the {len(x)} rows of x")
    if weights is not None and not bool((weights >= 0).all() and weights.sum() > 0 and weights.isfinite().all()):
        raise ValueError("weights: negative, not finite, or all zero; clamp them at zero and keep at least one row")
