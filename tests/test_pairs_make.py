"""``midcourse pairs build``: an export on one side, a folder on the other, with a real tokenizer."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from midcourse.guard.lexical import LexicalJudge
from midcourse.guard.trace import Origin, Trace
from midcourse.models.rows import DataError
from midcourse.models.smollm2 import find_file
from midcourse.server.cli import main
from midcourse.server.rows import line
from midcourse.train.cuts import Decode
from midcourse.train.pairs_make import decode_by, make, tokenizer_of
from tests.cut import approve, told
from tests.test_trace import example

NEEDS_ARROW = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed (train)")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def decode() -> Decode:
    pytest.importorskip("transformers")
    try:
        find_file()
    except LookupError as missing:
        pytest.skip(str(missing))
    return decode_by(tokenizer_of("smollm2"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["pairs", "build", "--judge", "lexical", "--tokenizer", "smollm2", *arguments])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def spelled(name: str, decode: Decode, request: str = "How?") -> Trace:
    """A trace whose ids the real tokenizer reads back, a character each."""
    of = told(name=name, request=request)
    known = {decode([number]): number for number in range(49_152)}

    def ids(text: str) -> tuple[int, ...]:
        return tuple(known[char] for char in text)

    pieces = tuple(replace(piece, token_ids=ids(piece.text)) for piece in of.trace.pieces)
    (cut,) = of.trace.interventions
    cut = replace(cut, kept_tokens=cut.kept_chars, withheld_ids=ids(cut.withheld), discarded_ids=ids(cut.discarded))
    origin = replace(of.trace.origin, prompt_ids=ids("user: How?\nmodel: "))
    return replace(of.trace, pieces=pieces, interventions=(cut,), origin=origin)


def exported(folder: Path, *traces: Trace) -> str:
    file = folder / "approved.jsonl"
    file.write_text("".join(f"{line(trace)}\n" for trace in traces))
    return str(file)


def test_special_tokens_are_shown_and_nothing_is_tidied(decode: Decode) -> None:
    assert decode([1, 2]) == "<|im_start|><|im_end|>"
    assert decode([]) == ""


def test_a_tokenizer_that_is_none_is_named() -> None:
    with pytest.raises(DataError, match=r"--tokenizer \./nowhere/at/all: .*; give smollm2, a folder or a hub id"):
        tokenizer_of("./nowhere/at/all")


@NEEDS_ARROW
def test_an_export_becomes_a_folder_with_a_card(tmp_path: Path, decode: Decode, run: Run) -> None:
    good = [approve(spelled(f"t{n}", decode, f"How {n}?"), rule="corrected") for n in range(3)]
    source = exported(tmp_path, *good, example())
    code, out, err = run(source, "--out", str(tmp_path / "pairs"), "--test-share", "0")
    assert (code, err) == (0, "")
    assert "3 approved traces (not used: 1 pending)" in out
    assert "= train        3  of 3 requests" in out
    card = (tmp_path / "pairs" / "README.md").read_text()
    assert "approved by: jo, rule corrected (3)" in card and "judged by lexical-1" in card
    facts = json.loads((tmp_path / "pairs" / "pairs.json").read_text())
    assert facts["interventions"] == 3 and facts["sources"][0]["file"] == source
    code, out, _ = run(source, "--out", str(tmp_path / "more"), "--json")
    assert code == 0 and sum(json.loads(out)["pairs"].values()) == 3
    code, _, err = run(source, "--out", str(tmp_path / "pairs"))
    assert code == 2 and "is there already" in err


@NEEDS_ARROW
def test_where_no_pair_is_left_nothing_is_written(tmp_path: Path, decode: Decode, run: Run) -> None:
    code, out, err = run(exported(tmp_path, approve(example())), "--out", str(tmp_path / "pairs"))
    assert code == 2 and "no pair is left of 1 approved traces" in err
    assert "- inconsistent  1  the ids do not add up" in out
    assert not (tmp_path / "pairs").exists()


@NEEDS_ARROW
def test_traces_of_several_models_need_a_choice(tmp_path: Path) -> None:
    traces = [replace(example(), id=name, origin=Origin(model=name)) for name in ("a", "b")]
    file = exported(tmp_path, *map(approve, traces))
    with pytest.raises(DataError, match=r"several models: a \(1\), b \(1\); choose one with --model"):
        make([Path(file)], tmp_path / "p", LexicalJudge(), tokenizer=None, command="", json=False)


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, run: Run) -> None:
    code, out, err = run(exported(tmp_path), "--out", str(tmp_path / "pairs"))
    assert (code, out) == (2, "")
    assert err == "midcourse: pyarrow is not installed; pip install 'midcourse[train]'\n"
