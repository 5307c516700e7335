"""The application: routes, layers around them, and what happens at its start and end.

Knows how the parts are put together. Refuses to make engine, driver, writer or store: they are given, and closed by
whoever gave them.
"""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from midcourse import __version__
from midcourse.server.auth import OPEN, Auth, Keys
from midcourse.server.config import Settings
from midcourse.server.edge import Edge
from midcourse.server.engine import Engine
from midcourse.server.errors import MidcourseError
from midcourse.server.fan import Gate
from midcourse.server.metrics import BUILD
from midcourse.server.policy_box import PolicyBox, Reloaded
from midcourse.server.replies import error_reply
from midcourse.server.report import report_of
from midcourse.server.routes_openai import router
from midcourse.server.routes_ops import admin, probes
from midcourse.server.service import Looks, Records, Runs, Service

log = structlog.get_logger(__name__)
ABOUT = "An OpenAI-compatible API that watches a model's reasoning and corrects it while it thinks."


def create_app(
    settings: Settings,
    *,
    engine: Engine,
    driver: Runs,
    writer: Records,
    store: Looks,
    policies: PolicyBox,
    judge: str,
    alive: Callable[[], bool] = lambda: True,
) -> FastAPI:
    """The ASGI application, for one event loop.

    Args:
        settings: checked; what may change while it runs is in ``policies``.
        judge: the judge's name, for traces.
        alive: whether the engine can still serve; ``/ready`` asks it.
    """
    app = FastAPI(
        title="midcourse",
        version=__version__,
        description=ABOUT,
        docs_url=None,  # both pages fetch their scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
        exception_handlers=dict.fromkeys((MidcourseError, RequestValidationError, HTTPException), _failed),
    )
    app.state.started = int(time.time())
    app.state.service = Service(
        settings=settings,
        engine=engine,
        driver=driver,
        writer=writer,
        store=store,
        policies=policies,
        judge=judge,
        alive=alive,
        gate=Gate(settings.max_concurrent_generations, settings.max_queued_generations),
        texts=ThreadPoolExecutor(1, thread_name_prefix="midcourse-texts"),
    )
    _furnish(app, settings)
    return app


def _furnish(app: FastAPI, settings: Settings) -> None:
    """Routes, and the layers around them; the last one is the outermost."""
    for routes in (router, probes, admin):
        app.include_router(routes)
    app.add_middleware(Auth, keys=Keys(settings.caller_keys))
    app.add_middleware(Edge, max_body_bytes=settings.max_body_bytes)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    loop = asyncio.get_running_loop()
    _show(service, service.policies.current.hash, 1)
    service.policies.watch(partial(_reshow, service))
    main = threading.current_thread() is threading.main_thread()  # nobody else may handle signals
    if main:
        loop.add_signal_handler(signal.SIGHUP, service.policies.on_signal)
    try:
        yield
    finally:
        if main:
            loop.remove_signal_handler(signal.SIGHUP)
        service.texts.shutdown(wait=False, cancel_futures=True)


def _show(service: Service, policy: str, value: int) -> None:
    """In the build's metric; labels cannot be taken back where several processes are scraped as one."""
    labels = (__version__, service.model, service.engine.dialect.name, service.judge, policy)
    BUILD.labels(*labels).set(value)


def _reshow(service: Service, reloaded: Reloaded) -> None:
    _show(service, reloaded.old, 0)
    _show(service, reloaded.new, 1)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    reply = error_reply(error)
    if reply.status_code >= 500:
        log.error("engine_failed", request_id=report_of(request.scope).request_id, problem=str(error))
    return reply


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, less the 422 that we never answer, and with the key that we may ask for."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                if path not in OPEN:
                    operation["security"] = [{}, {"key": []}]
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema
