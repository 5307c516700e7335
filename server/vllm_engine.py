"""vLLM's ``generate``, guarded: the same call, the same outputs, and the session in between.

Knows requests, choices and the driver. Refuses to import vLLM: what has to be made of its classes, the shim makes.
Where the policy's mode is off the call is vLLM's own.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from midcourse.guard.delta import Piece
from midcourse.guard.policy import Policy
from midcourse.guard.trace import Origin, Trace
from midcourse.models.registry import version_of
from midcourse.server.driver import Driver, Event, Finished, Job
from midcourse.server.engine import Sampling
from midcourse.server.fan import Fan
from midcourse.server.vllm_asked import ASKED, Asked, told
from midcourse.server.vllm_generation import TAIL, Tokens, VllmGeneration, VllmSource
from midcourse.server.vllm_guard import UNIQUE, Guard
from midcourse.server.vllm_output import Choice, Out
from midcourse.server.vllm_params import first_segment, next_segment, wish_of
from midcourse.server.vllm_stop import Carried
from midcourse.server.wire import PURPOSE

Generate = Callable[..., AsyncGenerator[Any, None]]
"""``AsyncLLM.generate``: prompt, sampling parameters, request id, and more by keyword."""

LONG = 4_096  # tokens; to decode more would hold up the streams, so a thread does it

XARG = "midcourse_purpose"
"""In ``vllm_xargs``, which reach the engine from vLLM's batches as well: there is no body to read."""

