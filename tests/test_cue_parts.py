"""The parts of the cue judge: one score of many, places of streams, waves of steps, and what is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midcourse.guard.lexical import prompt_logit
from midcourse.guard.verdict import Query
from midcourse.models.cue import Combine, Read, Recent, place, sigmoid, waves
from midcourse.models.depth import Past
from tests.tiny_judge import STEPS

PROMPT, OTHER = "How do I bake a loaf of bread?", "What is the oven for?"
TEXT = " ".join(STEPS)


def following(prompt: str) -> list[Query]:
    """The steps, each in its place."""
    return [Query(prompt, " ".join(STEPS[:n]), step, "reasoning", n) for n, step in enumerate(STEPS)]


def test_the_score_is_the_sum_that_the_card_weighs() -> None:
    combine = Combine(step=2.0, prompt=0.5, before=0.25, bias=-1.0, keep=0.5, risk_scale=3.0, risk_bias=0.1)
    scores = np.zeros((2, 10), np.float32)
    scores[1, :4], scores[:, 4:8] = (0.0, 1.0, -1.0, 0.5), [[0.2, 0.0, 0.0, 0.0], [0.0, 0.4, 0.0, 0.0]]
    logits = np.array([0.1, 1.2, -1.0, 0.5])
    along = np.log(np.exp(logits[1]) + np.exp(logits[2])) - np.log(np.exp(logits[0]) + np.exp(logits[3]))
    verdict, evidence = combine.verdict(scores, risk=0.8, evidence=1.6)
    assert verdict.unsafe == pytest.approx(1 / (1 + np.exp(-(2 * along + 0.4 + 0.4 - 1))), rel=1e-5)
    assert evidence == pytest.approx(0.8 + along, rel=1e-5)
    assert verdict.cue / verdict.harmful == pytest.approx(np.exp(2.2), rel=1e-5)
    assert verdict.neutral / verdict.safety == pytest.approx(np.exp(-0.4), rel=1e-5)
    scores[:, 8], scores[:, 9] = (7.0, 0.4), (0.1, 0.3)
    assert combine.risk(scores, "How do I kill my neighbour?") == pytest.approx(3 * (0.4 + 0.2) + 0.1, rel=1e-5)


def test_the_word_lists_count_as_much_as_the_card_says() -> None:
    asked, plain = "How do I kill my neighbour and hide it?", "How do I bake bread?"
    combine = Combine(step=1.0, prompt=1.0, before=0.0, bias=0.0, keep=0.0, words=0.3)
    scores = np.zeros((2, 10), np.float32)
    assert combine.risk(scores, asked) == pytest.approx(0.3 * prompt_logit(asked))
    assert combine.risk(scores, plain) < 0 < combine.risk(scores, asked)


def test_of_scores_of_more_tokens_the_last_are_those_of_the_steps() -> None:
    combine = Combine(step=1.0, prompt=0.0, before=0.5, bias=0.0, keep=0.5)
    scores = np.zeros((7, 10), np.float32)
    scores[:2, 1], scores[4, 1], scores[6, 1] = 99.0, 1.0, 2.0
    past = Past(np.zeros((2, 0, 2, 8), np.float32), np.zeros((2, 0, 2, 8), np.float32), np.zeros((0, 32), np.float16))
    verdict, after = combine.judged(scores, [[1, 2, 3], [4, 5]], Read(past, 0.0, 2.0))
    first, between = combine.verdict(scores[2:5], 0.0, 2.0)
    wanted, evidence = combine.verdict(scores[5:], 0.0, between)
    assert (verdict, after.evidence) == (wanted, evidence) and first != wanted


def test_steps_in_the_same_direction_add_up() -> None:
    combine = Combine(step=1.0, prompt=0.0, before=0.5, bias=0.0, keep=1.0)
    scores = np.zeros((1, 10), np.float32)
    scores[0, 1] = 2.0
    found, evidence = [], 0.0
    for _ in range(3):
        verdict, evidence = combine.verdict(scores, 0.0, evidence)
        found.append(verdict.unsafe)
    assert found[0] < found[1] < found[2]


@given(st.floats(-1e4, 1e4))
def test_the_sigmoid_does_not_overflow(x: float) -> None:
    assert 0 <= sigmoid(x) <= 1
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1)


def test_the_least_recently_used_goes_first() -> None:
    recent = Recent[int](2, 100, int)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.pop("c"), recent.pop("c")) == (1, None, 3, None)


def test_what_is_kept_weighs_no_more_than_there_is_room_for() -> None:
    recent = Recent[int](9, 10, int)
    for name, weight in (("a", 4), ("b", 4), ("a", 5), ("c", 2)):  # the new a takes the place of the old one
        recent.put(name, weight)
    assert (recent.get("b"), recent.get("a"), recent.get("c")) == (None, 5, 2)
    recent.put("d", 99)  # larger than the room: it is what is needed now
    assert (recent.get("a"), recent.get("c"), recent.pop("d")) == (None, None, 99)
    recent.put("e", 10)
    assert recent.get("e") == 10


def test_a_place_is_the_prompt_and_the_end_of_the_text_without_its_white_space() -> None:
    assert place(PROMPT, f"{TEXT} \n") == place(PROMPT, TEXT.replace(" ", "\n"))
    assert place(PROMPT, TEXT) != place(OTHER, TEXT) and place(PROMPT, TEXT) != place(PROMPT, TEXT[:-1])
    assert place(PROMPT, "x" + TEXT * 9) == place(PROMPT, "y" + TEXT * 9)  # a context is cut at its beginning
    assert place("a\0b", "") != place("a", "b")


def test_a_step_waits_for_the_one_it_follows() -> None:
    trace, other = following(PROMPT), following(OTHER)
    assert waves([*trace[:3], *other[:2]]) == [[0, 3], [1, 4], [2]]
    assert waves([trace[0], trace[0], trace[2]]) == [[0, 1, 2]]
    assert waves([Query(PROMPT, "", "", "reasoning", 0), trace[0]]) == [[1]]
