"""Events of a generation in the words of ``/v1/completions``: raw text, markup and all.

Knows the shape of chunks and choices. Refuses to know how they are sent.
"""

from collections import Counter
from collections.abc import Sequence

from midcourse.guard.delta import FinishReason, Piece
from midcourse.server.intake import Call
from midcourse.server.logprobs import completion_logprobs
from midcourse.server.shape import Choice, Json


class CompletionShape:
    """Writes one call's chunks, or its whole answer."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._offsets: Counter[int] = Counter()

    def opening(self, index: int) -> Json | None:
        """Nothing: there are no roles here."""
        return None

    def piece(self, index: int, piece: Piece, note: Json | None) -> Json | None:
        """A chunk with the text, whatever it is."""
        if not (piece.text or piece.logprobs):
            return None
        choice = self._choice(index, [piece], None, note, offset=self._offsets[index])
        self._offsets[index] += len(piece.text)
        return self._chunk(choice)

    def note(self, index: int, note: Json) -> Json:
        """A chunk without text, for a note that no text carries."""
        return self._chunk(self._choice(index, [], None, note))

    def finish(self, index: int, reason: FinishReason, note: Json | None) -> Json:
        """The last chunk of a choice."""
        return self._chunk(self._choice(index, [], reason, note))

    def usage(self, usage: Json) -> Json:
        """The chunk without choices that comes last."""
        return self._head() | {"choices": [], "usage": usage}

    def whole(self, choices: Sequence[Choice], usage: Json) -> Json:
        """The answer to a request that did not stream."""
        rows = [self._choice(i, choice.pieces, choice.finish_reason, choice.note) for i, choice in enumerate(choices)]
        return self._head() | {"choices": rows, "usage": usage}

    def _head(self) -> Json:
        call = self._call
        return {"id": call.id, "object": "text_completion", "created": call.created, "model": call.model}

    def _choice(
        self, index: int, pieces: Sequence[Piece], reason: FinishReason | None, note: Json | None, offset: int = 0
    ) -> Json:
        logprobs = completion_logprobs(pieces, offset) if self._call.logprobs else None
        text = "".join(piece.text for piece in pieces)
        choice: Json = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}
        return choice if note is None else choice | {"midcourse": note}

    def _chunk(self, choice: Json) -> Json:
        chunk = self._head() | {"choices": [choice]}
        return chunk | {"usage": None} if self._call.include_usage else chunk