RECORDED = ("max_tokens", "min_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "n")


class Kit(Tokens, Protocol):
    """What the shim makes of vLLM's classes, for one engine."""

    context_length: int
    grammar_waits: bool
    """Whether a grammar begins behind the reasoning, and not with the first token."""

    def text(self, ids: tuple[int, ...], turns: frozenset[int]) -> str:
        """Ids to text, with a blank line where one of ``turns`` stands."""
        ...

    def refusal(self, message: str, param: str) -> Exception:
        """vLLM's error for what a caller asked wrongly: an answer 400."""
        ...

    def output(self, first: Any, last: Any, request_id: str, outs: list[Out], finished: bool) -> Any:
        """A ``RequestOutput``.

        Args:
            first: vLLM's first output for this choice: it tells of the prompt.
            last: vLLM's latest.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of ``generate``, understood."""

    prompt: Mapping[str, Any]
    ids: tuple[int, ...]
    params: Any
    request_id: str
    rest: Mapping[str, Any]
    asked: Asked | None
    purpose: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class _Ride:
    """One choice under way."""

    choice: Choice
    generation: VllmGeneration
    driver: Driver[VllmSource]
    job: Job


class GuardedEngine:
    """Guards one engine.

    Args:
        inner: the engine's own ``generate``.
    """

    def __init__(self, inner: Generate, kit: Kit, guard: Guard) -> None:
        self._inner = inner
        self._kit = kit
        self._guard = guard

    def generate(self, prompt: Any, sampling_params: Any, request_id: str, **rest: Any) -> AsyncGenerator[Any, None]:
        """As vLLM's. What the client said is looked for at once, in the context of the call."""
        if rest.get("lora_request") is not None:
            rest["lora_request"] = one_name_each(rest["lora_request"])
        policy = self._guard.policies.current
        if policy.mode == "off":
            return self._inner(prompt, sampling_params, request_id, **rest)
        if sampling_params.structured_outputs is not None:  # a trigger would break the answer's grammar
            policy = replace(policy, response=replace(policy.response, max_interventions=0))
            if rest.get("reasoning_ended") or not self._kit.grammar_waits:  # then it reigns where we see reasoning, too
                policy = replace(policy, reasoning=replace(policy.reasoning, max_interventions=0))
        ids, asked = self._ids_of(prompt), ASKED.get()
        purpose = self._purpose(sampling_params, asked)
        return self._run(_Call(prompt, ids, sampling_params, request_id, rest, asked, purpose, policy))

    async def _run(self, call: _Call) -> AsyncGenerator[Any, None]:
        text = await self._text(call)
        rides = [self._ride(call, index, text) for index in range(call.params.n)]
        final = call.params.output_kind.name == "FINAL_ONLY"
        ended: dict[int, Out] = {}
        async with aclosing(_events(rides)) as events:
            async for index, event in events:
                ride = rides[index]
                out = await self._told(ride, event)
                if out is None:
                    continue
                if out.finish_reason is not None:
                    ended[index] = out
                finished = len(ended) == len(rides)
                if finished or not final:
                    outs = [ended[at] for at in range(len(rides))] if final else [out]
                    yield self._kit.output(ride.generation.first, ride.generation.last, call.request_id, outs, finished)

    def _ids_of(self, prompt: Any) -> tuple[int, ...]:
        """The ids of a prompt that is text and has been tokenised, as vLLM's own servers give it.

        Raises:
            VLLMValidationError: it is something else, which could not be taken up again from a prefix.
        """
        if isinstance(prompt, Mapping) and prompt.get("type", "token") == "token":
            extra = [name for name in ("multi_modal_data", "mm_kwargs", "prompt_embeds") if prompt.get(name)]
            ids = prompt.get("prompt_token_ids")
            if ids and not extra:
                return tuple(ids)
        raise self._kit.refusal(
            "midcourse guards text prompts; this one has an image, sound, embeddings or several inputs, or comes as a"
            " stream. Leave them out, or serve this model without the guard",
            "prompt",
        )

    def _purpose(self, params: Any, asked: Asked | None) -> str:
        """What the trace is tagged with.

        Raises:
            VLLMValidationError: it is no tag.
        """
        found = (params.extra_args or {}).get(XARG)
        if found is None:
            return "serve" if asked is None else asked.purpose
        if not isinstance(found, str) or not PURPOSE.fullmatch(found):
            said = f"vllm_xargs.{XARG}: is {found!r:.80}; expected 1 to 64 letters, digits, dots, dashes or underscores"
            raise self._kit.refusal(said, "vllm_xargs")
        return found

    async def _text(self, call: _Call) -> str:
        """What the judge is told of the prompt."""
        turns = self._guard.format.turns | self._guard.format.tags.keys()
        if len(call.ids) > LONG:
            return told(call.asked, await asyncio.to_thread(self._kit.text, call.ids, turns))
        return told(call.asked, self._kit.text(call.ids, turns))

    def _ride(self, call: _Call, index: int, text: str) -> _Ride:
        kit, form = self._kit, self._guard.format
        first = first_segment(call.params, index)

        def run(sent: tuple[int, ...], number: int) -> AsyncGenerator[Any, None]:
            """The first run has the caller's prompt as it came; those that go on have ids only."""
            if number == 0:
                return self._inner(call.prompt, first, call.request_id, **call.rest)
            longer = {**call.prompt, "prompt_token_ids": [*call.ids, *sent]}
            for name in ("prompt", "prompt_token_offsets"):  # they say what the first ids say
                longer.pop(name, None)
            rest = {**call.rest, "prompt_text": None}
            if rest.get("reasoning_ended") is False and form.closed(sent):  # a grammar waits for that
                rest["reasoning_ended"] = True
            return self._inner(longer, next_segment(first, len(sent), number), call.request_id, **rest)

        wish = wish_of(call.params, len(call.ids), kit.context_length)
        adapter = adapter_of(call.rest.get("lora_request"))
        generation = VllmGeneration(run, kit, form.tags, call.ids, wish, adapter=adapter)
        source = VllmSource(generation, kit, form.dialect)
        choice = Choice(index, call.params.output_kind.name, wish.scored)
        driver = Driver(source, self._guard.judges, abandoned=self._guard.abandoned)
        return _Ride(choice, generation, driver, self._job(call, index, text, first))

    def _job(self, call: _Call, index: int, text: str, first: Any) -> Job:
        origin = Origin(
            created=time.time(),
            request_id=call.request_id,
            choice=index,
            model=self._guard.model,
            judge=self._guard.judge,
            policy=call.policy.hash,
            messages=(call.asked and call.asked.messages) or ({"role": "user", "content": text},),
            prompt_ids=call.ids,
            sampling={name: getattr(call.params, name) for name in RECORDED},
            purpose=call.purpose,
        )
        return Job(
            id=trace_id(call.request_id, index),
            prompt_ids=call.ids,
            prompt=text,
            starts=self._guard.format.starts(call.ids, self._kit.text(call.ids[-TAIL:], frozenset())),
            sampling=Sampling(seed=first.seed),
            policy=call.policy,
            origin=origin,
        )

    async def _told(self, ride: _Ride, event: Event) -> Out | None:
        """What an event comes to, in the caller's words."""
        match event:
            case Piece():
                return ride.choice.add(self._carried(ride, event))
            case Finished(reason, trace):
                await self._guard.record(trace)
                ended = ride.generation.ended
                if ended is None or _by_ladder(trace):
                    return ride.choice.end(reason, None)
                return ride.choice.end(*ended)
            case _:
                return None

    def _carried(self, ride: _Ride, piece: Piece) -> list[Carried]:
        """What a piece carries; a refusal, which no run has spelled, is spelled here."""
        if piece.logprobs or not piece.forced:
            return [part for part in piece.logprobs if isinstance(part, Carried)]
        return [ride.generation.spelled(piece.text)]


def trace_id(request_id: str, index: int) -> str:
    """vLLM's request id, by which a client finds its trace, and what makes it one: a client may choose that id."""
    choice = f"-{index}" if index else ""
    return f"{request_id}{choice}{UNIQUE}{uuid.uuid4().hex[:8]}"


def adapter_of(lora: Any) -> str | None:
    """The adapter of vLLM's LoRA request: the version that an alias leads to, where the registry holds its files."""
    if lora is None:
        return None
    folder = Path(lora.lora_path).name
    return str(lora.lora_name) if version_of(folder) is None else folder


def one_name_each(lora: Any) -> Any:
    """vLLM's LoRA request, under a name that no other adapter has.

    To vLLM's engine, requests of one name are one adapter: of an alias that was promoted while streams run, it would
    keep one version in its slots, and die of the first token of the other. An alias has its version's id.
    """
    adapter = adapter_of(lora)
    if adapter == lora.lora_name:
        return lora
    named = copy(lora)
    named.lora_name = f"{adapter}:{lora.lora_int_id}"
    return named


def _by_ladder(trace: Trace) -> bool:
    """Whether we ended it, and not the model."""
    return any(record.rung != "trigger" and not record.shadow for record in trace.interventions)


async def _events(rides: list[_Ride]) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of all choices, each with its index."""
    if len(rides) == 1:
        async with aclosing(rides[0].driver.run(rides[0].job)) as events:
            async for event in events:
                yield 0, event
        return
    run: Callable[[_Ride], AsyncGenerator[Event, None]] = lambda ride: ride.driver.run(ride.job)  # noqa: E731
    async with Fan(run, rides, asyncio.Semaphore(len(rides))) as fan:
        while (arrival := await fan.next()) is not None:
            yield arrival
