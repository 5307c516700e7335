from typing import Any

import pytest

from midcourse.server.scripted import Script
from midcourse.server.wire_replies import Completion
from tests.kit import CALM, CUED, events, serving

GUARDED = "Let me think. {trigger} No, I stop.\n</think>\n\nI can't help with that."


def text_of(stream: list[Any], index: int = 0) -> str:
    return "".join(c["text"] for event in stream[:-1] for c in event["choices"] if c["index"] == index)


async def test_the_text_is_raw_markup_and_all_whole_or_streamed() -> None:
    async with serving() as kit:
        body = (await kit.complete(max_tokens=50)).json()
        stream = events((await kit.complete(max_tokens=50, stream=True)).text)
    Completion.model_validate(body)
    assert body["id"].startswith("cmpl-")
    assert body["choices"][0]["text"] == text_of(stream) == CALM
    assert body["choices"][0]["finish_reason"] == stream[-2]["choices"][0]["finish_reason"] == "stop"
    assert stream[-1] == "data: [DONE]"


async def test_raw_prompts_are_guarded_too() -> None:
    async with serving(CUED) as kit:
        reply = await kit.complete("Q: x\n<think>\nHm.", max_tokens=80, stream=True, midcourse={"annotate": True})
        (trace,) = kit.memory.traces.values()
    stream = events(reply.text)
    assert text_of(stream) == GUARDED.format(trigger=trace.interventions[0].trigger.strip())
    notes = [c["midcourse"]["event"] for event in stream[:-1] for c in event["choices"] if "midcourse" in c]
    assert notes == ["intervention", "summary"]
    assert trace.origin.messages == ({"role": "user", "content": "Q: x\n<think>\nHm."},)


async def test_a_prompt_that_has_left_the_reasoning_is_continued_in_the_response() -> None:
    async with serving("It is 4.") as kit:
        usage = (await kit.complete("<think>\nHm.\n</think>\n\n")).json()["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


async def test_every_prompt_has_its_choices_in_order() -> None:
    async with serving(*(Script(f"Say {n}.") for n in range(4))) as kit:
        body = (await kit.complete(["a", "b c"], n=2, seed=1)).json()
        stream = events((await kit.complete(["a", "b c"], n=2, stream=True)).text)
        seeds = [generation.sampling.seed for generation in kit.engine.generations[:4]]
        prompts = [kit.engine.detokenize(prompt) for prompt in kit.engine.prompts[:4]]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert [choice["text"] for choice in body["choices"]] == [f"Say {n}." for n in range(4)]
    assert [text_of(stream, index) for index in range(4)] == [f"Say {n}." for n in range(4)]
    assert prompts == ["a", "a", "b c", "b c"]
    assert seeds == [1, 2, 1, 2]
    assert body["usage"]["prompt_tokens"] == 3


async def test_token_ids_are_prompts() -> None:
    async with serving() as kit:
        ids = list(kit.engine.tokenize("one two"))
        assert (await kit.complete(ids)).status_code == 200
        assert (await kit.complete([ids, ids])).json()["usage"]["prompt_tokens"] == 4
        unknown = await kit.complete([12345])
    assert unknown.status_code == 400
    assert unknown.json()["error"]["param"] == "prompt"


async def test_sixteen_tokens_are_generated_unless_more_are_asked_for() -> None:
    async with serving(Script("word " * 40)) as kit:
        assert (await kit.complete()).json()["usage"]["completion_tokens"] == 16
        (choice,) = (await kit.complete(max_tokens=2)).json()["choices"]
    assert choice["finish_reason"] == "length"


async def test_a_stop_string_ends_the_text_before_it() -> None:
    async with serving() as kit:
        (choice,) = (await kit.complete(stop=" fine", max_tokens=50)).json()["choices"]
    assert choice["text"] == "Let me think. All is"
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_stand_at_their_offsets(stream: bool) -> None:
    async with serving(CUED) as kit:
        reply = await kit.complete(max_tokens=80, logprobs=2, stream=stream)
        (trace,) = kit.memory.traces.values()
    choices = [e["choices"][0] for e in events(reply.text)[:-1]] if stream else reply.json()["choices"]
    text = "".join(choice["text"] for choice in choices)
    spelled = forced = ""
    for logprobs in (choice["logprobs"] for choice in choices if choice["logprobs"]):
        for token, offset, top in zip(
            logprobs["tokens"], logprobs["text_offset"], logprobs["top_logprobs"], strict=True
        ):
            assert text[offset : offset + len(token)] == token
            assert len(top) in (0, 2)
            spelled += token
            forced += "" if top else token
    assert spelled == text
    assert forced == trace.interventions[0].trigger  # the withheld token would be among the alternatives


async def test_usage_comes_last_when_asked_for() -> None:
    async with serving() as kit:
        wish = {"include_usage": True}
        stream = events((await kit.complete(stream=True, stream_options=wish, max_tokens=50)).text)
        plain = await kit.complete(stream=True)
    assert stream[-2]["choices"] == []
    assert stream[-2]["usage"]["completion_tokens"] == 13
    assert all(event["usage"] is None for event in stream[:-2])
    assert "usage" not in plain.text


async def test_too_many_prompts_are_refused() -> None:
    async with serving(flags={"max_prompts": 2}) as kit:
        reply = await kit.complete(["a"] * 3)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "prompt"
