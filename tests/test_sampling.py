import math

import pytest
import torch

from midcourse.server.sampling import draw, log_probabilities, nucleus

PROBABILITIES = torch.tensor([0.1, 0.5, 0.05, 0.35])
LOGITS = PROBABILITIES.log()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(1.0, [0, 1, 2, 3]), (0.99, [0, 1, 2, 3]), (0.9, [0, 1, 3]), (0.6, [1, 3]), (0.45, [1]), (1e-9, [1])],
)
def test_the_nucleus_is_the_smallest_set_that_holds_top_p(top_p: float, kept: list[int]) -> None:
    probabilities = nucleus(PROBABILITIES, top_p)
    assert probabilities.nonzero().flatten().tolist() == kept
    assert probabilities.sum().item() == pytest.approx(1)
    ratios = probabilities[kept] / PROBABILITIES[kept]
    assert torch.allclose(ratios, ratios[0])


def test_among_equals_the_nucleus_takes_the_lowest_ids() -> None:
    assert nucleus(torch.full((4,), 0.25), 0.5).tolist() == [0.5, 0.5, 0, 0]


def test_the_nucleus_leaves_its_argument_alone() -> None:
    before = PROBABILITIES.clone()
    nucleus(PROBABILITIES, 0.5)
    assert torch.equal(PROBABILITIES, before)


def test_temperature_zero_is_greedy_and_touches_no_generator() -> None:
    generator = seeded(1)
    state = generator.get_state()
    assert draw(LOGITS, temperature=0, top_p=0.1, generator=generator) == 1
    assert draw(torch.tensor([2.0, 7.0, 7.0]), temperature=0, top_p=1, generator=None) == 1
    assert torch.equal(generator.get_state(), state)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_tempered_distribution(temperature: float) -> None:
    generator = seeded(3)
    drawn = [draw(LOGITS, temperature=temperature, top_p=1.0, generator=generator) for _ in range(4000)]
    wanted = torch.softmax(LOGITS / temperature, dim=-1).tolist()
    shares = [drawn.count(token) / len(drawn) for token in range(4)]
    assert shares == pytest.approx(wanted, abs=0.03)  # four standard errors


def test_a_token_outside_the_nucleus_is_never_drawn() -> None:
    generator = seeded(0)
    assert {draw(LOGITS, temperature=1.0, top_p=0.6, generator=generator) for _ in range(500)} == {1, 3}


def test_a_seed_repeats_its_draws() -> None:
    def draws(seed: int) -> list[int]:
        generator = seeded(seed)
        return [draw(LOGITS, temperature=1.0, top_p=0.95, generator=generator) for _ in range(50)]

    assert draws(5) == draws(5) != draws(6)


def test_log_probabilities_are_natural_and_untempered() -> None:
    logits = torch.stack([LOGITS + 3, LOGITS.flip(0)])
    scores = log_probabilities(logits, torch.tensor([0, 2]), top=2)
    assert [score for score, _ in scores] == pytest.approx([math.log(0.1), math.log(0.5)], abs=1e-5)
    assert [[token for token, _ in top] for _, top in scores] == [[1, 3], [2, 0]]
    assert [value for _, value in scores[0][1]] == pytest.approx([math.log(0.5), math.log(0.35)], abs=1e-5)


def test_no_alternatives_may_be_asked_for() -> None:
    ((score, top),) = log_probabilities(LOGITS[None], torch.tensor([1]), top=0)
    assert score == pytest.approx(math.log(0.5), abs=1e-5)
    assert not top


@pytest.mark.parametrize("temperature", [5e-324, 1e-45, 1e-39, 1e-9])
def test_a_temperature_next_to_zero_is_zero(temperature: float) -> None:
    assert draw(LOGITS, temperature=temperature, top_p=1.0, generator=None) == 1


def test_a_low_temperature_does_not_overflow() -> None:
    logits = torch.tensor([3e38, -3e38, 2.9e38])
    assert draw(logits, temperature=1e-5, top_p=1.0, generator=seeded(0)) == 0
