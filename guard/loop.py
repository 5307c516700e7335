"""Notices when the model goes round in circles after a trigger. No I/O here."""

import re
from collections import Counter

MIN_CHARS = 12
"""Shorter steps ("Hmm.", "}") come back in sound reasoning too."""

_NOT_WORD = re.compile(r"[\W_]+")


class Loops:
    """Counts steps once something was withheld; before that, nothing is a loop.

    Args:
        limit: a step that comes this often is a loop. A withheld step is one as soon as it comes back.
    """

    __slots__ = ("_counts", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def withheld(self, text: str) -> None:
        """This step was withheld: begin to count."""
        self._counts[_key(text)] = self._limit - 1

    def seen(self, text: str) -> bool:
        """Whether this step closes a loop."""
        key = _key(text)
        if not self._counts or len(key) < MIN_CHARS:
            return False
        self._counts[key] += 1
        return self._counts[key] >= self._limit


def _key(text: str) -> str:
    return _NOT_WORD.sub(" ", text).strip().casefold()
