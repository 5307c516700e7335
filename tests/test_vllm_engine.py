"""vLLM's generate, guarded: what comes out of it, with as much of vLLM as its names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from midcourse.guard.policy import REFUSAL
from midcourse.guard.trace import Trace
from midcourse.server.config import load
from midcourse.server.dialects import format_of
from midcourse.server.vllm_asked import ASKED, Asked
from midcourse.server.vllm_engine import GuardedEngine
from midcourse.server.vllm_guard import Guard
from tests.fake_vllm import EOS, TAGS, Inner, Output, Params, RequestOutputKind, Words
from tests.kit import WordJudge

FORMAT = format_of({literal: token for token, literal in TAGS.items()}, chosen="r1")
CALM = "It is fine. All of it.</think>Four. Really."
CUED = "It is fine. A BAD plan. More of it."
TURNED = " I stop.</think>No. Never."
PROMPT = {"type": "token", "prompt_token_ids": [1, 3], "prompt": "<bos><think>", "cache_salt": "salt"}


@asynccontextmanager
async def guarded(inner: Inner, folder: Path, **settings: Any) -> AsyncIterator[tuple[GuardedEngine, Guard]]:
    given = {"store": f"sqlite:///{folder}/traces.db", "spool_dir": str(folder / "spool"), "judge": "lexical"}
    guard = Guard(lambda: load(None, {**given, **settings}, {}), FORMAT, "smol", lambda _: WordJudge())
    try:
        yield GuardedEngine(inner, inner.kit, guard), guard
    finally:
        await guard.close()


async def outputs(engine: GuardedEngine, params: Params | None = None, **rest: Any) -> list[Output]:
    return [output async for output in engine.generate(PROMPT, params or Params(), "chatcmpl-1", **rest)]


def whole(out: list[Output], index: int = 0) -> tuple[str, list[int]]:
    parts = [part for output in out for part in output.outputs if part.index == index]
    return "".join(part.text for part in parts), [token for part in parts for token in part.token_ids]


async def test_a_sound_completion_is_what_vllm_would_have_given(tmp_path: Path) -> None:
    inner = Inner(Words(), CALM)
    async with guarded(inner, tmp_path) as (engine, _):
        out = await outputs(engine, Params(skip_special_tokens=False), priority=3, lora_request=None)
    assert whole(out) == (CALM, [*inner.kit.spell(CALM), EOS])
    assert [output.finished for output in out].count(True) == 1 and out[-1].finished
    last = out[-1].outputs[0]
    assert (last.finish_reason, last.stop_reason) == ("stop", EOS)
    prompt, _, request_id, rest = inner.calls[0]
    assert (prompt, request_id, rest) == (PROMPT, "chatcmpl-1", {"priority": 3, "lora_request": None})


async def test_a_cue_is_replaced_by_a_trigger_and_the_next_run_goes_on_from_there(tmp_path: Path) -> None:
    inner = Inner(Words(), CUED, TURNED)
    async with guarded(inner, tmp_path) as (engine, guard):
        more: dict[str, Any] = {"priority": 3, "trace_headers": {"traceparent": "00-ab-cd-01"}}
        out = await outputs(engine, prompt_text="x", reasoning_ended=False, **more)
        trace = await asyncio.to_thread(guard.store.get, "chatcmpl-1")
    text, ids = whole(out)
    assert isinstance(trace, Trace) and trace.outcome == "intervened"
    trigger = trace.interventions[0].trigger
    assert text == f"It is fine.{trigger} I stop.No. Never." and "BAD" not in text
    kept = inner.kit.spell("It is fine.")
    prompt, _, _, rest = inner.calls[1]
    assert prompt == {
        "type": "token",
        "prompt_token_ids": [1, 3, *kept, *inner.kit.spell(trigger)],
        "cache_salt": "salt",
    }
    assert rest == {"prompt_text": None, "reasoning_ended": False, **more}
    assert tuple(ids) == (*kept, *inner.kit.spell(trigger), *inner.kit.spell(TURNED), EOS)
    assert {output.num_cached_tokens for output in out} == {1}
    assert {tuple(output.prompt_token_ids) for output in out} == {(1, 3)}
    assert trace.origin.model == "smol" and trace.origin.prompt_ids == (1, 3)


@pytest.mark.parametrize(
    ("name", "path", "adapter", "asked"),
    [
        ("ipo-v2", "/registry/ipo-v2", "ipo-v2", "ipo-v2"),
        ("ipo", "/registry/ipo-v2/", "ipo-v2", "ipo-v2:7"),
        ("sql", "/loras/sql-lora", "sql", "sql"),
        ("sql", "org/sql-lora", "sql", "sql"),
    ],
)
async def test_the_record_names_the_version_that_a_lora_request_leads_to_and_the_engine_has_a_name_for_each(
    *, name: str, path: str, adapter: str, asked: str, tmp_path: Path
) -> None:
    inner = Inner(Words(), CUED, TURNED)
    lora = SimpleNamespace(lora_name=name, lora_path=path, lora_int_id=7)
    async with guarded(inner, tmp_path) as (engine, guard):
        await outputs(engine, lora_request=lora)
        trace = await asyncio.to_thread(guard.store.get, "chatcmpl-1")
    assert isinstance(trace, Trace) and trace.origin.adapter == adapter
    loras = [rest["lora_request"] for *_, rest in inner.calls]
    assert [(each.lora_name, each.lora_path, each.lora_int_id) for each in loras] == [(asked, path, 7)] * 2
    assert lora.lora_name == name


@pytest.mark.parametrize("kind", list(RequestOutputKind))
async def test_each_kind_of_output_tells_the_same_completion(kind: RequestOutputKind, tmp_path: Path) -> None:
    inner = Inner(Words(), CUED, TURNED)
    async with guarded(inner, tmp_path, **{"policy.seed": 1}) as (engine, _):
        out = await outputs(engine, Params(output_kind=kind, logprobs=1, seed=5))
        told = whole(out if kind is RequestOutputKind.DELTA else out[-1:])
        again = Inner(inner.kit, CUED, TURNED)
        full = await outputs(GuardedEngine(again, again.kit, engine._guard), Params(logprobs=1, seed=5))
    assert told == whole(full)
    assert len(out) == 1 if kind is RequestOutputKind.FINAL_ONLY else len(out) > 2
    if kind is not RequestOutputKind.DELTA:
        assert len(out[-1].outputs[0].logprobs) == len(told[1])


@pytest.mark.parametrize("kind", list(RequestOutputKind))
async def test_several_choices_are_several_requests_and_one_answer(kind: RequestOutputKind, tmp_path: Path) -> None:
    inner = Inner(Words(), CALM)
    async with guarded(inner, tmp_path) as (engine, _):
        out = await outputs(engine, Params(n=3, seed=4, output_kind=kind))
    assert sorted(call[1].seed for call in inner.calls) == [4, 5, 6]
    assert {call[1].n for call in inner.calls} == {1}
    assert [output.finished for output in out].count(True) == 1 and out[-1].finished
    assert sorted(part.index for output in out for part in output.outputs if part.finish_reason) == [0, 1, 2]
    if kind is RequestOutputKind.FINAL_ONLY:
        assert [part.index for part in out[0].outputs] == [0, 1, 2] and len(out) == 1


async def test_a_refusal_is_spelled_and_no_stop_reason_is_told(tmp_path: Path) -> None:
    inner = Inner(Words(), "It is fine. A LOST step. More.")
    async with guarded(inner, tmp_path) as (engine, _):
        out = await outputs(engine, Params(logprobs=0, skip_special_tokens=False))
    text, ids = whole(out)
    assert text == f"It is fine.\n</think>\n\n{REFUSAL}"
    assert len([entry for output in out for entry in output.outputs[0].logprobs]) == len(ids)
    assert (out[-1].outputs[0].finish_reason, out[-1].outputs[0].stop_reason) == ("stop", None)


async def test_where_the_policy_is_off_the_call_is_vllms_own(tmp_path: Path) -> None:
    inner = Inner(Words(), CUED)
    params = Params(n=2, stop=["x"])
    async with guarded(inner, tmp_path, **{"policy.mode": "off"}) as (engine, _):
        running = engine.generate(PROMPT, params, "id", priority=1)
        await anext(running)
        await running.aclose()
    assert inner.calls == [(PROMPT, params, "id", {"priority": 1})]


@pytest.mark.parametrize(
    "prompt",
    [
        "text",
        {"prompt": "text"},
        {"type": "multimodal", "prompt_token_ids": [1], "mm_kwargs": {}},
        {"type": "embeds", "prompt_embeds": object()},
        {"prompt_token_ids": [1], "multi_modal_data": {"image": 1}},
        {"type": "token", "prompt_token_ids": []},
        SimpleNamespace(prompt_token_ids=[1]),
    ],
)
async def test_a_prompt_that_cannot_be_resumed_is_refused(prompt: Any, tmp_path: Path) -> None:
    inner = Inner(Words(), CALM)
    async with guarded(inner, tmp_path) as (engine, _):
        with pytest.raises(ValueError, match="guards text prompts"):
            engine.generate(prompt, Params(), "chatcmpl-1")
    assert inner.calls == []


async def test_a_client_that_leaves_leaves_no_request_behind(tmp_path: Path) -> None:
    inner = Inner(Words(), CALM, delay=0.02)
    async with guarded(inner, tmp_path) as (engine, _):
        running = engine.generate(PROMPT, Params(n=2), "id")
        await anext(running)
        await running.aclose()
    assert inner.aborted == 2


async def test_what_vllm_raises_is_raised_unchanged(tmp_path: Path) -> None:
    class Dead(Exception):
        pass

    async def dies(*_: Any, **__: Any) -> Any:
        for _turn in (1,):
            raise Dead
        yield

    async with guarded(Inner(Words(), CALM), tmp_path) as (engine, guard):
        dead = GuardedEngine(dies, engine._kit, guard)
        with pytest.raises(Dead):
            await outputs(dead)


async def test_the_judge_is_told_what_the_client_wrote_where_that_is_known(tmp_path: Path) -> None:
    inner = Inner(Words(), CUED, TURNED)
    asked = Asked("Written by the client.", "bos", ({"role": "user", "content": "Written by the client."},), "eval")
    async with guarded(inner, tmp_path) as (engine, guard):
        mark = ASKED.set(asked)
        running = engine.generate(PROMPT, Params(), "chatcmpl-1")
        ASKED.reset(mark)
        assert [output async for output in running]
        trace = await asyncio.to_thread(guard.store.get, "chatcmpl-1")
    assert trace is not None and trace.prompt == "Written by the client."
    assert trace.origin.messages == asked.messages and trace.origin.purpose == "eval"


async def test_a_request_that_is_no_chat_keeps_its_purpose_and_has_its_prompt_as_its_message(tmp_path: Path) -> None:
    inner = Inner(Words(), CUED, TURNED)
    async with guarded(inner, tmp_path) as (engine, guard):
        mark = ASKED.set(Asked("", "", (), "eval"))
        running = engine.generate(PROMPT, Params(), "cmpl-1234567")
        ASKED.reset(mark)
        assert [output async for output in running]
        trace = await asyncio.to_thread(guard.store.get, "cmpl-1234567")
    assert trace is not None and trace.origin.purpose == "eval"
    assert trace.origin.messages == ({"role": "user", "content": trace.prompt},) and "<bos>" in trace.prompt


async def test_where_there_is_no_body_vllms_own_arguments_name_the_purpose(tmp_path: Path) -> None:
    inner = Inner(Words(), CUED, TURNED)
    async with guarded(inner, tmp_path) as (engine, guard):
        await outputs(engine, Params(extra_args={"midcourse_purpose": "eval"}))
        trace = await asyncio.to_thread(guard.store.get, "chatcmpl-1")
        for wrong in ("two words", 5):
            with pytest.raises(ValueError, match=r"vllm_xargs\.midcourse_purpose: is"):
                await outputs(engine, Params(extra_args={"midcourse_purpose": wrong}))
    assert trace is not None and trace.origin.purpose == "eval" and len(inner.calls) == 2


async def test_no_trigger_breaks_into_an_answer_that_has_a_grammar(tmp_path: Path) -> None:
    inner = Inner(Words(), "It is.</think>Fine. A BAD one. More.", TURNED)
    async with guarded(inner, tmp_path, **{"policy.response.max_interventions": "3"}) as (engine, _):
        out = await outputs(engine, Params(structured_outputs=object()))
        assert out[-1].outputs[0].finish_reason == "content_filter" and len(inner.calls) == 1


@pytest.mark.parametrize(("waits", "ended", "runs"), [(True, None, 2), (True, True, 1), (False, None, 1)])
async def test_no_trigger_breaks_into_a_grammar_that_reigns_from_the_first_token(
    waits: bool, ended: bool | None, runs: int, tmp_path: Path
) -> None:
    inner = Inner(Words(), CUED, TURNED)
    async with guarded(inner, tmp_path) as (engine, _):
        inner.kit.grammar_waits = waits
        more = {} if ended is None else {"reasoning_ended": ended}
        out = await outputs(engine, Params(structured_outputs=object()), **more)
    assert len(inner.calls) == runs and out[-1].finished


async def test_a_grammar_that_waits_for_the_reasoning_to_end_is_told_that_it_has(tmp_path: Path) -> None:
    inner = Inner(Words(), "It is.</think>Fine. A BAD one. More.", " Stop.")
    async with guarded(inner, tmp_path, **{"policy.response.max_interventions": "3"}) as (engine, _):
        await outputs(engine, reasoning_ended=False)
    assert [call[3]["reasoning_ended"] for call in inner.calls] == [False, True]
