"""The weighted head: ERM is weights of one, methods are stacks of weights, and sources choose between them."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from midcourse.train.head import (
    METHODS,
    Plan,
    Rows,
    Validated,
    best,
    best_threshold,
    fit,
    group_auroc,
    leave_one_source_out,
    stacks,
    train,
)
from midcourse.train.reweight import ShiftWarning, group_weights

PLAN = Plan(learners=3, steps=30)


def toy(n: int = 240, seed: int = 0) -> Rows:
    """Three sources; the label follows the first feature, and a shortcut that only source 0 has."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=random, dtype=torch.float64)
    labels = (x[:, 0] + 0.5 * torch.randn(n, generator=random, dtype=torch.float64) > 0).long()
    sources = torch.arange(n) % 3
    x[:, 1] += torch.where(sources == 0, 2.0, 0.0) * (2 * labels - 1)
    return Rows(x, labels, sources, x)


def one_hot(rows: Rows) -> Rows:
    return rows._replace(nuisance=torch.nn.functional.one_hot(rows.sources).double())


def test_erm_equals_weights_of_one_whatever_their_scale() -> None:
    rows = toy()
    plain = fit(rows.features, rows.labels)
    for weights in (torch.ones(240), torch.full((240,), 7.0), stacks(["erm"], rows, PLAN)["erm"][0]):
        weighted = fit(rows.features, rows.labels, weights)
        assert torch.allclose(plain.coefficients, weighted.coefficients, atol=1e-9)
        assert torch.allclose(plain.bias, weighted.bias, atol=1e-9)


def test_a_weight_of_two_equals_the_row_twice() -> None:
    rows = toy()
    weights = 1 + (torch.arange(240) < 50).double()
    twice = torch.cat([torch.arange(240), torch.arange(50)])
    one, other = fit(rows.features, rows.labels, weights), fit(rows.features[twice], rows.labels[twice])
    assert torch.allclose(one.coefficients, other.coefficients, atol=1e-9)


def test_the_fit_is_a_minimum_of_the_weighted_loss() -> None:
    rows = toy()
    weights = torch.rand(240, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    head = fit(rows.features, rows.labels, weights, l2=0.1)
    b, bias = head.coefficients.clone().requires_grad_(), head.bias.clone().requires_grad_()
    loss = binary_cross_entropy_with_logits(
        rows.features @ b + bias, rows.labels.double(), weight=weights / weights.sum(), reduction="sum"
    )
    for slope in torch.autograd.grad(loss + 0.05 * b.square().sum(), (b, bias)):
        assert slope.abs().max() < 1e-8


def test_single_precision_reaches_the_same_head() -> None:
    rows = toy()
    one, other = fit(rows.features, rows.labels), fit(rows.features.float(), rows.labels)
    assert torch.allclose(one.coefficients.float(), other.coefficients, atol=1e-3)


def test_separable_rows_have_a_head_thanks_to_the_penalty() -> None:
    x = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]], dtype=torch.float64)
    head = fit(x, torch.tensor([0, 0, 1, 1]), l2=1e-3)
    assert ((head.logits(x) > 0).long().tolist()) == [0, 0, 1, 1]


def test_methods_are_stacks_and_share_their_learners() -> None:
    rows = one_hot(toy())
    made = stacks(METHODS, rows, PLAN)
    shapes = {method: tuple(stack.shape) for method, stack in made.items()}
    assert shapes == {
        "erm": (1, 240),
        "groups": (1, 240),
        "seeds": (3, 240),
        "dwr": (1, 240),
        "srdo": (1, 240),
        "sawa": (1, 240),
        "dwr_models": (3, 240),
    }
    assert torch.equal(made["groups"][0], group_weights(rows.labels, rows.sources))
    assert torch.equal(made["dwr"][0], made["dwr_models"][0])
    assert torch.allclose(made["sawa"][0], made["dwr_models"].mean(0))
    assert [float(weights.sum()) for stack in made.values() for weights in stack] == pytest.approx([240.0] * 11)


def test_only_the_methods_asked_for_are_made() -> None:
    assert set(stacks(["erm", "dwr"], toy(), PLAN)) == {"erm", "dwr"}


