"""The record of one guarded generation, versioned, to and from JSON.

Knows what happened, token by token. Knows no database and no clock: whoever stores it fills in ``Origin``.
No I/O here; ``json`` only shapes text.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

from midcourse.guard.delta import Channel, FinishReason
from midcourse.guard.verdict import Phase

VERSION = 1
T = TypeVar("T")

StepOutcome = Literal["released", "withheld", "leaked", "discarded", "unjudged"]
"""``leaked``: flagged, but already sent (optimistic or shadow mode). ``unjudged``: the judge failed, policy is open."""
JudgeFailure = Literal["error", "deadline", "overflow"]
Cause = Literal["cue", "harmful", "loop", "judge_failed"]
Rung = Literal["trigger", "refuse", "end"]
Outcome = Literal["untouched", "intervened", "refused", "ended", "shadow", "cancelled", "failed"]
Review = Literal["pending", "approved", "rejected", "quarantined"]


@dataclass(frozen=True, slots=True)
class TracePiece:
    """A run of released text by one author on one channel, in order."""

    channel: Channel
    text: str
    token_ids: tuple[int, ...] = ()
    forced: bool = False


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One judged step. ``scores`` is empty where no verdict came; ``failure`` says why, unless it closed a loop."""

    index: int
    phase: Phase
    text: str
    outcome: StepOutcome
    scores: Mapping[str, float] = field(default_factory=dict)
    failure: JudgeFailure | None = None


@dataclass(frozen=True, slots=True)
class Intervention:
    """One turn of the ladder.

    Args:
        attempt: 1 for the first of this generation.
        step: index of the flagged step.
        kept_tokens: completion tokens before the cut; the shared prefix of the pair.
        kept_chars: characters of released text before the cut.
        withheld: the flagged step, with the ids that spelled it. In shadow mode it was sent all the same; in optimistic
            mode it is empty, because the cut lies behind it.
        discarded: what had been generated behind it and was thrown away.
        trigger_id: name of the trigger in its pool; None on the rungs that refuse or end.
        trigger: the forced text as it stands in the stream, joint included.
        shadow: True when this only *would* have happened.
    """

    attempt: int
    step: int
    phase: Phase
    cause: Cause
    rung: Rung
    kept_tokens: int
    kept_chars: int
    withheld: str
    withheld_ids: tuple[int, ...]
    discarded: str
    discarded_ids: tuple[int, ...]
    trigger_id: str | None
    trigger: str
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one generation. ``completion`` is what the client got: sampled and kept, or injected."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    injected: int = 0
    withheld: int = 0
    discarded: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked, when, and with what: filled in by the shell that serves.

    Args:
        created: seconds since the epoch, UTC.
        request_id: as in ``X-Request-Id``.
        choice: index of the choice within the request.
        messages: the chat as it came, or one user message for a raw prompt.
        prompt_ids: the rendered prompt, as the engine saw it.
        sampling: as sent to the engine.
        purpose: free tag of the caller; ``eval`` is never trained on.
    """

    created: float = 0.0
    request_id: str = ""
    choice: int = 0
    model: str = ""
    adapter: str | None = None
    judge: str = ""
    policy: str = ""
    messages: tuple[Mapping[str, Any], ...] = ()
    prompt_ids: tuple[int, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)
    purpose: str = "serve"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Who set the review state, and of what: filled in by the store.

    Args:
        at: seconds since the epoch, UTC.
        by: a person's name.
        rule: name of the rule that decided for them; None where they decided themselves.
        reason: in words; of a rule, its text.
        digest: ``digest`` of the trace that was looked at.
    """

    at: float
    by: str
    rule: str | None = None
    reason: str | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole record. ``id`` is the completion id that the client saw, with ``-N`` behind it for choice N > 0."""

    id: str
    dialect: str
    mode: str
    prompt: str
    pieces: tuple[TracePiece, ...]
    steps: tuple[TraceStep, ...]
    interventions: tuple[Intervention, ...]
    outcome: Outcome
    finish_reason: FinishReason | None
    usage: Usage
    origin: Origin = Origin()
    review: Review = "pending"
    version: int = VERSION
    reviewed: Reviewed | None = None

    @property
    def request(self) -> str:
        """What the user said last; ``prompt`` begins with system text, which is the same every time."""
        said = [turn.get("content") for turn in self.origin.messages if turn.get("role") == "user"]
        return said[-1] if said and isinstance(said[-1], str) else self.prompt

    @property
    def changes(self) -> int:
        """How often the generation was really changed: interventions, without those of shadow mode."""
        return sum(not each.shadow for each in self.interventions)

    def to_json(self) -> str:
        """One line of JSON, keys in declaration order; ``reviewed`` is left out where it is None."""
        return json.dumps(self, default=_fields, ensure_ascii=False, separators=(",", ":"))


def unreviewed(trace: Trace) -> Trace:
    """What happened, without what anybody thought of it."""
    return replace(trace, review="pending", reviewed=None)


def digest(trace: Trace) -> str:
    """SHA-256 of the unreviewed record, in hex: an approval is of this and of nothing else."""
    return hashlib.sha256(unreviewed(trace).to_json().encode("utf-8", "surrogatepass")).hexdigest()


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass of ours as JSON sees it; ``asdict`` would copy every tuple of ids, at eight times the cost."""
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} has no place in a trace")
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    if found.get("reviewed", value) is None:
        del found["reviewed"]
    return found


class TraceError(ValueError):
    """The text is not a trace that we can read; the message names the field."""


def from_json(text: str) -> Trace:
    """Read a trace back; ``from_json(t.to_json()) == t``.

    Raises:
        TraceError: not JSON, another version, a field unknown or missing.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise TraceError(f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise TraceError(f"expected an object, got {type(data).__name__}")
    if data.get("version") != VERSION:
        raise TraceError(f"version is {data.get('version')!r}: this midcourse reads version {VERSION}")
    for key in ("pieces", "steps", "interventions"):
        if not isinstance(data.get(key), list):
            raise TraceError(f"{key}: expected a list")
    return _build(
        Trace,
        data,
        "trace",
        pieces=tuple(_build(TracePiece, row, "pieces") for row in data["pieces"]),
        steps=tuple(_build(TraceStep, row, "steps") for row in data["steps"]),
        interventions=tuple(_build(Intervention, row, "interventions") for row in data["interventions"]),
        usage=_build(Usage, data.get("usage"), "usage"),
        origin=_build(Origin, data.get("origin"), "origin"),
        reviewed=None if data.get("reviewed") is None else _build(Reviewed, data["reviewed"], "reviewed"),
    )


def _build(kind: type[T], row: object, where: str, **known: object) -> T:
    """A dataclass from a JSON object: lists become tuples, unknown and missing keys are errors."""
    if not isinstance(row, dict):
        raise TraceError(f"{where}: expected an object")
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(row) - names)
    if unknown:
        raise TraceError(f"{where}.{unknown[0]}: unknown field")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    try:
        return kind(**(values | known))
    except TypeError as error:
        raise TraceError(f"{where}: {error}") from error
