"""The adapter that new generations take, and how it is replaced while streams run.

Knows where adapters come from, and when to look again. Refuses to touch a running generation: each keeps the weights
that it began with. Whatever is wrong with an adapter, the one before it goes on serving.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from midcourse.models.lora import CONFIG, AdapterError, read_lora
from midcourse.models.merge import merged
from midcourse.models.registry import Registry, version_of
from midcourse.server.config import Settings
from midcourse.server.errors import ConfigError
from midcourse.server.metrics import ADAPTER_LOADS, show_adapter
from midcourse.server.weights import Weights

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0  # between two looks at the alias: one stat, in a thread, because a network's folder may hang

Stamp = tuple[int, int, int]


class AdapterBox:
    """Holds the weights that serve.

    Args:
        base: the model as it is without an adapter.
        settings: of them, ``adapter`` and ``registry``. The alias of a name is followed; a version and a folder stay.

    Raises:
        ConfigError: the adapter does not load. A name under which nothing was promoted yet is no error: its first
            promotion is waited for.
    """

    def __init__(self, base: Weights, settings: Settings) -> None:
        self._base = base
        self._registry = Registry(settings.registry)
        self._wish = settings.adapter
        self._watched = _name_of(settings.adapter)
        self._wake = asyncio.Event()
        try:
            self._seen = self._stamp()
            self.weights = self._load(self._chosen())
        except (AdapterError, OSError) as error:
            raise ConfigError(f"adapter: {error}", param="adapter") from error
        show_adapter(self.weights.adapter, 1)
        if self._watched and self.weights.adapter is None:
            log.warning(
                "adapter", why=f"nothing serves under {self._watched} in {settings.registry}; the base model does"
            )

    async def follow(self, adopt: Callable[[Weights], None]) -> None:
        """Look again and again, until cancelled, and hand over what is to serve from then on."""
        while self._watched:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)
            self._wake.clear()
            weights = await asyncio.to_thread(self.look)
            if weights is not None:
                adopt(weights)

    def again(self) -> None:
        """Look at once, and try what failed before once more. Called on the event loop."""
        self._seen = None
        self._wake.set()

    def look(self) -> Weights | None:
        """What is to serve, if that is something new. Takes as long as loading takes."""
        stamp = self._stamp()
        if stamp in (None, self._seen):  # an alias is never taken away: a folder that is gone is a disk's failure
            return None
        self._seen = stamp
        try:
            adapter = self._chosen()
            if adapter == self.weights.adapter:
                return None
            weights = self._load(adapter)
        except Exception as error:  # noqa: BLE001 - a file, torch, memory: whatever it is, the old one serves on
            ADAPTER_LOADS.labels(result="error").inc()
            log.error("adapter", result="error", problem=str(error), kept=self.weights.adapter)
            return None
        ADAPTER_LOADS.labels(result="ok").inc()
        show_adapter(self.weights.adapter, 0)
        show_adapter(weights.adapter, 1)
        log.info("adapter", result="ok", old=self.weights.adapter, new=weights.adapter)
        self.weights = weights
        return weights

    def _stamp(self) -> Stamp | None:
        """Changes whenever the alias is replaced; None where there is none to watch."""
        if self._watched is None:
            return None
        try:
            found = self._registry.alias_file(self._watched).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _chosen(self) -> str | None:
        """The adapter that is to serve now; None is the base model."""
        if self._watched is not None:
            return self._registry.alias(self._watched).adapter
        return None if self._wish is None else Path(self._wish).resolve().name

    def _load(self, adapter: str | None) -> Weights:
        if adapter is None:
            return self._base
        found = _peft_folder(self._wish)
        folder = found or self._registry.verified(adapter)
        trained = read_lora(found).base_model if found else self._registry.manifest(adapter).base_model
        if Path(trained).name != Path(self._base.name).name:  # the same model may lie in other folders elsewhere
            problem = (
                f"{adapter} is an adapter of {trained or 'nobody knows what'}, and this server has {self._base.name}"
            )
            if found is None:
                raise AdapterError(problem)
            log.warning("adapter", why=problem)  # others call the same model by other names
        return replace(self._base, model=merged(self._base.model, folder), adapter=adapter)


def _peft_folder(wish: str | None) -> Path | None:
    return Path(wish) if wish is not None and Path(wish, CONFIG).is_file() else None


def _name_of(wish: str | None) -> str | None:
    """The name whose alias is followed, where the setting is one."""
    return wish if wish is not None and version_of(wish) is None and _peft_folder(wish) is None else None
