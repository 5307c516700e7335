"""Runs: read one condition of a folder, and compare only what was asked and judged alike."""

from pathlib import Path
from typing import Any

import pytest

from midcourse.models.outcome import OutcomeError
from midcourse.models.outcome_run import EvalRun, RunError, check_alike, check_only_adapter, read_run
from tests.outcome_runs import MANIFEST, benign, folder, harmful, run

ANSWERS = harmful([0.0, 1.0]) + benign([True, False])
TASKS, JUDGES = {"jail", "calm"}, {"rules"}
SAMPLING = MANIFEST["sampling"]


def test_a_run_with_one_condition_needs_no_name_for_it(tmp_path: Path) -> None:
    path = folder(tmp_path / "a", ANSWERS)
    found = read_run(str(path))
    assert found.name == f"{path}:cue" and found == read_run(f"{path}:cue")
    assert sorted(found.outcomes, key=lambda one: one.key) == list(found.outcomes) and len(found.outcomes) == 4


def test_of_several_conditions_one_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path / "a:b", ANSWERS + harmful([1.0], "off"))
    assert [one.condition for one in read_run(f"{path}:off").outcomes] == ["off"]
    with pytest.raises(RunError, match=r"has several conditions; say .*a:b:cue or .*a:b:off"):
        read_run(str(path))
    with pytest.raises(RunError, match="has no condition 'loud'; say"):
        read_run(f"{path}:loud")


def test_what_is_no_run_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such folder; give RUN or RUN:condition"):
        read_run(str(tmp_path / "nowhere"))
    with pytest.raises(RunError, match=r"manifest\.json: cannot read it"):
        read_run(str(tmp_path))
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(RunError, match="it holds no object"):
        read_run(str(tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(OutcomeError, match="cannot read it"):
        read_run(str(tmp_path))


def test_an_item_that_was_answered_twice_in_an_epoch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="jail j-000 has two answers of epoch 1"):
        read_run(str(folder(tmp_path / "a", ANSWERS + harmful([0.0]))))


def test_runs_of_the_same_items_judges_and_sampling_are_alike() -> None:
    check_alike(run(ANSWERS), run(harmful([1.0, 1.0], "off") + benign([True, True], "off")), TASKS, JUDGES)
    check_alike(run(ANSWERS), run(ANSWERS, sampling={**SAMPLING, "seed": 7, "limit": 4}), TASKS, JUDGES)
    check_alike(run(ANSWERS), run(ANSWERS, judges={"rules": "1", "sharp": "other"}), TASKS, JUDGES)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            {"sampling": {**SAMPLING, "temperature": 1.0}},
            r"sampling\.temperature: is 0\.6 in a and 1\.0 in b; run both",
        ),
        ({"sampling": {**SAMPLING, "min_p": 0.1}}, r"sampling\.min_p: is None in a and 0\.1 in b"),
        ({"judges": {"rules": "2"}}, r"judges\.rules: is '1' in a and '2' in b; run both alike"),
        ({"judges": {}}, r"judges\.rules: is '1' in a and None in b"),
        ({"tasks": {**MANIFEST["tasks"], "calm": {"sha256": "ee"}}}, r"tasks\.calm: is 'cdcd.* and 'ee' in b"),
        ({"tasks": None}, r"b: its manifest\.json does not say tasks"),
    ],
)
def test_what_differs_is_named(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(RunError, match=problem):
        check_alike(run(ANSWERS, "a"), run(ANSWERS, "b", **changed), TASKS, JUDGES)


def test_a_run_that_lacks_answers_is_named_with_one_of_them() -> None:
    for one, other in ((ANSWERS, ANSWERS[1:]), (ANSWERS[1:], ANSWERS)):
        with pytest.raises(RunError, match=r"lacks 1 answers of jail, such as j-000 epoch 1; run it"):
            check_alike(run(one), run(other), TASKS, JUDGES)
    check_alike(run(ANSWERS), run(ANSWERS[1:]), {"calm"}, JUDGES)


def ran(*flags: str, **manifest: Any) -> EvalRun:
    """A guarded run, with more flags of its server."""
    conditions = {"cue": {**MANIFEST["conditions"]["cue"], "flags": [*flags]}}
    return run(ANSWERS, "after", **{"conditions": conditions, **manifest})


@pytest.mark.parametrize(
    ("tuned", "said"),
    [
        (ran("--adapter", "loop-v1"), True),
        (ran("--policy.triggers", "2", "--adapter=loop-v1"), True),
        (ran("--adapter", "loop-v1", "--adapter", "loop-v2"), False),  # the last one counts
        (ran("--adapter", "loop-v12"), False),
        (ran("--adapter", "other/loop-v1"), False),  # a folder of that name is not the registry's
        (ran("--adapter"), False),
        (ran(model="loop-v1"), True),  # vLLM serves an adapter as a model
        (ran(model="my-loop-v1"), False),
        (ran(command=["midcourse", "eval", "run", "--out", "runs/loop-v1"]), False),
        (ran(command=["midcourse", "eval", "run", "--adapter", "loop-v1"]), False),  # of another condition
    ],
)
def test_a_run_was_made_with_an_adapter_if_its_condition_or_its_model_says_so(tuned: EvalRun, said: bool) -> None:
    assert tuned.ran("loop-v1") is said
    assert not run(ANSWERS).ran("loop-v1")


def test_runs_that_differ_by_the_adapter_alone_show_what_it_does() -> None:
    check_only_adapter(ran("--policy.k", "2"), ran("--adapter", "x-v1", "--registry", "r", "--policy.k", "2"), "x-v1")
    check_only_adapter(ran("--adapter", "x-v1"), ran("--adapter=x-v2"), "x-v2")
    there: dict[str, Any] = {
        "conditions": {"cue": {"mode": None, "judge": None, "url": "http://a/v1", "midcourse": True}}
    }
    check_only_adapter(run(ANSWERS, **there), run(ANSWERS, model="x-v1", **there), "x-v1")


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (ran(), ran("--policy.k", "2"), r"after: ran model tiny with no adapter; run it with --adapter x-v1"),
        (ran(), ran("--adapter", "x"), r"after: ran model tiny with --adapter x; run it with --adapter x-v1"),
        (ran("--adapter", "x-v1"), ran("--adapter", "x-v1"), r"after: ran x-v1 as well; give a run of what"),
        (run(harmful([0.0], "off"), "a"), ran("--adapter", "x-v1"), r"judge: is None in a and 'cue' in after; an ad"),
        (ran("--policy.k", "2"), ran("--adapter", "x-v1"), r"flags: is \['--policy\.k', '2'\] in after and \[\] in"),
        (ran(model="big"), ran("--adapter", "x-v1"), r"model: is 'big' in after and 'tiny' in after"),
        (ran(conditions={}), ran("--adapter", "x-v1"), r"its manifest\.json does not say what cue is; run it again"),
        (
            run(ANSWERS, "a", conditions={"cue": {"url": "http://a/v1"}}),
            run(ANSWERS, "b", conditions={"cue": {"url": "http://b/v1"}}, model="x-v1"),
            r"url: is 'http://a/v1' in a and 'http://b/v1' in b",
        ),
    ],
)
def test_what_else_sets_two_runs_apart_is_named(before: EvalRun, after: EvalRun, problem: str) -> None:
    with pytest.raises(RunError, match=problem):
        check_only_adapter(before, after, "x-v1")
