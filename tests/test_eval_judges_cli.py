"""``midcourse eval judges`` and ``train-judge``, from the command line."""

import json
from pathlib import Path

import pytest

from midcourse.server.cli import main
from tests.model_server import serving
from tests.tiny_judged import judged_folder


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(["eval", *arguments])
    return ended.value.code


def test_judges_are_measured_as_a_table_and_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(judged_folder(tmp_path / "data"))
    assert run("judges", "--data", folder, "--judges", "refusal", "--sets", "xstest,pyrit") == 0
    shown = capsys.readouterr().out
    assert "xstest" in shown and "items" in shown and "1.00" in shown and "flour" not in shown
    assert run("judges", "--data", folder, "--judges", "refusal,lexical", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["judge"] for row in rows} >= {"refusal", "lexical", "GPT-4"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--judges", "nice"], "judge 'nice': no such judge"), (["--sets", "nice"], "--sets: 'nice' is none of")],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("judges", "--data", str(tmp_path), *arguments) == 2
    assert says in capsys.readouterr().err


def test_a_judge_that_cannot_be_asked_fails_and_is_no_fault_of_the_caller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(judged_folder(tmp_path / "data"))
    with serving(*[401] * 9) as (url, _):
        judge = f"llm:jailbreakbench@{url}#m"
        assert run("judges", "--data", folder, "--judges", judge, "--sets", "rbr") == 1
        assert f"judge m at {url}: Error code: 401" in capsys.readouterr().err


def test_a_judge_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(judged_folder(tmp_path / "data"))
    assert run("train-judge", "--data", folder, "--out", str(tmp_path / "card.json")) == 0
    assert "kappa 1.00" in capsys.readouterr().out
    assert run("train-judge", "--data", str(tmp_path), "--out", str(tmp_path / "card.json"), "--json") == 2
