"""What a model said, and what its guard did to it: the two kept apart, so that a judge never reads the guard.

Knows our server's annotations and traces. Of any other server it believes the text as it comes, parted by its tags
where the server left them in.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import openai
from inspect_ai.event import ModelEvent
from inspect_ai.log import transcript
from inspect_ai.model import ContentReasoning, GenerateConfigArgs, ModelOutput, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver

from midcourse.guard.policy import REFUSAL
from midcourse.guard.trace import Trace, from_json
from midcourse.guard.trigger import POOL
from midcourse.models.parted import parted
from midcourse.models.refusal import refuses

KEY = "midcourse_said"
"""Of a sample's metadata, in the log."""
ANNOTATED = {"midcourse": {"annotate": True, "purpose": "eval"}}
PATIENCE = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds to wait for a trace: the server answers before a slow store has it."""


class NotHeard(RuntimeError):
    """An answer cannot be taken for what it seems; the sample fails, and nothing is guessed."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, without what a guard wrote, and what a guard did.

    Args:
        reasoning, response: the model's own words.
        refused: of what the client read, the guard's refusal included.
        interventions, tokens, injected, withheld, discarded, finish: as in ``Outcome``.
    """

    reasoning: str
    response: str
    refused: bool
    interventions: int = 0
    tokens: int = 0
    injected: int = 0
    withheld: int = 0
    discarded: int = 0
    finish: str = "stop"


@solver
def ask(*, midcourse: bool = False, seed: int = 0) -> Solver:
    """Ask once, and note what was said.

    Args:
        midcourse: whether the server is ours, and says what its guard did.
        seed: of the first epoch; the next one has the next.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        wish: GenerateConfigArgs = {"seed": seed + state.epoch - 1}
        if midcourse:
            wish["extra_body"] = ANNOTATED
        state = await generate(state, **wish)
        state.metadata[KEY] = asdict(await heard(state.output, midcourse=midcourse))
        return state

    return solve


async def heard(output: ModelOutput, *, midcourse: bool) -> Said:
    """What was said, by the answer itself and, of our server, by its annotation and its trace.

    Raises:
        NotHeard: it was an error in the shape of an answer, or nothing says what the guard did.
    """
    if output.error or output.stop_reason == "model_length":
        raise NotHeard(f"no answer: {output.error or output.completion}")
    reasoning, response = parts(output)
    tokens = output.usage.output_tokens if output.usage else 0
    finish = "length" if output.stop_reason == "max_tokens" else output.stop_reason
    if not midcourse:
        return Said(reasoning, response, refuses(response, reasoning), tokens=tokens, finish=finish)
    own = (reasoning, response)
    reply = last_reply()
    note = annotation(reply)
    if note is None or note["interventions"]:
        trace = await trace_of(str(reply["id"]))
        if trace is not None:
            own, note = unforced(trace), summary(trace)
        elif note is None:
            raise NotHeard("the server does not say what its guard did: give an administrator's key")
        else:
            own = without_guard(reasoning, response, note["interventions"] - (note["outcome"] == "ended"))
    return Said(
        *own,
        # A trigger says "I have to refuse", which is not yet a refusal: of the thought, only the model's words count.
        refused=note["outcome"] in ("refused", "ended") or refuses(response, own[0]),
        interventions=note["interventions"],
        tokens=tokens,
        injected=note["injected_tokens"],
        withheld=note["withheld_tokens"],
        discarded=note["discarded_tokens"],
        finish=finish,
    )


def parts(output: ModelOutput) -> tuple[str, str]:
    """Reasoning and response, as the client got them; parted by their tags where neither the server nor Inspect did."""
    content = output.message.content
    thoughts = [part.reasoning for part in content if isinstance(part, ContentReasoning)] if content else []
    return ("\n".join(thoughts), output.completion) if any(thoughts) else parted(output.completion)


def last_reply() -> Mapping[str, Any]:
    """The last answer of the server, word for word, as Inspect's transcript has it."""
    events = [event for event in transcript().events if isinstance(event, ModelEvent)]
    call = events[-1].call if events else None
    if call is None or call.response is None:
        raise NotHeard("the raw answers are not kept, and the guard's counts with them: give --log-model-api")
    return call.response


def annotation(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The summary that our server puts at ``choices[0].midcourse``; None of vLLM's, which puts none there."""
    choices = reply.get("choices") or [{}]
    note: Mapping[str, Any] | None = choices[0].get("midcourse")
    return note


def summary(trace: Trace) -> Mapping[str, Any]:
    """What the annotation would say."""
    return {
        "outcome": trace.outcome,
        "interventions": trace.changes,
        "injected_tokens": trace.usage.injected,
        "withheld_tokens": trace.usage.withheld,
        "discarded_tokens": trace.usage.discarded,
    }


async def trace_of(id: str) -> Trace | None:
    """The record of an answer, for whoever's key is an administrator's; None for everybody else."""
    api = get_model().api
    async with openai.AsyncOpenAI(base_url=api.base_url, api_key=api.api_key) as client:
        for pause in PATIENCE:
            try:
                return from_json(json.dumps(await client.get(f"/midcourse/traces/{id}", cast_to=object)))
            except (openai.AuthenticationError, openai.PermissionDeniedError):
                return None
            except openai.NotFoundError:
                await asyncio.sleep(pause)
    raise NotHeard(f"the server has no trace {id}: is its store up, and its trace_sample_rate 1?")


def unforced(trace: Trace) -> tuple[str, str]:
    """Reasoning and response of a trace, of which the guard wrote nothing."""
    own = [piece for piece in trace.pieces if not piece.forced]
    reasoning = "".join(piece.text for piece in own if piece.channel == "reasoning")
    return reasoning.strip(), "".join(piece.text for piece in own if piece.channel == "response").strip()


def without_guard(reasoning: str, response: str, sentences: int) -> tuple[str, str]:
    """Both without the sentences of the built-in pool and refusal: the second best, where there is no trace to read.

    Raises:
        NotHeard: so many sentences are not in it; the guard has others.
    """
    found = 0
    for text in (*(trigger.text for trigger in POOL), REFUSAL):
        found += reasoning.count(text) + response.count(text)
        reasoning, response = reasoning.replace(text, ""), response.replace(text, "")
    if found < sentences:
        raise NotHeard("the guard has sentences of its own, which only a trace tells: give an administrator's key")
    return reasoning.strip(), response.strip()
