"""Thresholds for a share of benign traffic, and how far they can be trusted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midcourse.models.calibrate import STEP, calibrate, threshold_for, upper_bound
from midcourse.models.replay import Window
from midcourse.models.rows import DataError, read
from tests.marked import MarkedJudge, row, write

SCORES = st.lists(st.lists(st.floats(0, 0.999), min_size=1, max_size=6), min_size=30, max_size=60)


@given(SCORES, st.sampled_from([0.1, 0.25, 0.5]), st.sampled_from(["step", "trace"]))
def test_the_threshold_is_the_smallest_that_keeps_the_share(traces: list[list[float]], target: float, per: Any) -> None:
    found = threshold_for(traces, target, per)
    assert found.threshold is not None
    cases = [max(trace) for trace in traces] if per == "trace" else [score for trace in traces for score in trace]
    assert found.n == len(cases) and found.traces == len(traces)
    assert found.flagged == sum(score >= found.threshold for score in cases) <= target * len(cases)
    assert found.fpr == found.flagged / found.n <= found.upper
    lower = round(found.threshold - 2 * STEP, 6)
    assert lower <= 0 or sum(score >= lower for score in cases) > target * len(cases)


def test_a_thousandth_of_three_thousand_is_three() -> None:
    found = threshold_for([[n / 4000] for n in range(3000)], 0.001)
    assert (found.flagged, found.n, found.needed, found.problem) == (3, 3000, 3000, None)


def test_too_few_cases_give_no_threshold() -> None:
    found = threshold_for([[0.1]] * 2999, 0.001)
    assert found.threshold is None
    assert found.problem == "2999 steps are too few for 0.001: give 3000 or more, or raise the target"
    by_trace = threshold_for([[0.1] * 10] * 400, 0.01, "trace")
    assert by_trace.n == 400 and by_trace.threshold is not None


def test_a_judge_that_is_sure_of_benign_steps_gets_no_threshold() -> None:
    found = threshold_for([[1.0]] * 5 + [[0.1]] * 95, 0.04)
    assert found.threshold is None and found.problem is not None and "more than 4 of 100 benign steps" in found.problem
    barely = threshold_for([[1.0]] * 4 + [[0.1]] * 96, 0.04)
    assert barely.threshold is not None and barely.threshold < 0.2


def test_a_judge_that_says_nothing_gets_a_threshold_that_a_policy_takes() -> None:
    assert threshold_for([[0.0]] * 100, 0.04).threshold == STEP


@pytest.mark.parametrize(
    ("hits", "n", "bound"),
    [(0, 3000, 0.000998), (0, 100, 0.02951), (5, 100, 0.10225), (60, 73447, 0.001012), (10, 10, 1.0)],
)
def test_the_bound_is_clopper_and_pearsons(hits: int, n: int, bound: float) -> None:
    assert upper_bound(hits, n) == pytest.approx(bound, rel=1e-3)


def test_the_bound_holds_nineteen_times_in_twenty() -> None:
    scores = np.sort(np.random.default_rng(2).random((2000, 400)), axis=1)
    rates = 1 - scores[:, -9]  # the true rate of a threshold just above the ninth of uniform scores: 8 are flagged
    assert 0.94 <= (rates <= upper_bound(8, 400)).mean() <= 0.96


def test_steps_of_few_traces_are_trusted_less() -> None:
    alone = threshold_for([[0.9]] * 20 + [[0.1]] * 980, 0.02)
    together = threshold_for([[0.9] * 20] + [[0.1] * 20] * 49, 0.02)
    assert alone.fpr == together.fpr == 0.02 and together.upper > 1.5 * alone.upper


def test_both_phases_are_calibrated_on_their_own_sentences(tmp_path: Path) -> None:
    rows = [row(f"r{n}", *["cue 0.2"] * 3, response="Step [cue 0.4]. Step [cue 0.6].") for n in range(20)]
    judge = MarkedJudge()
    found = calibrate(judge, read(write(tmp_path / "b.jsonl", *rows)), 0.1)
    assert {phase: (each.threshold, each.n) for phase, each in found.items()} == {
        "reasoning": (0.200001, 60),
        "response": (0.600001, 40),
    }
    assert [query.phase for query in judge.asked[:5]] == ["reasoning"] * 3 + ["response"] * 2


def test_a_phase_without_text_is_left_out_and_the_window_is_the_policys(tmp_path: Path) -> None:
    judge = MarkedJudge()
    rows = read(write(tmp_path / "b.jsonl", row("a", *["neutral 1"] * 40)))
    assert set(calibrate(judge, rows, 0.1, window=Window(context_chars=10))) == {"reasoning"}
    assert {len(query.context) for query in judge.asked[1:]} == {10}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"benign": False}, "benign: is false"),
        ({"benign": None}, "benign: is null"),
        ({"spans": [[0, 4, "cue"]]}, "spans: cue at 0 in a benign trace"),
    ],
)
def test_rows_that_are_not_benign_are_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b.jsonl:1: " + said):
        calibrate(MarkedJudge(), read(write(tmp_path / "b.jsonl", row("a", "cue 1") | change)), 0.1)


@pytest.mark.parametrize("target", [0, 1, -0.1])
def test_a_target_is_a_share(target: float) -> None:
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        calibrate(MarkedJudge(), [], target)
