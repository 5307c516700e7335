"""What a reader is told before the first number, on outcomes that can be counted by hand."""

import pytest

from midcourse.models.caveats import caveats, uneven
from midcourse.models.outcome import Outcome
from midcourse.models.outcome_run import EvalRun
from midcourse.models.report_tables import Arm
from tests.told_runs import Said, benign, harmful, sums

CALM: Said = (0.0, 0.0)
JUDGED = {"mode": "enforce", "judge": "random"}


def arm(name: str, *groups: list[Outcome], sampling: dict[str, float] | None = None, run: str = "run") -> Arm:
    told = {"sampling": sampling or {}, "tasks": {}, "judges": {}, "conditions": {"dice": JUDGED}}
    return Arm(name, EvalRun(f"{run}:{name}", tuple(one for group in groups for one in group), told))


def two(*judges: str) -> list[Arm]:
    """Off and a guard."""
    return [arm(name, harmful(name, dict.fromkeys(judges, [CALM] * 8))) for name in ("off", "cue")]


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        (("fair", "other"), ()),
        (("fair",), ("single judge: fair is the only judge. Ask",)),
        (("fair", "cue"), ("single judge: fair is the only judge that is not the guard's own",)),
        (("cue",), ("the guard's own classifier alone (cue)",)),
        (("cue", "lexical"), ("the guard's own classifier alone (cue, lexical)",)),
        ((), ("Nobody judged",)),
    ],
)
def test_a_report_that_rests_on_one_judge_or_on_the_guard_says_so(
    judges: tuple[str, ...], said: tuple[str, ...]
) -> None:
    arms = two(*judges) if judges else [arm("off", [Outcome("jail", "harmful", "j", 1, "off")])]
    found = caveats(arms)
    assert len(found) == len(said) and all(text in line for text, line in zip(said, found, strict=True))


def test_a_judge_that_did_not_see_all_is_named() -> None:
    arms = [*two("fair", "other"), arm("new", harmful("new", {"fair": [CALM] * 8}))]
    assert caveats(arms) == ["Judge other did not see all answers of new."]


def test_conditions_that_were_not_asked_alike_are_named() -> None:
    said = {"fair": [CALM] * 2, "other": [CALM] * 2}
    cool, hot = (arm(f"at{heat}", harmful("off", said), sampling={"temperature": heat}) for heat in (0.0, 1.0))
    assert caveats([cool, cool]) == []
    assert "at1.0 against at0.0 compares unlike things: sampling.temperature: is 0.0" in caveats([cool, hot])[0]


def test_whoever_was_not_asked_what_others_were_is_named() -> None:
    off = arm("off", benign("off", [False]), sums("off", [True]))
    cue = arm("cue", benign("cue", [False]))
    assert caveats([off, cue]) == ["cue was not asked sums: what is said of several tasks together leaves that out."]
    assert caveats([off, off._replace(name="new")]) == []


def intervened(name: str, *times: int, harmless: int = 0, run: str = "run") -> Arm:
    """A condition that intervened so often in answers to harmful requests, and to one harmless one."""
    bad = harmful(name, {"fair": [CALM] * len(times), "other": [CALM] * len(times)}, times)
    good = Outcome("calm", "benign", "b", 1, name, interventions=harmless)
    return arm(name, bad, [good], run=run)


@pytest.mark.parametrize("name", ["random", "dice"])
def test_random_insertion_that_is_not_as_often_as_the_guard_is_told(name: str) -> None:
    dice, guard = intervened(name, 1, 1, harmless=1), intervened("cue", 2, 1, harmless=1)
    told = f"{name} and cue did not intervene equally often: 1.00 and 1.50 times in an answer to harmful requests."
    assert caveats([intervened("off", 0, 0), guard, dice]) == [f"{told} See --random-rate."]
    (both,) = uneven([dice, intervened("cue", 0, 3, harmless=0)])
    assert "harmful requests, 1.00 and 0.00 times in an answer to benign ones" in both


def test_a_rate_that_is_near_the_guards_and_a_guard_of_another_run_are_no_matter() -> None:
    dice = intervened("random", 1, 1, 1, 1)
    assert uneven([dice, intervened("cue", 1, 1, 1, 2)]) == []
    assert uneven([dice, intervened("cue", 9, 9, 9, 9, run="other")]) == []
    assert uneven([dice, intervened("random", 9, 9, 9, 9)]) == []
    assert uneven([dice, arm("cue", [Outcome("t", "capability", "s", 1, "cue", interventions=3)])]) == []
