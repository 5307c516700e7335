"""One round of the loop: commands that exist, in an order in which each finds what the one before it wrote."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import typer

from midcourse.guard.trace import Reviewed
from midcourse.models.rows import only_train, read
from midcourse.server.cli import app
from midcourse.server.errors import EngineError
from midcourse.server.loop_commands import Commands
from midcourse.server.loop_round import RULES, THOUGHTS, Round, Wish
from midcourse.server.measure import PROMPTS as ASKED
from midcourse.server.measure import THOUGHTS as PLANS
from midcourse.server.measure import Prompt, read_prompts
from midcourse.server.rules import read_rules
from midcourse.server.store import open_store
from tests.test_trace import example

TOLD: dict[str, dict[str, Any]] = {
    "rules": {"rules": {"corrected": 2, "refused": 5, "harmless": 3}},
    "pairs": {"pairs": {"train": 2, "test": 1}, "interventions": 4},
    "benign": {"pairs": {"train": 4, "test": 0}, "interventions": 6},
    "rollouts": {"completed": 3, "tokens": 90},
    "train": {"metrics": {"updates": 5}},
    "publish": {"adapter": "loop-v1"},
}
PROMPTS = [
    Prompt("h1", "Hurt.", False, "train"),
    Prompt("h2", "Harm.", False, "train"),
    Prompt("b1", "How?", True, "train"),
]


class Noted(Commands):
    """Runs nothing: notes what it was to run, and says what a command would."""

    def __init__(self, logs: Path) -> None:
        super().__init__(logs)
        self.asked: dict[str, Sequence[str]] = {}

    def run(self, name: str, *arguments: str, fine: Sequence[int] = (0,)) -> dict[str, Any]:
        self.asked[name] = arguments
        return TOLD.get(name.partition("-")[2], {})

    def beside(self, each: Mapping[str, Sequence[str]], fine: Sequence[int] = (0,)) -> dict[str, dict[str, Any]]:
        self.asked |= each
        left_out = {name: [{"id": "b1", "why": "too long"}] if name.endswith("benign") else [] for name in each}
        return {name: {"generations": 2, "interventions": 1, "left_out": left_out[name]} for name in each}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A store with two benign traces that nobody approved."""
    plain = replace(example(), prompt="How?", outcome="untouched", interventions=())
    plain = replace(plain, origin=replace(plain.origin, purpose="collect"))
    store = open_store(f"sqlite:///{tmp_path / 'traces.db'}")
    store.put([replace(plain, id=name) for name in "ab"])
    store.close()
    return tmp_path


def walked(out: Path, parent: str = "", approved: bool = True, **wish: Any) -> tuple[Round, Noted, list[str]]:
    """Of those approved, one is harmless, one was corrected, and one is harmless and was corrected all the same."""
    commands = Noted(out / "logs")
    one = Round(commands, out, 1, Wish("smollm2", train=("--beta", "0.2"), **wish), parent)
    told = [one.collect(PROMPTS)]
    if approved:
        store = open_store(f"sqlite:///{out / 'traces.db'}")
        cut = replace(example(), prompt="Hurt.", review="approved", reviewed=Reviewed(5.0, "jo"))
        cut = replace(cut, origin=replace(cut.origin, purpose="collect", created=time.time() + 60))
        plain = replace(cut, id="c", prompt="How?", outcome="untouched", interventions=())
        store.put([plain, replace(cut, id="d"), replace(cut, id="e", prompt="How?")])
        store.close()
    told += [one.approve(PROMPTS), one.pairs(), one.rollouts(), one.benign(), one.train(), one.publish()]
    return one, commands, told


def test_every_step_says_what_came_of_it_and_the_last_names_the_adapter(out: Path) -> None:
    one, _, told = walked(out)
    assert told == [
        "6 generations, 3 interventions, 1 prompts left out",
        "2 corrected traces, 5 refused (1 of them left out: the request is harmless), 3 without a correction",
        "3 pairs of 4 interventions",
        "3 rejected sides, 90 tokens",
        "4 pairs of 6 thoughts",
        "5 updates",
        "loop-v1",
    ]
    assert one.adapter == "loop-v1"


