"""Trace records: to JSON and back, and no guessing in between."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midcourse.guard.trace import (
    Intervention,
    Origin,
    Reviewed,
    Trace,
    TraceError,
    TracePiece,
    TraceStep,
    Usage,
    digest,
    from_json,
)


def example(text: str = "Hm.") -> Trace:
    return Trace(
        id="chatcmpl-1",
        dialect="r1",
        mode="enforce",
        prompt=text,
        pieces=(TracePiece("reasoning", text, (1, 2)), TracePiece("reasoning", " Wait.", (3,), forced=True)),
        steps=(TraceStep(0, "reasoning", text, "withheld", {"cue": 0.9}, None),),
        interventions=(
            Intervention(1, 0, "reasoning", "cue", "trigger", 0, 0, text, (1,), "x", (2,), "wait-refuse", " Wait."),
        ),
        outcome="intervened",
        finish_reason="stop",
        usage=Usage(1, 2, 3, 4, 5, 6),
        origin=Origin(1.5, "r", 0, "m", None, "j", "p", ({"role": "user", "content": text},), (9,), {"stop": ["a"]}),
    )


@given(st.text())
def test_a_trace_survives_json(text: str) -> None:
    trace = example(text)
    assert from_json(trace.to_json()) == trace
    assert "\n" not in trace.to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version is 2"),
        ({"colour": 1}, "trace.colour: unknown"),
        ({"pieces": 3}, "pieces: expected a list"),
        ({"reviewed": {"by": "jo"}}, "reviewed: .*at"),
        ({"usage": None}, "usage: expected an object"),
        ({"usage": {"sugar": 1}}, "usage.sugar: unknown"),
        ({"pieces": [{"text": "x"}]}, "pieces: .*channel"),
    ],
)
def test_what_is_not_a_trace_is_refused_by_field(change: dict[str, object], message: str) -> None:
    data = json.loads(example().to_json()) | change
    with pytest.raises(TraceError, match=message):
        from_json(json.dumps(data))


def test_what_json_cannot_say_is_an_error() -> None:
    with pytest.raises(TypeError, match="object has no place"):
        replace(example(), origin=Origin(sampling={"x": object()})).to_json()


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_what_is_not_an_object_is_refused(text: str) -> None:
    with pytest.raises(TraceError):
        from_json(text)


def test_a_review_survives_json_and_leaves_the_digest_alone() -> None:
    pending = example()
    approved = replace(pending, review="approved", reviewed=Reviewed(1.5, "jo", "corrected", "approve if ...", "d"))
    assert from_json(approved.to_json()) == approved
    assert "reviewed" not in pending.to_json()
    assert digest(approved) == digest(pending)
    assert digest(replace(pending, prompt="lone \ud83d")) != digest(pending)


def test_the_request_is_what_the_user_said_last() -> None:
    turns = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})
    assert replace(example(), origin=Origin(messages=turns)).request == "c"
    assert replace(example("p"), origin=Origin(messages=({"role": "user", "content": [{}]},))).request == "p"
    assert replace(example("p"), origin=Origin()).request == "p"


def test_what_shadow_mode_noted_has_changed_nothing() -> None:
    trace = example()
    noted = replace(trace.interventions[0], shadow=True)
    assert replace(trace, interventions=(*trace.interventions, noted)).changes == 1
