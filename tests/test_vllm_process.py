"""One process of vLLM with midcourse in it, with as much of vLLM as its names."""

import asyncio
import multiprocessing
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from midcourse.server.config import Settings, load
from midcourse.server.errors import ConfigError
from midcourse.server.vllm_asked import ASKED
from midcourse.server.vllm_plugin import guard
from midcourse.server.vllm_process import Endpoints, Process
from tests import fake_vllm
from tests.fake_vllm import Inner, Params, Words
from tests.kit import WordJudge


def process(folder: Path, **settings: str) -> Process:
    given = {"store": f"sqlite:///{folder}/t.db", "spool_dir": str(folder / "spool"), "judge": "lexical", **settings}

    def read() -> Settings:
        return load(None, given, {})

    return Process(read, lambda _: WordJudge(), shim="tests.fake_vllm")


def engine(*names: str) -> Any:
    """An engine that says that it is fine."""
    return SimpleNamespace(
        kit=Words(), model_config=SimpleNamespace(served_model_name=list(names) or None, model="folder")
    )


async def test_an_engine_is_guarded_once_and_its_parts_are_shared(tmp_path: Path) -> None:
    made = process(tmp_path)
    one, two = engine("smol", "alias"), engine()
    first = made.guarded(one, Inner(one.kit, "It is fine."))
    assert first.__self__ is made.guarded(one, Inner(one.kit, "")).__self__  # type: ignore[attr-defined]
    assert first.__self__ is not made.guarded(two, Inner(two.kit, "")).__self__  # type: ignore[attr-defined]
    assert made.guard is not None and made.guard is made.open(two) and made.guard.model == "smol"
    out = [o async for o in first({"prompt_token_ids": [1]}, Params(), "id")]
    assert out[-1].finished
    await made.close()


async def test_a_process_without_an_engine_has_nothing_to_close(tmp_path: Path) -> None:
    await process(tmp_path).close()


def test_the_guard_stands_in_the_way_once_everything_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[tuple[Callable[..., Any], Callable[[], bool]]] = []
    monkeypatch.setattr(fake_vllm, "install", lambda *given: installed.append(given))
    made = process(tmp_path)
    for version, env, said in (
        (None, {}, "not installed"),
        ("0.99", {}, "0.99 is installed"),
        ("0.32.0", {"VLLM_USE_RUST_FRONTEND": "1"}, "unset it"),
    ):
        with pytest.raises(ConfigError, match=said):
            made.install(version, env)
    with pytest.raises(ConfigError, match="--api-key"):
        process(tmp_path, api_keys="secret").install("0.32.0", {})
    assert installed == []
    made.install("0.32.0", {})
    assert installed == [(made.guarded, made.on)]


async def test_the_guard_is_on_unless_its_policy_says_that_it_is_off(tmp_path: Path) -> None:
    for mode, on in (("enforce", True), ("shadow", True), ("off", False)):
        made = process(tmp_path, **{"policy.mode": mode})
        assert made.on()
        made.open(engine("smol"))
        assert made.on() is on
        await made.close()


async def test_vllms_server_gets_our_routes_our_ears_and_our_end(tmp_path: Path) -> None:
    made = process(tmp_path, admin_keys="key")
    app = FastAPI()
    plugin = Endpoints(made)

    async def answer() -> str:
        asked = ASKED.get()
        return asked.text if asked else ""

    app.add_api_route("/v1/chat/completions", answer, methods=["POST"])
    app.add_api_route("/v1/new", answer, methods=["POST"])
    app.add_api_route("/v1/load_lora_adapter", answer, methods=["POST"])
    plugin.attach_router(app)
    await plugin.init_state(engine("smol"), app.state, None)
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        heard = await client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}]})
        assert heard.json() == "Hi"
        assert (await client.post("/v1/new")).status_code == 403
        assert (await client.get("/v1/midcourse/policy")).status_code == 401
        assert (await client.post("/v1/load_lora_adapter")).status_code == 401
        keyed = await client.get("/v1/midcourse/policy", headers={"Authorization": "Bearer key"})
        assert made.guard is not None and keyed.json()["hash"] == made.guard.policies.current.hash
    assert "midcourse-traces" not in {thread.name for thread in threading.enumerate()}


async def test_the_adapter_of_the_settings_is_followed_while_the_server_runs(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    made, app = process(tmp_path, adapter="ipo", registry=str(registry)), FastAPI()
    plugin = Endpoints(made)
    plugin.attach_router(app)
    await plugin.init_state(engine("smol"), app.state, None)
    app.state.openai_serving_models = SimpleNamespace(lora_requests={}, is_base_model=lambda name: name == "smol")
    async with app.router.lifespan_context(app):
        assert [task.get_name() for task in asyncio.all_tasks()].count("midcourse-adapter") == 1
    await asyncio.sleep(0)
    assert "midcourse-adapter" not in {task.get_name() for task in asyncio.all_tasks()}
    app.state.openai_serving_models.is_base_model = lambda name: True
    with pytest.raises(ConfigError, match="is the name of the base model"):
        async with app.router.lifespan_context(app):
            pass


async def test_a_server_without_an_engine_is_no_place_for_a_guard(tmp_path: Path) -> None:
    plugin = Endpoints(process(tmp_path))
    plugin.attach_router(FastAPI())
    with pytest.raises(ConfigError, match="needs an engine"):
        await plugin.init_state(None, SimpleNamespace(), None)


def test_vllms_own_processes_need_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "midcourse")
    monkeypatch.setattr(multiprocessing.current_process(), "name", "EngineCore_DP1")
    guard()


@pytest.mark.parametrize("named", [None, "", "lora", "midcourses"])
def test_nothing_happens_where_nobody_named_us(named: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    if named is not None:
        monkeypatch.setenv("VLLM_PLUGINS", named)
    guard()
    assert "midcourse.server.vllm_shim" not in sys.modules


def test_where_we_are_named_and_cannot_guard_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "lora,midcourse")
    with pytest.raises(ConfigError, match="vLLM is not installed"):
        guard()