def test_every_command_is_one_that_there_is_with_flags_that_it_knows(out: Path) -> None:
    config = pytest.importorskip("midcourse.train.ipo_config", reason="trl is not installed (the extra train)")
    known = {f"--{each.name}" for kind in (config.Ours, config.Theirs) for each in fields(kind)} | {"--model"}
    _, commands, _ = walked(out)
    assert len(commands.asked) == 9
    for arguments in commands.asked.values():
        command: Any = typer.main.get_command(app)
        rest = list(arguments)
        while hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]
        context = command.make_context("midcourse", rest, resilient_parsing=False)
        given = {part for part in context.args if part.startswith("--")}
        assert given <= known if arguments[0] == "train" else len(context.args) == 2 * len(given)


def test_harmful_prompts_are_asked_with_triggers_and_shared_out_and_benign_ones_without(out: Path) -> None:
    _, commands, _ = walked(out)
    asked = {name: arguments for name, arguments in commands.asked.items() if "collect" in name}
    texts = {
        name: [json.loads(line)["prompt"] for line in Path(given[1]).read_text().splitlines()]
        for name, given in asked.items()
    }
    assert texts == {"1-collect-harmful-1": ["Hurt."], "1-collect-harmful-2": ["Harm."], "1-collect-benign": ["How?"]}
    assert [name for name, given in asked.items() if "--triggers" in given] == [
        "1-collect-harmful-1",
        "1-collect-harmful-2",
    ]


def test_only_what_was_approved_is_kept_for_training(out: Path) -> None:
    one, commands, told = walked(out, approved=False)
    files = [out / "round-1" / name for name in ("retain.jsonl", "approved.jsonl", "harmless.jsonl")]
    assert [file.read_text() for file in files] == ["", "", ""]
    assert told[2] == "0 pairs of 0 interventions" and told[4] == "0 pairs of 0 thoughts" and not one.learned
    assert not {"1-pairs", "1-benign"} & commands.asked.keys()


def test_a_correction_of_a_harmless_request_is_not_learned(out: Path) -> None:
    one, _, _ = walked(out)
    lines = (out / "round-1" / "approved.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["d"] and one.learned == 2


def test_pairs_of_which_none_is_left_are_none_and_a_command_that_failed_is_an_error(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOLD, "benign", {"pairs": {"train": 0, "test": 0}, "interventions": 6})
    one, commands, told = walked(out)
    assert told[4] == "0 pairs of 6 thoughts" and "--benign_pairs" not in commands.asked["1-train"]
    monkeypatch.setitem(TOLD, "pairs", {})
    with pytest.raises(EngineError, match="pairs failed"):
        one.pairs()


def test_harmless_thoughts_of_the_round_are_kept_and_become_pairs_of_which_none_is_left_out(out: Path) -> None:
    _, commands, _ = walked(out)
    assert json.loads((out / "round-1" / "retain.jsonl").read_text())["id"] == "c"
    given = list(commands.asked["1-train"])
    ratio = float(given[given.index("--harmful_ratio") + 1])
    assert int(2 / ratio) == 4 and round(4 * ratio) == 2
    assert str(out / "round-1" / "retain.jsonl") in given and str(THOUGHTS[0]) in given


def test_a_wish_without_either_trains_on_the_pairs_alone(out: Path) -> None:
    _, commands, told = walked(out, benign_pairs=False, tries=0, epochs=1.5, retain_weight=0.5)
    assert told[4] == "none" and "1-benign" not in commands.asked
    given = list(commands.asked["1-train"])
    assert "--benign_pairs" not in given
    assert given[given.index("--num_train_epochs") + 1] == "1.5" and given[given.index("--retain_weight") + 1] == "0.5"


def test_the_thoughts_that_come_along_are_benign_of_the_split_train_and_none_of_those_that_are_measured() -> None:
    held_out = {row.prompt for row in read(PLANS)} | {prompt.text for prompt in read_prompts(ASKED)}
    for file in THOUGHTS:
        only_train(file)
        assert all(row.benign == "yes" and row.prompt not in held_out for row in read(file))


def test_what_serves_is_trained_on(out: Path) -> None:
    _, commands, _ = walked(out, parent="loop-v3")
    given = list(commands.asked["1-train"])
    assert given[given.index("--adapter") + 1] == str(out / "adapters" / "loop-v3")
    assert given[-3:] == ["--beta", "0.2", "--json"]


def test_the_shipped_rules_are_rules() -> None:
    assert [rule.name for rule in read_rules(RULES).rules if rule.review == "approved"] == [
        "corrected",
        "harmless",
        "refused",
    ]
