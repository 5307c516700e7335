import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from midcourse.server.detokenize import Detokenizer, decode
from midcourse.server.weights import Weights

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=20)


@given(before=TEXTS, text=TEXTS)
def test_the_pieces_add_up_to_the_text_whatever_stands_before(weights: Weights, before: str, text: str) -> None:
    spell = weights.tokenizer
    ids = spell(text)["input_ids"]
    assume(decode(spell, ids) == text)  # its alphabet lacks a few bytes of the rarest characters
    pieces = Detokenizer(spell, spell(before)["input_ids"])
    assert "".join(pieces.feed(token) for token in ids) + pieces.flush() == text


def test_an_emoji_of_several_tokens_appears_with_its_last(weights: Weights) -> None:
    ids = weights.tokenizer("🦜")["input_ids"]
    pieces = Detokenizer(weights.tokenizer)
    assert [pieces.feed(token) for token in ids] == [""] * (len(ids) - 1) + ["🦜"]
    assert len(ids) > 1
    assert pieces.flush() == ""


def test_a_character_that_is_never_finished_comes_out_as_broken(weights: Weights) -> None:
    first = weights.tokenizer("🦜")["input_ids"][0]
    pieces = Detokenizer(weights.tokenizer)
    assert pieces.feed(first) == ""
    assert pieces.flush() == "\ufffd"
    assert pieces.flush() == ""


@pytest.mark.parametrize("count", [16, 40])
def test_broken_text_is_not_held_for_ever(weights: Weights, count: int) -> None:
    first = weights.tokenizer("🦜")["input_ids"][0]
    pieces = Detokenizer(weights.tokenizer)
    assert sum(bool(pieces.feed(first)) for _ in range(count)) == count // 16


def test_special_tokens_are_shown(weights: Weights) -> None:
    assert Detokenizer(weights.tokenizer).feed(2) == "<|im_end|>"
