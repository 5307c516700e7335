"""The ladder, read aloud."""

import pytest

from midcourse.guard.ladder import climb, joint
from midcourse.guard.phase import Phase
from midcourse.guard.policy import PhasePolicy


@pytest.mark.parametrize(
    ("cause", "phase", "spent", "responded", "rung"),
    [
        ("cue", Phase.REASONING, 0, False, "trigger"),
        ("loop", Phase.REASONING, 1, False, "trigger"),
        ("cue", Phase.REASONING, 2, False, "refuse"),
        ("cue", Phase.REASONING, 2, True, "refuse"),
        ("judge_failed", Phase.REASONING, 0, False, "refuse"),
        ("harmful", Phase.RESPONSE, 1, True, "trigger"),
        ("harmful", Phase.RESPONSE, 2, False, "refuse"),
        ("harmful", Phase.RESPONSE, 2, True, "end"),
        ("judge_failed", Phase.RESPONSE, 0, True, "end"),
        ("cue", Phase.PROMPT, 0, False, "refuse"),
        ("cue", Phase.PROMPT, 0, True, "end"),
    ],
)
def test_the_rung_that_follows(cause: str, phase: Phase, spent: int, responded: bool, rung: str) -> None:
    assert climb(cause, phase, PhasePolicy(max_interventions=2), spent, responded) == rung  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("withheld", "before", "optimistic", "white_space"),
    [
        ("\n\nDo it.", ".", False, "\n\n"),
        ("Do it.", ".", False, " "),
        ("Do it.", "\n", False, ""),
        (" Do it.", "", False, " "),
        ("", "x", True, "\n\n"),
        ("", "\n", True, ""),
    ],
)
def test_a_trigger_takes_the_white_space_of_the_step_it_replaces(
    withheld: str, before: str, optimistic: bool, white_space: str
) -> None:
    assert joint(withheld, before, optimistic) == white_space
