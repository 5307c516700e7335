"""How a prompt and its steps become tokens: one layout, for training and for serving. Knows no network.

    User: <prompt>
    Reasoning: <step> <step> ...

Each step is tokenised by itself, so a step that arrives later never changes the tokens before it. It is read with an
end that the training data are full of, because that is where the verdict is read.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tokenizers import Tokenizer

OPENS = "User:"
TURNS = "\nReasoning:"

ENDS = frozenset(
    '. ? ! : ... … ** **: :** .** **. ?** .* *. ): ):** ). .) )? ?) ]. ." ?" !" ". .” ?” ”. .\' \'. .")'.split(" ")
)
"""Ends of steps that stay as they are. At others (a space before the full stop, a backtick, a semicolon, nothing) the
network gives next to no alarm, whatever the step says: docs/log.md, 2026-11-22."""
FOREIGN = frozenset("。 。” 。」 । ؟ ۔".split(" "))
"""The same behind letters that are not ASCII."""
_WIDE = re.compile(r"[^\S\n]{2,}")


class Limits(NamedTuple):
    """Tokens at most: of the prompt (its beginning and end), of one step, and of everything."""

    prompt: int = 160
    step: int = 150
    window: int = 640


@dataclass(frozen=True, slots=True)
class Layout:
    """Texts to token ids."""

    tokenizer: Tokenizer
    limits: Limits

    def opens(self) -> list[int]:
        """What stands before every prompt."""
        return self._ids(OPENS)

    def prompt(self, text: str) -> list[int]:
        """A prompt up to the point where the reasoning begins, without what ``opens``.

        Its lines are read as one: a polite paragraph behind a request would hide it (docs/log.md, 2026-11-22).
        """
        ids, most = self._ids(" " + " ".join(text.split())), self.limits.prompt
        if len(ids) > most:
            ids = ids[: most // 2] + ids[len(ids) - most // 2 :]
        return ids + self._ids(TURNS)

    def step(self, text: str) -> list[int]:
        """One step, with a plain end also where it is too long; at least one token."""
        ids = self._ids(" " + plain_end(text))
        return ids if len(ids) <= self.limits.step else [*ids[: self.limits.step - 1], ids[-1]]

    def tail(self, steps: Sequence[str], most: int) -> list[list[int]]:
        """The last of some steps, as many as fit into ``most`` tokens. An invisible step is still a step."""
        kept: list[list[int]] = []
        for text in reversed(steps):
            ids = self.step(text)
            if len(ids) > most:
                break
            most -= len(ids)
            kept.append(ids)
        return kept[::-1]

    def _ids(self, text: str) -> list[int]:
        text = text.encode(errors="replace").decode()  # half a surrogate pair, which the tokenizer would not take
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


def plain_end(text: str) -> str:
    """A step without wide gaps, and with one of ``ENDS``: its own, or the sign that comes nearest to it."""
    text = _WIDE.sub(" ", text.strip())
    at = len(text)
    while at and unicodedata.category(text[at - 1])[0] not in "LNM":
        at -= 1
    end = text[at:]
    if end in ENDS or not at or (end in FOREIGN and not text[at - 1].isascii()):
        return text
    return text[:at] + next(
        (sign for sign in ("?", "...", "…", "!") if sign in end), ":" if end.strip()[:1] == ":" else "."
    )
