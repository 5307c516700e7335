import gzip
import json
from pathlib import Path

import pytest

from midcourse.models.eval_items import id_of, read_items
from midcourse.models.leak import Item
from midcourse.models.rows import DataError


def lines(*rows: object) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_items_come_from_every_file_of_a_folder_whatever_the_benchmark_calls_them(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "README.md").write_text("not an item")
    (tmp_path / "a.jsonl").write_text(lines({"id": 7, "question": "Why?", "split": "test"}, {"prompt": "How?"}))
    (tmp_path / "more" / "b.jsonl.gz").write_bytes(gzip.compress(lines({"task_id": "T/1", "prompt": "What?"}).encode()))
    (tmp_path / "more" / "c.csv").write_text('BehaviorID,Behavior\nx,"Who, when?"\n')
    assert read_items([tmp_path]) == [
        Item("7", "a.jsonl", "Why?"),
        Item("2", "a.jsonl", "How?"),
        Item("T/1", "b.jsonl.gz", "What?"),
        Item("x", "c.csv", "Who, when?"),
    ]


def test_rows_to_train_on_are_no_items_and_a_pair_of_prompts_is_two(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(lines({"prompt": "a", "split": "train"}, {"id": "p", "harmful": "b", "harmless": "c"}))
    assert read_items([file]) == [Item("p", "a.jsonl", "b"), Item("p", "a.jsonl", "c")]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", lines({"text": "x"}), r"a\.jsonl:1: asks nothing; expected one of the fields prompt, "),
        ("a.jsonl", lines({"prompt": "x", "split": "train"}), "there is no evaluation item in it"),
        ("a.jsonl.gz", "no gzip", "cannot read it: Not a gzipped file"),
        ("a.csv", "a,b\n1,2\n", r"a\.csv:2: asks nothing"),
        ("a.csv", "prompt\n\udcff\n", "cannot read it: .*save it as CSV in UTF-8"),
    ],
)
def test_a_file_that_holds_no_items_is_named(name: str, content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, errors="surrogateescape")
    with pytest.raises(DataError, match=says):
        read_items([tmp_path / name])


def test_an_empty_folder_and_a_missing_file_are_errors_and_no_clean_result(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no evaluation item in it"):
        read_items([tmp_path])
    with pytest.raises(DataError, match="nowhere: cannot read it: No such file"):
        read_items([tmp_path / "nowhere"])


def test_an_id_is_given_or_says_all_that_is_asked() -> None:
    assert id_of({"unique_id": "algebra/1", "problem": "x"}, "x") == "algebra/1"
    assert id_of({"Record ID": "rec"}, "x") == "rec" and id_of({"id": 0}, "x") == "0"
    found = [id_of({"id": ""}, "x"), id_of({}, "y"), id_of({}, "x", ["a", "b"], 0), id_of({}, "x", ["b", "a"], 1)]
    assert len(set(found)) == len(found) and found[0] == id_of({}, "x") != "" and id_of({}, "\ud800")
