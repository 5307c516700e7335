"""``midcourse pairs benign``: an export on one side, on the other pairs against over-refusal that training reads."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra train)")
pytest.importorskip("trl", reason="trl is not installed (the extra train)")

from midcourse.server.cli import main
from midcourse.server.rows import line
from midcourse.train.approved import Approved
from midcourse.train.ipo_rows import mixed, rows_of
from midcourse.train.pairs_file import read_pairs
from tests.cut import approve
from tests.test_benign_pairs import calm
from tests.tiny_train import model_folder, tokenizer

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["pairs", "benign", *map(str, arguments), "--judge", "lexical", "--dtype", "float32"])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def of(trace: Approved, model: Path, **origin: object) -> Approved:
    sampling = {"temperature": 0.5, "top_p": 1.0, "max_tokens": 180}
    changed = replace(trace.origin, model=str(model), sampling=sampling, **origin)  # type: ignore[arg-type]
    return approve(replace(trace, origin=changed))


def exported(tmp_path: Path, *traces: Approved) -> Path:
    file = tmp_path / "benign.jsonl"
    file.write_text("".join(f"{line(trace)}\n" for trace in traces))
    return file


def test_harmless_thoughts_become_pairs_that_stage_2_reads(tmp_path: Path, run: Run) -> None:
    model = model_folder(tmp_path / "m")
    file = exported(tmp_path, *(of(calm(n), model) for n in range(6)), of(calm(9, outcome="intervened"), model))
    code, out, _ = run(file, "--out", tmp_path / "benign")
    assert code == 0
    pairs = read_pairs(tmp_path / "benign", "train")  # where the tiny model ends at once, there is none
    assert re.search(r"- was corrected +1 +the guard", out)
    assert re.search(rf"= train +{len(pairs)} +of {len(pairs)} requests", out)
    assert pairs and all(pair.cause == "benign" and pair.trigger_id for pair in pairs)
    card = (tmp_path / "benign" / "README.md").read_text()
    assert (
        "# Preference pairs against over-refusal" in card
        and f"Of 7 traces in 7 approved traces, {len(pairs)} became" in card
    )
    assert not list(tmp_path.glob(".benign*"))
    assert len(rows_of(mixed([], pairs, 0.0, seed=0), tokenizer()).rows) == len(pairs)


def test_what_cannot_be_is_one_line_and_leaves_nothing(tmp_path: Path, run: Run) -> None:
    model = model_folder(tmp_path / "m")
    file = exported(tmp_path, of(calm(), model), of(calm(1), model, adapter="careful-v1"))
    code, _, err = run(file, "--out", tmp_path / "x")
    assert code == 2 and "of several adapters: the base model, careful-v1" in err
    code, _, err = run(exported(tmp_path, of(calm(), model)), "--out", tmp_path / "x", "--adapter", "none-v1")
    assert code == 2 and "--registry: none-v1: is not in " in err and err.count("\n") == 1
    moved = exported(tmp_path, of(calm(), tmp_path / "moved"))
    code, _, err = run(moved, "--out", tmp_path / "x")
    assert code == 2 and f"--weights: '{tmp_path / 'moved'}' is " in err and err.count("\n") == 1
    code, _, err = run(moved, "--out", tmp_path / "x", "--weights", model, "--adapter", "none-v1")
    assert code == 2 and "--registry: none-v1: is not in " in err
    code, _, err = run(exported(tmp_path, of(calm(outcome="failed"), model)), "--out", tmp_path / "x")
    assert code == 2 and "no pair is left of 1 approved traces" in err
    assert run(file, "--out", tmp_path)[0] == 2
    assert not (tmp_path / "x").exists()
