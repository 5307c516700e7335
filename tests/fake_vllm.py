"""As much of vLLM as its names: parameters, outputs, and an engine that says what a script says."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter
from typing import Any

from midcourse.server.dialects import Format, format_of
from midcourse.server.vllm_output import Out


class RequestOutputKind(Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


@dataclass
class Params:
    """vLLM's SamplingParams."""

    n: int = 1
    max_tokens: int | None = 100
    min_tokens: int = 0
    seed: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop: list[str] = field(default_factory=list)
    include_stop_str_in_output: bool = False
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    prompt_logprob_token_ids: Any = None
    skip_reading_prefix_cache: bool | None = False
    skip_special_tokens: bool = True
    detokenize: bool = True
    output_kind: RequestOutputKind = RequestOutputKind.DELTA
    output_text_buffer_length: int = 0
    stream_interval: int | None = 4
    structured_outputs: Any = None
    extra_args: dict[str, Any] | None = None

    def clone(self) -> "Params":
        return copy(self)


@dataclass(frozen=True)
class Logprob:
    logprob: float


@dataclass
class Completion:
    """vLLM's CompletionOutput, of an inner request."""

    token_ids: list[int]
    logprobs: list[Any] | None
    finish_reason: str | None
    stop_reason: int | str | None = None


@dataclass
class Output:
    """vLLM's RequestOutput."""

    outputs: list[Any]
    finished: bool
    prompt_token_ids: list[int] = field(default_factory=list)
    num_cached_tokens: int = 0


EOS = 2
TAGS = {3: "<think>", 4: "</think>"}


class Words:
    """A ``Kit``: a token a word, white space in front; think tags are special tokens."""

    context_length = 200
    grammar_waits = True

    def __init__(self) -> None:
        self._words = ["<pad>", "<bos>", "<eos>", *TAGS.values()]

    def spell(self, text: str) -> tuple[int, ...]:
        ids: list[int] = []
        for tag in TAGS.values():
            text = text.replace(tag, f"\0{tag}\0")
        for part in text.split("\0"):
            words = [part] if part in self._words else part.replace(" ", "\0 ").split("\0")
            for word in filter(None, words):
                if word not in self._words:
                    self._words.append(word)
                ids.append(self._words.index(word))
        return tuple(ids)

    def decoder(self, before: Sequence[int], hides_special: bool) -> Callable[[int], str]:
        return lambda token: "" if hides_special and token < 5 else self._words[token]

    def certain(self, token: int) -> Mapping[int, Any]:
        return {token: Logprob(0.0)}

    def text(self, ids: tuple[int, ...], turns: frozenset[int]) -> str:
        return "".join("\n\n" if token in turns else self._words[token] for token in ids)

    def refusal(self, message: str, param: str) -> Exception:
        return ValueError(message)

    def output(self, first: Any, last: Any, request_id: str, outs: list[Out], finished: bool) -> Any:
        return Output(list(outs), finished, first.prompt_token_ids, first.num_cached_tokens)


class Inner:
    """``AsyncLLM.generate``: run k of the requests says ``texts[k]``, and then ``finish``.

    Args:
        burst: tokens in one output.
        delay: seconds before each.
    """

    def __init__(self, kit: Words, *texts: str, burst: int = 1, finish: str = "stop", delay: float = 0.0) -> None:
        self.kit = kit
        self.calls: list[tuple[Any, Any, str, dict[str, Any]]] = []
        self.aborted = 0
        self._texts = texts
        self._burst = burst
        self._finish = finish
        self._delay = delay

    async def __call__(self, prompt: Any, params: Any, request_id: str, **rest: Any) -> AsyncGenerator[Output, None]:
        text = self._texts[min(len(self.calls), len(self._texts) - 1)]
        self.calls.append((prompt, params, request_id, rest))
        ids = [*self.kit.spell(text), EOS] if self._finish == "stop" else list(self.kit.spell(text))
        ids = ids[: params.max_tokens]
        finish = self._finish if len(ids) < (params.max_tokens or 999) else "length"
        try:
            for at in range(0, len(ids), self._burst):
                await asyncio.sleep(self._delay)
                some = ids[at : at + self._burst]
                last = at + self._burst >= len(ids)
                scores = None if params.logprobs is None else [{token: Logprob(-0.5)} for token in some]
                completion = Completion(
                    some, scores, finish if last else None, EOS if last and finish == "stop" else None
                )
                yield Output([completion], last, list(prompt["prompt_token_ids"]), num_cached_tokens=len(self.calls))
        except (GeneratorExit, asyncio.CancelledError):
            self.aborted += 1
            raise


# The names of ``server.vllm_shim``.


VllmKit = attrgetter("kit")


def format_of_engine(engine: Any, chosen: str | None) -> Format:
    return format_of({literal: token for token, literal in TAGS.items()}, chosen=chosen or "r1")


def install(guarded: Any, on: Any) -> None:
    raise AssertionError("nobody passed another")


async def load_lora(models: Any, name: str, folder: Any, number: int) -> Any:
    """Nothing is promoted in tests that get here."""
    raise AssertionError(name)
