"""Tokens to text, one at a time, such that the pieces add up to the whole. Knows a tokenizer and no model."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

CONTEXT = 6  # tokens decoded before the new ones: enough for tokenizers that join words (SentencePiece) or bytes
HELD = 16  # a character has at most four bytes; a model that spells this many tokens of broken UTF-8 means it


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """``ids`` as text, special tokens shown, nothing tidied."""
    text = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if not isinstance(text, str):
        raise TypeError(f"decode of one sequence gave {type(text).__name__}")
    return text


class Detokenizer:
    """Incremental decoding: a token that ends inside a character gives no text until the character is complete.

    Args:
        before: the tokens that stand before the first one; only the last few are looked at.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, before: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._before = list(before[-CONTEXT:])
        self._new: list[int] = []

    def feed(self, token: int) -> str:
        """The text that ``token`` completes, often empty inside an emoji."""
        self._new.append(token)
        text = self._decoded()
        if text.endswith("\ufffd") and len(self._new) < HELD:
            return ""
        return self._take(text)

    def flush(self) -> str:
        """What is left when no token follows: a broken character, shown as U+FFFD."""
        return self._take(self._decoded()) if self._new else ""

    def _decoded(self) -> str:
        prefix = decode(self._tokenizer, self._before)
        return decode(self._tokenizer, [*self._before, *self._new])[len(prefix) :]

    def _take(self, text: str) -> str:
        self._before, self._new = (self._before + self._new)[-CONTEXT:], []
        return text
