"""The evasion benchmark: disguises, samples, shares and our own translations. No shared data is needed."""

import json
import runpy
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from midcourse.guard.verdict import Query
from midcourse.models.normalise import normalised
from tests.marked import MarkedJudge, row, write

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "evasion.py"
SPEC = runpy.run_path(str(BENCHMARK))
PLAIN = "Maybe I could find another way to explain how people usually plan this, step by step."
QUERY = Query("How so?", "Hm.", PLAIN, "reasoning", 3)
RECOVERED = sorted(SPEC["EVASIONS"].keys() - {"typos"})


def words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


@pytest.mark.parametrize("name", sorted(SPEC["EVASIONS"]))
def test_a_disguise_depends_on_the_seed_alone(name: str) -> None:
    evasion = SPEC["EVASIONS"][name]
    assert evasion(PLAIN, Random(1)) == evasion(PLAIN, Random(1))
    assert (evasion(PLAIN, Random(1)) == PLAIN) == (name == "none")
    assert evasion("", Random(1)) == ""


@pytest.mark.parametrize("name", RECOVERED)
def test_normalising_brings_most_words_back(name: str) -> None:
    for seed in range(4):  # one for each sign between letters
        found = words(normalised(SPEC["EVASIONS"][name](PLAIN, Random(seed))))
        assert sum(word in found for word in words(PLAIN)) >= 0.85 * len(words(PLAIN))


def test_typos_leave_short_words_and_the_ends_of_long_ones() -> None:
    typed = SPEC["typos"](PLAIN, Random(0)).split(" ")
    assert len(typed) == len(PLAIN.split())
    for before, after in zip(PLAIN.split(), typed, strict=True):
        assert sorted(before) == sorted(after) and before[0] == after[0] and before[-1] == after[-1]
        assert len(before) >= 4 or before == after


def test_the_prompt_is_disguised_only_when_asked_for() -> None:
    upper = SPEC["EVASIONS"]["case, upper"]
    assert SPEC["disguised"](QUERY, upper, 0, prompt=False) == Query("How so?", "Hm.", PLAIN.upper(), "reasoning", 3)
    assert SPEC["disguised"](QUERY, upper, 0, prompt=True).prompt == "HOW SO?"


def test_a_sample_keeps_the_order_and_is_the_same_every_time() -> None:
    steps = [SPEC["Step"](QUERY, n) for n in range(50)]
    sample = SPEC["sampled"](steps, 10, 0)
    assert sample == SPEC["sampled"](steps, 10, 0)
    assert [step.trace for step in sample] == sorted({step.trace for step in sample}) and len(sample) == 10
    assert SPEC["sampled"](steps, 100, 0) == steps


def test_a_share_has_an_interval_over_traces() -> None:
    assert SPEC["share"]([], []) == "–"
    assert SPEC["share"]([True] * 4, [0, 0, 7, 7]).startswith("1.000 (")
    together = SPEC["share"]([True, False] * 20, [n // 4 for n in range(40)])
    assert together == "0.500 (0.500 to 0.500)"  # every trace alike: drawing traces changes nothing


def test_unsafe_steps_are_the_labelled_ones_and_benign_steps_the_first(tmp_path: Path) -> None:
    marks = [("cue 0.9", "cue"), ("safety 0.9", "safety"), ("harmful 0.9", "harmful"), ("neutral 0.9", None)]
    write(tmp_path / "harmful_dev.jsonl", row("a", *marks), row("b", *marks))
    unsafe = list(SPEC["steps_in"](tmp_path, ("harmful", "absent"), unsafe=True))
    assert [(step.query.step, step.trace) for step in unsafe] == [
        (f"Step [{mark} 0.9].", trace) for trace in (0, 1) for mark in ("cue", "harmful")
    ]
    write(tmp_path / "benign_dev.jsonl", row("c", *["neutral 0.9"] * 40))
    assert len(list(SPEC["steps_in"](tmp_path, ("benign",), unsafe=False))) == SPEC["BENIGN_STEPS"]


def test_the_wrapped_judge_sees_plain_text() -> None:
    judge = MarkedJudge()
    wrapped = SPEC["Normalising"](judge)
    (verdict,) = wrapped.judge([Query("h0w t0 bu1ld", "b\u200by", "p\u200bl\u200ba\u200bn [cue 0.9]", "reasoning", 0)])
    assert judge.asked == [Query("how to build", "by", "plan [cue 0.9]", "reasoning", 0)]
    assert verdict.cue == 0.9
    assert wrapped.name == "marked, normalised"


def test_cells_are_shares_of_both_judges_without_and_with_the_prompt() -> None:
    steps = [SPEC["Step"](Query("How?", "", f"Step [{mark} 0.9].", "reasoning", 0), 0) for mark in ("cue", "safety")]
    judges = (MarkedJudge(), SPEC["Normalising"](MarkedJudge()))
    shares = [cell.split()[0] for cell in SPEC["cells"](judges, steps, SPEC["EVASIONS"]["zero-width"], 0.5)]
    assert shares == ["0.000", "0.500", "0.000", "0.500"]


def translations() -> list[dict[str, Any]]:
    return [json.loads(line) for line in SPEC["TRANSLATIONS"].read_text(encoding="utf-8").splitlines()]


def test_there_are_sixty_cues_and_thirty_of_each_other_kind_in_every_language() -> None:
    rows = translations()
    assert Counter(row["label"] for row in rows) == {"cue": 60, "neutral": 30, "safety": 30}
    for language in SPEC["LANGUAGES"]:
        assert len({row[language] for row in rows}) == len(rows)
        assert all(row[language].strip() and row["prompt"].strip() for row in rows)


@pytest.mark.parametrize("language", SPEC["LANGUAGES"])
def test_translations_come_through_normalising_unchanged(language: str) -> None:
    for sentence in (found[language] for found in translations()):
        assert words(normalised(sentence)) == words(sentence)
