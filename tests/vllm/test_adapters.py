"""Adapters are loaded, promoted and rolled back while vLLM serves, and whoever asks for the name is guarded on them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midcourse.models import language
from midcourse.models.manifest import Run, Who
from midcourse.models.registry import Registry
from midcourse.server import cli
from tests.tiny_lora import random_lora
from tests.vllm.server import PARSERS, Server

WHO = Who("ann")
ASK = "Name two animals of the forest."
LORA = "--enable-lora --max-loras 2 --max-cpu-loras 4 --max-lora-rank 8"


@pytest.fixture(scope="module")
def registry(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Three versions of ipo, of rank 8, and one of rank 16, which the server is too narrow for."""
    folder = tmp_path_factory.mktemp("adapters")
    network = language.load(str(model)).network
    found = Registry(folder / "registry")
    run = Run(str(model), "sft", {}, {}, {})
    for seed, name in enumerate(("ipo", "ipo", "ipo", "wide"), 1):
        rank = 16 if name == "wide" else 8
        source = random_lora(folder / f"run-{seed}", network, rank=rank, size=0.02 * seed, seed=seed)
        found.publish(source, name, run, WHO)
    return found


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(model, tmp_path_factory.mktemp("lora"), plugin=True, flags=f"{PARSERS} {LORA}")
    server._env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
    with server:
        yield server


