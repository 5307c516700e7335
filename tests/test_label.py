"""Labelling at a terminal: keys, places, and what is saved."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from midcourse.guard.verdict import Label
from midcourse.models.labels import read_labels
from midcourse.models.rows import DataError
from midcourse.train import label as module
from midcourse.train.label import keys, label, readings
from tests.marked import row, write

DATA = [
    row("a", ("neutral 1", "neutral"), ("cue 1", "cue"), ("cue 0.5", None)),
    row("b", ("safety 1", "safety"), prompt="Stop \x1b[31m."),
]
Type = Callable[..., int]


@pytest.fixture
def type_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Label the data with these keys."""
    data = write(tmp_path / "d.jsonl", *DATA, row("c", "neutral 1", "cue 1"))

    def type_keys(text: str, **wish: Any) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return label([data], tmp_path / "l.jsonl", name="me", **wish)

    return type_keys


def saved(tmp_path: Path) -> dict[str, list[Label | None]]:
    return {name: [span.label for span in reading.spans] for name, reading in read_labels(tmp_path / "l.jsonl").items()}


def test_keys_give_labels_and_enter_keeps_them(type_keys: Type, tmp_path: Path) -> None:
    assert type_keys("h\n\n\nS\nnc") == 6
    assert saved(tmp_path) == {"a": ["harmful", "cue", None], "b": ["safety"], "c": ["neutral", "cue"]}
    assert read_labels(tmp_path / "l.jsonl")["a"].reader == "me"


def test_quitting_keeps_what_was_done_and_the_next_time_goes_on_there(type_keys: Type, tmp_path: Path) -> None:
    assert type_keys("ncqss") == 2
    assert saved(tmp_path) == {"a": ["neutral", "cue"]}
    assert type_keys("sh") == 2
    assert saved(tmp_path) == {"a": ["neutral", "cue", "safety"], "b": ["harmful"]}


def test_going_back_corrects_and_never_leaves_the_beginning(type_keys: Type, tmp_path: Path) -> None:
    assert type_keys("bbnbc") == 2
    assert saved(tmp_path) == {"a": ["cue"]}


def test_blind_hides_the_labels_and_enter_has_nothing_to_keep(
    type_keys: Type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_keys("\nx\ns", blind=True) == 1
    out = capsys.readouterr().out
    assert "label: ?" in out and "label: neutral" not in out and out.count("keys: n neutral, c cue") == 2
    assert saved(tmp_path) == {"a": ["safety"]}


def test_a_sentence_that_nobody_labelled_cannot_be_kept(type_keys: Type, tmp_path: Path) -> None:
    assert type_keys("\nc\n", start=3) == 1
    assert saved(tmp_path) == {"c": ["cue"]}


def test_prompt_context_and_step_are_shown_without_control_characters(
    type_keys: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    type_keys("nns")
    out = capsys.readouterr().out
    assert "=== a m\nHow so?" in out and "Step [neutral 1].\n\n[2] >>> Step [cue 1]." in out
    assert "label: none (not scored)" in out and "Stop ·[31m." in out and "\x1b" not in out


def test_quiet_leaves_stdout_to_others(type_keys: Type, capsys: pytest.CaptureFixture[str]) -> None:
    type_keys("n", quiet=True)
    out, err = capsys.readouterr()
    assert out == "" and "=== a m" in err


def test_a_sample_is_the_same_for_a_seed_and_in_the_order_of_the_file(
    type_keys: Type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for _ in range(2):
        type_keys("", sample=2, seed=4)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    type_keys("nnnnnnnnn", sample=9)
    assert list(saved(tmp_path)) == ["a", "b", "c"]


def test_a_start_beyond_the_end_is_an_error(type_keys: Type) -> None:
    with pytest.raises(DataError, match="--start 4: there are 3 traces; give 1 to 3"):
        type_keys("", start=4)


def test_labels_of_other_cuts_are_not_overwritten(type_keys: Type, tmp_path: Path) -> None:
    text = '{"id": "a", "spans": [[0, 4, "cue"]], "reader": "you"}\n'
    (tmp_path / "l.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"l.jsonl: a: 0:4 is no sentence of the data"):
        type_keys("n")
    assert (tmp_path / "l.jsonl").read_text() == text


def test_labels_of_other_traces_stay(type_keys: Type, tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"id": "z", "spans": [[0, 4, "cue"]], "reader": "you"}\n')
    type_keys("n")
    assert saved(tmp_path) == {"z": ["cue"], "a": ["neutral"]}


def test_a_terminal_is_read_key_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        @staticmethod
        def isatty() -> bool:
            return True

    pressed = iter("C\rq")

    def getchar() -> str:
        try:
            return next(pressed)
        except StopIteration as end:
            raise EOFError from end

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(typer, "getchar", getchar)
    assert list(keys()) == ["c", "\r", "q"]
    assert "\r" in module.ENTER


def test_readings_come_from_a_label_file_or_from_the_data(type_keys: Type, tmp_path: Path) -> None:
    type_keys("hh")
    data = tmp_path / "d.jsonl"
    assert [span.label for span in readings([data], None)["a"].spans] == ["neutral", "cue", None]
    assert [span.label for span in readings([data], tmp_path / "l.jsonl")["a"].spans] == ["harmful", "harmful"]
    with pytest.raises(DataError, match="has no labels of its own; give a label file with --labels"):
        readings([write(tmp_path / "bare.jsonl", row("c", "cue 1"))], None)
