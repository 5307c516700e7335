"""Server-sent events, and noticing at once that nobody listens any more.

Knows ASGI messages. Refuses to know what is in an event.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from midcourse.server.replies import CLIENT_GONE, ClientGone
from midcourse.server.report import report_of

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that one event may wait for room on the wire: longer than a train's tunnel. A client that is connected and
does not read would otherwise hold its place among the generations, and its KV cache, for as long as it likes."""


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled as soon as the client hangs up.

    Args:
        receive: of a request whose body was read: all that can still come is the disconnect.

    Raises:
        ClientGone: it hung up first; ``work`` has been cancelled and has ended.
    """
    working = asyncio.create_task(work)
    watching = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone("the client hung up")
        return working.result()
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait({working, watching})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Sink:
    """Where a stream's events go. The response starts with the first of them, so an earlier error can have a status."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]], patience: float = PATIENCE) -> None:
        self._wire = send
        self._headers = headers
        self._patience = patience
        self.started = False

    async def data(self, value: Mapping[str, Any]) -> None:
        """One event, as JSON on a line."""
        await self.text(f"data: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}\n\n")

    async def text(self, text: str) -> None:
        """Anything, as it stands on the wire."""
        if not self.started:
            self.started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def close(self) -> None:
        """Nothing follows."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._wire(message)
        except TimeoutError as error:
            raise ClientGone("the client stopped reading") from error


class EventStream(Response):
    """A response that ``play`` writes into a sink. A disconnect cancels it, also before the first event."""

    media_type = "text/event-stream"

    def __init__(
        self,
        play: Callable[[Sink], Coroutine[Any, Any, None]],
        headers: Mapping[str, str],
        patience: float = PATIENCE,
    ) -> None:
        # X-Accel-Buffering: nginx would gather the events otherwise.
        fixed = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(headers={**fixed, **headers})
        del self.headers["content-length"]
        self._play = play
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Play. Errors before the first event are raised; afterwards ``play`` must have dealt with them."""
        sink = Sink(send, self.raw_headers, self._patience)
        try:
            await unless_gone(receive, self._play(sink))
            await sink.close()
        except ClientGone:
            report_of(scope).status = CLIENT_GONE
