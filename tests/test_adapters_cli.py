"""``midcourse adapters`` as one types it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midcourse.server import cli
from tests.adapters import RUN, run_folder
from tests.test_adapters_remote import Fake, running


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command and gives exit code, stdout and stderr."""
    monkeypatch.setenv("MIDCOURSE_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("USER", "ann")
    run_folder(tmp_path / "run")

    def run(*arguments: str) -> tuple[int | str | None, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main(["adapters", *arguments])
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return run


def published(run: Any, tmp_path: Path, *more: str) -> Any:
    code, out, err = run("publish", str(tmp_path / "run"), "--name", "ipo", "--json", *more)
    assert code == 0, err
    return json.loads(out)


def test_a_run_is_published_promoted_and_rolled_back(run: Any, tmp_path: Path) -> None:
    first = published(run, tmp_path)
    assert (first["adapter"], first["base_model"]) == ("ipo-v1", RUN["base_model"])
    assert Path(first["folder"]) == tmp_path / "registry" / "ipo-v1"
    assert run("promote", "ipo-v1", "--reason", "round one") == (0, "ipo -> ipo-v1\n", "")
    assert published(run, tmp_path)["parent"] == "ipo-v1"
    assert run("promote", "ipo-v2") == (0, "ipo -> ipo-v2; before: ipo-v1\n", "")
    assert run("rollback", "ipo", "--by", "bob") == (0, "ipo -> ipo-v1\n", "")
    assert run("rollback", "ipo") == (0, "ipo -> the base model\n", "")


def test_what_is_told_to_people_is_told_to_machines(run: Any, tmp_path: Path) -> None:
    published(run, tmp_path, "--reason", "new data")
    alias = json.loads(run("promote", "ipo-v1", "--json")[1])
    assert (alias["adapter"], alias["before"], alias["by"]) == ("ipo-v1", [], "ann")
    (row,) = json.loads(run("list", "--json")[1])
    assert (row["adapter"], row["serves"], row["method"]) == ("ipo-v1", True, "sft")
    assert json.loads(run("show", "ipo", "--json")[1])["serves"]
    events = json.loads(run("history", "--json")[1])
    assert [(event["did"], event["by"], event["reason"]) for event in events] == [
        ("publish", "ann", "new data"),
        ("promote", "ann", None),
    ]


def test_the_lists_are_for_people(run: Any, tmp_path: Path) -> None:
    assert "holds no adapter; midcourse adapters publish" in run("list")[1].replace("\n", " ")
    assert "nothing was done yet" in run("history")[1]
    published(run, tmp_path)
    run("promote", "ipo-v1", "--reason", "round\x1b[31m one")
    listed = run("list")[1]
    assert "ipo-v1" in listed and "yes" in listed and "tiny" in listed
    said = run("history")[1].splitlines()
    assert said[0].endswith("publish   published ipo-v1  by ann")
    assert "base model -> ipo-v1  by ann: round" in said[1] and "\x1b" not in said[1]
    code, shown, _ = run("show", "ipo-v1")
    assert code == 0 and "# ipo-v1" in shown and shown.endswith("ipo-v1: serves\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("promote", "ipo"), "is no version; say NAME-vN, such as ipo-v1"),
        (("promote", "ipo-v9"), "ipo-v9: is not in"),
        (("rollback", "ipo"), "there is nothing to roll back"),
        (("show", "ipo"), "nothing was promoted"),
        (("publish", "nowhere", "--name", "ipo"), "adapter_config.json: cannot be read"),
        (("publish", "{run}", "--name", "ipo-v3"), "'ipo-v3' is no name"),
        (("publish", "{run}", "--name", "ipo", "--parent", "ipo-v7"), "ipo-v7: is not in"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str, run: Any, tmp_path: Path) -> None:
    published(run, tmp_path)
    code, out, err = run(*(argument.format(run=tmp_path / "run") for argument in arguments))
    assert (code, out) == (2, "")
    assert said in err and err.startswith("midcourse: ") and err.count("\n") == 1


@pytest.fixture
def vllm() -> Iterator[Fake]:
    with running(Fake()) as fake:
        yield fake


def test_a_running_vllm_server_loads_follows_and_goes_back(run: Any, vllm: Fake, tmp_path: Path) -> None:
    where = ("--server", vllm.url, "--key", "key")
    for _ in range(2):
        published(run, tmp_path)
    assert run("list", *where) == (0, "no adapter is loaded\n", "")
    assert run("load", "ipo-v1", *where) == (0, "ipo-v1 is loaded\n", "")
    assert run("load", "ipo-v1", *where) == (0, "ipo-v1 was loaded already\n", "")
    for version in ("ipo-v1", "ipo-v2"):
        assert run("promote", version, *where)[0] == 0
        assert vllm.adapters["ipo"] == str(tmp_path / "registry" / version)
    assert run("list", *where)[1] == "".join(f"{name}  {path}\n" for name, path in vllm.adapters.items())
    assert [line["name"] for line in json.loads(run("list", "ipo-v2", "--json", *where)[1])] == ["ipo-v2"]
    assert run("rollback", "ipo", *where) == (0, "ipo -> ipo-v1\n", "")
    assert vllm.adapters["ipo"] == str(tmp_path / "registry" / "ipo-v1")
    assert run("rollback", "ipo", *where) == (0, "ipo -> the base model\n", "")
    assert run("unload", "ipo-v2", *where) == (0, "ipo-v2 is unloaded\n", "")
    assert sorted(vllm.adapters) == ["ipo-v1"]


def test_a_server_that_refuses_leaves_a_rollback_undone(run: Any, vllm: Fake, tmp_path: Path) -> None:
    for version in ("ipo-v1", "ipo-v2"):
        published(run, tmp_path)
        assert run("promote", version)[0] == 0
    for _ in range(2):
        assert run("rollback", "ipo", "--server", vllm.url, "--key", "wrong")[0] == 2
        assert run("rollback", "ipo", "--server", "http://127.0.0.1:9")[0] == 1
    assert run("rollback", "ipo", "--server", vllm.url, "--key", "key") == (0, "ipo -> ipo-v1\n", "")


@pytest.mark.parametrize(
    ("parent", "told"),
    [(None, None), ("{registry}/ipo-v1", "ipo-v1"), ("{registry}/../elsewhere/ipo-v1", None)],
)
def test_the_parent_is_what_the_run_went_on_from_and_not_what_serves(
    parent: str | None, told: str | None, run: Any, tmp_path: Path
) -> None:
    for version in ("ipo-v1", "ipo-v2"):
        published(run, tmp_path)
        assert run("promote", version)[0] == 0
    said = parent and {"adapter": parent.format(registry=tmp_path / "registry"), "sha256": "0"}
    trained = run_folder(tmp_path / "trained", parent=said)
    assert json.loads(run("publish", str(trained), "--name", "ipo", "--json")[1])["parent"] == told
    given = ("--parent", "ipo-v2", "--json")
    assert json.loads(run("publish", str(trained), "--name", "ipo", *given)[1])["parent"] == "ipo-v2"


def test_what_a_server_cannot_load_is_not_promoted(run: Any, vllm: Fake, tmp_path: Path) -> None:
    code, out, err = run("publish", str(tmp_path / "run"), "--name", "wide", "--json")
    assert code == 0, err
    code, out, err = run("promote", "wide-v1", "--server", vllm.url)
    assert (code, out) == (2, "") and "rank 16 is too much" in err
    published(run, tmp_path)
    code, out, err = run("promote", "ipo-v1", "--server", vllm.url, "--key", "wrong")
    assert (code, out) == (2, "") and "--key: " in err
    assert not any(row["serves"] for row in json.loads(run("list", "--json")[1]))
    assert run("promote", "wide-v1", "--server", "http://127.0.0.1:9")[0] == 1
