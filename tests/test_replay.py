"""Finished traces asked step by step: the same questions as the guard's."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midcourse.guard.action import Judge as Asking
from midcourse.guard.delta import Delta
from midcourse.guard.dialect import R1
from midcourse.guard.phase import Phase
from midcourse.guard.policy import Policy
from midcourse.guard.session import Session
from midcourse.guard.verdict import Query, Verdict
from midcourse.models import replay
from midcourse.models.replay import Window, by_span, judged, sentences, timed
from midcourse.models.rows import DataError, Row, Span
from tests.marked import MarkedJudge

LONG = Row("a", "p" * 5_000, "One is here. Two is " + "long " * 700 + "here. Three.", "Four is here. Five.")


def test_the_questions_are_those_of_a_session() -> None:
    session = Session(Policy(mode="shadow"), R1, prompt=LONG.prompt, starts=Phase.REASONING)
    actions = session.receive(Delta(f"{LONG.reasoning}</think>{LONG.response}", finish_reason="stop"))
    assert sentences(LONG) == [action.query for action in actions if isinstance(action, Asking)]


def test_a_window_bounds_step_context_and_prompt() -> None:
    for query in sentences(LONG, Window(max_step_chars=100, context_chars=50, prompt_chars=20)):
        assert len(query.step) <= 100 and len(query.context) <= 50 and len(query.prompt) <= 23


def test_labelled_spans_are_asked_in_their_place() -> None:
    row = Row("a", "How?", "One. Skipped. Two.", spans=(Span(0, 5, "cue"), Span(14, 18, None)))
    assert by_span(row) == [
        (Query("How?", "", "One.", "reasoning", 0), "cue"),
        (Query("How?", "One. Skipped. ", "Two.", "reasoning", 1), None),
    ]


def test_white_space_that_nobody_labelled_is_no_step() -> None:
    row = Row("a", "How?", "One. \n\nTwo.", spans=(Span(0, 5, None), Span(5, 7, None), Span(7, 11, "cue")))
    assert [query.step for query, _ in by_span(row)] == ["One.", "Two."]


def test_an_unlabelled_row_is_cut_by_our_splitter_and_its_response_left_out() -> None:
    asked = by_span(Row("a", "How?", "One. Two.", "Three."))
    assert [(query.step, label) for query, label in asked] == [("One.", None), ("Two.", None)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row("a", "", "One.  ", spans=(Span(4, 6, "cue"),), where="f:1"), "f:1: spans.0.: holds only white space"),
        (Row("a", "", "", "Two.", where="f:1"), "f:1: reasoning: is empty"),
    ],
)
def test_a_row_without_anything_to_judge_is_an_error(row: Row, said: str) -> None:
    with pytest.raises(DataError, match=said):
        by_span(row)


def test_verdicts_come_back_trace_by_trace_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "TRACES", 2)
    monkeypatch.setattr(replay, "STEPS", 1)
    traces = [[query("a [cue 0.1]"), query("b [cue 0.2]")], [], [query("c [cue 0.3]")]]
    told: list[tuple[int, int]] = []
    judge = MarkedJudge()
    found = judged(judge, traces, lambda done, total: told.append((done, total)))
    assert [[verdict.cue for verdict in trace] for trace in found] == [[0.1, 0.2], [], [0.3]]
    assert told == [(1, 3), (2, 3), (3, 3)] and judge.asked == [*traces[2], *traces[0]]


@given(st.lists(st.integers(0, 30), max_size=90))
def test_whatever_the_lengths_each_trace_gets_its_own_verdicts_in_order(lengths: list[int]) -> None:
    traces = [[query(f"[cue {(n + k) % 100 / 100}]") for k in range(length)] for n, length in enumerate(lengths)]
    found = judged(MarkedJudge(), traces)
    assert [[v.cue for v in own] for own in found] == [
        [(n + k) % 100 / 100 for k in range(length)] for n, length in enumerate(lengths)
    ]


def test_a_judge_that_loses_a_verdict_is_caught() -> None:
    class Loser(MarkedJudge):
        def judge(self, queries: Sequence[Query]) -> list[Verdict]:
            return super().judge(queries)[1:]

    with pytest.raises(RuntimeError, match="judge marked gave 1 verdicts for 2 steps"):
        judged(Loser(), [[query("a"), query("b")]])


def test_single_steps_are_timed_one_by_one_in_order_after_a_warm_up() -> None:
    judge = MarkedJudge()
    traces = [[query(f"{n}.{k}") for k in range(20)] for n in range(120)]
    times = timed(judge, traces)
    assert len(times) == replay.TIMED_TRACES and {len(trace) for trace in times} == {replay.TIMED_STEPS}
    assert all(value > 0 for trace in times for value in trace)
    assert [q.step for q in judge.asked[1:10]] == [*(f"0.{k}" for k in range(8)), "2.0"]
    assert timed(judge, []) == []


def query(step: str) -> Query:
    return Query("How?", "", step, "reasoning", 0)
