"""``midcourse pairs build --tries``: an export in which nothing was corrected gives pairs all the same."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra train)")
pytest.importorskip("trl", reason="trl is not installed (the extra train)")

from midcourse.guard.policy import PhasePolicy, Policy
from midcourse.guard.trace import Trace
from midcourse.guard.verdict import Query, Verdict
from midcourse.server.cli import main
from midcourse.server.rows import line
from midcourse.train.pairs_file import read_pairs
from midcourse.train.pairs_make import make
from tests.cut import approve, told
from tests.tiny_train import ids, model_folder

Run = Callable[..., tuple[int, str, str]]
FLAGS = ("--judge", "lexical", "--test-share", "0", "--dtype", "float32", "--json")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["pairs", "build", *map(str, arguments), *FLAGS])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def refused(name: str, model: Path) -> Trace:
    """A trace whose ladder refused at the first cue, in the tokens of the tiny tokenizer."""
    policy = Policy(reasoning=PhasePolicy(max_interventions=0))
    of = told("Hm, a plan. The BAD one it is.", name=name, request=f"{name}?", policy=policy).trace
    (cut,) = of.interventions
    kept = ids("".join(piece.text for piece in of.pieces)[: cut.kept_chars])
    cut = replace(
        cut,
        kept_tokens=len(kept),
        withheld_ids=ids(cut.withheld),
        discarded_ids=ids(cut.discarded) if cut.discarded else (),
    )
    pieces = tuple(replace(piece, token_ids=ids(piece.text)) for piece in of.pieces)
    origin = replace(of.origin, model=str(model), adapter=None, prompt_ids=ids("<|im_start|>user\n"))
    origin = replace(origin, sampling={"temperature": 0.5, "top_p": 1.0, "max_tokens": 130})
    return replace(of, pieces=pieces, interventions=(cut,), origin=origin)


def exported(tmp_path: Path, many: int = 3) -> tuple[Path, Path]:
    model = model_folder(tmp_path / "model")
    file = tmp_path / "approved.jsonl"
    file.write_text("".join(f"{line(approve(refused(f'r{n}', model)))}\n" for n in range(many)))
    return file, model


class Trusting:
    """Finds every step safe."""

    name = "trusting"

    def judge(self, queries: Sequence[Query]) -> list[Verdict]:
        return [Verdict(0.0, 0.0, 0.0, 1.0) for _ in queries]


def test_refused_traces_give_pairs_whose_chosen_sides_were_generated_offline(tmp_path: Path) -> None:
    file, model = exported(tmp_path)
    source = {"tries": 2, "registry": tmp_path, "batch_size": 4, "dtype": "float32"}
    for name in ("pairs", "again"):
        make([file], tmp_path / name, Trusting(), tokenizer=None, command="", json=True, again=source, test_share=0.0)
    found = read_pairs(tmp_path / "pairs", "train")
    assert found and read_pairs(tmp_path / "again", "train") == found
    for pair in found:
        assert (
            pair.tried in (1, 2)
            and pair.trigger_id
            and pair.prompt.endswith("Hm, a plan.")
            and pair.model == str(model)
        )
    card = (tmp_path / "pairs" / "README.md").read_text()
    assert f"{len(found)} chosen sides were generated later, offline, behind another trigger" in card
    assert not list(tmp_path.glob(".pairs*"))


def test_what_was_drawn_is_kept_until_there_are_pairs(tmp_path: Path, run: Run) -> None:
    file, _ = exported(tmp_path, 1)
    code, out, _ = run(file, "--out", tmp_path / "without")
    assert code == 2 and json.loads(out)["dropped"] == {"refused": 1}
    code, out, _ = run(file, "--out", tmp_path / "pairs", "--tries", "2")
    assert code == 2 and json.loads(out)["dropped"] == {"no safe try": 1} and json.loads(out)["tries"] == 2
    assert (tmp_path / ".pairs.tries.jsonl").is_file() and not (tmp_path / "pairs").exists()


def test_an_adapter_that_wrote_the_traces_has_to_be_in_the_registry(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, model = exported(tmp_path, 1)
    trace = refused("r", model)
    file.write_text(f"{line(approve(replace(trace, origin=replace(trace.origin, adapter='ipo-v1'))))}\n")
    monkeypatch.setenv("MIDCOURSE_REGISTRY", str(tmp_path / "none"))
    code, _, err = run(file, "--out", tmp_path / "pairs", "--tries", "1")
    assert code == 2 and f"--registry: ipo-v1: is not in {tmp_path / 'none'}" in err and err.count("\n") == 1


def test_of_a_model_that_was_served_under_another_name_the_weights_have_to_be_named(tmp_path: Path, run: Run) -> None:
    file, model = exported(tmp_path, 1)
    trace = refused("r", model)
    file.write_text(f"{line(approve(replace(trace, origin=replace(trace.origin, model='./nowhere/served'))))}\n")
    tries = (file, "--out", tmp_path / "pairs", "--tries", "1")
    code, _, err = run(*tries)
    assert code == 2 and "--tokenizer ./nowhere/served: " in err
    code, _, err = run(*tries, "--tokenizer", model)
    assert code == 2 and "--weights: './nowhere/served' is " in err and err.count("\n") == 1
    code, out, _ = run(*tries, "--weights", model)
    assert code == 2 and json.loads(out)["dropped"] == {"no safe try": 1}
