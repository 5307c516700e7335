"""Events of a generation in the words of ``/v1/chat/completions``.

Knows the shape of chunks and messages. Refuses to know how they are sent. Markup never appears here: the reasoning
stands in ``reasoning``, in ``reasoning_content``, or with equal text in both; the response stands in ``content``.
"""

from collections.abc import Sequence
from typing import Any

from midcourse.guard.delta import FinishReason, Piece
from midcourse.server.config import ReasoningField
from midcourse.server.intake import Call
from midcourse.server.logprobs import chat_logprobs
from midcourse.server.shape import Choice, Json

FIELDS: dict[ReasoningField, tuple[str, ...]] = {
    "both": ("reasoning", "reasoning_content"),
    "reasoning": ("reasoning",),
    "reasoning_content": ("reasoning_content",),
}


class ChatShape:
    """Writes one call's chunks, or its whole answer."""

    def __init__(self, call: Call, field: ReasoningField) -> None:
        self._call = call
        self._fields = FIELDS[field]

    def opening(self, index: int) -> Json | None:
        """The role comes first, and alone."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, piece: Piece, note: Json | None) -> Json | None:
        """A chunk with the text; None for markup."""
        if piece.channel == "markup" or not (piece.text or piece.logprobs):
            return None
        names = self._fields if piece.channel == "reasoning" else ("content",)
        logprobs = chat_logprobs([piece]) if self._call.logprobs else None
        return self._chunk(index, dict.fromkeys(names, piece.text), note=note, logprobs=logprobs)

    def note(self, index: int, note: Json) -> Json:
        """A chunk without text, for a note that no text carries."""
        return self._chunk(index, {}, note=note)

    def finish(self, index: int, reason: FinishReason, note: Json | None) -> Json:
        """The last chunk of a choice."""
        return self._chunk(index, {}, reason=reason, note=note)

    def usage(self, usage: Json) -> Json:
        """The chunk without choices that comes last."""
        return self._head("chat.completion.chunk") | {"choices": [], "usage": usage}

    def whole(self, choices: Sequence[Choice], usage: Json) -> Json:
        """The answer to a request that did not stream."""
        rows = [self._choice(index, choice) for index, choice in enumerate(choices)]
        return self._head("chat.completion") | {"choices": rows, "usage": usage}

    def _choice(self, index: int, choice: Choice) -> Json:
        shown = [piece for piece in choice.pieces if piece.channel != "markup"]
        reasoning = "".join(piece.text for piece in shown if piece.channel == "reasoning")
        content = "".join(piece.text for piece in shown if piece.channel == "response")
        message: Json = {"role": "assistant", "content": content or None, "refusal": None}
        message |= dict.fromkeys(self._fields, reasoning or None)
        row: Json = {"index": index, "message": message, "finish_reason": choice.finish_reason}
        row["logprobs"] = chat_logprobs(shown) if self._call.logprobs else None
        return row if choice.note is None else row | {"midcourse": choice.note}

    def _head(self, kind: str) -> Json:
        return {"id": self._call.id, "object": kind, "created": self._call.created, "model": self._call.model}

    def _chunk(
        self,
        index: int,
        delta: Json,
        *,
        reason: FinishReason | None = None,
        note: Json | None = None,
        logprobs: dict[str, Any] | None = None,
    ) -> Json:
        choice: Json = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        if note is not None:
            choice["midcourse"] = note
        chunk = self._head("chat.completion.chunk") | {"choices": [choice]}
        return chunk | {"usage": None} if self._call.include_usage else chunk
