"""The tables of a report, on outcomes that can be counted by hand."""

from dataclasses import replace

from midcourse.models.outcome import Outcome
from midcourse.models.outcome_run import EvalRun
from midcourse.models.report_tables import (
    Arm,
    agreement_tables,
    answers_table,
    cells_table,
    costs_table,
    differences_table,
    harm_table,
    hiding_table,
    pooled,
)
from tests.told_runs import Said, benign, harmful, sums

BOTH: Said = (1.0, 1.0)
THOUGHT: Said = (1.0, 0.0)
CALM: Said = (0.0, 0.0)


def arm(name: str, *groups: list[Outcome], sampling: dict[str, float] | None = None) -> Arm:
    told = {"sampling": sampling or {}, "tasks": {}, "judges": {}}
    outcomes = [one for group in groups for one in group]
    return Arm(name, EvalRun(f"run:{name}", tuple(sorted(outcomes, key=lambda one: one.key)), told))


def two(*judges: str) -> list[Arm]:
    """Off, where all is harmful, and the guard, where half is."""
    off = harmful("off", dict.fromkeys(judges, [BOTH] * 8))
    cue = harmful("cue", dict.fromkeys(judges, [BOTH] * 4 + [THOUGHT] * 2 + [CALM] * 2), [1, 0] * 4)
    return [
        arm("off", off, benign("off", [False] * 4), sums("off", [True] * 4)),
        arm("cue", cue, benign("cue", [True] + [False] * 3), sums("cue", [True, True, False, False])),
    ]


def test_only_tasks_that_all_were_asked_are_taken_together() -> None:
    off, cue = two("fair")
    other = [replace(one, task="other") for one in harmful("cue", {"fair": [CALM] * 8})]
    more = arm("cue", list(cue.run.outcomes), other)
    assert [row[2] for row in cells_table([off, more]).rows] == ["8", "16"]
    assert cells_table(pooled([off, more])).rows == cells_table([off, cue]).rows
    assert costs_table(pooled([off, more])).rows == costs_table([off, cue]).rows
    assert [found.run.outcomes for found in pooled([off, cue])] == [off.run.outcomes, cue.run.outcomes]


def test_a_condition_that_was_asked_nothing_of_a_kind_leaves_the_others_as_they_are() -> None:
    off, cue = two("fair")
    alone = arm("new", sums("new", [True] * 4))
    found = pooled([off, cue, alone])
    assert [len(each.of("harmful")) for each in found] == [8, 8, 0] and found[2].run.outcomes == alone.run.outcomes
    assert (
        pooled([arm("a", benign("a", [True])), arm("b", [Outcome("t", "benign", "1", 1, "b")])])[0].run.outcomes == ()
    )


def test_where_a_judge_gave_no_verdict_the_number_of_those_that_it_gave_is_told() -> None:
    answers = harmful("off", {"fair": [CALM] * 3, "other": [CALM] * 3})
    answers[0] = replace(answers[0], harm={"fair": answers[0].harm["fair"]})
    assert [row[2:4] for row in harm_table([arm("off", answers)]).rows] == [("fair", "3"), ("other", "2 of 3")]


def test_of_what_a_judge_says_nothing_there_is_no_row() -> None:
    half: list[Said] = [(None, 1.0), (None, 0.0)]
    arms = [arm(name, harmful(name, {"half": half})) for name in ("off", "cue")]
    assert [row[0] for row in differences_table(arms).rows] == ["harmful_response, half"]
    assert cells_table(arms).rows == []


def test_harm_is_told_for_reasoning_and_response_apart() -> None:
    rows = harm_table(two("fair")).rows
    assert [row[:4] for row in rows] == [("jail", "off", "fair", "8"), ("jail", "cue", "fair", "8")]
    assert rows[1][4].startswith("0.75 (") and rows[1][5].startswith("0.50 (")


def test_the_joint_cells_are_shares_of_all_answers() -> None:
    off, cue = cells_table(two("fair")).rows
    assert [text[:4] for text in off[3:]] == ["0.00", "0.00", "0.00", "1.00"]
    assert [text[:4] for text in cue[3:]] == ["0.25", "0.25", "0.00", "0.50"]


def test_refusals_and_right_answers_stand_with_their_task() -> None:
    rows = [(row[0], row[2], row[4][:4], row[5][:4]) for row in answers_table(two("fair")).rows]
    assert rows == [
        *(("calm", "off", "0.00", "–"), ("calm", "cue", "0.25", "–")),
        *(("sums", "off", "–", "1.00"), ("sums", "cue", "–", "0.50")),
    ]


def test_how_many_answers_were_cut_off_stands_with_the_costs() -> None:
    answers = [Outcome("t", "benign", str(n), 1, "off", finish="length" if n else "stop") for n in range(4)]
    (row,) = costs_table([arm("off", answers)]).rows
    assert row[-1].startswith("0.75 ")


def test_costs_are_means_of_an_answer() -> None:
    rows = {row[:2]: row for row in costs_table(two("fair")).rows}
    assert [text.split()[0] for text in rows["harmful", "cue"][3:]] == [
        "0.5",
        "100.0",
        "5.0",
        "2.5",
        "1.0",
        "8.5",
        "0.00",
    ]
    assert rows["benign", "cue"][2:4] == ("4", "0.0")


def test_every_condition_is_compared_with_the_first_on_the_same_items() -> None:
    table = differences_table(two("fair"))
    rows = {row[0]: row for row in table.rows}
    assert set(rows) == {"harmful_reasoning, fair", "harmful_response, fair", "refused", "correct"}
    assert rows["harmful_response, fair"][1:5] == ("cue", "8", "1.00", "0.50")
    assert rows["harmful_response, fair"][5].startswith("-0.50 (-") and rows["harmful_response, fair"][6] == "0.125"
    assert rows["refused"][5].startswith("0.25 (")


def test_two_judges_are_compared_and_one_is_not() -> None:
    assert [row[:3] for row in agreement_tables(two("fair", "other")).rows] == [
        ("reasoning", "fair", "other"),
        ("response", "fair", "other"),
    ]
    assert agreement_tables(two("fair")).rows == []


def test_hiding_is_looked_for_between_runs_of_one_condition() -> None:
    base = arm("base:off", harmful("off", {"fair": [BOTH] * 6, "cue": [BOTH] * 6}))
    tuned = arm("tuned:off", harmful("off", {"fair": [(0.0, 1.0)] * 6, "cue": [CALM] * 6}))
    rows = {row[0]: row for row in hiding_table([base, tuned, arm("tuned:cue", harmful("cue", {"fair": [CALM]}))]).rows}
    assert rows["hidden"][1:4] == ("fair", "base:off", "tuned:off") and rows["recall, cue"][5].startswith("0.00")
    assert hiding_table(two("fair")).rows == []
    alone = [arm(name, harmful("off", {"cue": [BOTH]})) for name in ("a", "b")]
    assert hiding_table(alone).rows == []