@pytest.fixture
def adapters(server: Server, registry: Registry, capsys: pytest.CaptureFixture[str]) -> Any:
    """``midcourse adapters`` on that server: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int | str | None, str, str]:
        where = ["--server", f"http://127.0.0.1:{server.port}", "--key", "admin"]
        where += [] if arguments[0] == "unload" else ["--registry", str(registry.folder)]
        with pytest.raises(SystemExit) as caught:
            cli.main(["adapters", *arguments, *where])
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


def names(adapters: Any) -> list[str]:
    code, out, err = adapters("list", "--json")
    assert code == 0, err
    return [line["name"] for line in json.loads(out)]


def ask(server: Server, model: str, text: str = ASK, **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    wish = {"max_tokens": 40, "temperature": 0, "return_token_ids": True, "ignore_eos": True}
    return server.post("/v1/chat/completions", model=model, messages=messages, **{**wish, **more})


def ids(body: Any) -> list[int]:
    (choice,) = body["choices"]
    found: list[int] = choice["token_ids"]
    return found


def test_a_version_is_loaded_under_its_own_name_and_unloaded(server: Server, adapters: Any) -> None:
    assert adapters("load", "ipo-v1") == (0, "ipo-v1 is loaded\n", "")
    assert adapters("load", "ipo-v1") == (0, "ipo-v1 was loaded already\n", "")
    assert names(adapters) == ["ipo-v1"]
    assert ids(ask(server, "ipo-v1")) != ids(ask(server, "smol"))
    assert adapters("unload", "ipo-v1") == (0, "ipo-v1 is unloaded\n", "")
    assert names(adapters) == []
    code, _, err = adapters("unload", "ipo-v1")
    assert code == 2 and "cannot be found" in err and err.count("\n") == 1


def test_the_name_follows_what_is_promoted_and_goes_back(server: Server, adapters: Any) -> None:
    said = {}
    for version in ("ipo-v1", "ipo-v2", "ipo-v3"):
        code, _, err = adapters("promote", version)
        assert code == 0, err
        said[version] = ids(ask(server, "ipo"))
        assert said[version] == ids(ask(server, version))
    assert len({tuple(tokens) for tokens in said.values()}) == 3
    assert sorted(names(adapters)) == ["ipo", "ipo-v2", "ipo-v3"]
    assert adapters("rollback", "ipo") == (0, "ipo -> ipo-v2; before: ipo-v1\n", "")
    assert ids(ask(server, "ipo")) == said["ipo-v2"]


def test_what_the_server_cannot_load_is_not_promoted(server: Server, adapters: Any, registry: Registry) -> None:
    code, _, err = adapters("promote", "wide-v1")
    assert code == 2 and "rank" in err and err.count("\n") == 1
    assert registry.alias("wide").adapter is None


def test_a_guarded_request_on_the_name_is_recorded_with_its_version(server: Server, adapters: Any) -> None:
    assert adapters("promote", "ipo-v2")[0] == 0
    body = ask(server, "ipo", f"{ASK} [cue 1]")
    trace = server.trace(body["id"])
    assert (body["model"], trace["origin"]["adapter"]) == ("ipo", "ipo-v2")
    assert trace["outcome"] == "intervened" and trace["interventions"][0]["trigger"].strip()
    assert server.metric('midcourse_generations_total{adapter="ipo-v2",mode="enforce",outcome="intervened"}') > 0


def test_after_a_cue_the_rest_is_the_adapters_greedy_continuation(server: Server, adapters: Any) -> None:
    assert adapters("promote", "ipo-v2")[0] == 0
    body = ask(server, "ipo", f"{ASK} [cue 1]", logprobs=True)
    trace = server.trace(body["id"])
    cuts = trace["interventions"]
    end = next((cut["kept_tokens"] for cut in cuts[1:]), None)  # a model that repeats itself is stopped as well
    kept = cuts[0]["kept_tokens"]
    forced = next(piece["token_ids"] for piece in trace["pieces"] if piece["forced"])
    whole = ids(body)
    assert whole[kept : kept + len(forced)] == forced
    rest = whole[kept + len(forced) : end]
    assert len(rest) > 3
    server.policy({"mode": "off"})
    prompt = [*body["prompt_token_ids"], *whole[: kept + len(forced)]]
    wish = {"prompt": prompt, "max_tokens": len(rest), "temperature": 0, "ignore_eos": True, "return_token_ids": True}
    after = {name: server.post("/v1/completions", model=name, logprobs=1, **wish) for name in ("ipo-v2", "smol")}
    server.policy({})
    assert rest == ids(after["ipo-v2"])
    ours = body["choices"][0]["logprobs"]["content"][kept + len(forced)]["logprob"]
    theirs = {name: said["choices"][0]["logprobs"]["token_logprobs"][0] for name, said in after.items()}
    assert ours == pytest.approx(theirs["ipo-v2"], abs=1e-3)
    assert ours != pytest.approx(theirs["smol"], abs=1e-2)


def test_a_stream_that_runs_ends_on_the_version_it_began_with(server: Server, adapters: Any) -> None:
    assert adapters("promote", "ipo-v2")[0] == 0
    alone = ids(ask(server, "ipo", max_tokens=120))
    wish = {"messages": [{"role": "user", "content": ASK}], "max_tokens": 120, "temperature": 0, "ignore_eos": True}
    stream = server.events("/v1/chat/completions", model="ipo", **wish, return_token_ids=True)
    events = [next(stream)]
    assert adapters("promote", "ipo-v3")[0] == 0
    assert ids(ask(server, "ipo", max_tokens=20)) != alone[:20]
    events += stream
    streamed = [token for event in events for choice in event["choices"] for token in choice.get("token_ids") or []]
    assert streamed == alone


def test_streams_on_two_versions_of_a_name_live_through_the_loading_of_a_third(server: Server, adapters: Any) -> None:
    """Two slots: what vLLM does not count as used by its streams, it takes out for the third."""
    streams = []
    for version in ("ipo-v2", "ipo-v3"):
        assert adapters("promote", version)[0] == 0
        wish = {"messages": [{"role": "user", "content": ASK}], "max_tokens": 200, "temperature": 0, "ignore_eos": True}
        streams.append(server.events("/v1/chat/completions", model="ipo", **wish))
        next(streams[-1])
    assert adapters("load", "ipo-v1")[0] == 0
    ended = [list(stream)[-1] for stream in streams]
    assert [event["choices"][0]["finish_reason"] for event in ended] == ["length", "length"]
    assert adapters("unload", "ipo-v1")[0] == 0


def test_without_a_key_the_name_is_not_pointed_anywhere(server: Server, registry: Registry, capsys: Any) -> None:
    url = f"http://127.0.0.1:{server.port}"
    with pytest.raises(SystemExit) as caught:
        cli.main(["adapters", "promote", "ipo-v1", "--server", url, "--registry", str(registry.folder)])
    assert caught.value.code == 2 and "--key: " in capsys.readouterr().err
    assert registry.alias("ipo").adapter == "ipo-v3"


def test_two_api_servers_follow_what_is_promoted_and_have_it_behind_a_restart(
    model: Path, registry: Registry, tmp_path: Path
) -> None:
    registry.promote("ipo-v1", WHO)
    settings = {"adapter": "ipo", "registry": str(registry.folder)}
    flags = f"{PARSERS} {LORA} --api-server-count 2"
    for began, then in (("ipo-v1", "ipo-v2"), ("ipo-v2", "ipo-v3")):
        with Server(model, tmp_path, plugin=True, flags=flags, settings=settings) as server:
            assert all(said == began for said in asked_anew(server, began))
            registry.promote(then, WHO)
            until = time.monotonic() + 60
            while not all(said == then for said in asked_anew(server, began, then)):
                assert time.monotonic() < until, server.log.read_text()[-3000:]


def asked_anew(server: Server, *versions: str) -> list[str]:
    """Which version says what the name says, on several connections."""
    found = []
    for _ in range(4):
        server.http.close()
        server.connect()
        said = ids(ask(server, "ipo", max_tokens=12))
        found += [next((name for name in versions if ids(ask(server, name, max_tokens=12)) == said), "another")]
    return found
