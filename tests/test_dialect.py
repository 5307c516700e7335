"""Dialects: every family's markers, and where a completion begins."""

import pytest

from midcourse.guard.delta import Delta
from midcourse.guard.dialect import DIALECTS, GRANITE, HARMONY, MAGISTRAL, NONE, QWEN3, R1, SEED, Dialect
from midcourse.guard.phase import Phase
from midcourse.guard.policy import Policy
from tests.play import play, tokens


def cut(text: str, size: int = 3) -> list[Delta]:
    return tokens(*(text[at : at + size] for at in range(0, len(text), size)))


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("mode", ["enforce", "shadow", "off"])
@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (R1, "<think>\nHmm, so.\n</think>\n\nYes."),
        (R1, "Hmm, so.</think>Yes."),
        (QWEN3, "\n\n<think>\nHmm, so.\n</think>\n\nYes."),
        (MAGISTRAL, "[THINK]Hmm, so.[/THINK]Yes."),
        (SEED, "<seed:think>Hmm, so.</seed:think>Yes."),
        (GRANITE, "Here is my thought process:\n\nHmm, so.\n\nHere is my response:\n\nYes."),
        (GRANITE, "Here's my thought process: Hmm, so. Here's my response: Yes."),
        (HARMONY, "<|channel|>analysis<|message|>Hmm, so.<|end|><|start|>assistant<|channel|>final<|message|>Yes."),
    ],
)
def test_reasoning_and_response_are_told_apart(dialect: Dialect, text: str, mode: str, size: int) -> None:
    game = play([cut(text, size)], dialect=dialect, starts=Phase.PROMPT, policy=Policy(mode=mode))  # type: ignore[arg-type]
    assert (game.text("reasoning").rstrip(), game.text("response")) == ("Hmm, so.", "Yes.")
    assert game.text() == text


@pytest.mark.parametrize("dialect", [QWEN3, MAGISTRAL, SEED, GRANITE, NONE])
def test_an_answer_without_tags_is_a_response(dialect: Dialect) -> None:
    game = play([cut(" Just 4 <ok>. Done")], dialect=dialect, starts=dialect.starts_in(""))
    assert game.text("response") == "Just 4 <ok>. Done"


def test_an_empty_thought_is_no_thought() -> None:
    game = play([cut("</think>Yes.")], dialect=QWEN3, starts=Phase.PROMPT)
    assert (game.text("reasoning"), game.text("response")) == ("", "Yes.")


def test_harmony_goes_back_to_thinking_after_a_tool_call() -> None:
    text = (
        "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>commentary to=functions.f "
        '<|constrain|>json<|message|>{"a": 1}<|start|>assistant<|channel|>analysis<|message|>Two.<|end|>'
    )
    game = play([cut(text)], dialect=HARMONY, starts=Phase.PROMPT)
    assert (game.text("reasoning"), game.text("response")) == ("One.Two.", '{"a": 1}')


def test_a_header_that_never_ends_is_judged_as_text() -> None:
    game = play([cut("header BAD " + "x" * 300)], dialect=HARMONY, starts=Phase.PROMPT)
    assert "BAD" not in game.text() and game.records[0].phase == "response"


@pytest.mark.parametrize("size", [1, 10, 5000])
@pytest.mark.parametrize(
    "header", ["BAD VILE mix them.", " to=BAD plan", "<|channel|>" + "BAD " * 200, "to do BAD things"]
)
def test_nothing_is_said_in_a_header_that_no_judge_hears(header: str, size: int) -> None:
    text = f"<|channel|>analysis<|message|>Fine.<|end|>{header}<|message|>ok<|end|>"
    game = play([cut(text, size)], dialect=HARMONY, starts=Phase.PROMPT)
    assert "BAD" not in game.text()
    assert game.records


def test_an_answer_that_speaks_of_tags_stays_an_answer() -> None:
    game = play([cut("<think>Hm.</think>Use <think> here. Then")], dialect=QWEN3, starts=Phase.PROMPT)
    assert game.text("response") == "Use <think> here. Then"


@pytest.mark.parametrize(
    ("dialect", "prompt", "phase"),
    [
        (R1, "<|Assistant|><think>\n", Phase.REASONING),
        (R1, "<|Assistant|>", Phase.PROMPT),
        (QWEN3, "assistant\n<think>\n\n</think>\n\n", Phase.RESPONSE),
        (QWEN3, "what does <think> do?<|im_end|>\n<|im_start|>assistant\n", Phase.PROMPT),
        (HARMONY, "<|start|>assistant", Phase.PROMPT),
        (NONE, "anything", Phase.RESPONSE),
    ],
)
def test_the_end_of_a_rendered_prompt_says_where_a_completion_begins(
    dialect: Dialect, prompt: str, phase: Phase
) -> None:
    assert dialect.starts_in(prompt) is phase


@pytest.mark.parametrize(
    ("prompt", "phase"),
    [
        ("<think>\nOkay, so", Phase.REASONING),
        ("<think>a</think>The", Phase.RESPONSE),
        ("plain", Phase.PROMPT),
    ],
)
def test_the_last_marker_of_a_raw_prompt_says_where_a_completion_begins(prompt: str, phase: Phase) -> None:
    assert R1.starts_raw(prompt) is phase
    assert NONE.starts_raw(prompt) is Phase.RESPONSE


@pytest.mark.parametrize(
    ("prompt", "phase"),
    [
        ("<|start|>assistant<|channel|>analysis<|message|>so", Phase.REASONING),
        ("<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>", Phase.RESPONSE),
        ("<|start|>user<|message|>Hi<|end|><|start|>assistant", Phase.PROMPT),
        ("<|end|><|start|>assistant<|channel|>", Phase.PROMPT),
    ],
)
def test_raw_harmony_begins_where_its_last_marker_says(prompt: str, phase: Phase) -> None:
    assert HARMONY.starts_raw(prompt) is phase


def test_no_dialect_watches_for_anything_when_all_is_done() -> None:
    assert all(dialect.markers(Phase.DONE) == () for dialect in DIALECTS.values())
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {name: name for name in DIALECTS}
