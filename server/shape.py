"""What both routes have in common when an answer is put together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from midcourse.guard.delta import FinishReason, Piece

Json = dict[str, Any]


@dataclass(slots=True)
class Choice:
    """One choice of an answer that is not streamed, as it fills."""

    pieces: list[Piece] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    note: Json | None = None


class Shape(Protocol):
    """Turns events into JSON objects of one route: ``ChatShape``, ``CompletionShape``."""

    def opening(self, index: int) -> Json | None:
        """What comes before the first text of a choice."""
        ...

    def piece(self, index: int, piece: Piece, note: Json | None) -> Json | None:
        """A chunk with the text, and with a note; None where this route shows nothing."""
        ...

    def note(self, index: int, note: Json) -> Json:
        """A chunk without text."""
        ...

    def finish(self, index: int, reason: FinishReason, note: Json | None) -> Json:
        """The last chunk of a choice."""
        ...

    def usage(self, usage: Json) -> Json:
        """The chunk after all choices."""
        ...

    def whole(self, choices: Sequence[Choice], usage: Json) -> Json:
        """The answer in one piece."""
        ...
