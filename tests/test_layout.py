"""One layout for training and serving: bounded, step by step, for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midcourse.models.layout import ENDS, OPENS, TURNS, Layout, Limits, plain_end
from tests.tiny_judge import TEXTS, tokenizer

LAYOUT = Layout(tokenizer(), Limits())
SMALL = Layout(tokenizer(), Limits(prompt=12, step=7, window=60))
anything = st.text(st.characters(), max_size=60)  # surrogates as well


def text_of(ids: list[int]) -> str:
    return str(tokenizer().decode(ids, skip_special_tokens=False))


def test_a_prompt_and_its_steps_stand_in_the_layout_that_was_trained() -> None:
    ids = LAYOUT.opens() + LAYOUT.prompt(" Bake bread? \n") + LAYOUT.step("First. ") + LAYOUT.step(" Then.")
    assert text_of(ids) == "User: Bake bread?\nReasoning: First. Then."


@given(anything, anything)
def test_the_tokens_of_a_step_do_not_depend_on_what_stands_beside_it(one: str, other: str) -> None:
    both = LAYOUT.tail([one, other], 10_000)
    assert both == [LAYOUT.step(one), LAYOUT.step(other)]


@given(anything)
def test_any_text_is_at_least_one_token_and_never_too_many(text: str) -> None:
    assert 1 <= len(SMALL.step(text)) <= 7
    assert 1 <= len(SMALL.prompt(text)) <= 12 + len(SMALL.prompt("")) - 1
    small, large = SMALL.step(text), LAYOUT.step(text)
    assert small[:6] == large[:6] and small[-1] == large[-1]


@given(anything)
def test_white_space_around_a_text_tells_nothing(text: str) -> None:
    assert LAYOUT.step(f" \n{text}\t ") == LAYOUT.step(text)
    assert LAYOUT.prompt(f" \n{text}\t ") == LAYOUT.prompt(text)


def test_the_paragraphs_of_a_prompt_are_read_as_one() -> None:
    assert LAYOUT.prompt("Bake bread.\n\n Thank\tyou.") == LAYOUT.prompt("Bake bread. Thank you.")


def test_of_a_long_prompt_the_beginning_and_the_end_are_read() -> None:
    long = f"bake a loaf {'flour ' * 500} bread in the oven"
    whole, turns = LAYOUT.prompt(long), LAYOUT.prompt("")[1:]
    assert len(whole) == 160 + len(turns) and whole[-len(turns) :] == turns
    assert text_of(whole[:80]).startswith(" bake a loaf flour")
    assert text_of(whole).endswith(f"bread in the oven{TURNS}")


def test_of_a_long_step_the_beginning_is_read_and_its_end_is_plain() -> None:
    long = LAYOUT.step("flour " * 500)
    assert text_of(long).startswith(" flour flour") and text_of(long).endswith("flour.")
    assert len(long) == 150


@pytest.mark.parametrize(
    ("step", "read"),
    [
        ("I will bake it .", "I will bake it."),
        ("`I will bake it.`", "`I will bake it."),
        ("I will bake it ;", "I will bake it."),
        ("I will  bake\t it~", "I will bake it."),
        ("I will bake it", "I will bake it."),
        ("Shall I bake it ? ;)", "Shall I bake it?"),
        ("Flour , sugar :", "Flour , sugar:"),
        ("So ... #", "So..."),
        ("Now ! *", "Now!"),
        ("我会写。", "我会写。"),
        ("I will bake it。", "I will bake it."),
        ("मैं लिखूँगी।", "मैं लिखूँगी।"),
        ("मैं लिखूँगी ।", "मैं लिखूँगी."),
        ("- ", "-"),
        ("", ""),
    ],
)
def test_a_step_is_read_with_a_plain_end(step: str, read: str) -> None:
    assert plain_end(step) == read


@pytest.mark.parametrize("end", sorted(ENDS))
def test_ends_that_writers_use_stay(end: str) -> None:
    assert plain_end(f"I will bake it{end}") == f"I will bake it{end}"


@given(anything)
def test_a_plain_end_stays_plain(text: str) -> None:
    assert plain_end(plain_end(text)) == plain_end(text)


def test_the_tail_is_the_last_steps_that_fit() -> None:
    lengths = [len(LAYOUT.step(text)) for text in TEXTS]
    steps = [LAYOUT.step(text) for text in TEXTS]
    assert LAYOUT.tail(TEXTS, sum(lengths)) == steps
    assert LAYOUT.tail(TEXTS, sum(lengths) - 1) == steps[1:]
    assert LAYOUT.tail(TEXTS, lengths[-1]) == steps[-1:]


@pytest.mark.parametrize("most", [0, -5])
def test_without_room_there_is_no_tail(most: int) -> None:
    assert LAYOUT.tail(TEXTS, most) == []


def test_the_tail_leaves_no_hole() -> None:
    assert LAYOUT.tail(["a", "flour " * 100, "b"], 20) == [LAYOUT.step("b")]


def test_half_a_surrogate_pair_is_read_as_a_question_mark() -> None:
    assert LAYOUT.step("a\ud800b") == LAYOUT.step("a?b")
    assert LAYOUT.prompt("\udfff") == LAYOUT.prompt("?")


def test_the_limits_leave_room_for_a_prompt_a_reading_anew_and_a_step() -> None:
    most = len(LAYOUT.opens()) + len(LAYOUT.prompt("flour " * 500)) + 256 + 150
    assert most <= Limits().window
    assert OPENS == "User:" and TURNS == "\nReasoning:"  # weights were trained on these
