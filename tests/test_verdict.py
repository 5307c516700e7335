"""Verdicts: numbers between 0 and 1, or none at all."""

import pytest

from midcourse.guard.verdict import Query, Verdict, prompt_alone


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1])
@pytest.mark.parametrize("name", ["neutral", "cue", "harmful", "safety", "prompt_risk"])
def test_a_score_that_is_no_probability_is_an_error_and_never_safe(name: str, score: float) -> None:
    scores = {"neutral": 1.0, "cue": 0.0, "harmful": 0.0, "safety": 0.0} | {name: score}
    with pytest.raises(ValueError, match=name):
        Verdict(**scores)


def test_unsafe_is_cue_or_harmful_and_the_label_is_the_likeliest() -> None:
    assert Verdict(0.0, 0.75, 0.5, 0.0).unsafe == 1.0
    assert Verdict(0.1, 0.25, 0.5, 0.0, prompt_risk=0.3).unsafe == 0.75
    assert Verdict(0.1, 0.2, 0.6, 0.1).label == "harmful"
    assert Verdict(0.5, 0.5, 0.0, 0.0).label == "neutral"


def test_a_question_about_the_prompt_alone_shows_it_as_the_steps_will() -> None:
    assert prompt_alone("What is tea?", 100) == Query("What is tea?", "", "", "reasoning", -1)
    assert prompt_alone("abcdefgh", 4).prompt == "ab … gh"
