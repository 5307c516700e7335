"""What a session tells its shell to do. Values only; no I/O here."""

from dataclasses import dataclass

from midcourse.guard.delta import FinishReason, Piece
from midcourse.guard.trace import Intervention
from midcourse.guard.verdict import Query


@dataclass(frozen=True, slots=True)
class Release:
    """Send this to the client."""

    piece: Piece


@dataclass(frozen=True, slots=True)
class Judge:
    """Ask the judge; answer with ``judged(query.index, …)`` or ``judge_failed(query.index, …)``."""

    query: Query


@dataclass(frozen=True, slots=True)
class Intervened:
    """An intervention is decided, or in shadow mode would have been. For logs and annotations."""

    record: Intervention


@dataclass(frozen=True, slots=True)
class Rewind:
    """Abort the running generation and resume it from ``prompt + kept + forced``.

    Args:
        generation: number that the deltas of the new run carry. The first of them is the forced text itself.
        kept: completion token ids to keep.
        kept_text: the same as text, for engines that resume from text.
        forced: what to put behind it.
    """

    generation: int
    kept: tuple[int, ...]
    kept_text: str
    forced: str


@dataclass(frozen=True, slots=True)
class End:
    """Nothing follows. Abort the generation if it still runs."""

    finish_reason: FinishReason


Action = Release | Judge | Intervened | Rewind | End
Actions = tuple[Action, ...]
NOTHING: Actions = ()
