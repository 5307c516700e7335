"""Log-probabilities beside the text that they belong to, in the shapes of both routes.

Joined, the ``token`` strings of a chunk are the text of that chunk, reasoning and response alike (vLLM puts both into
``logprobs.content``). Tokens of markup stand in ``/v1/completions`` only, where the markup is. A trigger has the
model's own log-probabilities for the forced words; text that we write without the engine (a refusal) has none.
"""

from collections.abc import Sequence
from typing import Any

from midcourse.guard.delta import Piece
from midcourse.server.engine import TokenLogprob

LOWEST = -9999.0
"""OpenAI's stand-in for minus infinity, which JSON does not have."""


def entries(pieces: Sequence[Piece]) -> list[TokenLogprob]:
    """One entry a token; a forced delta brings several at once."""
    found: list[TokenLogprob] = []
    for piece in pieces:
        for entry in piece.logprobs:
            found.extend(one for one in (entry if isinstance(entry, tuple) else (entry,)) if _is_entry(one))
    return found


def chat_logprobs(pieces: Sequence[Piece]) -> dict[str, Any] | None:
    """``logprobs`` of a chat choice; None where no token has any."""
    rows = [
        _chat_row(entry.token, entry.logprob)
        | {"top_logprobs": [_chat_row(token, logprob) for token, _, logprob in entry.top]}
        for entry in entries(pieces)
    ]
    return {"content": rows, "refusal": None} if rows else None


def completion_logprobs(pieces: Sequence[Piece], offset: int) -> dict[str, Any] | None:
    """``logprobs`` of a completions choice; ``offset`` counts the characters that came before."""
    tokens: list[TokenLogprob] = []
    offsets: list[int] = []
    for piece in pieces:
        found = entries([piece])
        at = offset - (_before(found[0].token, piece.text) if found else 0)
        for entry in found:
            tokens.append(entry)
            offsets.append(at)
            at += len(entry.token)
        offset += len(piece.text)
    if not tokens:
        return None
    return {
        "tokens": [entry.token for entry in tokens],
        "token_logprobs": [_finite(entry.logprob) for entry in tokens],
        "top_logprobs": [{token: _finite(logprob) for token, _, logprob in entry.top} for entry in tokens],
        "text_offset": offsets,
    }


def _before(token: str, text: str) -> int:
    """Characters of the first token that left with the piece before: white space that belongs to a think tag."""
    return next((at for at in range(len(token)) if text.startswith(token[at:])), 0)


def _is_entry(value: object) -> bool:
    return isinstance(value, TokenLogprob)


def _chat_row(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": _finite(logprob), "bytes": list(token.encode("utf-8", "replace"))}


def _finite(logprob: float) -> float:
    return max(logprob, LOWEST)
