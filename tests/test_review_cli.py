"""Reviewing from the command line, in process."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from midcourse.guard.policy import Policy, with_one_trigger
from midcourse.guard.trace import Origin
from midcourse.guard.trigger import POOL
from midcourse.server.reviews import Change
from midcourse.server.rules import EXAMPLE
from midcourse.server.store import open_store
from midcourse.server.traces_cli import app
from tests.test_rules import corrected
from tests.test_store import a_trace

Run = Callable[..., Result]
NAMES = ["chatcmpl-1", "chatcmpl-2", "chatcmpl-3"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/traces.db"
    store = open_store(url)
    store.put([a_trace(name, float(n), text=f"thought {n}") for n, name in enumerate(NAMES)])
    store.close()
    return url


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("MIDCOURSE_CONFIG", "MIDCOURSE_POLICY__MODE"):
        monkeypatch.delenv(name, raising=False)
    runner = CliRunner(env={"MIDCOURSE_STORE": url, "COLUMNS": "100", "NO_COLOR": "1", "USER": "jo"})

    def run(*args: str, keys: str | None = None) -> Result:
        result = runner.invoke(app, args, input=keys)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def states(url: str) -> dict[str, str]:
    store = open_store(url)
    found: dict[str, str] = {trace.id: trace.review for trace in store.iterate()}
    store.close()
    return found


def test_keys_from_a_pipe_review_one_trace_after_another(run: Run, url: str) -> None:
    result = run("review", "--reason", "by hand", keys="a\n\nx\n")
    assert result.exit_code == 0
    assert list(states(url).values()) == ["approved", "pending", "quarantined"]
    assert result.stdout.endswith("1 approved, 1 quarantined; 1 pending in the store\n")
    assert "thought 1" in result.stdout
    assert "approved by jo, " in run("history", NAMES[0]).stdout
    assert ": by hand\n" in run("history", NAMES[0]).stdout


def test_for_machines_the_traces_go_to_stderr(run: Run) -> None:
    result = run("review", "--json", "--limit", "2", keys="ar")
    assert json.loads(result.stdout) == {"shown": 2, "decided": {"approved": 1, "rejected": 1}, "pending": 1}
    assert "thought 0" in result.stderr
    assert "nothing decided; 1 pending" in run("review", "--review", "rejected", keys="q").stdout


@pytest.mark.parametrize(
    ("verb", "state"),
    [("approve", "approved"), ("reject", "rejected"), ("quarantine", "quarantined"), ("reopen", "pending")],
)
def test_a_verb_sets_a_state_with_name_and_reason(run: Run, url: str, verb: str, state: str) -> None:
    result = run(verb, NAMES[0], NAMES[1], NAMES[0], "--reason", "because", "--by", "kim")
    assert result.stdout == f"{state}: {NAMES[0]}, {NAMES[1]}\n"
    assert list(states(url).values()) == [state, state, "pending"]
    (change,) = json.loads(run("history", NAMES[0], "--json").stdout)
    assert (change["was"], change["review"], change["by"], change["reason"]) == ("pending", state, "kim", "because")
    assert json.loads(run(verb, NAMES[2], "--json").stdout) == {"review": state, "ids": [NAMES[2]]}


def test_an_id_that_is_not_there_leaves_all_as_they_were(run: Run, url: str) -> None:
    result = run("approve", NAMES[0], "unknown-id")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no trace 'unknown-id'" in result.stderr
    assert set(states(url).values()) == {"pending"}


def test_a_trace_without_history_says_so(run: Run) -> None:
    assert run("history", "last").stdout == "pending; nobody has decided about it yet\n"


def by_rules(url: str) -> None:
    """Three more traces: one that the shipped rules approve, one by a policy that is not ours, one that is held out."""
    store, good = open_store(url), corrected()
    wished = replace(good, id="wished", origin=replace(good.origin, policy="0123456789ab"))
    held_out = replace(good, id="held", origin=Origin(policy=Policy().hash, purpose="eval"))
    store.put([replace(trace, origin=replace(trace.origin, created=2e9)) for trace in (good, wished, held_out)])
    store.close()


def test_the_shipped_rules_are_printed_counted_and_applied(run: Run, url: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(run("rules", "--example").stdout)
    assert file.read_text() == EXAMPLE.read_text()
    by_rules(url)
    before = states(url)
    dry = run("rules", str(file), "--dry-run")
    assert "dry run: nothing was changed" in dry.stdout and states(url) == before
    assert f"your policies: {Policy().hash}" in dry.stdout
    assert "wished-for  quarantined       4" in dry.stdout  # those of the fixture name no policy at all
    assert "4 of the traces had another policy" in dry.stdout and "--config" in dry.stdout
    told = json.loads(run("rules", str(file), "--json", "--by", "kim").stdout)
    assert told["rules"] == {
        "wished-for": 4, "held-out": 1, "unfinished": 0, "not-judged": 0, "in-doubt": 0, "corrected": 1
    }  # fmt: skip
    after = states(url)
    assert (after["t"], after["wished"], after["held"]) == ("approved", "quarantined", "rejected")
    (change,) = history(url, "t")
    assert (change.by, change.rule) == ("kim", "corrected")
    assert change.reason is not None and change.reason.startswith('approve if mode == "enforce"')


def history(url: str, name: str) -> list[Change]:
    store = open_store(url)
    found = store.history(name)
    store.close()
    return found


def test_the_policy_of_a_settings_file_is_the_operators(run: Run, url: str, tmp_path: Path) -> None:
    settings, rules = tmp_path / "midcourse.yaml", tmp_path / "rules.yaml"
    settings.write_text("policy: {seed: 7}\n")
    rules.write_text("rules: {mine: approve if policy in operator_policies}\n")
    store = open_store(url)
    store.put([replace(a_trace("mine"), origin=Origin(policy=Policy(seed=7).hash))])
    store.close()
    told = json.loads(run("rules", str(rules), "--config", str(settings), "--json").stdout)
    assert (told["rules"], told["undecided"], told["other_policies"]) == ({"mine": 1}, 3, 3)
    policy = Policy(seed=7)
    collected = [with_one_trigger(policy, trigger).hash for trigger in POOL]
    assert told["operator_policies"] == [policy.hash, *collected]


def test_rules_leave_alone_what_a_person_decided(run: Run, url: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: {all: approve if interventions == 0}\n")
    run("reject", NAMES[0])
    assert json.loads(run("rules", str(rules), "--json").stdout)["rules"] == {"all": 2}
    assert list(states(url).values()) == ["rejected", "approved", "approved"]
    again = run("rules", str(rules), "--review", "rejected")
    assert "(decided by hand)" in again.stdout and states(url)[NAMES[0]] == "rejected"
    rules.write_text("rules: {all: reject if interventions == 0}\n")
    assert json.loads(run("rules", str(rules), "--review", "approved", "--json").stdout)["rules"] == {"all": 2}
    run("reopen", NAMES[0])
    assert json.loads(run("rules", str(rules), "--json").stdout)["rules"] == {"all": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "say which rules"),
        ("rules: {a: approve if mode == 3}", "rule a: mode: is a text, but 3 is a number"),
    ],
)
def test_rules_that_are_wrong_are_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, text: str | None, says: str
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text or "")
    result = run("rules", *([str(file)] if text else []))
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr and result.stderr.count("\n") == 1
