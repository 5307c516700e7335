"""Runs one guarded generation: reads the engine, feeds the session, asks the judge, does what the session says.

Knows asyncio and the clock. Refuses to know any rule: what a cue is, what is held and what follows is ``guard.session``.
"""

from dataclasses import dataclass, field

from midcourse.guard.delta import FinishReason, Piece
from midcourse.guard.phase import Phase
from midcourse.guard.policy import Policy
from midcourse.guard.trace import Intervention, Origin, Trace
from midcourse.server.engine import Sampling


@dataclass(frozen=True, slots=True)
class Job:
    """One choice of one request.

    Args:
        id: becomes the trace's id.
        prompt_ids: the rendered prompt.
        prompt: the user's request as text, for the judge.
        starts: phase in which the completion begins (``Dialect.starts_in`` or ``starts_raw`` of the prompt text).
        sampling: as for the engine.
        policy: the operator's, strengthened by the request.
        origin: for the trace.
    """

    id: str
    prompt_ids: tuple[int, ...]
    prompt: str
    starts: Phase
    sampling: Sampling
    policy: Policy
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class Notice:
    """An intervention happened (or would have, in shadow mode); the trigger's piece follows, if there is one."""

    intervention: Intervention


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. ``trace.usage`` has the token counts."""

    finish_reason: FinishReason
    trace: Trace


Event = Piece | Notice | Finished
