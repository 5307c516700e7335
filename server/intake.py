"""From a request to jobs: what was asked for, checked against this server's limits.

Knows the request, the settings and the engine's template. Refuses to know how answers are written.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import structlog

from midcourse.guard.phase import Phase
from midcourse.guard.policy import Policy, PolicyError, strengthened
from midcourse.guard.trace import Origin
from midcourse.server.asked import request_text
from midcourse.server.driver import Job
from midcourse.server.engine import Sampling
from midcourse.server.errors import CallerError
from midcourse.server.replies import Refused, no_such_model
from midcourse.server.service import Service
from midcourse.server.wire import ChatRequest, CompletionRequest, Request

log = structlog.get_logger(__name__)
T = TypeVar("T")

DEFAULT_COMPLETION_TOKENS = 16  # OpenAI's, for /v1/completions
TAIL = 64  # tokens of the prompt that may hold the marker with which the template ended


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood.

    Args:
        id: the completion id.
        created: epoch seconds.
        prompt_tokens: of all prompts, each counted once.
        annotate: interventions are shown in the answer.
    """

    id: str
    created: int
    model: str
    jobs: tuple[Job, ...]
    prompt_tokens: int
    policy: Policy
    stream: bool
    include_usage: bool
    annotate: bool
    logprobs: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """What the headers say."""

    request_id: str
    annotate: bool


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A rendered prompt: its ids, what the judge is told of it, and where the completion begins."""

    ids: tuple[int, ...]
    told: str
    starts: Phase
    messages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be generated."""

    id: str
    policy: Policy
    prompts: tuple[_Prompt, ...]
    sampling: Sampling


async def chat_call(body: ChatRequest, service: Service, caller: Caller) -> Call:
    """A chat as jobs.

    Raises:
        CallerError: something about the request cannot be honoured; the message names the field.
    """
    policy = _checked(body, service)
    service.gate.check(body.n or 1)
    messages = [message.plain() for message in body.messages]
    template = dict(body.chat_template_kwargs or {})
    if body.reasoning_effort is not None:
        template["reasoning_effort"] = body.reasoning_effort
    told = request_text(messages, template)
    _bounded(service, len(told), "messages")
    engine = service.engine

    def render() -> _Prompt:
        ids = engine.render(messages, **template)
        starts = engine.dialect.starts_in(engine.detokenize(ids[-TAIL:]))
        return _Prompt(ids, told, starts, tuple(messages))

    prompt = await _in_thread(service, render)
    logprobs = (body.top_logprobs or 0) if body.logprobs else None
    limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    sampling = _sampling(body, limit, logprobs)
    _fits([prompt], sampling, engine.context_length, "messages")
    return _call(body, service, caller, _Order(f"chatcmpl-{uuid.uuid4().hex}", policy, (prompt,), sampling))


async def completion_call(body: CompletionRequest, service: Service, caller: Caller) -> Call:
    """Raw prompts as jobs.

    Raises:
        CallerError: something about the request cannot be honoured; the message names the field.
    """
    policy = _checked(body, service)
    raw, most = body.prompts, service.settings.max_prompts
    if len(raw) > most:
        raise CallerError(f"prompt: {len(raw)} prompts; this server takes at most {most}", param="prompt")
    _bounded(service, sum(map(len, raw)), "prompt")
    service.gate.check(len(raw) * (body.n or 1))
    engine = service.engine

    def tokenize(entry: str | list[int]) -> _Prompt:
        ids = engine.tokenize(entry) if isinstance(entry, str) else tuple(entry)
        text = entry if isinstance(entry, str) else engine.detokenize(ids)
        return _Prompt(ids, text, engine.dialect.starts_raw(text), ({"role": "user", "content": text},))

    prompts = await _in_thread(service, lambda: [tokenize(entry) for entry in raw])
    sampling = _sampling(body, body.max_tokens or DEFAULT_COMPLETION_TOKENS, body.logprobs)
    _fits(prompts, sampling, engine.context_length, "prompt")
    return _call(body, service, caller, _Order(f"cmpl-{uuid.uuid4().hex}", policy, tuple(prompts), sampling))


def _checked(body: Request, service: Service) -> Policy:
    """The policy for this request, once it is clear that the rest of it can be honoured."""
    if body.model is not None and body.model != service.model:
        raise no_such_model(body.model, service.model)
    field = body.unsupported()
    if field is not None:
        raise CallerError(f"{field}: not supported by this server; leave it out", param=field)
    if body.ignored():
        log.debug("ignored_fields", fields=body.ignored())
    most = service.settings.max_n
    if (body.n or 1) > most:
        raise CallerError(f"n: is {body.n}; this server takes at most {most}", param="n")
    policy = service.policies.current
    if body.midcourse is None:
        return policy
    try:
        return strengthened(policy, body.midcourse.policy)
    except PolicyError as error:
        key = f"midcourse.policy.{error.key}"
        raise CallerError(f"midcourse.policy.{error}", param=key) from error


def _bounded(service: Service, length: int, param: str) -> None:
    most = service.settings.max_prompt_chars
    if length > most:
        raise CallerError(f"{param}: {length} characters; this server takes at most {most}", param=param)


async def _in_thread(service: Service, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(service.texts, work)


def _sampling(body: Request, max_tokens: int | None, logprobs: int | None) -> Sampling:
    return Sampling(
        max_tokens=max_tokens,
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=body.stops,
        logprobs=logprobs,
    )


def _call(body: Request, service: Service, caller: Caller, order: _Order) -> Call:
    now = time.time()
    origin = Origin(
        created=now,
        request_id=caller.request_id,
        model=service.model,
        judge=service.judge,
        policy=order.policy.hash,
        purpose=body.purpose,
    )
    return Call(
        id=order.id,
        created=int(now),
        model=service.model,
        jobs=tuple(_jobs(order, body.n or 1, origin)),
        prompt_tokens=sum(len(prompt.ids) for prompt in order.prompts),
        policy=order.policy,
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        annotate=caller.annotate or bool(body.midcourse and body.midcourse.annotate),
        logprobs=order.sampling.logprobs is not None,
    )


def _jobs(order: _Order, n: int, origin: Origin) -> Iterator[Job]:
    """``n`` choices of each prompt, in order; each draws with a seed of its own."""
    for index in range(len(order.prompts) * n):
        prompt, draw = order.prompts[index // n], index % n
        seed = order.sampling.seed
        sampling = order.sampling if seed is None else replace(order.sampling, seed=seed + draw)
        origin = replace(
            origin, choice=index, messages=prompt.messages, prompt_ids=prompt.ids, sampling=asdict(sampling)
        )
        name = order.id if index == 0 else f"{order.id}-{index}"
        yield Job(name, prompt.ids, prompt.told, prompt.starts, sampling, order.policy, origin)


def _fits(prompts: Sequence[_Prompt], sampling: Sampling, context: int, param: str) -> None:
    """OpenAI and vLLM refuse what cannot fit, rather than cutting it."""
    for prompt in prompts:
        if not prompt.ids:
            raise CallerError(f"{param}: is empty; send at least one token", param=param)
        if len(prompt.ids) + (sampling.max_tokens or 1) > context:
            rest = f"{sampling.max_tokens} more were asked for" if sampling.max_tokens else "one more is needed"
            message = f"This model's context is {context} tokens; {param} takes {len(prompt.ids)}, and {rest}."
            raise Refused(400, message, code="context_length_exceeded", param=param)
