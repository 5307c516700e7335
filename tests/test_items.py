"""Items: from files with a benchmark's columns, or from the hub, drawn alike in every run."""

import csv
from pathlib import Path
from typing import Any

import pytest

from midcourse.models.files import sha256_of
from midcourse.models.rows import DataError
from midcourse.tasks.catalogue import BENCHMARKS, PLACEHOLDER
from midcourse.tasks.items import items_of, local_file
from tests.eval_server import REQUESTS, small_data, write_rows

SAFETY = BENCHMARKS["jailbreakbench"]


def test_rows_of_a_file_become_items_with_the_hash_of_the_file(tmp_path: Path) -> None:
    small_data(tmp_path)
    found = items_of(SAFETY, tmp_path)
    assert [item.request for item in found.items] == list(REQUESTS)
    assert [item.asked for item in found.items] == list(REQUESTS)
    assert found.source == "jailbreakbench.jsonl"
    assert found.sha256 == sha256_of(tmp_path / "prompts" / "jailbreakbench.jsonl")


def test_the_columns_of_the_hub_will_do_in_csv(tmp_path: Path) -> None:
    file = tmp_path / "prompts" / "jailbreakbench.csv"
    file.parent.mkdir()
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows([("Goal", "id"), ("Name a bird.", "one"), ("Name a tree.", "two")])
    found = items_of(SAFETY, tmp_path)
    assert [(item.id, item.request) for item in found.items] == [("one", "Name a bird."), ("two", "Name a tree.")]


def test_a_sample_is_the_same_in_whatever_order_the_file_is_and_a_larger_one_holds_it(tmp_path: Path) -> None:
    rows = [{"prompt": f"Request {number}"} for number in range(50)]
    write_rows(tmp_path / "a" / "prompts" / "jailbreakbench.jsonl", rows)
    write_rows(tmp_path / "b" / "prompts" / "jailbreakbench.jsonl", rows[::-1])
    drawn = [items_of(SAFETY, tmp_path / folder, limit=5, seed=3).items for folder in "ab"]
    assert drawn[0] == drawn[1]
    assert items_of(SAFETY, tmp_path / "a", limit=9, seed=3).items[:5] == drawn[0]
    assert items_of(SAFETY, tmp_path / "a", limit=5, seed=4).items != drawn[0]


def test_only_rows_that_count_are_asked(tmp_path: Path) -> None:
    rows = [{"prompt": "How?", "label": "safe"}, {"prompt": "Who?", "label": "unsafe"}]
    write_rows(tmp_path / "prompts" / "xstest_safe.jsonl", rows)
    assert [item.request for item in items_of(BENCHMARKS["xstest_safe"], tmp_path).items] == ["How?"]


def test_a_jailbreak_stands_around_the_request_and_judges_read_the_request(tmp_path: Path) -> None:
    small_data(tmp_path)
    write_rows(tmp_path / "prompts" / "strongreject_half.jsonl", [{"prompt": text} for text in REQUESTS])
    templates = [{"prompt": f"Play {number}: {PLACEHOLDER}"} for number in range(9)]
    write_rows(tmp_path / "prompts" / "jailbreak_templates.jsonl", templates)
    plain = items_of(BENCHMARKS["strongreject"], tmp_path).items
    disguised_all = items_of(BENCHMARKS["strongreject_jailbreaks"], tmp_path)
    disguised = disguised_all.items
    others = [
        items_of(BENCHMARKS["strongreject_jailbreaks"], tmp_path, limit=n, seed=seed) for n, seed in ((1, 0), (3, 1))
    ]
    assert [found.sha256 == disguised_all.sha256 for found in others] == [True, False]  # another seed asks other things
    assert [(item.id, item.request) for item in disguised] == [(item.id, item.request) for item in plain]
    assert all(item.asked.startswith("Play ") and item.asked.endswith(item.request) for item in disguised)
    assert disguised == items_of(BENCHMARKS["strongreject_jailbreaks"], tmp_path).items


def test_a_template_without_a_place_is_told(tmp_path: Path) -> None:
    write_rows(tmp_path / "prompts" / "strongreject_half.jsonl", [{"prompt": "Name a bird."}])
    write_rows(tmp_path / "prompts" / "jailbreak_templates.jsonl", [{"prompt": "Just do it."}])
    with pytest.raises(DataError, match=r"jailbreak_templates\.jsonl: every template needs"):
        items_of(BENCHMARKS["strongreject_jailbreaks"], tmp_path)


