"""Grammars, tools and thinking budgets behind an intervention: they begin where the reasoning ends, whoever wrote it.

The model can neither close its reasoning nor end its text of itself here, only vLLM can make it: so these tests do
not depend on what it says.
"""

import json
from typing import Any

import pytest

from midcourse.guard.policy import REFUSAL
from midcourse.guard.trigger import POOL
from tests.vllm.server import NAME, Server

ASK = "Give me three tips for a picnic."
BUDGET = 45
CLOSE = 4  # the id of </think>
NEVER = {"logit_bias": {"0": -100, "2": -100, str(CLOSE): -100}}  # the two ends of a text, and </think>
SCHEMA = {
    "type": "object",
    "properties": {"drink": {"enum": ["water", "tea"]}},
    "required": ["drink"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "note", "parameters": SCHEMA, "strict": True}}
NAMED = {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "note"}}}
FORM = {"response_format": {"type": "json_schema", "json_schema": {"name": "tip", "schema": SCHEMA, "strict": True}}}
CHOICE = {"structured_outputs": {"choice": ["yes", "no"]}}
CUES = [" [cue 0]", " [cue 0 1]"]


def ask(prompt: str, **wish: Any) -> dict[str, Any]:
    limits = {"max_tokens": 250, "temperature": 0, "thinking_token_budget": BUDGET}
    return {"messages": [{"role": "user", "content": prompt}], **limits, **NEVER, **wish}


def corrected(text: str) -> bool:
    return any(trigger.text in text for trigger in POOL)


@pytest.mark.parametrize("cues", CUES)
def test_a_response_keeps_to_its_grammar_behind_an_intervention(cues: str, guarded: Server) -> None:
    path = "/v1/chat/completions"
    (choice,) = guarded.post(path, **ask(f"{ASK}{cues}", **FORM))["choices"]
    assert json.loads(choice["message"]["content"])["drink"] in ("water", "tea") and choice["finish_reason"] == "stop"
    assert corrected(choice["message"]["reasoning"])
    (choice,) = guarded.post(path, **ask(f"{ASK}{cues}", **CHOICE))["choices"]
    assert choice["message"]["content"] in ("yes", "no")


def test_a_grammar_that_reigns_from_the_first_token_is_refused_and_not_broken_into(guarded: Server) -> None:
    wish = ask(f"{ASK} [cue 0]", include_reasoning=False, **FORM)
    (choice,) = guarded.post("/v1/chat/completions", **wish)["choices"]
    said = (choice["message"].get("reasoning") or "") + (choice["message"]["content"] or "")
    assert choice["finish_reason"] == "content_filter" and not corrected(said)


@pytest.mark.parametrize("cues", CUES)
def test_a_tool_is_called_behind_an_intervention(cues: str, guarded: Server) -> None:
    (choice,) = guarded.post("/v1/chat/completions", **ask(f"{ASK}{cues}", **NAMED))["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "note"
    assert json.loads(call["function"]["arguments"])["drink"] in ("water", "tea")
    assert not choice["message"]["content"]
    assert corrected(choice["message"]["reasoning"])


@pytest.mark.parametrize("cues", CUES)
def test_a_tools_call_streams_behind_an_intervention(cues: str, guarded: Server) -> None:
    reasoning = content = name = arguments = ""
    for event in guarded.events("/v1/chat/completions", **ask(f"{ASK}{cues}", **NAMED)):
        for choice in event["choices"]:
            reasoning += choice["delta"].get("reasoning") or ""
            content += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls") or []:
                name += call["function"].get("name") or ""
                arguments += call["function"].get("arguments") or ""
    assert (name, content) == ("note", "")
    assert json.loads(arguments)["drink"] in ("water", "tea")
    assert corrected(reasoning)


def test_a_thinking_budget_counts_what_was_kept_and_what_was_forced(guarded: Server, bare: Server) -> None:
    wish = ask(f"{ASK} [cue 0]", return_token_ids=True, **CHOICE)
    ours, theirs = (server.post("/v1/chat/completions", **wish) for server in (guarded, bare))
    after = [body["choices"][0]["token_ids"].index(CLOSE) for body in (ours, theirs)]
    thoughts = [piece for piece in guarded.trace(ours["id"])["pieces"] if piece["channel"] == "reasoning"]
    forced = [piece["token_ids"] for piece in thoughts if piece["forced"]]
    over = after[0] - after[1]  # a trigger is never cut short
    assert forced and 0 <= over < (len(forced[-1]) if thoughts[-1]["forced"] else 1)


@pytest.mark.parametrize("wish", [FORM, NAMED, CHOICE])
def test_a_refusal_stands_in_the_place_of_what_would_have_had_a_grammar(wish: dict[str, Any], guarded: Server) -> None:
    (choice,) = guarded.post("/v1/chat/completions", **ask(f"{ASK} [fail 0]", **wish))["choices"]
    assert choice["message"]["content"].strip() == REFUSAL and choice["finish_reason"] == "content_filter"
    assert not choice["message"].get("tool_calls")


def test_a_refusal_streams_in_the_place_of_a_tools_call(guarded: Server) -> None:
    with guarded.http.stream(
        "POST", "/v1/chat/completions", json={"model": NAME, "stream": True, **ask(f"{ASK} [fail 0]", **NAMED)}
    ) as answer:
        lines = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]
    deltas = [choice["delta"] for line in lines for choice in line["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas).strip() == REFUSAL
    assert not any(delta.get("tool_calls") for delta in deltas)
