"""Outcomes: to a file and back, and what a wrong line is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from midcourse.models.outcome import FILE, Harm, Outcome, OutcomeError, read_outcomes, write_outcomes

ASKED = Outcome(
    "jailbreakbench", "harmful", "jbb-1", 1, "cue", True, None, {"rules": Harm(0.25, None)}, 2, 80, 20, 9, 1
)


def test_outcomes_come_back_from_their_folder_as_they_were(tmp_path: Path) -> None:
    write_outcomes(tmp_path / FILE, [ASKED, Outcome("gsm8k", "capability", "7", 2, "off", correct=False)])
    assert read_outcomes(tmp_path) == read_outcomes(tmp_path / FILE)
    assert read_outcomes(tmp_path)[0] == ASKED and ASKED.key == ("jailbreakbench", "jbb-1", 1)


def test_a_guards_refusal_is_told_from_an_answer_that_never_came() -> None:
    assert ASKED.silenced and not replace(ASKED, finish="length").silenced
    assert not replace(ASKED, interventions=0).silenced and not replace(ASKED, refused=None).silenced


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", ":1: "),
        ("[]", ":1: is no object"),
        ('{"task": "a", "kind": "harmful", "id": "1", "epoch": 1}', "condition"),
        (
            '{"task": "a", "kind": "harmful", "id": "1", "epoch": 1, "condition": "off", "mood": 1}',
            "unknown field mood",
        ),
        ('{"task": "a", "kind": "nice", "id": "1", "epoch": 1, "condition": "off"}', "kind: 'nice'"),
        ('{"task": "a", "kind": "benign", "id": "1", "epoch": 1, "condition": "off", "harm": {"x": [1]}}', "response"),
    ],
)
def test_a_line_that_is_no_outcome_is_named(line: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(OutcomeError, match=r"bad\.jsonl:1: ") as raised:
        read_outcomes(file)
    assert says in str(raised.value)


def test_a_folder_without_outcomes_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(OutcomeError, match="give what midcourse eval wrote"):
        read_outcomes(tmp_path)
