"""The only file that imports vLLM. What we take from it, and the one place where we put ourselves in its way.

``server.vllm_version`` says which versions this was written for; it has to be asked before this file is imported.
Everything here is a few lines around one of vLLM's names, so that a new version is read here and nowhere else.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vllm.entrypoints.generate.beam_search.online import BeamSearchOnlineMixin
from vllm.exceptions import VLLMValidationError
from vllm.logprobs import Logprob
from vllm.lora.request import LoRARequest
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.reasoning import ReasoningParserManager
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.detokenizer import IncrementalDetokenizer

from midcourse.server.dialects import Format, format_of
from midcourse.server.vllm_engine import Generate
from midcourse.server.vllm_output import Out

Guarded = Callable[[Any, Generate], Callable[..., AsyncGenerator[Any, None]]]
"""From an ``AsyncLLM`` and its own ``generate`` to the guarded one."""

# Of vLLM's statistics of a request: when it came and began, which a resumed run would tell of itself.
BEGAN = ("arrival_time", "queued_ts", "scheduled_ts", "first_token_ts", "first_token_latency")


def install(guarded: Guarded, on: Callable[[], bool]) -> None:
    """Put ``guarded`` in the way of every ``AsyncLLM.generate``: the one door to all that vLLM's servers generate.

    Beam search comes through that door too, one token at a time and with the beams' probabilities as its harvest; there
    is no step in that to judge, so it is refused while the guard is on.
    """
    own, own_search = AsyncLLM.generate, BeamSearchOnlineMixin.beam_search
    if getattr(own, "midcourse", False):  # vLLM may load its plugins more than once
        return

    def generate(self: Any, prompt: Any, sampling_params: Any, request_id: str, **rest: Any) -> Any:
        return guarded(self, own.__get__(self))(prompt, sampling_params, request_id, **rest)

    async def beam_search(self: Any, *args: Any, **rest: Any) -> AsyncGenerator[Any, None]:
        if on():
            raise VLLMValidationError("midcourse does not guard beam search; leave use_beam_search out")
        async with aclosing(own_search(self, *args, **rest)) as outputs:
            async for output in outputs:
                yield output

    generate.midcourse = True  # type: ignore[attr-defined]
    AsyncLLM.generate = generate
    BeamSearchOnlineMixin.beam_search = beam_search


def format_of_engine(engine: Any, chosen: str | None) -> Format:
    """The reasoning format of an engine's model, by its reasoning parser where one is configured.

    Args:
        chosen: the operator's dialect.
    """
    tokenizer = engine.renderer.get_tokenizer()
    parser = engine.vllm_config.structured_outputs_config.reasoning_parser
    tags = None
    if parser:
        made = ReasoningParserManager.get_reasoning_parser(parser)(tokenizer)
        if made.reasoning_start_str and made.reasoning_end_str:
            tags = (made.reasoning_start_str, made.reasoning_end_str)
    template = getattr(tokenizer, "chat_template", None) or ""
    templates = template.values() if isinstance(template, Mapping) else [template]
    return format_of(
        tokenizer.get_added_vocab(), chosen=chosen, parser=parser, tags=tags, template="\n".join(templates)
    )


async def load_lora(models: Any, name: str, folder: Path, number: int) -> Any:
    """Have the engine load an adapter under a number; gives the entry for the table of ``models``."""
    wanted = LoRARequest(lora_name=name, lora_int_id=number, lora_path=str(folder))
    await models.engine_client.add_lora(wanted)
    return wanted


class VllmKit:
    """A ``Kit`` over one engine."""

    def __init__(self, engine: Any) -> None:
        self.context_length: int = engine.model_config.max_model_len
        grammars = engine.vllm_config.structured_outputs_config
        self.grammar_waits = bool(grammars.reasoning_parser) and not grammars.enable_in_reasoning
        self._tokenizer = engine.renderer.get_tokenizer()

    def spell(self, text: str) -> tuple[int, ...]:
        """Text to ids, nothing added."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def decoder(self, before: Sequence[int], hides_special: bool) -> Callable[[int], str]:
        """vLLM's own detokenizer, so that a text is the text that vLLM would have given."""
        params = SimpleNamespace(
            stop=[],
            min_tokens=0,
            include_stop_str_in_output=True,
            skip_special_tokens=hides_special,
            spaces_between_special_tokens=True,
        )
        request = SimpleNamespace(
            request_id="midcourse", sampling_params=params, prompt_token_ids=list(before), prompt_embeds=None
        )
        detokenizer = IncrementalDetokenizer.from_new_request(self._tokenizer, request)

        def decode(token: int) -> str:
            detokenizer.update([token], False)
            text: str = detokenizer.get_next_output_text(True, True)
            return text

        return decode

    def certain(self, token: int) -> Mapping[int, Any]:
        """Itself, at 0, and no alternatives: among those would be the token that was withheld."""
        return {token: Logprob(logprob=0.0, rank=1, decoded_token=self._tokenizer.decode([token]))}

    def text(self, ids: tuple[int, ...], turns: frozenset[int]) -> str:
        """Ids to text, with a blank line where one of ``turns`` stands."""
        runs: list[list[int]] = [[]]
        for token in ids:
            if token in turns:
                runs.append([])
            else:
                runs[-1].append(token)
        texts = [self._tokenizer.decode(run, skip_special_tokens=False) for run in runs if run]
        return "\n\n".join(text.strip() for text in texts if text.strip()) if turns else "".join(texts)

    def refusal(self, message: str, param: str) -> Exception:
        """vLLM's servers answer 400 to this one."""
        error: Exception = VLLMValidationError(message, parameter=param)
        return error

    def output(self, first: Any, last: Any, request_id: str, outs: list[Out], finished: bool) -> Any:
        """The prompt is the first run's: what later ones had in theirs is completion to the caller."""
        return RequestOutput(
            request_id=request_id,
            prompt=first.prompt,
            prompt_token_ids=first.prompt_token_ids,
            prompt_logprobs=first.prompt_logprobs,
            prompt_token_id_logprobs=first.prompt_token_id_logprobs,
            outputs=[CompletionOutput(lora_request=first.lora_request, **out._asdict()) for out in outs],
            finished=finished,
            metrics=_metrics(first.metrics, last.metrics),
            lora_request=first.lora_request,
            num_cached_tokens=first.num_cached_tokens,
            num_cache_creation_tokens=first.num_cache_creation_tokens,
            kv_transfer_params=last.kv_transfer_params,
            ec_transfer_params=last.ec_transfer_params,
        )


def _metrics(first: Any, last: Any) -> Any:
    """The statistics of a row of runs: begun with the first, ended with the last."""
    if first is last or first is None or last is None:
        return last
    both = copy(last)
    for name in BEGAN:
        setattr(both, name, getattr(first, name))
    return both
