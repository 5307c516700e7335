"""Thresholds are written into a settings file, and nothing else in it changes."""

from pathlib import Path

import pytest

from midcourse.guard.policy import Policy
from midcourse.server.config import load
from midcourse.server.errors import CallerError, ConfigError
from midcourse.server.policy_file import settings_of, with_value, write_thresholds

BOTH = {"reasoning": 0.41, "response": 0.000001}


def written(tmp_path: Path, text: str) -> tuple[str, Policy]:
    file = tmp_path / "midcourse.yaml"
    file.write_bytes(text.encode())
    write_thresholds(file, BOTH)
    policy = load(file, {}, {}).policy
    assert (policy.reasoning.threshold, policy.response.threshold) == (0.41, 0.000001)
    return file.read_bytes().decode(), policy


def test_values_that_are_there_are_replaced_where_they_stand(tmp_path: Path) -> None:
    text = (
        "port: 9000  # mine\npolicy:\n  mode: shadow\n"
        "  reasoning:\n    threshold: 0.5 # old\n  response: {threshold: 1}\n"
    )
    new, policy = written(tmp_path, text)
    assert new == text.replace("0.5 #", "0.410000 #").replace(": 1}", ": 0.000001}")
    assert policy.mode == "shadow"


def test_keys_that_are_missing_are_added(tmp_path: Path) -> None:
    new, policy = written(tmp_path, "policy:\n  # softly\n  mode: shadow\n  reasoning: {max_interventions: 2}\n")
    assert new == (
        "policy:\n  response: {threshold: 0.000001}\n  # softly\n  mode: shadow\n"
        "  reasoning: {threshold: 0.410000, max_interventions: 2}\n"
    )
    assert policy.reasoning.max_interventions == 2


def test_an_empty_or_missing_file_gets_a_section(tmp_path: Path) -> None:
    expected = "policy:\n  reasoning: {threshold: 0.410000}\n  response: {threshold: 0.000001}\n"
    assert written(tmp_path, "")[0] == expected
    assert written(tmp_path, "# only this")[0] == "# only this\n" + expected
    write_thresholds(tmp_path / "new.yaml", BOTH)
    assert (tmp_path / "new.yaml").read_text() == expected


@pytest.mark.parametrize(
    "text",
    [
        "port: 1",
        "port: 1\n",
        "policy:\n",
        "policy:",
        "policy: ~\nport: 1\n",
        "policy: {}\nport: 1\n",
        "{port: 1}",
        "{policy: {mode: shadow}, port: 1}\n",
        "policy:\n    mode: 'off'\n    refusal: |\n      No.\n\n      Never.\nport: 1\n",
        "policy:\r\n  mode: shadow\r\n  response:\r\n    # here\r\n    max_interventions: 1\r\n",
        "served_model_name: 'été: 日本 😀'\npolicy:\n  mode: shadow\n",
        "---\nport: 1\n",
    ],
)
def test_files_of_many_forms_keep_what_they_say(text: str, tmp_path: Path) -> None:
    before = tmp_path / "before.yaml"
    before.write_bytes(text.encode())
    old = load(before, {}, {})
    new, _ = written(tmp_path, text)
    settings = load(tmp_path / "midcourse.yaml", {}, {})
    assert settings.port == old.port and settings.policy.mode == old.policy.mode
    assert settings.policy.refusal == old.policy.refusal and settings.served_model_name == old.served_model_name
    assert ("\r\n" in text) == ("\r\n" in new) and new.count("\r\n") in (0, new.count("\n"))


def test_a_file_that_cannot_be_edited_in_place_is_left_alone(tmp_path: Path) -> None:
    text = "policy:\n  reasoning: &same {threshold: 0.5}\n  response: *same\n"
    file = tmp_path / "midcourse.yaml"
    file.write_text(text)
    with pytest.raises(CallerError, match=r"too artful .* write policy.reasoning.threshold: 0.410000, policy.response"):
        write_thresholds(file, BOTH)
    assert file.read_text() == text


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match=r"--policy .*m.yaml: cannot write it: No such file"):
        write_thresholds(tmp_path / "none" / "m.yaml", BOTH)


def test_settings_of_a_file_do_not_see_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDCOURSE_POLICY__MODE", "off")
    file = tmp_path / "m.yaml"
    assert settings_of(file).policy == Policy()
    file.write_text("policy: {max_step_chars: 100}")
    assert settings_of(file).policy.max_step_chars == 100
    file.write_text("polcy: 1")
    with pytest.raises(ConfigError, match="polcy: unknown key"):
        settings_of(file)


def test_a_value_is_put_at_the_depth_that_is_asked_for() -> None:
    assert with_value("a: {b: 1}", ("a", "b"), "2") == "a: {b: 2}"
