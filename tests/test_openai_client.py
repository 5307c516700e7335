"""The official client against a real socket."""

from typing import Any

import openai
import pytest

from midcourse.server.scripted import Script
from tests.kit import CALM, CUED, Kit, listening

MESSAGES: Any = [{"role": "user", "content": "Hi"}]
ANSWER = "The answer is 4."
SORRY = "I can't help with that."


def client_of(kit: Kit, key: str = "any") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{kit.client.base_url}/v1", api_key=key, max_retries=0, timeout=10)


async def test_a_whole_chat() -> None:
    async with listening(CUED) as kit, client_of(kit) as client:
        body = {"midcourse": {"annotate": True}}
        reply = await client.chat.completions.create(
            model="scripted", messages=MESSAGES, logprobs=True, extra_body=body
        )
    (choice,) = reply.choices
    extra: Any = choice.message.model_extra
    assert choice.message.content == SORRY
    assert extra["reasoning"] == extra["reasoning_content"]
    assert choice.model_extra is not None
    assert choice.model_extra["midcourse"]["outcome"] == "intervened"
    assert choice.logprobs is not None
    assert "".join(row.token for row in choice.logprobs.content or []) == extra["reasoning"] + SORRY
    assert reply.usage is not None
    assert reply.usage.completion_tokens_details is not None
    assert (reply.usage.completion_tokens_details.reasoning_tokens or 0) > 0


async def test_a_streamed_chat_by_iteration() -> None:
    async with listening(CUED) as kit, client_of(kit) as client:
        stream = await client.chat.completions.create(
            model="scripted", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == SORRY
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None


async def test_a_streamed_chat_by_the_helper() -> None:
    async with listening(CALM) as kit, client_of(kit) as client:
        kinds = set()
        async with client.chat.completions.stream(model="scripted", messages=MESSAGES, logprobs=True) as stream:
            async for event in stream:
                kinds.add(event.type)
            final: Any = await stream.get_final_completion()
    message = final.choices[0].message
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert message.content == ANSWER
    assert message.reasoning == message.reasoning_content == "Let me think. All is fine."
    assert final.choices[0].finish_reason == "stop"


async def test_several_choices_and_raw_completions() -> None:
    async with listening(CALM) as kit, client_of(kit) as client:
        chat = await client.chat.completions.create(model="scripted", messages=MESSAGES, n=2)
        raw = await client.completions.create(model="scripted", prompt=["a", "b"], max_tokens=50, logprobs=1)
        stream = await client.completions.create(model="scripted", prompt="a", max_tokens=50, stream=True)
        text = "".join([chunk.choices[0].text async for chunk in stream])
    assert [choice.message.content for choice in chat.choices] == [ANSWER, ANSWER]
    assert [choice.text for choice in raw.choices] == [CALM, CALM]
    assert raw.choices[0].logprobs is not None
    assert text == CALM


async def test_models() -> None:
    async with listening(CALM) as kit, client_of(kit) as client:
        assert [model.id async for model in client.models.list()] == ["scripted"]
        assert (await client.models.retrieve("scripted")).owned_by == "midcourse"


async def test_errors_are_the_clients_own_kinds() -> None:
    async with listening(CALM, flags={"api_keys": "right", "max_queued_generations": 0}) as kit:
        async with client_of(kit, "wrong") as client:
            with pytest.raises(openai.AuthenticationError) as unknown:
                await client.models.list()
        async with client_of(kit, "right") as client:
            with pytest.raises(openai.NotFoundError):
                await client.chat.completions.create(model="gpt-9", messages=MESSAGES)
            with pytest.raises(openai.BadRequestError) as bad:
                await client.chat.completions.create(model="scripted", messages=MESSAGES, temperature=5)
    assert unknown.value.code == "invalid_api_key"
    assert bad.value.param == "temperature"


async def test_a_failure_in_the_middle_of_a_stream_is_raised() -> None:
    script = Script(CALM, fails_after=5)
    async with listening(script, flags={"policy.mode": "off"}) as kit, client_of(kit) as client:
        stream = await client.chat.completions.create(model="scripted", messages=MESSAGES, stream=True)
        with pytest.raises(openai.APIError, match="engine failed"):
            async for _ in stream:
                pass
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="scripted", messages=MESSAGES)
