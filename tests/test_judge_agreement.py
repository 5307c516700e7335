"""Judges on answers that people judged."""

from pathlib import Path

import pytest

from midcourse.models.answer_judges import judges_of
from midcourse.models.judge_agreement import compared
from midcourse.models.rows import DataError
from tests.tiny_judged import judged_folder


def test_refusals_are_asked_of_the_refusal_judge_and_harm_of_all(tmp_path: Path) -> None:
    found, skipped = compared(judges_of("refusal,lexical"), judged_folder(tmp_path / "data"))
    by = {(each.set, each.judge): each for each in found}
    assert not skipped and ("xstest", "lexical") not in by and ("harmbench", "lexical") in by
    for name in ("harmbench", "gptfuzz, held out", "pyrit", "xstest"):
        assert by[name, "refusal"].found["kappa"].value == 1.0
    assert by["harmbench", "AdvBench strings"].found["precision"].value == 0.5
    assert (by["gptfuzz, held out", "refusal"].n, by["gptfuzz, held out", "refusal"].items) == (24, 4)
    assert by["thoughts", "refusal"].n == 4 and by["thoughts", "refusal"].found["recall"].value == 1.0


def test_what_is_found_is_plain_and_holds_no_text(tmp_path: Path) -> None:
    (each, *_), _ = compared(judges_of("refusal"), judged_folder(tmp_path / "data"), "xstest")
    plain = each.plain()
    assert (
        plain["kappa"]["value"] == 1.0
        and plain["asks"] == "refusal, 2 people"
        and plain["n"] == 3
        and plain["items"] == 3
    )
    assert "flour" not in str(plain)


def test_sets_that_are_not_there_are_left_out_and_named(tmp_path: Path) -> None:
    folder = judged_folder(tmp_path / "data")
    (folder / "judges" / "harmbench_human_labels.json").unlink()
    found, skipped = compared(judges_of("refusal"), folder)
    assert "harmbench" not in {each.set for each in found} and "harmbench is left out" in skipped[0]


@pytest.mark.parametrize(
    ("sets", "says"),
    [("nice", "--sets: 'nice' is none of harmbench"), ("xstest", "xstest_gpt4"), ("", "no labelled set is there")],
)
def test_a_folder_or_name_that_is_wrong_is_told(sets: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        compared(judges_of("refusal"), tmp_path, sets)
