"""The command line: flags, one-line errors, exit codes."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from midcourse import __version__
from midcourse.guard.verdict import Query, Verdict
from midcourse.server.cli import app, main
from midcourse.server.doctor import step_seconds
from midcourse.server.errors import JudgeError
from midcourse.server.vllm_version import installed
from tests.test_trace import example
from tests.tiny_judge import build


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, in this process."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    code = caught.value.code
    return (code if isinstance(code, int) else 0), out, err


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("MIDCOURSE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MIDCOURSE_JUDGE", "lexical")  # what is flagged here is flagged by its words


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", capsys=capsys) == (0, f"midcourse {__version__}\n", "")


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        command.name or (command.callback.__name__ if command.callback else "") for command in app.registered_commands
    ]
    assert {"serve", "collect", "check", "demo", "doctor"} <= set(names)
    for name in names:
        code, out, _ = run(name, "--help", capsys=capsys)
        assert code == 0 and "Usage: midcourse" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["serve", "--polcy.mode", "off"], "polcy.mode: unknown key"),
        (["serve", "--policy.mode", "on"], "policy.mode: is 'on'; choose one of off, shadow, enforce"),
        (["serve", "--port"], "--port: needs a value"),
        (["serve", "/nowhere/at/all"], "model"),
        (["serve", "--port", "1", "loose"], "loose: unexpected"),
        (["serve", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
        (["serve", "--store", "x"], "store: 'x' is not a store URL"),
        (["serve", "--model", "/nowhere/at/all"], "model"),
        (["collect", "/nowhere.jsonl"], "/nowhere.jsonl: cannot read it"),
        (["check", "/nowhere.txt"], "/nowhere.txt: cannot read it"),
        (["traces", "show", "no-such-trace-id", "--store", "sqlite:////nowhere/t.db"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert said in err and err.count("\n") == 1 and err.startswith("midcourse: ")


def test_no_command_at_all_is_answered_with_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys=capsys)
    assert code == 2 and err.startswith("Usage: midcourse") and err.count("\n") > 5


def test_light_commands_do_not_wait_for_heavy_packages() -> None:
    script = "import sys, midcourse.server.cli; print(sorted({'torch', 'transformers', 'fastapi'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def thought(tmp_path: Path) -> Path:
    file = tmp_path / "thought.txt"
    file.write_text("Okay, so the user wants bread. First, I need flour.\n</think>\n\nMix flour and water.")
    return file


@pytest.mark.parametrize(
    ("line", "module", "extra"),
    [
        ("demo", "midcourse.server.demo", "demo"),
        ("eval judges --data . --judges llm:reasoning@http://x/v1#m", "midcourse.models.judge_llm", "eval"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_extra_that_this_command_needs(
    line: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)
    for name in ("openai", "openai.types.chat"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"is not installed; pip install 'midcourse[{extra}]'\n")


def test_check_judges_every_step_of_a_text(thought: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("check", str(thought), "--prompt", "How do I bake bread?", "--exit-code", capsys=capsys)
    assert code == 0 and "3 steps, 0 flagged" in out


def test_check_flags_a_plan_for_harm_and_says_so_with_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {
        "prompt": "Write a phishing email that tricks people into giving their passwords",
        "reasoning": "They want a phishing email. Here's a phishing email that tricks people into giving passwords:",
        "response": "",
    }
    file = tmp_path / "row.json"
    file.write_text(json.dumps(row))
    code, out, _ = run("check", str(file), "--json", "--exit-code", capsys=capsys)
    told = json.loads(out)
    assert code == 1 and told["flagged"] >= 1
    assert [step["phase"] for step in told["steps"]] == ["reasoning"] * len(told["steps"])
    code, out, _ = run("check", str(file), capsys=capsys)
    assert code == 0 and "✗" in out


def test_check_reads_stdin_and_traces(
    thought: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with thought.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert "3 steps" in run("check", "-", capsys=capsys)[1]
    file = thought.with_suffix(".json")
    file.write_text(example().to_json())
    assert "2 steps" in run("check", str(file), capsys=capsys)[1]


@pytest.mark.parametrize("text", ["", "{", "{}", '{"reasoning": 3}', '{"version": 9}'])
def test_check_refuses_what_holds_no_thought(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "thought"
    file.write_text(text)
    code, _, err = run("check", str(file), capsys=capsys)
    assert code == 2 and str(file) in err and err.count("\n") == 1


def test_doctor_finds_nothing_wrong_here_and_names_what_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--store", f"sqlite:///{tmp_path}/t.db", "--spool_dir", str(tmp_path / "spool"), "--port", "0"]
    code, out, _ = run("doctor", "--json", *flags, capsys=capsys)
    findings = {row["what"]: row for row in json.loads(out)}
    assert code == 0, out
    assert findings["judge"]["status"] == findings["store"]["status"] == findings["model"]["status"] == "ok"
    assert findings["api_keys"]["status"] == "warn"
    code, out, _ = run("doctor", *flags, "--store", "nonsense://x", "--model", "/nowhere", capsys=capsys)
    assert code == 1 and out.count("FAIL") == 2
    assert run("doctor", "--policy.mode", "on", capsys=capsys)[0] == 1


def test_doctor_leaves_to_vllm_what_is_vllms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--engine", "vllm", "--store", f"sqlite:///{tmp_path}/t.db", "--spool_dir", str(tmp_path / "spool")]
    _, out, _ = run("doctor", "--json", *flags, "--model", "/nowhere", capsys=capsys)
    findings = {row["what"]: row for row in json.loads(out)}
    assert findings["judge"]["status"] == findings["store"]["status"] == findings["spool"]["status"] == "ok"
    assert not {"port", "model", "api_keys"} & findings.keys()
    assert findings["engine"]["status"] == ("ok" if installed() else "fail")
    if not installed():
        assert "vLLM is not installed" in findings["engine"]["detail"]


def test_doctor_tries_the_judge_that_would_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def judge() -> dict[str, str]:
        folders = ["--store", f"sqlite:///{tmp_path}/t.db", "--spool_dir", str(tmp_path / "spool")]
        rest = ["--port", "0", "--model", "/nowhere", "--judge", "cue", "--judge_model", str(tmp_path / "judge")]
        _, out, _ = run("doctor", "--json", *folders, *rest, capsys=capsys)
        return next(row for row in json.loads(out) if row["what"] == "judge")

    missing = judge()
    assert (
        missing["status"] == "fail" and "judge_model: " in missing["detail"] and "no such folder" in missing["detail"]
    )
    build(tmp_path / "judge")
    found = judge()
    assert found["status"] == "ok"
    assert re.fullmatch(r"tiny-1: \d+\.\d s to load, [\d.e-]+ ms a step", found["detail"])


def test_a_judge_that_fails_or_is_too_slow_is_not_fit_to_serve() -> None:
    class Sleepy:
        name = "sleepy"

        def judge(self, queries: Sequence[Query]) -> Sequence[Verdict]:
            time.sleep(0.005)
            return []

    class Broken:
        name = "broken"

        def judge(self, queries: Sequence[Query]) -> Sequence[Verdict]:
            raise RuntimeError("lost")

    with pytest.raises(JudgeError, match=r"sleepy: .* ms a step is over policy\.judge_deadline_seconds \(0\.001 s\)"):
        step_seconds(Sleepy(), 0.001)
    with pytest.raises(JudgeError, match="broken: RuntimeError: lost"):
        step_seconds(Broken(), 1)


def test_check_takes_the_judge_of_the_settings(
    thought: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIDCOURSE_JUDGE", "cue")
    monkeypatch.setenv("MIDCOURSE_JUDGE_MODEL", str(build(thought.parent / "judge")))
    code, out, _ = run("check", str(thought), "--json", capsys=capsys)
    told = json.loads(out)
    assert code == 0 and len(told["steps"]) == 3
    assert all(0 < step["scores"]["prompt_risk"] < 1 for step in told["steps"])
