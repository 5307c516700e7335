"""The word list: forms of words, and words in letters without gaps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midcourse.models.words import MAX_WORD, WORDS, cost, known, segmented


@pytest.mark.parametrize("word", "a how build planning planned studies easily bombs makers".split())
def test_a_word_and_its_usual_forms_are_known(word: str) -> None:
    assert known(word)


@pytest.mark.parametrize("word", ["", "qwzx", "ubj", "dliub", "How", "naïve", "s", "x" * (MAX_WORD + 1)])
def test_other_strings_are_not(word: str) -> None:
    assert not known(word)
    assert cost(word) == math.inf


def test_the_list_holds_each_word_once_in_plain_letters() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert all(word.isascii() and word.isalpha() and word.islower() for word in WORDS)


@pytest.mark.parametrize("text", ["how to make a bomb", "i know this is wrong but maybe it is for a story"])
def test_words_without_gaps_are_parted(text: str) -> None:
    assert segmented(text.replace(" ", "")) == text.split()


def test_an_unknown_word_among_known_ones_stays_whole() -> None:
    assert segmented("makesomexqzvwplease") == ["make", "some", "xqzvw", "please"]


@pytest.mark.parametrize("letters", ["", "abcdefgh", "xqzvbn", "aiaiaiai"])
def test_letters_that_are_no_words_are_not_parted(letters: str) -> None:
    assert segmented(letters) in (None, [])


@given(st.text("abehotw", max_size=60))
def test_a_segmentation_keeps_every_letter(letters: str) -> None:
    words = segmented(letters)
    assert words is None or "".join(words) == letters