def test_an_ensemble_of_linear_heads_is_the_mean_of_their_logits() -> None:
    rows = toy()
    stack = stacks(["seeds"], rows, PLAN)["seeds"]
    ensemble = train(rows, stack, "seeds", l2=0.01).head
    single = torch.stack([fit(rows.features, rows.labels, w, l2=0.01).logits(rows.features) for w in stack])
    assert torch.allclose(ensemble.logits(rows.features), single.mean(0), atol=1e-9)


def test_learnt_weights_are_examined_before_use_and_plain_ones_are_not() -> None:
    rows = one_hot(toy())
    assert train(rows, torch.ones(1, 240), "erm", l2=0.01).examined is None
    with pytest.warns(ShiftWarning, match="more than half"):
        assert train(rows, torch.ones(1, 240), "dwr", l2=0.01).examined is not None


def test_no_source_is_scored_by_a_head_that_saw_it() -> None:
    rows = toy()
    flipped = rows._replace(labels=torch.where(rows.sources == 2, 1 - rows.labels, rows.labels))
    straight, turned = (leave_one_source_out(r, ["erm"], PLAN, [0.01])[0] for r in (rows, flipped))
    assert straight.score > 0.75
    assert turned.score < straight.score - 0.2


def test_the_penalty_with_the_best_score_is_kept() -> None:
    rows = toy()
    (found,) = leave_one_source_out(rows, ["groups"], PLAN, [1e-2, 1e4])
    singles = [leave_one_source_out(rows, ["groups"], PLAN, [l2])[0] for l2 in (1e-2, 1e4)]
    assert found.score == max(single.score for single in singles)
    assert found in singles


def test_the_highest_score_wins_and_the_plainer_method_where_two_are_equal() -> None:
    erm, groups = Validated("erm", 0.1, 0.7, 0.0, 0.5), Validated("groups", 0.1, 0.7, 0.0, 0.5)
    assert best([erm, groups]) is erm
    assert best([erm, groups._replace(score=0.71)]).method == "groups"


def test_groups_weigh_the_same_in_auroc_however_many_rows_they_have() -> None:
    logits = torch.tensor([0.9, 0.2, 0.5, 0.5, 0.5, 0.5])
    labels = torch.tensor([1, 1, 0, 0, 0, 0])
    assert group_auroc(logits, labels, torch.zeros(6)) == pytest.approx(0.5)
    many = torch.cat([logits, torch.full((8,), 0.1)])
    sources = torch.tensor([0] * 6 + [1] * 8)
    assert group_auroc(many, torch.cat([labels, torch.zeros(8).long()]), sources) == pytest.approx(0.75)
    assert group_auroc(torch.ones(6), labels, torch.zeros(6)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("logits", "accuracy"),
    [([-3.0, -1.0, 2.0, 4.0], 1.0), ([4.0, 2.0, -1.0, -3.0], 0.5), ([-3.0, 2.0, -1.0, 4.0], 0.75)],
)
def test_the_threshold_reaches_the_accuracy_that_it_claims(logits: list[float], accuracy: float) -> None:
    z, labels = torch.tensor(logits), torch.tensor([0, 0, 1, 1])
    threshold, claimed = best_threshold(z, labels, torch.zeros(4))
    said: Tensor = (z >= threshold).long()
    assert claimed == pytest.approx(accuracy)
    assert float((said == labels).float().mean()) == pytest.approx(accuracy)


def test_what_cannot_be_used_is_named_with_its_repair() -> None:
    rows = toy()
    with pytest.raises(ValueError, match=r"^plan\.learners is 0: give at least 1"):
        Plan(learners=0)
    with pytest.raises(ValueError, match=r"^method is 'irm': choose one of erm, groups"):
        stacks(["irm"], rows, PLAN)  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"^l2 is 0: give a penalty above 0"):
        fit(rows.features, rows.labels, l2=0)
    with pytest.raises(ValueError, match=r"^labels: values \[1\.0\]; give 0 and 1"):
        fit(rows.features, torch.ones(240))
    with pytest.raises(ValueError, match=r"^labels: shape \(239,\)"):
        fit(rows.features, rows.labels[1:])
    with pytest.raises(ValueError, match=r"^weights: negative, not finite, or all zero"):
        fit(rows.features, rows.labels, torch.zeros(240))
    alone = rows._replace(labels=(rows.sources == 1).long())
    with pytest.raises(ValueError, match=r"^sources: without source 1 one label is left; give both labels two sources"):
        leave_one_source_out(alone, ["erm"], PLAN, [0.1])
