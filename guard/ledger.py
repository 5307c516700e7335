"""Keeps the books of one generation: every sampled token ends as released, withheld or discarded. No I/O here."""

from midcourse.guard.delta import Channel, Delta, FinishReason, Piece
from midcourse.guard.trace import Intervention, Outcome, Rung, Trace, TracePiece, TraceStep, Usage

_BY_RUNG: dict[Rung, Outcome] = {"trigger": "intervened", "refuse": "refused", "end": "ended"}


class Ledger:
    """What was released, judged and decided, in order."""

    def __init__(self) -> None:
        self.steps: list[TraceStep] = []
        self.interventions: list[Intervention] = []
        self.generated = 0
        self.withheld = 0
        self.discarded = 0
        self.responded = False
        self.stopped: Outcome | None = None
        """``cancelled`` or ``failed``, where the generation ended so."""
        self._runs: list[tuple[Channel, bool, list[str], list[int]]] = []

    def release(self, piece: Piece) -> None:
        self.responded = self.responded or piece.channel == "response"
        runs = self._runs
        if not runs or runs[-1][0] != piece.channel or runs[-1][1] != piece.forced:
            runs.append((piece.channel, piece.forced, [], []))
        runs[-1][2].append(piece.text)
        runs[-1][3].extend(piece.token_ids)

    def late(self, delta: Delta) -> None:
        """A delta of an aborted run: generated, and of no use."""
        if delta.forced:
            return
        self.generated += len(delta.token_ids)
        self.discarded += len(delta.token_ids)

    def trace(self, id: str, dialect: str, mode: str, prompt: str, finish_reason: FinishReason | None) -> Trace:
        pieces = tuple(TracePiece(ch, "".join(texts), tuple(ids), forced) for ch, forced, texts, ids in self._runs)
        usage = Usage(
            completion=sum(len(piece.token_ids) for piece in pieces),
            reasoning=sum(len(piece.token_ids) for piece in pieces if piece.channel == "reasoning"),
            injected=sum(len(piece.token_ids) for piece in pieces if piece.forced),
            withheld=self.withheld,
            discarded=self.discarded,
        )
        return Trace(
            id=id,
            dialect=dialect,
            mode=mode,
            prompt=prompt,
            pieces=pieces,
            steps=tuple(self.steps),
            interventions=tuple(self.interventions),
            outcome=self._outcome(),
            finish_reason=finish_reason,
            usage=usage,
        )

    def _outcome(self) -> Outcome:
        if self.stopped is not None:
            return self.stopped
        if not self.interventions:
            return "untouched"
        last = self.interventions[-1]
        return "shadow" if last.shadow else _BY_RUNG[last.rung]
