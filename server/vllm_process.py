"""One process of vLLM with midcourse in it: when the guard is made, what of it the server gets, and when it ends.

Knows vLLM's plugin interface. Routes, rules and requests have files of their own.
"""

import asyncio
import contextlib
import os
import pkgutil
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from midcourse.guard.verdict import Judge
from midcourse.server.auth import secrets
from midcourse.server.config import Settings, load
from midcourse.server.errors import ConfigError, MidcourseError
from midcourse.server.judges import judge_of
from midcourse.server.log import configure_ours
from midcourse.server.replies import error_reply
from midcourse.server.routes_ops import admin
from midcourse.server.vllm_alias import router as aliases
from midcourse.server.vllm_asked import Listens
from midcourse.server.vllm_engine import Generate, GuardedEngine
from midcourse.server.vllm_follow import Follower
from midcourse.server.vllm_guard import Guard, check_settings
from midcourse.server.vllm_routes import close_unguarded, lock
from midcourse.server.vllm_version import check_frontend, check_version, installed

log = structlog.get_logger(__name__)

SHIM = "midcourse.server.vllm_shim"


class Process:
    """The guard of this process, made with its first engine: several API servers each have one.

    Args:
        read: reads the settings.
        judge: opens what judges.
        shim: the module that imports vLLM, looked up when it is needed: after its version was checked.
    """

    def __init__(
        self, read: Callable[[], Settings], judge: Callable[[Settings], Judge] = judge_of, shim: str = SHIM
    ) -> None:
        self._read = read
        self._judge = judge
        self._shim = shim
        self._engines: dict[int, GuardedEngine] = {}
        self.guard: Guard | None = None

    def guarded(self, engine: Any, own: Generate) -> Callable[..., AsyncGenerator[Any, None]]:
        """The guarded ``generate`` of an engine."""
        made = self._engines.get(id(engine))
        if made is None:
            made = GuardedEngine(own, self._of_shim("VllmKit")(engine), self.open(engine))
            self._engines[id(engine)] = made
        return made.generate

    def open(self, engine: Any) -> Guard:
        """The guard, made now if it is not yet.

        Raises:
            ConfigError: the judge or another part cannot be had.
        """
        if self.guard is None:
            settings = self._read()
            configure_ours(settings)
            name = engine.model_config.served_model_name or engine.model_config.model
            model = name if isinstance(name, str) else name[0]
            self.guard = Guard(
                self._read, self._of_shim("format_of_engine")(engine, settings.dialect), model, self._judge
            )
        return self.guard

    def install(self, version: str | None, env: Mapping[str, str]) -> None:
        """Check everything that can be checked without a model, and stand in the engine's way.

        Raises:
            ConfigError: naming what is wrong.
        """
        check_version(version)
        check_frontend(env)
        check_settings(self._read())
        self._of_shim("install")(self.guarded, self.on)

    def on(self) -> bool:
        """Whether generations are guarded now."""
        return self.guard is None or self.guard.policies.current.mode != "off"

    async def following(self, state: Any) -> asyncio.Task[None] | None:
        """Have the server follow the adapter of the settings, if they name one; what it has to do first is done.

        Raises:
            ConfigError: what is to serve does not load.
        """
        models = getattr(state, "openai_serving_models", None)
        if self.guard is None or models is None:
            return None
        settings = self.guard.settings
        if not settings.adapter:
            return None
        follower = Follower(models, settings.registry, settings.adapter, self._of_shim("load_lora"))
        await follower.start()
        return asyncio.create_task(follower.follow(), name="midcourse-adapter")

    async def close(self) -> None:
        """Write the last traces, and stop."""
        if self.guard is not None:
            await self.guard.close()

    def _of_shim(self, name: str) -> Any:
        return pkgutil.resolve_name(f"{self._shim}:{name}")


PROCESS = Process(load)


def install_guard() -> None:
    """What the general plugin does."""
    PROCESS.install(installed(), os.environ)


def endpoints() -> "Endpoints":
    """What the endpoint plugin is."""
    return Endpoints(PROCESS)


class Endpoints:
    """vLLM's ``EndpointPlugin``: our routes and our ears in its server."""

    name = "midcourse"
    required_tasks = ("generate",)

    def __init__(self, process: Process) -> None:
        self._process = process
        self._app: FastAPI | None = None

    def attach_router(self, app: FastAPI) -> None:
        """Add the operators' routes, and listen to what is asked."""
        self._app = app
        app.router.routes.extend([*admin.routes, *aliases.routes])
        app.add_exception_handler(MidcourseError, _failed)
        app.add_middleware(Listens)
        app.router.lifespan_context = self._ending(app.router.lifespan_context)

    async def init_state(self, engine_client: Any, state: Any, args: Any) -> None:
        """Make the guard before the first request, and close what it does not know."""
        if engine_client is None or self._app is None:
            raise ConfigError("midcourse needs an engine in this process to guard")
        state.service = self._process.open(engine_client)
        lock(self._app.routes, secrets(state.service.settings.admin_keys))
        closed = close_unguarded(self._app.routes, self._process.on)
        if closed:
            log.warning("routes that are not guarded are closed", routes=closed)
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, state.service.policies.on_signal)

    def _ending(self, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The server's lifespan, and our end behind it."""

        @asynccontextmanager
        async def lifespan(app: Any) -> AsyncIterator[Any]:
            async with inner(app) as state:
                follows = None
                try:
                    follows = await self._process.following(app.state)
                    yield state
                finally:
                    if follows is not None:
                        follows.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await self._process.close()

        return lifespan


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return error_reply(error)
