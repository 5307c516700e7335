"""How a prompt and its steps become tokens: one layout, for training and for serving. Knows no network.

    User: <prompt>
    Reasoning: <step> <step> ...

Each step is tokenised by itself, so a step that arrives later never changes the tokens before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tokenizers import Tokenizer

OPENS = "User:"
TURNS = "\nReasoning:"


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
        """A prompt up to the point where the reasoning begins, without what ``opens``."""
        ids, most = self._ids(" " + text.strip()), self.limits.prompt
        if len(ids) > most:
            ids = ids[: most // 2] + ids[len(ids) - most // 2 :]
        return ids + self._ids(TURNS)

    def step(self, text: str) -> list[int]:
        """One step; at least one token."""
        return self._ids(" " + text.strip())[: self.limits.step]

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
