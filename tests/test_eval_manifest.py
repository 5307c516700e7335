"""The manifest: what a run was, and what may not change while it goes on."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from midcourse.server.errors import CallerError
from midcourse.server.eval_manifest import check_same, commit, read_manifest, versions, write_manifest


def told(**other: Any) -> dict[str, Any]:
    """Of a run with one condition and one task."""
    facts: dict[str, Any] = {"model": "m", "judges": {"a": "1"}, "sampling": {"seed": 0, "limit": 2}}
    return {**facts, "conditions": {"off": {}}, "tasks": {"gsm8k": {"n": 2}}, **other}


def test_a_second_part_of_a_run_stands_beside_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["midcourse", "eval", "run", "--api-key", "secret", "--api-key=secret"])
    write_manifest(tmp_path, {}, told(), 3.0)
    later = told(conditions={"cue": {}}, tasks={"aime24": {"n": 1}}, judges={})
    old = read_manifest(tmp_path)
    check_same(tmp_path, old, later)
    found = write_manifest(tmp_path, old, later, 4.5)
    assert found == json.loads((tmp_path / "manifest.json").read_text())
    assert set(found["conditions"]) == {"off", "cue"} and set(found["tasks"]) == {"gsm8k", "aime24"}
    assert (found["seconds"], found["judges"]) == (7.5, {"a": "1"})
    given = ["midcourse", "eval", "run", "--api-key", "...", "--api-key=..."]
    assert found["commands"] == [given]  # said once, as it was the same twice
    monkeypatch.setattr(sys, "argv", ["midcourse", "eval", "run", "--tasks", "aime24"])
    found = write_manifest(tmp_path, found, later, 1.0)
    assert found["commands"] == [given, ["midcourse", "eval", "run", "--tasks", "aime24"]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model": "n"}, "model m, not n"),
        ({"judges": {"a": "2"}}, "a 1, not 2"),
        ({"judges": {"b": "1"}}, "a 1, not None"),
        ({"sampling": {"seed": 1, "limit": 2}}, "seed 0, not 1"),
    ],
)
def test_what_would_be_another_run_is_refused(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(CallerError, match=f"was begun with {problem}; give a new folder"):
        check_same(tmp_path, told(), told(**change))


def test_a_condition_stays_what_it_was(tmp_path: Path) -> None:
    changed = told(conditions={"off": {"flags": ["--adapter", "loop-v2"]}})
    with pytest.raises(CallerError, match=r"its off is .*loop-v2.*; give a new folder"):
        check_same(tmp_path, told(), changed)
    at, moved = ({"off": {"url": f"http://127.0.0.1:{port}/v1"}} for port in (1, 2))
    check_same(tmp_path, told(conditions=at), told(conditions=moved))


def test_a_new_folder_has_no_manifest_and_a_broken_one_is_told(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == {}
    for text in ("{", "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(CallerError, match=r"manifest\.json.*give a new folder"):
            read_manifest(tmp_path)


def test_versions_and_commit_say_what_ran() -> None:
    assert {"midcourse", "python", "inspect-ai"} <= versions().keys()
    found = commit()
    assert found is None or found.rstrip("+").isalnum()
