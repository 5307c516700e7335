"""The network in torch: causal, in two halves that make one, with heads that begin at nothing."""

import pytest
import torch

from midcourse.train.cue_net import OUTPUTS, Block, CueNet, Shape, risk_logit, step_logits
from tests.tiny_judge import shape, tiny_net

IDS = torch.randint(0, shape().vocabulary, (3, 12), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def net() -> CueNet:
    return tiny_net(layers=3).requires_grad_(False)


def test_every_token_has_its_outputs(net: CueNet) -> None:
    scores = net(IDS)
    assert scores.shape == (3, 12, OUTPUTS)
    assert float(scores.std()) > 0.1


def test_it_is_causal_and_padding_at_the_end_changes_nothing(net: CueNet) -> None:
    torch.testing.assert_close(net(IDS[:, :7]), net(IDS)[:, :7])
    padded = torch.cat([IDS[:1, :7], torch.zeros(1, 5, dtype=torch.long)], 1)
    torch.testing.assert_close(net(padded)[:, :7], net(IDS[:1, :7]))
    assert not torch.allclose(net(IDS)[:, 7:], net(IDS[:, 1:])[:, 6:], atol=1e-2)  # what came before matters


@pytest.mark.parametrize("below", [0, 1, 2, 3])
def test_the_lower_half_and_the_rest_are_the_whole(net: CueNet, below: int) -> None:
    torch.testing.assert_close(net.read(net.lower(IDS, below), below), net(IDS))
    torch.testing.assert_close(net(net.lower(IDS, below), below), net(IDS))


def test_the_scores_are_in_float32_even_where_the_layers_are_not(net: CueNet) -> None:
    scores = net.read(net.lower(IDS, 1, torch.bfloat16), 1)
    assert scores.dtype == torch.float32
    assert float((scores - net(IDS)).abs().mean()) < 0.05 * float(net(IDS).std())


def test_queries_that_share_a_key_attend_with_it() -> None:
    net = tiny_net(layers=1)
    one = net.blocks[0]
    assert isinstance(one, Block)
    whole = Shape(1, 8, width=32, heads=4, memory_heads=4, feed_forward=48)
    other = CueNet(whole).blocks[0]
    assert isinstance(other, Block)
    grouped, q, e = one.qkv.detach(), 32, 8
    keys, values = grouped[q : q + 2 * e].view(2, e, 32), grouped[q + 2 * e :].view(2, e, 32)
    with torch.no_grad():
        for name in ("norm_1", "norm_2", "out", "gate_up", "down"):
            getattr(other, name).copy_(getattr(one, name))
        wide = [part.repeat_interleave(2, 0).reshape(-1, 32) for part in (keys, values)]
        other.qkv.copy_(torch.cat([grouped[:q], *wide]))
    x = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1))
    angles = torch.outer(torch.arange(5.0), torch.tensor([1.0, 0.3, 0.1, 0.01]))
    torch.testing.assert_close(one(x, angles.cos(), angles.sin()), other(x, angles.cos(), angles.sin()))


def test_a_fresh_network_says_nothing_and_its_embedding_is_not_trained() -> None:
    net = CueNet(shape())
    assert not net(IDS).any()
    assert not net.embedding.weight.requires_grad
    assert net.head.weight.requires_grad


def test_the_sizes_of_smollm2_are_the_default() -> None:
    real = Shape(layers=16, vocabulary=16_000)
    assert (real.head_width, real.memory_heads) == (64, 3)
    assert shape().head_width == 8


def test_the_logits_of_a_step_are_those_of_its_last_token_and_of_its_mean() -> None:
    scores = torch.arange(40.0).view(4, 10)
    torch.testing.assert_close(step_logits(scores, 1, 3), scores[2, :4] + (scores[1, 4:8] + scores[2, 4:8]) / 2)
    torch.testing.assert_close(step_logits(scores, 3, 4), scores[3, :4] + scores[3, 4:8])


def test_the_logit_of_the_risk_is_that_of_the_last_token_and_of_the_mean() -> None:
    scores = torch.arange(40.0).view(4, 10)
    torch.testing.assert_close(
        risk_logit(scores, 0, 3), scores[2, 8] + (scores[0, 9] + scores[1, 9] + scores[2, 9]) / 3
    )
