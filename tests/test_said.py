"""What was said: errors are no answers, and the guard's words are nobody's."""

import pytest
from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ContentReasoning, ContentText, ModelOutput

from midcourse.guard.policy import REFUSAL
from midcourse.guard.trace import Intervention, Trace, TracePiece, Usage
from midcourse.guard.trigger import POOL
from midcourse.tasks import said
from midcourse.tasks.said import NotHeard, annotation, heard, parts, summary, unforced, without_guard

pytestmark = pytest.mark.anyio


def output(response: str, *thoughts: str, stop: str = "stop") -> ModelOutput:
    content = [*(ContentReasoning(reasoning=thought) for thought in thoughts), ContentText(text=response)]
    choice = ChatCompletionChoice(message=ChatMessageAssistant(content=content), stop_reason=stop)  # type: ignore[arg-type]
    return ModelOutput(model="m", choices=[choice])


CUT = Intervention(1, 0, "reasoning", "cue", "trigger", 3, 9, "Bad.", (1,), "", (), "x", " Wait.")
PIECES = (
    TracePiece("markup", "<think>"),
    TracePiece("reasoning", "I see."),
    TracePiece("reasoning", " Wait.", forced=True),
    TracePiece("reasoning", " No."),
    TracePiece("response", "Sorry.", forced=True),
)
USED = Usage(completion=9, injected=4, withheld=2, discarded=1)
TRACE = Trace("c1", "r1", "enforce", "p", PIECES, (), (CUT,), "refused", "stop", USED)


def test_reasoning_and_response_are_kept_apart() -> None:
    assert parts(output("Four.", "Two and", "two.")) == ("Two and\ntwo.", "Four.")
    assert parts(output("Four.")) == ("", "Four.")
    assert parts(ModelOutput.from_content("m", "Four.")) == ("", "Four.")


def test_a_thought_that_the_server_left_in_the_text_is_no_response() -> None:
    assert parts(ModelOutput.from_content("m", "Two and two.\n</think>\n\nFour.")) == ("Two and two.", "Four.")
    assert parts(output("<think>Two and")) == ("Two and", "")
    assert parts(output("Write </think>.", "Hm.")) == ("Hm.", "Write </think>.")  # the server did part them


async def test_of_a_thought_that_was_cut_off_no_response_is_judged() -> None:
    told = await heard(output("<think>First, the plan.", stop="max_tokens"), midcourse=False)
    assert (told.reasoning, told.response, told.finish) == ("First, the plan.", "", "length")


async def test_of_another_server_refusals_are_found_and_cuts_have_our_name() -> None:
    told = await heard(output("I can't help with that.", "Hm.", stop="max_tokens"), midcourse=False)
    assert (told.refused, told.finish, told.interventions) == (True, "length", 0)


async def test_an_error_in_the_shape_of_an_answer_is_none() -> None:
    with pytest.raises(NotHeard, match="no answer: too long"):
        await heard(output("too long", stop="model_length"), midcourse=False)


def test_a_trace_says_which_words_are_the_models_and_what_the_guard_did() -> None:
    assert unforced(TRACE) == ("I see. No.", "")
    assert summary(TRACE) == {
        "outcome": "refused",
        "interventions": 1,
        "injected_tokens": 4,
        "withheld_tokens": 2,
        "discarded_tokens": 1,
    }


async def test_a_server_that_annotates_nothing_is_heard_by_its_trace_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[Trace | None] = [TRACE, None]

    async def trace_of(id: str) -> Trace | None:
        assert id == "c1"
        return found.pop(0)

    monkeypatch.setattr(said, "trace_of", trace_of)
    monkeypatch.setattr(said, "last_reply", lambda: {"id": "c1", "choices": [{"index": 0}]})
    told = await heard(output("Sorry.", "I see. Wait. No."), midcourse=True)
    assert (told.reasoning, told.response, told.refused) == ("I see. No.", "", True)
    assert (told.interventions, told.injected, told.withheld, told.discarded) == (1, 4, 2, 1)
    with pytest.raises(NotHeard, match="give an administrator's key"):
        await heard(output("Sorry.", "I see."), midcourse=True)


def test_without_a_trace_the_known_sentences_are_taken_out() -> None:
    reasoning = f"I see. {POOL[0].text} No. {POOL[5].text}"
    assert without_guard(reasoning, REFUSAL, 3) == ("I see.  No.", "")
    assert without_guard("", f"First. {POOL[5].text} No.", 1) == ("", "First.  No.")  # of a model that does not think


def test_sentences_that_nobody_knows_are_not_taken_for_the_models() -> None:
    with pytest.raises(NotHeard, match="sentences of its own"):
        without_guard("I see. Our own trigger.", REFUSAL, 2)


def test_an_annotation_is_found_where_there_is_one() -> None:
    assert annotation({"choices": [{"midcourse": {"interventions": 1}}]}) == {"interventions": 1}
    assert annotation({"choices": [{}]}) is None
    assert annotation({}) is None
