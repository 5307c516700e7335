"""The work behind ``midcourse cue``, with a judge whose scores stand in the sentences."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from midcourse.guard.verdict import Judge
from midcourse.server.cue_work import Wanted, calibrate, evaluate, judge_of
from midcourse.server.errors import CallerError, MidcourseError
from tests.marked import MarkedJudge, row, write

WANTED = Wanted((Path("b.jsonl"),), 0.01, "step", None, "cue", None)


def test_the_lexical_judge_needs_no_folder() -> None:
    judge: Judge = judge_of("lexical", None)
    assert judge.name.startswith("lexical")


def test_a_command_is_written_so_that_it_can_be_run_again() -> None:
    wanted = replace(WANTED, benign=(Path("a b.jsonl"), Path("c.jsonl")), policy=Path("m.yaml"), model=Path("x"))
    assert wanted.command == (
        "midcourse cue calibrate --benign 'a b.jsonl' --benign c.jsonl --target-fpr 0.01 --per step --judge cue"
        " --policy m.yaml --model x"
    )


def test_a_policy_for_another_judge_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "b.jsonl", *(row(f"r{n}", *["cue 0.2"] * 10) for n in range(40)))
    policy = tmp_path / "m.yaml"
    policy.write_text("judge: lexical\n")
    calibrate(MarkedJudge(), replace(WANTED, benign=(data,), policy=policy, judge="other"), json=False)
    out, err = capsys.readouterr()
    assert "sets judge: lexical, but these thresholds are for other" in err
    assert "0.200001" in out and "m.calibration.json" in out
    assert policy.read_text() == "judge: lexical\npolicy:\n  reasoning: {threshold: 0.200001}\n"


def test_a_policy_for_another_folder_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "b.jsonl", *(row(f"r{n}", *["cue 0.2"] * 10) for n in range(40)))
    policy = tmp_path / "m.yaml"
    wanted = replace(WANTED, benign=(data,), policy=policy, model=Path("mine"))
    policy.write_text("judge_model: mine\n")
    calibrate(MarkedJudge(), wanted, json=False)
    assert "judge_model" not in capsys.readouterr().err
    policy.write_text("{}\n")
    calibrate(MarkedJudge(), wanted, json=False)
    assert "sets judge_model: none, the one inside, but these thresholds are for mine" in capsys.readouterr().err


def test_the_policys_own_step_length_is_used(tmp_path: Path) -> None:
    policy = tmp_path / "m.yaml"
    policy.write_text("policy: {max_step_chars: 64, context_chars: 5}\n")
    judge = MarkedJudge()
    data = write(tmp_path / "b.jsonl", {"id": "a", "prompt": "", "reasoning": "word " * 2000})
    calibrate(judge, replace(WANTED, target=0.05, benign=(data,), policy=policy, judge="lexical"), json=False)
    assert max(len(query.step) for query in judge.asked) <= 64
    assert max(len(query.context) for query in judge.asked) == 5


def test_a_curve_needs_an_unsafe_sentence_and_a_place(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra plots)")
    safe = write(tmp_path / "safe.jsonl", row("a", ("neutral 1", "neutral")))
    unsafe = write(tmp_path / "unsafe.jsonl", row("a", ("neutral 1", "neutral"), ("cue 1", "cue")))

    def draw(data: Path, png: Path) -> None:
        evaluate(MarkedJudge(), data=[data], benign=[], labels=[], threshold=0.5, png=png, json=True)

    judge = MarkedJudge()
    with pytest.raises(CallerError, match="no sentence of --data is labelled cue or harmful"):
        evaluate(judge, data=[safe], benign=[], labels=[], threshold=0.5, png=tmp_path / "a.png", json=True)
    assert judge.asked == []
    with pytest.raises(MidcourseError, match="cannot write it: Is a directory"):
        draw(unsafe, tmp_path)
    draw(unsafe, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_picture_without_matplotlib_fails_before_anything_is_judged(tmp_path: Path) -> None:
    try:
        import matplotlib  # noqa: F401, PLC0415
    except ModuleNotFoundError:
        judge = MarkedJudge()
        data = write(tmp_path / "d.jsonl", row("a", ("cue 1", "cue")))
        with pytest.raises(ModuleNotFoundError, match="matplotlib"):
            evaluate(judge, data=[data], benign=[], labels=[], threshold=0.5, png=tmp_path / "a.png", json=True)
        assert judge.asked == []
    else:
        pytest.skip("matplotlib is installed")


def test_rows_without_reasoning_are_left_out_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silent = {"id": "b", "prompt": "", "reasoning": "", "response": "Yes."}
    data = write(tmp_path / "d.jsonl", row("a", ("cue 1", "cue")), silent)
    evaluate(MarkedJudge(), data=[data], benign=[], labels=[], threshold=0.5, png=None, json=True)
    out, told = capsys.readouterr()
    assert json.loads(out)["trace"]["det@0"]["n"] == 1
    assert "1 rows without reasoning are left out, the first is" in told and "d.jsonl:2" in told
    none = write(tmp_path / "e.jsonl", silent)
    with pytest.raises(CallerError, match="no row has reasoning"):
        evaluate(MarkedJudge(), data=[none], benign=[], labels=[], threshold=0.5, png=None, json=True)


def test_json_is_one_object_with_characters_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "d.jsonl", row("a", ("cue 1", "cue"), model="模型"))
    evaluate(MarkedJudge(), data=[data], benign=[], labels=[], threshold=0.5, png=None, json=True)
    out = capsys.readouterr().out
    assert "模型" in out and list(json.loads(out)["groups"]) == ["模型"]
