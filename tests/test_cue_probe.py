"""The linear probe: it finds what is there, and what is standardised to find it is folded back exactly."""

import pytest
import torch
from torch import Tensor

from midcourse.train.cue_learn import batches, padded
from midcourse.train.cue_net import risk_logit, step_logits
from midcourse.train.cue_probe import TOKENS, features, fitted, probe
from midcourse.train.cue_rows import NOT_UNSAFE, NULL, Example
from tests.test_cue_learn import toy
from tests.tiny_judge import tiny_net


def points(n: int = 300, seed: int = 0) -> Tensor:
    """Features of very different scales and means; one is constant."""
    x = torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))
    return x * torch.tensor([1.0, 30.0, 0.01, 1.0, 0.0]) + torch.tensor([0.0, 100.0, 1.0, -3.0, 2.0])


def test_a_separable_rule_is_recovered() -> None:
    x = points()
    y = torch.where(x[:, 1] > 130, 2, torch.where(x[:, 0] > 0, 1, 0))
    matrix, bias = fitted(x, y, torch.ones(300), outputs=4, penalty=1e-4)
    assert matrix.shape == (4, 5) and bias.shape == (4,)
    said = (points(seed=1) @ matrix.T + bias).argmax(1)
    fresh = points(seed=1)
    wanted = torch.where(fresh[:, 1] > 130, 2, torch.where(fresh[:, 0] > 0, 1, 0))
    assert float((said == wanted).float().mean()) > 0.93


def test_a_probability_is_fitted_by_one_output() -> None:
    x = points()
    y = (x[:, 2] > 1.0).float()
    matrix, bias = fitted(x, y, torch.ones(300), outputs=1, penalty=1e-4)
    said = (x @ matrix.T + bias)[:, 0] > 0
    assert float((said == y.bool()).float().mean()) > 0.95


def test_standardising_is_folded_back_exactly() -> None:
    x = points()
    y = (x[:, 0] + (x[:, 1] - 100) / 30 > 0).long()
    found = fitted(x, y, torch.ones(300), outputs=4, penalty=1e-2)
    x, matrix, bias = x.double(), found[0].double(), found[1].double()
    mean, spread = x.mean(0), x.std(0) + 1e-4
    z = (x - mean) / spread
    by_z, at_zero = matrix * spread, bias + matrix @ mean
    torch.testing.assert_close(x @ matrix.T + bias, z @ by_z.T + at_zero)
    # The penalty is on the standardised weights: there the loss is at its minimum.
    w, b = by_z.T.clone().requires_grad_(), at_zero.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(z @ w + b, y) + 1e-2 * (w**2).sum()
    for slope in torch.autograd.grad(loss, (w, b)):
        assert float(slope.abs().max()) < 1e-3


def test_weights_count_by_their_shares() -> None:
    x = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] + 0.5 * x[:, 1] ** 2 > 0).long()

    def shares(x_: Tensor, y_: Tensor, weights: Tensor) -> Tensor:
        matrix, bias = fitted(x_, y_, weights, outputs=4, penalty=1e-2)
        return torch.softmax(x @ matrix.T + bias, 1)

    one, heavy = shares(x, y, torch.ones(120)), shares(x, y, torch.where(y == 1, 5.0, 1.0))
    torch.testing.assert_close(shares(x, y, torch.full((120,), 7.0)), one, rtol=0, atol=2e-3)
    torch.testing.assert_close(shares(torch.cat([x, x]), torch.cat([y, y]), torch.ones(240)), one, rtol=0, atol=2e-3)
    assert float(heavy[:, 1].mean()) > float(one[:, 1].mean()) + 0.05


def test_not_unsafe_pulls_away_from_cue_and_harmful_and_between_the_others_not_at_all() -> None:
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    y = torch.where(x[:, 0] > 0, 1, NOT_UNSAFE)
    matrix, bias = fitted(x, y, torch.ones(200), outputs=4, penalty=1e-3)
    torch.testing.assert_close(matrix[0], matrix[3], rtol=1e-3, atol=1e-3)
    share = torch.softmax(x @ matrix.T + bias, 1)
    unsafe = share[:, 1] + share[:, 2]
    assert float(unsafe[x[:, 0] < -0.3].max()) < 0.5 < float(unsafe[x[:, 0] > 0.3].min())


def test_features_are_the_last_token_and_the_mean_of_each_step_and_prompt() -> None:
    net = tiny_net()
    examples = [
        Example((1, 2, 3, 4, 5, 6), 1, 2, (3, 5), (0, NULL), True),
        Example((1, 2, 3, 4, 5), 1, 2, (4,), (NOT_UNSAFE,), None),
    ]
    steps, labels, prompts, risky = features(net, examples)
    assert (steps.shape, prompts.shape) == ((2, 64), (1, 64))
    assert sorted(labels.tolist()) == [NOT_UNSAFE, 0] and risky.tolist() == [1.0]
    x = torch.nn.functional.rms_norm(net.lower(torch.tensor([examples[0].ids]), 2), (32,), net.norm, 1e-5)[0].detach()
    wanted = torch.cat([x[2], (x[1] + x[2]) / 2])
    assert float((prompts[0] - wanted).abs().max()) < 0.1  # bfloat16
    first = steps[labels.tolist().index(0)]
    assert float((first - torch.cat([x[3], x[3]])).abs().max()) < 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_the_heads_of_a_probed_network_tell_the_toy_rule(seed: int) -> None:
    net = tiny_net(seed)
    before = {name: weight.clone() for name, weight in net.state_dict().items() if not name.startswith("head")}
    probe(net, toy(600))
    fresh = toy(200, seed=5)
    with torch.no_grad():
        scores = net(padded(fresh))
    right = sum(int(step_logits(row, 3, 5).argmax()) == e.labels[0] for row, e in zip(scores, fresh, strict=True))
    risks = sum(bool(risk_logit(row, 1, 3) > 0) is e.risky for row, e in zip(scores, fresh, strict=True))
    assert right > 170 and risks > 170
    assert not net.head.bias[4:8].any() and not net.head.bias[9]
    assert all(torch.equal(net.state_dict()[name], weight) for name, weight in before.items())


def test_the_heads_say_what_the_probe_says() -> None:
    net = tiny_net()
    probe(net, toy(100))
    examples = toy(30, seed=2)
    steps, _, prompts, _ = features(net, examples)
    ordered = [e for batch in batches(examples, TOKENS) for e in batch]
    weight, bias = net.head.weight.detach(), net.head.bias.detach()
    with torch.no_grad():
        scores = net.read(net.lower(padded(ordered), 2, torch.bfloat16), 2)
    by_probe = steps @ torch.cat([weight[0:4], weight[4:8]], 1).T + bias[0:4]
    risk = prompts @ torch.cat([weight[8], weight[9]]) + bias[8]
    for n, row in enumerate(scores):
        torch.testing.assert_close(step_logits(row, 3, 5), by_probe[n], rtol=1e-3, atol=1e-2)
        torch.testing.assert_close(risk_logit(row, 1, 3), risk[n], rtol=1e-3, atol=1e-2)
