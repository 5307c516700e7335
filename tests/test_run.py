"""Tasks by Inspect, against a real server with a scripted engine: what is asked, heard, scored and read back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log

from midcourse.guard.policy import REFUSAL
from midcourse.models.answer import Answer
from midcourse.models.outcome import Harm, Outcome
from midcourse.server.scripted import Script
from midcourse.tasks import build
from midcourse.tasks.catalogue import BENCHMARKS
from midcourse.tasks.items import items_of
from midcourse.tasks.outcomes import outcomes_of
from midcourse.tasks.run import Place, Wish, pending, run
from midcourse.tasks.said import KEY as SAID
from tests.eval_server import QUIET, Served, scripted, small_data, wish
from tests.kit import CALM, CUED
from tests.model_server import serving

pytestmark = QUIET

REFUSED = Script("Let me think. First, the BAD plan.", (" A BAD plan again.", " And BAD again.", " Still BAD."))
SUM = "Two and two.\n</think>\n\nThat makes 4."


def answers(served: Served, asked: Wish, logs: Path, condition: str = "cue") -> list[Outcome]:
    assert run(asked, condition, served.place, logs, "none") == []
    return outcomes_of(logs)


def said_in(logs: Path) -> list[dict[str, Any]]:
    found = [read_eval_log(info) for info in list_eval_logs(str(logs))]
    return [sample.metadata[SAID] for log in found for sample in log.samples or []]


class Listener:
    """Remembers what it was to judge."""

    name, version, own = "listener", "1", False

    def __init__(self) -> None:
        self.heard: list[Answer] = []

    def judge(self, answers: Any) -> list[Harm]:
        self.heard += answers
        return [Harm(0.25, None) for _ in answers]


class Mute(Listener):
    """Gives no verdict on every other answer."""

    name = "mute"

    def judge(self, answers: Any) -> list[Harm | None]:  # type: ignore[override]
        self.heard += answers
        return [Harm(0.5, 0.5) if len(self.heard) % 2 else None]


class Broken(Listener):
    """Cannot be reached."""

    name = "broken"

    def judge(self, answers: Any) -> list[Harm]:
        raise ConnectionError("nobody judges here")


def test_three_kinds_of_tasks_become_outcomes_with_the_guards_counts(tmp_path: Path) -> None:
    asked = wish(small_data(tmp_path / "data"), "jailbreakbench", "xstest_safe", "gsm8k", limit=2, epochs=2)
    with scripted(SUM) as served:
        found = answers(served, asked, tmp_path / "logs")
        seeds = {generation.sampling.seed for generation in served.engine.generations}
        temperatures = {generation.sampling.temperature for generation in served.engine.generations}
    assert len(found) == 12 and {outcome.condition for outcome in found} == {"cue"}
    assert {outcome.epoch for outcome in found} == {1, 2} == {seed + 1 for seed in seeds if seed is not None}
    assert temperatures == {0.6}
    safety = [outcome for outcome in found if outcome.task == "jailbreakbench"]
    assert {name for outcome in safety for name in outcome.harm} == {"refusal", "lexical"}
    assert {outcome.correct for outcome in safety} == {None} and {outcome.refused for outcome in safety} == {False}
    sums = {outcome.id: outcome.correct for outcome in found if outcome.task == "gsm8k"}
    right = {item.id: item.target == "4" for item in items_of(BENCHMARKS["gsm8k"], asked.data, limit=2).items}
    assert sums == right
    assert {(outcome.interventions, outcome.injected, outcome.finish) for outcome in found} == {(0, 0, "stop")}
    assert {part for said in said_in(tmp_path / "logs") for part in (said["reasoning"], said["response"])} == {
        "Two and two.",
        "That makes 4.",
    }


@pytest.mark.parametrize("key", ["an-admin", "plain"])
def test_judges_never_read_what_the_guard_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    listener = Listener()
    monkeypatch.setattr(build, "panel_of", lambda specs: [listener])
    asked = wish(small_data(tmp_path / "data"), "jailbreakbench", limit=2)
    with scripted(CUED, REFUSED, key=key) as served:
        found = answers(served, asked, tmp_path / "logs")
    calm, refused = sorted(listener.heard, key=lambda answer: len(answer.response), reverse=True)
    assert calm.response == "I can't help with that."
    assert calm.reasoning.startswith("Let me think.") and calm.reasoning.endswith("No, I stop.")
    assert refused.reasoning == "Let me think." and refused.response == ""
    assert {outcome.refused for outcome in found} == {True}
    assert {outcome.interventions for outcome in found} == {1, 4}
    assert all(outcome.injected and outcome.withheld for outcome in found)
    assert {outcome.harm["listener"] for outcome in found} == {Harm(0.25, None)}


def test_of_another_server_the_text_is_taken_as_it_comes(tmp_path: Path) -> None:
    asked = wish(small_data(tmp_path / "data"), "xstest_safe", limit=1)
    with scripted(f"I see.\n</think>\n\n{REFUSAL}") as served:
        found = answers(served._replace(place=replace(served.place, midcourse=False)), asked, tmp_path / "logs")
    assert [(outcome.refused, outcome.interventions) for outcome in found] == [(True, 0)]
    assert said_in(tmp_path / "logs")[0]["response"] == REFUSAL


def test_a_server_that_parts_nothing_is_heard_by_the_tags_that_it_left_in(tmp_path: Path) -> None:
    asked = wish(small_data(tmp_path / "data"), "gsm8k", limit=1)
    with serving(chat="It is 7, or 8?\n</think>\n\nThat makes 4.") as (url, _):
        assert run(asked, "bare", Place(url, "none", "m", midcourse=False), tmp_path / "logs", "none") == []
    (said,) = said_in(tmp_path / "logs")
    assert (said["reasoning"], said["response"]) == ("It is 7, or 8?", "That makes 4.")


def test_an_answer_without_a_verdict_was_not_judged_by_that_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "panel_of", lambda specs: [Listener(), Mute()])
    asked = wish(small_data(tmp_path / "data"), "jailbreakbench", limit=2)
    with scripted(CALM) as served:
        found = answers(served, asked, tmp_path / "logs")
    assert sorted(sorted(outcome.harm) for outcome in found) == [["listener"], ["listener", "mute"]]


def test_a_judge_that_fails_fails_its_task_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "panel_of", lambda specs: [Broken()])
    asked = wish(small_data(tmp_path / "data"), "jailbreakbench", "gsm8k", limit=1)
    with scripted(CALM) as served:
        (trouble,) = run(asked, "cue", served.place, tmp_path / "logs", "none")
    assert trouble.startswith("jailbreakbench: ") and "nobody judges here" in trouble
    assert {outcome.task for outcome in outcomes_of(tmp_path / "logs")} == {"gsm8k"}
    assert pending(asked, "cue", tmp_path / "logs") == ["jailbreakbench"]
    assert pending(asked, "off", tmp_path / "logs") == ["jailbreakbench", "gsm8k"]
