"""The order of ``midcourse loop``, with steps that run nothing: what leads to what, and what ends it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from midcourse.server import loop as walk
from midcourse.server.loop_client import Answer
from midcourse.server.loop_commands import Commands


class Quiet(Commands):
    """Starts nothing. The gate says what it is told to say, one answer a round."""

    gate: list[bool]

    def run(self, name: str, *arguments: str, fine: Sequence[int] = (0,)) -> dict[str, Any]:
        return {"promoted": self.gate.pop(0)} if name.endswith("-gate") else {}

    @contextmanager
    def meanwhile(self, each: Any, fine: Sequence[int] = (0,)) -> Iterator[dict[str, dict[str, Any]]]:
        yield {}


class Asked:
    """A server that takes whatever is promoted, and a client of it. The adapters it was to take are kept."""

    taken: list[str]

    def __init__(self, commands: Commands, flags: Sequence[str]) -> None:
        pass

    @contextmanager
    def running(self) -> Iterator[None]:
        yield

    def ask(self, prompts: Sequence[Any], sampling: Any) -> list[Answer]:
        return [Answer(prompt, int(not self.taken), "untouched", False) for prompt in prompts]

    def scraped(self) -> dict[Any, float]:
        return {}

    def wait_for(self, adapter: str) -> None:
        self.taken.append(adapter)


class Step:
    """A round that learns from so many pairs, one number a round."""

    learns: list[int]
    parents: list[str]

    def __init__(self, commands: Commands, out: Path, number: int, wish: Any, parent: str) -> None:
        self.learned, self.adapter = self.learns.pop(0), f"loop-v{number}"
        self.parents.append(parent)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: name


@pytest.fixture
def walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(walk, "Commands", Quiet)
    monkeypatch.setattr(walk, "Client", Asked)
    monkeypatch.setattr(walk, "Round", Step)
    for name in ("read_measured", "decide", "table_of"):
        monkeypatch.setattr(walk, name, lambda *_: "")

    def walked(learns: list[int], gate: list[bool], rounds: int = 2) -> tuple[bool, dict[str, Any]]:
        Step.learns, Step.parents, Quiet.gate, Asked.taken = learns, [], gate, []
        passed = walk.loop(tmp_path / "out", json=False, model="smollm2", rounds=rounds)
        return passed, json.loads((tmp_path / "out" / "loop.json").read_text())

    return walked


def test_what_the_gate_lets_through_serves_is_asked_and_is_what_the_next_round_goes_on_from(walked: Any) -> None:
    passed, told = walked([3, 2], [True, True])
    assert passed and told["passed"] is True
    assert Asked.taken == ["loop-v1", "loop-v2"] and Step.parents == ["", "loop-v1"]
    assert [asked["adapter"] for asked in told["asked"]] == ["", "loop-v1", "loop-v2"]
    share = "harmful: the guard intervened"
    assert [asked["shares"][share]["value"] for asked in told["asked"]] == [1.0, 0.0, 0.0]
    assert [name[3:] for name in told["steps"]][-4:] == [
        "publish", "measure for the gate", "the server takes loop-v2", "ask loop-v2"
    ]  # fmt: skip


def test_what_the_gate_refuses_serves_nobody_and_ends_the_loop(walked: Any) -> None:
    passed, told = walked([3], [False])
    assert not passed and told["passed"] is False
    assert Asked.taken == [] and [asked["adapter"] for asked in told["asked"]] == [""]


@pytest.mark.parametrize(("learns", "gate", "passed"), [([0], [], False), ([3, 0], [True], True)])
def test_a_round_with_nothing_to_learn_is_the_last(
    learns: list[int], gate: list[bool], passed: bool, walked: Any
) -> None:
    assert walked(list(learns), gate)[0] is passed
    assert len(Asked.taken) == len(learns) - 1 and len(Step.parents) == len(learns)
