"""A name in the registry that vLLM's server follows: what is promoted is loaded and serves, behind a restart as well.

Knows the registry, and the table of adapters of vLLM's server. Each API server has a follower of its own, and all of
them give an adapter the same number, by which the one engine behind them knows it.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from midcourse.models.lora import AdapterError
from midcourse.models.manifest import Alias
from midcourse.models.registry import Registry
from midcourse.server.errors import ConfigError
from midcourse.server.metrics import ADAPTER_LOADS, show_adapter
from midcourse.server.vllm_alias import lead

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks at the alias."""
Load = Callable[[Any, str, Path, int], Awaitable[Any]]
"""Have the engine behind vLLM's table load an adapter: the table, its name, folder and number; gives its entry."""


class Follower:
    """Follows one name.

    Args:
        models: vLLM's ``OpenAIServingModels``, whose ``lora_requests`` is the table.
    """

    def __init__(self, models: Any, registry: Path, name: str, load: Load) -> None:
        self._models = models
        self._registry = Registry(registry.resolve())
        self._name = name
        self._load = load
        self._seen: Alias | None = None
        self._shown: str | None = None

    async def start(self) -> None:
        """The first look. A name under which nothing was promoted yet is waited for.

        Raises:
            ConfigError: what is to serve does not load.
        """
        try:
            await self.look()
        except Exception as error:
            raise ConfigError(f"adapter: {error}", param="adapter") from error
        if self._shown is None:
            self._show(None)
            log.warning("adapter", why=f"nothing serves under {self._name} in {self._registry.folder} yet")

    async def follow(self) -> None:
        """Look again and again, until cancelled. What does not load leaves the old one in force."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if await self.look():
                    ADAPTER_LOADS.labels(result="ok").inc()
            except Exception as error:  # noqa: BLE001 - a disk, vLLM, memory: whatever it is, the old one serves on
                ADAPTER_LOADS.labels(result="error").inc()
                log.error("adapter", result="error", problem=str(error), kept=self._shown)

    async def look(self) -> bool:
        """Bring the table to what the alias says, this version, and the one before kept; whether that is another one.

        Raises:
            AdapterError: the registry cannot be read, or a file of the adapter was changed.
            Exception: whatever vLLM has against it.
        """
        alias = await asyncio.to_thread(self._registry.alias, self._name)
        if alias == self._seen:
            return False
        self._seen = alias  # what fails is tried again after the next promotion
        table: dict[str, Any] = self._models.lora_requests
        if self._models.is_base_model(self._name):
            raise AdapterError(f"{self._name} is the name of the base model; publish under another one")
        if alias.adapter is None:
            table.pop(self._name, None)
        else:
            folder = await asyncio.to_thread(self._registry.verified, alias.adapter)
            if alias.adapter not in table:
                number = number_of(alias.adapter, folder)
                table[alias.adapter] = await self._load(self._models, alias.adapter, folder, number)
            lead(table, self._name, alias.adapter)
        for old in alias.outdated:
            table.pop(old, None)
        if alias.adapter == self._shown:
            return False
        log.info("adapter", result="ok", old=self._shown, new=alias.adapter)
        self._show(alias.adapter)
        return True

    def _show(self, adapter: str | None) -> None:
        show_adapter(self._shown, 0)
        show_adapter(adapter, 1)
        self._shown = adapter


def number_of(adapter: str, folder: Path) -> int:
    """A number that no other adapter has: vLLM itself counts from 1, and these are beyond a million, in 31 bits."""
    digest = hashlib.blake2b(f"{adapter}\0{folder}".encode(), digest_size=4).digest()
    return (int.from_bytes(digest) & 0x7FFFFFFF) | 1 << 20
