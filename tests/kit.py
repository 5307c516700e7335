"""A server for tests: real routes, real driver, scripted engine, a judge of words, a writer that remembers."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import structlog
import uvicorn
from fastapi import FastAPI

from midcourse.guard.trace import Trace
from midcourse.guard.verdict import Query, Verdict
from midcourse.server.app import create_app
from midcourse.server.config import Settings, load
from midcourse.server.driver import Driver
from midcourse.server.judging import JudgeRunner
from midcourse.server.policy_box import PolicyBox
from midcourse.server.scripted import Script, ScriptedEngine
from tests.play import by_word

# structlog's own tracebacks take seconds to draw.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
)

CALM = "Let me think. All is fine.\n</think>\n\nThe answer is 4."
CUED = Script("Let me think. First, the BAD plan. And more.", (" No, I stop.\n</think>\n\nI can't help with that.",))


class WordJudge:
    """``BAD`` is a cue, ``VILE`` is harmful, ``LOST`` is a failure of the judge."""

    name = "words"

    def judge(self, queries: Sequence[Query]) -> Sequence[Verdict]:
        verdicts = [by_word(query) for query in queries]
        if "error" in verdicts:
            raise RuntimeError("the judge is lost")
        return [verdict for verdict in verdicts if isinstance(verdict, Verdict)]


@dataclass
class Memory:
    """Writer and store at once."""

    traces: dict[str, Trace] = field(default_factory=dict)
    pause: float = 0.0

    def wanted(self, trace: Trace) -> bool:
        return bool(trace.interventions)

    async def record(self, trace: Trace, seconds: float = 1.0) -> object:
        await asyncio.sleep(min(self.pause, seconds))
        self.traces[trace.id] = trace
        return "stored"

    def get(self, id: str) -> Trace | None:
        return self.traces.get(id)


@dataclass
class Kit:
    """What a test needs of a server under test."""

    app: FastAPI
    engine: ScriptedEngine
    memory: Memory
    client: httpx2.AsyncClient

    async def chat(self, text: str = "Hi", **fields: Any) -> httpx2.Response:
        body = {"model": "scripted", "messages": [{"role": "user", "content": text}], **fields}
        return await self.client.post("/v1/chat/completions", json=body)

    async def complete(self, prompt: object = "Once", **fields: Any) -> httpx2.Response:
        return await self.client.post("/v1/completions", json={"model": "scripted", "prompt": prompt, **fields})


def build(engine: ScriptedEngine, settings: Settings, memory: Memory, **more: Any) -> FastAPI:
    policies = more.pop("policies", None) or PolicyBox(settings, lambda: settings)
    driver = Driver(engine, JudgeRunner(WordJudge()))
    return create_app(
        settings, engine=engine, driver=driver, writer=memory, store=memory, policies=policies, judge="words", **more
    )


@asynccontextmanager
async def serving(*scripts: Script | str, flags: dict[str, Any] | None = None, **engine: Any) -> AsyncIterator[Kit]:
    """An app behind an in-process transport."""
    settings, memory = load(overrides=flags, env={}), Memory()
    scripted = ScriptedEngine(*scripts or (CALM,), **engine)
    app = build(scripted, settings, memory)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://midcourse") as client,
    ):
        yield Kit(app, scripted, memory, client)


@asynccontextmanager
async def listening(*scripts: Script | str, flags: dict[str, Any] | None = None, **engine: Any) -> AsyncIterator[Kit]:
    """An app behind a real socket on loopback."""
    settings, memory = load(overrides=flags, env={}), Memory()
    scripted = ScriptedEngine(*scripts or (CALM,), **engine)
    app = build(scripted, settings, memory)
    # uvicorn binds: asyncio leaves Nagle's algorithm on for a socket that Python made, and answers take 40 ms.
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        async with httpx2.AsyncClient(base_url=url, timeout=10) as client:
            yield Kit(app, scripted, memory, client)
    finally:
        server.should_exit = True
        await task


def events(text: str) -> list[Any]:
    """The events of a stream: JSON objects, and ``[DONE]`` as it is. Comments are left out."""
    lines = [line for line in text.split("\n\n") if line and not line.startswith(":")]
    assert all(line.startswith("data: ") for line in lines)
    return [line if line == "data: [DONE]" else json.loads(line.removeprefix("data: ")) for line in lines]
