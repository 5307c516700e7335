"""A smaller vocabulary: any text is still read, whatever is kept can be made, and no more is kept than was asked."""

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from midcourse.train.cue_vocabulary import pruned
from tests.tiny_judge import TEXTS, tokenizer

SIZES = (256, 257, 300, 350, 399, 400, 10_000)


@cache
def smaller(size: int) -> tuple[Tokenizer, tuple[int, ...]]:
    text, kept = pruned(tokenizer(), TEXTS, size)
    return Tokenizer.from_str(text), tuple(kept)


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


@given(st.text(max_size=80), st.sampled_from(SIZES))
def test_any_text_comes_back(text: str, size: int) -> None:
    made, kept = smaller(size)
    assert made.decode(ids(made, text), skip_special_tokens=False) == text
    # Its tokens are old ones, read by their old names.
    old = [kept[number] for number in ids(made, text)]
    assert tokenizer().decode(old, skip_special_tokens=False) == text


@pytest.mark.parametrize("size", SIZES)
def test_no_more_is_kept_than_was_asked_for(size: int) -> None:
    made, kept = smaller(size)
    assert made.get_vocab_size() == len(kept) == len(set(kept)) <= size
    assert len(kept) >= min(size, 350) - 3  # a token that needs three more may not fit


@pytest.mark.parametrize("size", SIZES)
def test_new_ids_are_the_old_ones_in_their_order_under_their_names(size: int) -> None:
    made, kept = smaller(size)
    assert list(kept) == sorted(kept)
    assert [made.id_to_token(n) for n in range(len(kept))] == [tokenizer().id_to_token(old) for old in kept]


@pytest.mark.parametrize("size", SIZES)
def test_whatever_is_kept_can_be_made_of_what_is_kept(size: int) -> None:
    whole = json.loads(smaller(size)[0].to_str())["model"]
    vocabulary, merges = whole["vocab"], [tuple(merge) for merge in whole["merges"]]
    assert all(part in vocabulary for merge in merges for part in (*merge, "".join(merge)))
    made = {"".join(merge) for merge in merges}
    assert {token for token in vocabulary if len(token) > 1} == made


def test_what_is_used_most_is_kept_first() -> None:
    made, _ = pruned(tokenizer(), ["bread " * 50 + "oven"], 262)
    tokens = set(Tokenizer.from_str(made).get_vocab())
    assert "Ġbread" in tokens and "Ġoven" not in tokens


def test_with_room_for_all_texts_are_read_as_before() -> None:
    made, kept = smaller(10_000)
    for text in TEXTS:
        assert [kept[number] for number in ids(made, text)] == ids(tokenizer(), text)


def test_a_size_below_the_alphabet_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^vocabulary: 255 tokens cannot hold the alphabet; give at least 256"):
        pruned(tokenizer(), TEXTS, 255)


def test_control_tokens_become_text_like_any_other() -> None:
    special = Tokenizer.from_str(tokenizer().to_str())
    special.add_special_tokens(["<|im_end|>"])
    text, _ = pruned(special, TEXTS, 300)
    made = Tokenizer.from_str(text)
    assert len(ids(special, "<|im_end|>")) == 1
    assert len(ids(made, "<|im_end|>")) > 1
    assert made.decode(ids(made, "a<|im_end|>b"), skip_special_tokens=True) == "a<|im_end|>b"


def test_merges_written_as_text_are_read_as_well() -> None:
    whole = json.loads(tokenizer().to_str())
    whole["model"]["merges"] = [" ".join(merge) for merge in whole["model"]["merges"]]

    class Old:
        """A tokenizer of before 0.20, as far as it is needed here."""

        def to_str(self) -> str:
            return json.dumps(whole)

        encode = tokenizer().encode

    assert pruned(Old(), TEXTS, 300) == pruned(tokenizer(), TEXTS, 300)  # type: ignore[arg-type]