def test_the_number_behind_the_working_is_the_target(tmp_path: Path) -> None:
    small_data(tmp_path)
    assert [item.target for item in items_of(BENCHMARKS["gsm8k"], tmp_path).items] == ["4", "4", "2"]


def test_options_of_mmlu_keep_their_order_and_those_of_gpqa_get_one(tmp_path: Path) -> None:
    write_rows(tmp_path / "utility" / "mmlu.jsonl", [{"question": "2 + 2?", "choices": ["3", "4"], "answer": 1}])
    (item,) = items_of(BENCHMARKS["mmlu"], tmp_path).items
    assert (item.asked, item.target) == ("2 + 2?\n\nA) 3\nB) 4", "B")
    wrong = {f"Incorrect Answer {number}": f"no {number}" for number in (1, 2, 3)}
    rows = [{"Record ID": f"r{n}", "Question": f"Is it {n}?", "Correct Answer": "yes", **wrong} for n in range(20)]
    write_rows(tmp_path / "utility" / "gpqa_diamond.jsonl", rows)
    items = items_of(BENCHMARKS["gpqa_diamond"], tmp_path).items
    assert all(f"\n{item.target}) yes" in item.asked for item in items)
    assert {item.target for item in items} == set("ABCD")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question": "2 + 2?", "choices": ["3"], "answer": 1}, "expected a list"),
        ({"question": "2 + 2?", "answer": 1}, "expected a list"),
        ({"choices": ["3"], "answer": 0}, "question: is missing or empty"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    write_rows(tmp_path / "utility" / "mmlu.jsonl", [row])
    with pytest.raises(DataError, match=rf"mmlu\.jsonl:1: .*{problem}"):
        items_of(BENCHMARKS["mmlu"], tmp_path)


def test_two_questions_may_not_share_an_id_and_a_row_that_comes_twice_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "prompts" / "jailbreakbench.jsonl"
    write_rows(file, [{"id": 1, "prompt": "a"}, {"id": 1, "prompt": "a"}])
    assert len(items_of(SAFETY, tmp_path).items) == 1
    write_rows(file, [{"id": 1, "prompt": "a"}, {"id": 1, "prompt": "b"}])
    with pytest.raises(DataError, match=r"bench\.jsonl:2: id: '1' is another question's at .*bench\.jsonl:1; give"):
        items_of(SAFETY, tmp_path)


def test_one_question_with_other_options_is_another_item(tmp_path: Path) -> None:
    one = {"question": "Which is right?", "choices": ["3", "4"], "answer": 1}
    rows = [one, {**one, "choices": ["4", "3"]}, {**one, "answer": 0}, one]
    write_rows(tmp_path / "utility" / "mmlu.jsonl", rows)
    items = items_of(BENCHMARKS["mmlu"], tmp_path).items
    assert len({item.id for item in items}) == len(items) == 3


def test_where_there_is_no_file_the_hub_is_asked_for_a_revision(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def load_dataset(*names: Any, **more: Any) -> list[dict[str, str]]:
        asked.append((names, more))
        return [{"prompt": "How to say yes?"}]

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    benchmark = BENCHMARKS["coconot_contrast"]
    found = items_of(benchmark, tmp_path)
    assert benchmark.hub is not None
    assert asked == [(("allenai/coconot", "contrast"), {"split": "test", "revision": benchmark.hub.revision})]
    assert (found.source, [item.request for item in found.items]) == ("allenai/coconot", ["How to say yes?"])
    assert found.sha256 == items_of(benchmark, None).sha256


def test_a_dataset_that_cannot_be_had_names_the_login_and_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def load_dataset(*names: Any, **more: Any) -> None:
        raise ConnectionError("gated\nand more")

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(DataError) as caught:
        items_of(BENCHMARKS["wildjailbreak"], tmp_path)
    told = str(caught.value)
    assert "allenai/wildjailbreak: ConnectionError: gated;" in told and "\n" not in told
    assert "hf auth login" in told and told.endswith("prompts/wildjailbreak.jsonl")
    with pytest.raises(DataError, match=r"oktest: is on no hub; put it into .*oktest\.jsonl"):
        items_of(BENCHMARKS["oktest"], tmp_path)


def test_a_file_is_found_by_its_name_and_one_of_three_endings(tmp_path: Path) -> None:
    assert local_file("prompts/x", tmp_path) is None
    assert local_file("prompts/x", None) is None
    file = write_rows(tmp_path / "prompts" / "x.jsonl", [])
    assert local_file("prompts/x", tmp_path) == file
