"""Runs the server process: uvicorn around the application. Knows sockets and signals, and nothing of guarding."""

import asyncio
from collections.abc import Callable

import structlog
import uvicorn

from midcourse.server.app import create_app
from midcourse.server.assembly import assembled
from midcourse.server.config import Settings
from midcourse.server.driver import Tap
from midcourse.server.errors import ConfigError
from midcourse.server.log import configure

log = structlog.get_logger(__name__)

LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRACE_SECONDS = 20
"""Running streams get this long to finish after SIGTERM; Kubernetes kills after 30."""


def serve(settings: Settings, read: Callable[[], Settings]) -> None:
    """Serve until a signal ends it.

    Raises:
        ConfigError: the model cannot be loaded, or the address is taken.
    """
    configure(settings)
    asyncio.run(serve_until(settings, read))


async def serve_until(
    settings: Settings,
    read: Callable[[], Settings],
    *,
    tap: Tap | None = None,
    started: Callable[[uvicorn.Server], None] | None = None,
) -> None:
    """Serve until the uvicorn server, which ``started`` is given before it listens, is told to exit."""
    async with assembled(settings, read, tap) as parts:
        app = create_app(
            settings,
            engine=parts.engine,
            driver=parts.driver,
            writer=parts.writer,
            store=parts.shelf,
            policies=parts.policies,
            judge=parts.judges.judge.name,
            alive=lambda: parts.engine.alive,
        )
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        if started is not None:
            started(server)
        if not settings.api_keys and settings.host not in LOOPBACK:
            log.warning("the API is open to whoever reaches it; set api_keys", host=settings.host)
        log.info("serving", url=f"http://{settings.host}:{settings.port}/v1", model=parts.engine.name)
        try:
            await server.serve()
        except SystemExit as error:  # uvicorn's way to say that it could not bind; it has logged why
            address = f"{settings.host}:{settings.port}"
            raise ConfigError(f"port: cannot listen on {address}; is another server running there?") from error
