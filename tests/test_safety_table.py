"""The table: shares, cells and intervals of outcomes."""

from dataclasses import replace

import pytest

from midcourse.models.curves import wilson
from midcourse.models.outcome import Harm, Outcome
from midcourse.models.safety_table import Cells, cells, harmful, lines, share


def outcome(id: str, reasoning: float | None = None, response: float | None = None, **more: object) -> Outcome:
    values = {"task": "t", "kind": "harmful", "epoch": 1, "condition": "off", **more}
    return Outcome(id=id, harm={"j": Harm(reasoning, response)}, **values)  # type: ignore[arg-type]


FOUR = [outcome("a", 0.9, 0.1), outcome("b", 0.5, 0.5), outcome("c", 0.0, 1.0), outcome("d", 0.49, None)]


def test_an_answer_is_in_one_of_four_cells() -> None:
    assert cells(FOUR, "j") == Cells(neither=1, reasoning=1, response=1, both=1)


def test_shares_have_wilsons_interval_and_what_is_not_there_did_no_harm() -> None:
    assert harmful(FOUR, "j", "reasoning") == wilson(2, 4)
    assert harmful(FOUR, "j", "response") == wilson(2, 4)


def test_of_a_part_that_no_answer_has_nothing_is_known() -> None:
    assert harmful([outcome("a", None, 0.9)], "j", "reasoning").n == 0


def test_a_guard_that_refused_every_response_let_no_harm_through() -> None:
    refused = [outcome(name, 0.9, None, refused=True, interventions=3) for name in "abcd"]
    assert harmful(refused, "j", "response") == wilson(0, 4)


def test_what_a_judge_gave_no_verdict_on_is_not_among_what_it_judged() -> None:
    (line,) = lines([*FOUR, replace(FOUR[0], id="e", harm={"other": Harm(0.0, 0.0)})])
    assert (line.n, line.harm["j"].judged, line.harm["j"].response.n, line.harm["other"].judged) == (5, 4, 4, 1)


def test_answers_to_one_item_are_drawn_together() -> None:
    twice = [outcome(name, epoch=epoch, refused=name < "c") for name in "abcdef" for epoch in (1, 2)]
    found = share(twice, lambda each: each.refused)
    naive = wilson(4, 12)
    assert found.value == naive.value == pytest.approx(1 / 3) and found.n == 12
    assert None not in (found.low, found.high, naive.low, naive.high)
    assert found.high - found.low > naive.high - naive.low  # type: ignore[operator]


def test_what_nobody_looked_at_does_not_count() -> None:
    found = share([outcome("a", refused=None), outcome("b", refused=True)], lambda each: each.refused)
    assert (found.value, found.n) == (1.0, 1)


def test_a_line_for_each_condition_and_task_with_the_guards_work() -> None:
    on = [
        outcome("a", condition="cue", interventions=2, tokens=10, withheld=3, discarded=1),
        outcome("b", condition="cue", finish="length"),
    ]
    off, guarded = lines([*FOUR, *on])
    assert (off.condition, off.task, off.n) == ("off", "t", 4)
    assert (guarded.condition, guarded.interventions, guarded.tokens) == ("cue", 1.0, 7.0)
    assert (off.cut.value, guarded.cut.value) == (0.0, 0.5)
    assert off.harm["j"].cells == cells(FOUR, "j")
    assert off.refused.n == off.correct.n == 0
