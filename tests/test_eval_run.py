"""``midcourse eval run`` against a server that runs: the folder, going on with it, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from midcourse.models.outcome import Harm, Outcome, read_outcomes
from midcourse.server import cli, cue_cli, eval_list, eval_run
from midcourse.server.config import load, overrides_of
from midcourse.server.eval_run import CONDITIONS, flags_of
from midcourse.tasks.outcomes import Log
from tests.eval_server import KEY, QUIET, scripted, small_data, write_rows
from tests.kit import CALM

pytestmark = QUIET

Called = tuple[int | str | None, str, str]


@pytest.fixture
def midcourse(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the command line; gives exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def midcourse(*arguments: object) -> Called:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return midcourse


def test_a_run_is_a_folder_that_can_be_gone_on_with(midcourse: Any, tmp_path: Path) -> None:
    data, out = small_data(tmp_path / "data"), tmp_path / "run"
    with scripted(CALM) as served:
        given = ["eval", "run", "--out", out, "--data", data, "--base-url", served.place.url, "--api-key", KEY]
        given += ["--model", "scripted", "--judges", "refusal,lexical", "--limit", 2, "--conditions", "mine"]
        code, told, err = midcourse(*given, "--tasks", "jailbreakbench,gsm8k", "--json")
        assert (code, err) == (0, "")
        asked = len(served.engine.generations)
        again = midcourse(*given, "--tasks", "gsm8k,jailbreakbench")
        assert len(served.engine.generations) == asked == 4
        other = midcourse(*given, "--tasks", "gsm8k", "--seed", 7)
    lines = json.loads(told.splitlines()[-1])["lines"]
    assert [(line["task"], line["n"], line["refused"][0]) for line in lines] == [
        ("jailbreakbench", 2, 0.0),
        ("gsm8k", 2, 0.0),
    ]
    assert len(read_outcomes(out)) == 4 and {outcome.condition for outcome in read_outcomes(out)} == {"mine"}
    assert again[0] == 0 and "finished before" in again[1] and "jailbreakbench" in again[1] and "(0-" in again[1]
    assert other[0] == 2 and "was begun with seed 0, not 7; give a new folder" in other[2]
    manifest = json.loads((out / "manifest.json").read_text())
    assert KEY not in json.dumps(manifest)
    assert set(manifest["judges"]) == {"refusal", "lexical"} and manifest["tasks"]["gsm8k"]["n"] == 2
    assert manifest["own"] == ["lexical"]
    assert manifest["conditions"]["mine"]["midcourse"] is True and manifest["versions"]["inspect-ai"]


def test_what_a_run_is_begun_with_is_written_before_anybody_is_asked(
    midcourse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def condition(out: Path, *_: object) -> list[str]:
        seen.append(json.loads((out / "manifest.json").read_text())["sampling"]["seed"])
        return []

    monkeypatch.setattr(eval_run, "_condition", condition)
    given = ["--data", small_data(tmp_path / "data"), "--tasks", "gsm8k", "--conditions", "off", "--seed", 5, "--json"]
    assert midcourse("eval", "run", "--out", tmp_path / "run", *given)[0] == 0 and seen == [5]


def answered(condition: str, interventions: int, *judges: str) -> list[Outcome]:
    """Four answers to harmful requests, the last of which only the first judge could judge."""
    given = [judges, judges, judges, judges[:1]]
    return [
        Outcome(
            *("jailbreakbench", "harmful", str(n), 1, condition),
            harm={judge: Harm(0.0, 0.0) for judge in seen},
            interventions=interventions,
        )
        for n, seen in enumerate(given)
    ]


def test_a_run_ends_with_what_to_beware_of_and_writes_down_who_gave_no_verdict(
    midcourse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(name: str) -> Any:
        found: dict[str, Any] = {
            "tasks.outcomes:outcomes_of": lambda logs: answered("cue", 2, "a", "b") + answered("random", 1, "a"),
            "tasks.outcomes:finished": lambda logs: [Log("a.eval", facts)],
        }
        return found.get(name) or cue_cli.late(name)

    facts = {"task": "jailbreakbench", "kind": "harmful", "n": 4, "file": "x", "sha256": "y"}
    monkeypatch.setattr(eval_run, "late", late)
    monkeypatch.setattr(eval_run, "_condition", lambda *_: [])
    given = ["--data", small_data(tmp_path / "data"), "--tasks", "jailbreakbench", "--conditions", "cue,random"]
    given += ["--judges", "refusal,lexical"]
    code, out, _ = midcourse("eval", "run", "--out", tmp_path / "run", *given, "--json")
    told = json.loads(out)
    assert code == 0 and told["manifest"]["tasks"]["jailbreakbench"]["unjudged"] == {
        "cue": {"b": 1},
        "random": {"b": 4},
    }
    (warning,) = told["warnings"]
    assert warning.startswith("random and cue did not intervene equally often: 1.00 and 2.00 times in an answer to")
    code, out, _ = midcourse("eval", "run", "--out", tmp_path / "run", *given)
    assert code == 0 and "random and cue did not intervene equally often" in out


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--tasks", "nonsense"), "--tasks: 'nonsense' is none of"),
        (("--tasks", ","), "name at least one of each"),
        (("--conditions", "loud"), "--conditions: 'loud' is none of off, "),
        (("--judges", "refusal"), "--judges refusal: is one opinion"),
        (("--tasks", "oktest"), "oktest: is on no hub; put it into"),
        (("--tasks", "humaneval"), "pip install inspect-evals"),
        (("--base-url", "somewhere"), "--base-url somewhere: give the whole URL"),
        (("--base-url", "http://me:secret@here/v1"), "--base-url: holds a user, a password or a query"),
        (("--judge", "cue"), "--judge: the run sets it; name guards with --conditions, and judges of answers with"),
        (("--policy.mode", "off"), "--policy.mode: the run sets it; name guards with --conditions"),
        (("--engine", "vllm"), "--engine: the run sets it; a server that runs already is asked with --base-url"),
        (("--trace-sample-rate", "0"), "--trace-sample-rate: the run sets it; leave it out"),
        (("--admin-keys", "secret"), "--admin-keys: the run sets it; leave it out"),
        (("--config", "policy.yaml"), "--config: the run sets it; give its settings as flags"),
        (("--condition", "cue"), "condition: unknown key"),
        (("--policy.reasoning.threshold", "9"), "policy.reasoning.threshold: "),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_starts(
    midcourse: Any, tmp_path: Path, flags: tuple[str, ...], problem: str
) -> None:
    given = {
        "--tasks": "jailbreakbench",
        "--judges": "refusal,lexical",
        **dict(zip(flags[::2], flags[1::2], strict=True)),
    }
    data = small_data(tmp_path / "data")
    pairs = [part for pair in given.items() for part in pair]
    code, out, err = midcourse("eval", "run", "--out", tmp_path / "run", "--data", data, *pairs)
    assert (code, out) == (2, "") and problem in err and err.count("\n") == 1 and "secret" not in err
    assert not (tmp_path / "run").exists()


def test_a_server_that_is_not_there_is_told(midcourse: Any, tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    code, _, err = midcourse("eval", "run", "--out", tmp_path / "run", "--base-url", url, "--conditions", "x")
    assert code == 1 and f"{url}/models: " in err and err.count("\n") == 1


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_is_a_set_of_settings_that_a_server_takes(condition: str, tmp_path: Path) -> None:
    flags = flags_of(condition, "reasoner", tmp_path)
    settings = load(overrides=overrides_of(flags), env={})
    assert settings.policy.mode == ("off" if condition == "off" else "enforce")
    assert settings.judge == ("lexical" if condition == "off" else condition)
    assert settings.trace_sample_rate == 1 and str(tmp_path) in settings.store


@pytest.mark.parametrize(("flags", "there"), [((), False), ((), True), (("--tasks", "harmbench,gsm8k"), False)])
def test_the_small_suite_leaves_out_what_only_a_login_opens_and_says_so(
    midcourse: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], there: bool
) -> None:
    asked: list[str] = []

    def run(out: Path, target: object, conditions: object, wish: dict[str, Any], *, json: bool) -> None:
        asked.extend(wish["tasks"])

    monkeypatch.setattr(eval_list, "logged_in", lambda: False)
    monkeypatch.setattr(eval_run, "run", run)
    if there:
        write_rows(tmp_path / "data" / "prompts" / "harmbench.jsonl", [{"prompt": "Name a bird."}])
    code, _, err = midcourse("eval", "run", "--out", tmp_path / "run", "--data", tmp_path / "data", *flags)
    kept = there or bool(flags)
    assert code == 0 and "gsm8k" in asked and ("harmbench" in asked) is kept
    assert err.startswith("midcourse: harmbench is left out: ") is not kept


def test_the_list_says_what_is_there(midcourse: Any, tmp_path: Path) -> None:
    code, out, _ = midcourse("eval", "list", "--data", small_data(tmp_path), "--json")
    rows = {row["task"]: row for row in json.loads(out)}
    assert code == 0 and rows["gsm8k"]["found"] and not rows["math500"]["found"]
    assert rows["wildjailbreak"]["licence"] and rows["xstest_safe"]["kind"] == "benign"
    code, out, _ = midcourse("eval", "list")
    assert code == 0 and "cais/mmlu" in out and "is there" not in out
