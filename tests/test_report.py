"""The sections of a report, and what is left out where nothing was measured."""

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra plots)")

from midcourse.models.outcome_run import EvalRun
from midcourse.models.report import More, blocks, stream_rows
from midcourse.models.report_page import Heading, Picture, Words
from midcourse.models.report_tables import Arm
from tests.told_runs import benign

NOTHING = More({}, {})
SHARE = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 4}


def test_what_was_not_measured_has_no_section() -> None:
    found = blocks([Arm("off", EvalRun("run:off", tuple(benign("off", [True, False])), {}))], NOTHING)
    titles = [block.text for block in found if isinstance(block, Heading)]
    assert titles == ["What was run", "Over-refusal and capability", "What the guard did and cost"]
    assert not [block for block in found if isinstance(block, Words) and block.warning]
    assert not [block for block in found if isinstance(block, Picture)]


def test_a_run_that_does_not_say_how_it_was_made_is_no_failure() -> None:
    manifest = {"commands": None, "conditions": {}, "sampling": {"stop": ["a"]}}
    found = blocks([Arm("off", EvalRun("run:off", tuple(benign("off", [True])), manifest))], NOTHING)
    assert "(the command was not recorded)" in str(found) and '["a"]' in str(found)


def test_the_streams_numbers_are_lines_of_their_file() -> None:
    told = {"judge": "cue", "detection": {"det@0": SHARE}, "traffic": [{"judge": "random", "means": {"wait": SHARE}}]}
    assert stream_rows("s.json", told) == [
        ("s.json", "cue", "detection", "det@0", "0.50 (0.25 to 0.75)", "4"),
        ("s.json", "random", "traffic", "wait", "0.50 (0.25 to 0.75)", "4"),
    ]
    assert stream_rows("s.json", {"traffic": []}) == []
    with pytest.raises(KeyError):
        stream_rows("s.json", {"detection": {"det@0": SHARE}, "traffic": []})
