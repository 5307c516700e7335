"""The outermost layer: a request id, a limit on the body, the last answer to an error, one log line, one count.

Knows ASGI. Refuses to know what a request is about, and never logs a prompt or a text.
"""

import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from midcourse.server.metrics import REQUESTS
from midcourse.server.replies import error_reply
from midcourse.server.report import KEY, Report

log = structlog.get_logger(__name__)
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Probes and scrapes come every few seconds; they are logged at debug level."""


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._most = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything but HTTP passes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        report = Report(_request_id(scope))
        scope.setdefault("state", {})[KEY] = report
        begun = time.perf_counter()
        started = False

        async def tell(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                report.status = report.status or message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = report.request_id
            await send(message)

        try:
            await self._app(scope, self._limited(scope, receive), tell)
        except Exception as error:
            log.exception("request_failed", request_id=report.request_id, id=report.id)
            report.status = 500
            if not started:
                await error_reply(error)(scope, receive, tell)
        finally:
            _tell_of(scope, report, time.perf_counter() - begun)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """``receive``, which fails once the body is longer than it may be, or says that it will be."""
        problem = HTTPException(413, f"The body is longer than {self._most} bytes.")
        length = Headers(scope=scope).get("content-length", "")
        seen = int(length[:19]) if length.isdecimal() else 0  # enough to be too long; int() refuses 4,301 digits
        if seen <= self._most:
            seen = 0

        async def limited() -> MutableMapping[str, Any]:
            nonlocal seen
            if seen > self._most:
                raise problem
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise problem
            return message

        return limited


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else f"req-{uuid.uuid4().hex}"


def _tell_of(scope: Scope, report: Report, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "other")
    REQUESTS.labels(route=route, outcome=report.outcome).inc()
    write = log.debug if route in QUIET else log.info
    write(
        "request",
        request_id=report.request_id,
        id=report.id,
        route=route,
        status=report.status,
        outcome=report.outcome,
        tokens=report.tokens,
        interventions=report.interventions,
        seconds=round(seconds, 4),
    )
