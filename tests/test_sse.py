"""Over a real socket: what a client that hangs up, waits or reads slowly brings about."""

import asyncio
import time
from typing import Any

import httpx2
import pytest
from prometheus_client import REGISTRY
from starlette.types import Message

from midcourse.server.replies import CLIENT_GONE
from midcourse.server.report import KEY, Report
from midcourse.server.scripted import Script
from midcourse.server.sse import EventStream, Sink
from tests.kit import CALM, Kit, events, listening

LONG = "Let me think. " * 2_000


def cancelled() -> float:
    labels = {"route": "/v1/chat/completions", "outcome": "cancelled"}
    return REGISTRY.get_sample_value("midcourse_requests_total", labels) or 0.0


async def until(condition: Any, seconds: float = 2.0) -> float:
    """Seconds until ``condition()`` holds."""
    begun = time.perf_counter()
    while not condition():
        assert time.perf_counter() - begun < seconds
        await asyncio.sleep(0.002)
    return time.perf_counter() - begun


async def hang_up(kit: Kit, **fields: Any) -> None:
    """Ask, and hang up as soon as the engine has begun."""
    asking = asyncio.create_task(kit.chat(**fields))
    await until(lambda: kit.engine.running == (fields.get("n") or 1))
    asking.cancel()
    await asyncio.wait([asking])


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"stream": True, "n": 3}])
async def test_a_client_that_hangs_up_before_the_first_token_cancels_the_engine(fields: dict[str, Any]) -> None:
    before = cancelled()
    async with listening(CALM, delay=30.0) as kit:
        await hang_up(kit, **fields)
        assert await until(lambda: kit.engine.running == 0) < 0.5
        await until(lambda: cancelled() == before + 1)


async def test_a_client_that_hangs_up_in_the_middle_cancels_the_engine() -> None:
    before = cancelled()
    async with listening(LONG, delay=0.002) as kit:
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        async with kit.client.stream("POST", "/v1/chat/completions", json=body) as reply:
            lines = reply.aiter_lines()
            seen = [await anext(lines) for _ in range(8)]
            assert kit.engine.running == 1
        assert await until(lambda: kit.engine.running == 0) < 0.5
        assert any('"reasoning"' in line for line in seen)
        await until(lambda: cancelled() == before + 1)
        assert kit.memory.traces == {}


async def test_a_client_that_hangs_up_in_the_queue_never_reaches_the_engine() -> None:
    flags = {"max_concurrent_generations": 1, "max_queued_generations": 1}
    before = cancelled()
    async with listening(CALM, delay=30.0, flags=flags) as kit:
        first = asyncio.create_task(kit.chat())
        await until(lambda: kit.engine.running == 1)
        second = asyncio.create_task(kit.chat())
        await asyncio.sleep(0.05)
        busy = await kit.chat()
        second.cancel()
        await until(lambda: cancelled() == before + 1)
        first.cancel()
        await until(lambda: kit.engine.running == 0)
        assert len(kit.engine.generations) == 1
        third = asyncio.create_task(kit.chat())
        await until(lambda: kit.engine.running == 1)
        third.cancel()
        await asyncio.wait([first, second, third])
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
    assert busy.json()["error"]["code"] == "rate_limit_exceeded"


async def test_more_choices_than_there_will_ever_be_room_for_are_the_callers_mistake() -> None:
    async with listening(CALM, flags={"max_concurrent_generations": 1, "max_queued_generations": 1}) as kit:
        reply = await kit.chat(n=3)
        assert (await kit.chat(n=2)).status_code == 200
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "n")


async def test_a_silent_stream_is_kept_alive_with_comments() -> None:
    async with listening(CALM, delay=0.04, flags={"keepalive_seconds": 0.02}) as kit:
        reply = await kit.chat(stream=True)
    assert reply.text.startswith(": keep-alive\n\n")
    assert events(reply.text)[0]["choices"][0]["delta"]["role"] == "assistant"
    assert reply.text.endswith("data: [DONE]\n\n")


async def test_an_engine_that_fails_in_the_middle_ends_the_stream_with_an_error() -> None:
    async with listening(Script(CALM, fails_after=5), flags={"policy.mode": "off"}) as kit:
        reply = await kit.chat(stream=True)
        assert kit.engine.running == 0
    stream = events(reply.text)
    assert reply.status_code == 200
    assert stream[0]["choices"][0]["delta"]["role"] == "assistant"
    assert stream[-1]["error"]["code"] == "engine_error"
    assert stream[-1]["error"]["type"] == "server_error"


async def test_many_streams_at_once_get_each_its_own_text() -> None:
    scripts = [Script(f"Number {n} thinks. So.\n</think>\n\nI am {n}.") for n in range(16)]
    async with listening(*scripts, delay=0.001, flags={"max_concurrent_generations": 8}) as kit:
        limits = httpx2.Limits(max_connections=16)
        async with httpx2.AsyncClient(base_url=kit.client.base_url, limits=limits, timeout=20) as client:
            body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
            replies = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in scripts))
    answers = set()
    for reply in replies:
        chunks = [event["choices"][0]["delta"] for event in events(reply.text)[:-1]]
        thought = "".join(chunk.get("reasoning", "") for chunk in chunks)
        answer = "".join(chunk.get("content", "") for chunk in chunks)
        assert thought.startswith(f"Number {answer.removeprefix('I am ').removesuffix('.')} thinks.")
        answers.add(answer)
    assert len(answers) == 16


@pytest.mark.parametrize("room", [0, 1, 3])
async def test_a_client_that_stops_reading_is_a_client_that_has_gone(room: int) -> None:
    """``room`` messages find a place on the wire, and no more."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        if len(sent) == room:
            await asyncio.Event().wait()
        sent.append(message)

    async def play(sink: Sink) -> None:
        for number in range(2):
            await sink.data({"number": number})

    report = Report("r")
    stream = EventStream(play, {}, patience=0.02)
    async with asyncio.timeout(1):
        await stream({"type": "http", "state": {KEY: report}}, asyncio.Event().wait, send)  # type: ignore[arg-type]
    assert report.status == CLIENT_GONE
    assert len(sent) == room


async def test_a_slow_reader_may_take_all_the_time_it_needs() -> None:
    async def send(message: Message) -> None:
        await asyncio.sleep(0.02)

    sink = Sink(send, [], patience=0.1)
    for number in range(12):
        await sink.data({"number": number})
    await sink.close()
