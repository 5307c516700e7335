"""What the gate prints: numbers in the units of their axis, and why something did not pass."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from midcourse.models.compare import Line, Sides, decided, measured
from midcourse.models.gate import decide
from midcourse.models.gate_policy import axes_of
from midcourse.server.gate_show import asked, notes_of, reason, shown, table_of, table_of_lines, told
from tests.outcome_runs import first
from tests.test_gate import measured as loop_measured


def line(was: int, now: int, of: int = 200, **axis: Any) -> Line:
    """A decided axis of shares."""
    given = {"metric": "harmful_response", "kind": "harmful", "margin": 0.05, **axis}
    (each,) = axes_of({"axes": {"harm": given}})
    (found,) = decided([measured(each, np.array(first(was, of), float), np.array(first(now, of), float), "rules")])
    return found


def printed(table: Any) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (line(60, 60, min_items=500), "decides nothing; 500 items with 1 answer(s) each are the least"),
        (line(60, 100), "it was shown to be worse"),
        (line(60, 100, evidence="no_regression"), "it was shown to be worse"),
        (line(6, 8, 20, min_items=1), "it was not shown to be as good"),
        (line(6, 6, 20, min_items=1), "it was not shown to be as good; one that is would be with some"),
        (line(60, 62, require="improve"), "it was not shown to be better"),
        (line(60, 54, require="improve", margin=0.1), "it is better by less than was asked"),
    ],
)
def test_what_did_not_pass_is_told_why(found: Line, why: str) -> None:
    assert found.verdict != "passed"
    assert reason(found).startswith(why)


def test_a_row_has_shares_in_per_cent_and_differences_in_points() -> None:
    text = printed(table_of_lines([line(60, 40)]))
    assert "harm, rules" in text and "30.0%" in text and "20.0%" in text and "-10.0 (" in text and "passed" in text
    assert "difference (90%)" in text


def test_notes_name_each_judge_that_said_less_and_each_kind_that_was_cut_off_once() -> None:
    plain = line(60, 60)
    assert notes_of([plain]) == []
    missing = replace(plain, unjudged=Sides(2, 0), cut=Sides(0.25, 0.5))
    unread, cut = notes_of([missing, replace(missing, unjudged=Sides(0, 0), judge="sharp")])
    assert unread.startswith("harm, rules: no verdict on 2 answers of the baseline and 0 of the candidate")
    assert cut.startswith("harmful: the limit of tokens cut off 25.0% of the baseline's answers and 50.0% of the cand")


def test_a_number_is_told_as_it_is() -> None:
    found = line(60, 60, metric="wait_tokens", margin=5)
    assert told(found, 12.34) == "12.3" and asked(found) == "shown: worse by less than 5.0"


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ({}, "shown: worse by less than 5.0"),
        ({"evidence": "no_regression"}, "not shown: worse by more than 5.0"),
        ({"require": "improve"}, "shown: better by 5.0"),
    ],
)
def test_what_is_asked_stands_in_the_table(axis: dict[str, Any], words: str) -> None:
    assert asked(line(60, 60, **axis)) == words


def test_the_gate_of_the_loop_shows_differences_in_pairs() -> None:
    checks = decide(loop_measured(), loop_measured(intervened=4, loss=2.04))
    text = printed(table_of(checks, "base model", "loop-v1"))
    assert "change (95 %)" in text and "-33 (" in text and "0.008" in text and "+0.040 (+0.040 to +0.040)" in text
    lost = decide(loop_measured(), loop_measured(loss=float("nan")))
    assert (
        "unknown" in printed(table_of(lost, "base model", "loop-v1")) and shown(lost[2].after, nats=True) == "unknown"
    )
