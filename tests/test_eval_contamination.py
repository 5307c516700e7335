"""``midcourse eval contamination`` and ``eval update``, from files to what is printed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from midcourse.models.eval_items import id_of
from midcourse.models.outcome import Outcome, write_outcomes
from midcourse.server.cli import main
from midcourse.tasks.catalogue import BENCHMARKS
from midcourse.tasks.items import items_of
from tests.eval_server import write_rows

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "220")

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["eval", *map(str, arguments)])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def outcomes(file: Path, flags: str, condition: str = "off", epoch: int = 1, more: tuple[Outcome, ...] = ()) -> Path:
    """A file with right and wrong answers."""
    rows = [
        Outcome("owls", "capability", f"q{n}", epoch, condition, correct=flag == "1") for n, flag in enumerate(flags)
    ]
    write_outcomes(file, [*rows, *more])
    return file


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    again = tuple(Outcome("owls", "capability", f"q{n}", 2, "off", correct=n == 0) for n in range(4))
    base = outcomes(tmp_path / "base.jsonl", "1100", more=again)
    tuned = outcomes(tmp_path / "tuned.jsonl", "1111", "tuned")
    return ["contamination", "--original", str(base), "--contaminated", str(tuned)]


def test_every_update_is_told_beside_vanilla_and_the_noise(tmp_path: Path, runs: list[str], run: Run) -> None:
    a, b = outcomes(tmp_path / "a.jsonl", "1000"), outcomes(tmp_path / "b.jsonl", "1010")
    code, out, err = run(*runs, "--update", f"typo={a},{b}:off")
    assert (code, err) == (0, "")
    header, vanilla, typo = out.splitlines()[:3]
    assert "fidelity" in header and "resistance - vanilla's" in header
    assert vanilla.startswith("vanilla") and "1.00 (0.40-1.00)" in vanilla and "0.50 (" in vanilla
    assert typo.startswith("typo") and typo.count("0.75 (") == 2 and "+0.25 (" in typo
    assert "noise: the model agrees with itself, drawn anew, on 0.75" in out
    code, out, _ = run(*runs, "--update", f"typo={a},{b}", "--json")
    told = json.loads(out)
    assert [each["name"] for each in told["assessed"]] == ["vanilla", "typo"] and told["noise"]["lost"] == 1


def test_failed_rewrites_are_named_and_leave_every_vector(tmp_path: Path, runs: list[str], run: Run) -> None:
    a, b = outcomes(tmp_path / "a.jsonl", "110"), outcomes(tmp_path / "b.jsonl", "111")
    failed = tmp_path / "out.failed"
    failed.write_text('{"id": "q3", "reason": "no rule fits it"}\n')
    code, _, err = run(*runs, "--update", f"typo={a},{b}")
    assert code == 2 and "1 items, such as q3, are only in (M, D)" in err
    code, out, _ = run(*runs, "--update", f"typo={a},{b}", "--failed", f"typo={failed}")
    assert code == 0 and "3 (1)" in out


def test_bad_input_is_one_line(tmp_path: Path, runs: list[str], run: Run) -> None:
    base = runs[2]
    two = outcomes(tmp_path / "two.jsonl", "11", more=(Outcome("owls", "capability", "q9", 1, "on", correct=True),))
    twice = outcomes(tmp_path / "x.jsonl", "1", more=(Outcome("owls", "capability", "q0", 1, "off", correct=True),))
    for more, says in (
        (("--update", "typo"), "--update typo: expected NAME=..."),
        (("--update", f"typo={base}"), "needs two runs"),
        (("--update", f"typo={base},{tmp_path / 'no'}"), "cannot read it"),
        (("--update", f"typo={base},{two}"), "several of condition: off, on; give RUN:CONDITION"),
        (("--update", f"typo={base},{base}:on"), "has no answers of a capability task"),
        (("--update", f"typo={base},{twice}"), "q0 has several answers"),
        (("--task", "crows"), "has no answers"),
        (("--failed", f"typo={base}"), "there is no --update of that name"),
    ):
        code, _, err = run(*runs, *more)
        assert code == 2 and says in err and err.count("\n") == 1


def items(folder: Path) -> Path:
    rows: list[dict[str, object]] = [
        {
            "id": "a",
            "question": "If it rains, who gets wet?",
            "choices": ["owl", "cat", "dog"],
            "answer": 1,
            "kind": "x",
        },
        {"prompt": "Why do owls sleep?"},
    ]
    file = folder / "items.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def read(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_benchmark_is_rewritten_and_what_could_not_be_is_in_a_file_beside(tmp_path: Path, run: Run) -> None:
    out = tmp_path / "new.jsonl"
    code, said, _ = run("update", items(tmp_path), "--transform", "syntax", "--out", out)
    assert code == 0 and "1 rewritten" in said and "1 not" in said
    (row,) = read(out)
    assert row == {
        "id": "a",
        "question": "Who gets wet if it rains?",
        "choices": ["owl", "cat", "dog"],
        "answer": 1,
        "kind": "x",
    }
    assert read(tmp_path / "new.jsonl.failed") == [{"id": id_of({}, "Why do owls sleep?"), "reason": "no rule fits it"}]


@pytest.mark.parametrize(
    ("task", "row", "field"),
    [
        ("gsm8k", {"answer": "Count.\n#### 4"}, "question"),
        ("math500", {"answer": "4", "unique_id": "algebra/{}"}, "problem"),
        ("mmlu", {"choices": ["owl", "cat", "dog"], "answer": 1}, "question"),
    ],
)
def test_an_item_has_one_id_in_a_run_in_an_update_and_in_a_run_of_the_update(
    task: str, row: dict[str, object], field: str, tmp_path: Path, run: Run
) -> None:
    asked = ["If it rains, who gets wet?", "Why do owls sleep?"]
    rows = [{**{k: v.format(n) if isinstance(v, str) else v for k, v in row.items()}, field: asked[n]} for n in (0, 1)]
    name = f"{BENCHMARKS[task].file}.jsonl"
    file = write_rows(tmp_path / "old" / name, rows)
    (tmp_path / "new" / name).parent.mkdir(parents=True)
    assert run("update", file, "--transform", "syntax", "--out", tmp_path / "new" / name)[0] == 0
    before, after = (items_of(BENCHMARKS[task], tmp_path / folder).items for folder in ("old", "new"))
    failed = read(tmp_path / "new" / f"{name}.failed")
    assert [item.id for item in before] == [after[0].id, failed[0]["id"]] and before[0].asked != after[0].asked


def test_labels_follow_a_shuffle_and_a_seed_gives_the_same_file(tmp_path: Path, run: Run) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for out in (one, two):
        assert run("update", items(tmp_path), "--transform", "shuffle", "--seed", "4", "--out", out, "--json")[0] == 0
    (row,) = read(one)
    assert one.read_bytes() == two.read_bytes()
    assert isinstance(row["choices"], list) and isinstance(row["answer"], int)
    assert row["choices"][row["answer"]] == "cat" and row["choices"] != ["owl", "cat", "dog"]


def test_what_cannot_be_rewritten_at_all_is_an_error(tmp_path: Path, run: Run) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"question": "Why?", "choices": ["a"], "answer": 1}\n')
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"text": "Why?"}\n')
    out = ("--out", tmp_path / "out")
    for arguments, says in (
        ((bad, "--transform", "typo", *out), "bad.jsonl:1: choices: expected a list"),
        ((empty, "--transform", "typo", *out), "asks nothing"),
        ((tmp_path / "none", "--transform", "typo", *out), "cannot read it"),
        ((bad, "--transform", "paraphrase", *out), "needs --url and --model"),
        ((items(tmp_path), "--transform", "typo", "--out", tmp_path / "no" / "x"), "--out"),
    ):
        code, _, err = run("update", *arguments)
        assert code == 2 and says in err and err.count("\n") == 1
