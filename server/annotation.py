"""What a client that asked for it is told about interventions, and how tokens are counted for everybody.

Knows names of triggers, numbers and outcomes. Never says what was withheld.
"""

from collections.abc import Sequence
from typing import Any

from midcourse.guard.trace import Intervention, Trace


def intervention_note(record: Intervention) -> dict[str, Any]:
    """Stands at ``choices[].midcourse`` of the chunk that carries the trigger."""
    return {
        "event": "would_intervene" if record.shadow else "intervention",
        "attempt": record.attempt,
        "rung": record.rung,
        "trigger": record.trigger_id,
        "cause": record.cause,
        "phase": record.phase,
    }


def summary_note(trace: Trace) -> dict[str, Any]:
    """Stands at ``choices[].midcourse`` of the chunk that finishes the choice."""
    return {
        "event": "summary",
        "trace": trace.id,
        "mode": trace.mode,
        "outcome": trace.outcome,
        "interventions": trace.changes,
        "would_intervene": sum(record.shadow for record in trace.interventions),
        "injected_tokens": trace.usage.injected,
        "withheld_tokens": trace.usage.withheld,
        "discarded_tokens": trace.usage.discarded,
    }


def usage_of(prompt_tokens: int, traces: Sequence[Trace]) -> dict[str, Any]:
    """``usage``, summed over the choices.

    ``completion_tokens`` is what the client got, triggers included. The three ``midcourse_`` fields count triggers
    (among the completion tokens), and what the model wrote besides: flagged steps (withheld), and what it had
    generated behind them (discarded).
    """
    uses = [trace.usage for trace in traces]
    completion = sum(use.completion for use in uses)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": prompt_tokens + completion,
        "completion_tokens_details": {
            "reasoning_tokens": sum(use.reasoning for use in uses),
            "midcourse_injected_tokens": sum(use.injected for use in uses),
            "midcourse_withheld_tokens": sum(use.withheld for use in uses),
            "midcourse_discarded_tokens": sum(use.discarded for use in uses),
        },
    }
