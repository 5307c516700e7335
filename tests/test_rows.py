"""Rows of data: what is read, and what is said about a line that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from midcourse.models.rows import DataError, Row, Span, read
from tests.marked import row, write

GOOD = {"id": "a", "prompt": "How so?", "reasoning": "Hm. Yes."}


def test_a_row_is_read_with_all_its_fields(tmp_path: Path) -> None:
    value = GOOD | {"response": "It is.", "model": "m", "benign": False, "spans": [[0, 3, "cue"], [4, 8, None]], "x": 1}
    (found,) = read(write(tmp_path / "d.jsonl", value))
    spans = (Span(0, 3, "cue"), Span(4, 8, None))
    assert found == Row("a", "How so?", "Hm. Yes.", "It is.", "m", "no", spans, f"{tmp_path / 'd.jsonl'}:1")


def test_optional_fields_may_be_left_out_or_null(tmp_path: Path) -> None:
    nulls = {"response": None, "model": None, "spans": None}
    bare, empty = read(write(tmp_path / "d.jsonl", GOOD, GOOD | {"id": "b", **nulls, "benign": None}))
    assert (bare.response, bare.model, bare.spans, bare.benign) == ("", "", (), "unsaid")
    assert (empty.response, empty.model, empty.spans, empty.benign) == ("", "", (), "undecided")


def test_a_byte_order_mark_blank_lines_and_line_separators_in_texts_are_read(tmp_path: Path) -> None:
    file = tmp_path / "d.jsonl"
    text = json.dumps(GOOD | {"reasoning": "One\u2028two."}, ensure_ascii=False)
    file.write_text(f"\ufeff\r\n{text}\r\n\n", encoding="utf-8")
    (found,) = read(file)
    assert found.reasoning == "One\u2028two." and found.where.endswith(":2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": None}, "prompt: is None; expected text"),
        ({"reasoning": 5}, "reasoning: is 5; expected text"),
        ({"reasoning": " "}, "reasoning: is empty; drop the row"),
        ({"id": ""}, "id: is empty; give the row a name"),
        ({"benign": 1}, "benign: is 1; write true, false or null"),
        ({"prompt": "\ud800"}, "prompt: half a surrogate pair at character 0"),
        ({"spans": "no"}, "spans: is 'no'; write a list"),
        ({"spans": [[0, 3]]}, "spans[0]: is [0, 3]; write [start, end, label]"),
        ({"spans": [[3, 3, "cue"]]}, "spans[0]: is [3, 3, 'cue']"),
        ({"spans": [[0, 3, "bad"]]}, "label is 'bad'; choose one of neutral, cue, harmful, safety, or null"),
        ({"spans": [[0, 3, "cue"], [2, 4, "cue"]]}, "spans[1]: begins at 2, before the end"),
        ({"spans": [[0, 9, "cue"]]}, "spans[0]: ends at 9, but reasoning has 8 characters"),
    ],
)
def test_a_wrong_field_is_named_with_its_line_and_the_fix(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = write(tmp_path / "d.jsonl", GOOD | {"id": "first"}, GOOD | change)
    with pytest.raises(DataError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}:2: ") and said in str(caught.value)


def test_a_missing_field_is_told_from_a_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"d.jsonl:1: prompt: is missing; expected text"):
        read(write(tmp_path / "d.jsonl", {"id": "a", "reasoning": "Hm."}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rows"),
        ("{", "d.jsonl:1: is not JSON"),
        ("1" * 5000, "d.jsonl:1: is not JSON"),
        ("[1]", "d.jsonl:1: holds a list"),
        ("\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_holds_no_rows_is_an_error(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "d.jsonl"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=said):
        read(file)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read it: No such file"):
        read(tmp_path / "none.jsonl")


def test_two_rows_may_not_have_the_same_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"d.jsonl:2: id: 'a' is also at .*d.jsonl:1"):
        read(write(tmp_path / "d.jsonl", row("a", "cue 1"), row("a", "cue 1")))
