"""A preference pair: one value, flat as it stands in a file, and the fingerprint of its token ids. No I/O here."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair.

    Args:
        id: of the trace, ``#`` and the number of the intervention.
        request: what the user said last; the split is by this.
        prompt, chosen, rejected: texts. Each side goes on where the prompt ends. Where a marker begins inside a token,
            text and ids part at slightly different places; prompt and side together, they agree.
        prompt_ids, chosen_ids, rejected_ids: the ids that the model read and wrote.
        prefix_tokens: the last so many of ``prompt_ids`` are shared reasoning; those before are the rendered request.
        forced_tokens: the first so many of ``chosen_ids`` are the trigger's, which the model did not choose.
        reasoning_tokens: the first so many of ``chosen_ids`` are reasoning, the trigger included.
        chosen_finished: the model ended it by itself. The end-of-text token is not among the ids, see ``chosen_end``.
        rejected_finished: as above. Mostly False in a live trace, whose rejected side was broken off: it is completed
            from ``prompt_ids + rejected_ids``, by the model and adapter named here, with ``sampling``.
        chosen_end, rejected_end: the end-of-text token where the engine told it (vLLM does, the embedded one does not).
        messages, sampling: JSON, as in the trace.
        approved_by, approved_rule: who let the trace in; no rule is empty.
        sha256: ``fingerprint`` of the ids when they were taken from the trace, or completed since.
        completed_tokens: the last so many of ``rejected_ids`` were generated later, offline: ``midcourse rollouts``.
        tried: the chosen side was generated later, offline, at this try; 0: while serving.
        refused: the chosen side is what the client got where the guard's ladder refused: trigger, what the model made
            of it, the end of the reasoning and the refusal. Nothing of it is set apart: ``forced_tokens`` is 0.
    """

    id: str
    trace_id: str
    request: str
    prompt: str
    chosen: str
    rejected: str
    prompt_ids: Ids
    chosen_ids: Ids
    rejected_ids: Ids
    prefix_tokens: int
    forced_tokens: int
    reasoning_tokens: int
    chosen_finished: bool
    rejected_finished: bool
    chosen_end: Ids
    rejected_end: Ids
    trigger_id: str
    cause: str
    model: str
    adapter: str
    dialect: str
    judge: str
    policy: str
    created: float
    messages: str
    sampling: str
    approved_by: str
    approved_rule: str
    sha256: str
    completed_tokens: int = 0
    tried: int = 0
    refused: bool = False

    @property
    def intact(self) -> bool:
        """Whether the ids are still those that were generated."""
        return self.sha256 == fingerprint(self.prompt_ids, self.chosen_ids, self.rejected_ids)


def fingerprint(prompt_ids: Sequence[int], chosen_ids: Sequence[int], rejected_ids: Sequence[int]) -> str:
    """SHA-256 of three lists of ids, in hex."""
    return hashlib.sha256(json.dumps([list(prompt_ids), list(chosen_ids), list(rejected_ids)]).encode()).hexdigest()
