"""What is promoted serves under its name in vLLM's server, of itself."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from midcourse.models.manifest import Run, Who
from midcourse.models.registry import Registry
from midcourse.server import vllm_follow
from midcourse.server.errors import ConfigError
from midcourse.server.metrics import ADAPTER
from midcourse.server.vllm_follow import Follower, number_of
from tests.adapters import peft_folder

WHO = Who("ann")


class Models:
    """vLLM's table, and an engine that takes what it is not told to refuse."""

    def __init__(self) -> None:
        self.lora_requests: dict[str, Any] = {}
        self.loaded: list[str] = []
        self.refuses: set[str] = set()

    def is_base_model(self, name: str) -> bool:
        return name == "smol"

    async def load(self, models: Any, name: str, folder: Path, number: int) -> Any:
        assert models is self
        if name in self.refuses:
            raise ValueError("rank 16 is too much")
        self.loaded.append(name)
        return SimpleNamespace(lora_name=name, lora_path=str(folder), lora_int_id=number)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    found = Registry(tmp_path / "registry")
    for number in range(4):
        found.publish(peft_folder(tmp_path / f"run-{number}"), "ipo", Run("smol", "ipo", {}, {}, {}), WHO)
    return found


@pytest.fixture
def models() -> Models:
    return Models()


def follower(models: Models, registry: Registry, name: str = "ipo") -> Follower:
    return Follower(models, registry.folder, name, models.load)


def served(models: Models) -> dict[str, str]:
    return {name: Path(entry.lora_path).name for name, entry in models.lora_requests.items()}


async def test_a_name_leads_to_what_is_promoted_and_the_version_before_is_kept(
    models: Models, registry: Registry
) -> None:
    found = follower(models, registry)
    await found.start()
    assert served(models) == {}
    for number in (1, 2, 3):
        registry.promote(f"ipo-v{number}", WHO)
        await found.look()
        await found.look()
    assert models.loaded == ["ipo-v1", "ipo-v2", "ipo-v3"]
    assert served(models) == {"ipo-v2": "ipo-v2", "ipo-v3": "ipo-v3", "ipo": "ipo-v3"}
    assert models.lora_requests["ipo"].lora_int_id == models.lora_requests["ipo-v3"].lora_int_id
    assert ADAPTER.labels("ipo-v3")._value.get() == 1 and ADAPTER.labels("ipo-v2")._value.get() == 0
    for wanted in ("ipo-v2", "ipo-v1", None):
        registry.rollback("ipo", WHO)
        await found.look()
        assert served(models).get("ipo") == wanted


async def test_the_version_before_is_kept_however_often_it_served(models: Models, registry: Registry) -> None:
    found = follower(models, registry)
    for number in (1, 2, 1, 2):
        registry.promote(f"ipo-v{number}", WHO)
        await found.look()
    assert served(models) == {"ipo-v1": "ipo-v1", "ipo-v2": "ipo-v2", "ipo": "ipo-v2"}
    assert models.loaded == ["ipo-v1", "ipo-v2"]


async def test_a_server_that_starts_again_has_what_serves_under_the_same_number(
    models: Models, registry: Registry
) -> None:
    registry.promote("ipo-v1", WHO)
    await follower(models, registry).start()
    again = Models()
    await follower(again, registry).start()
    assert served(again) == served(models) == {"ipo-v1": "ipo-v1", "ipo": "ipo-v1"}
    first, second = (each.lora_requests["ipo"].lora_int_id for each in (models, again))
    assert first == second and 1 << 20 <= first < 1 << 31
    assert number_of("ipo-v2", registry.folder) != number_of("ipo-v1", registry.folder)


async def test_what_does_not_load_is_an_error_at_the_start_and_later_leaves_the_old_one(
    models: Models, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.refuses = {"ipo-v2"}
    registry.promote("ipo-v2", WHO)
    with pytest.raises(ConfigError, match="adapter: rank 16 is too much"):
        await follower(models, registry).start()
    registry.promote("ipo-v1", WHO)
    found = follower(models, registry)
    await found.start()
    monkeypatch.setattr(vllm_follow, "LOOK_SECONDS", 0.01)
    task = asyncio.create_task(found.follow())
    registry.promote("ipo-v2", WHO)
    await asyncio.sleep(0.2)
    assert served(models)["ipo"] == "ipo-v1" and models.loaded == ["ipo-v1"]
    registry.promote("ipo-v3", WHO)
    async with asyncio.timeout(10):
        while served(models)["ipo"] != "ipo-v3":
            await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_the_base_models_name_is_not_taken(models: Models, registry: Registry) -> None:
    with pytest.raises(ConfigError, match="smol is the name of the base model"):
        await follower(models, registry, "smol").start()
