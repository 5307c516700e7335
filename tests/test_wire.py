from typing import Any

import pytest
from pydantic import ValidationError

from midcourse.server.replies import Refused, refusal_of
from midcourse.server.wire import ChatRequest, CompletionRequest

USER = {"role": "user", "content": "Hi"}


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else "x"


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [USER], **fields})


def test_content_is_text_or_text_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    body = ChatRequest.model_validate({"messages": [{"role": "developer", "content": parts}, USER]})
    assert body.messages[0].plain() == {"role": "system", "content": "a\nb"}
    assert body.messages[1].plain() == USER


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_in_the_history_is_taken_under_either_name(name: str) -> None:
    message = {"role": "assistant", "content": None, name: "Hm."}
    (body,) = ChatRequest.model_validate({"messages": [message]}).messages
    assert body.plain() == {"role": "assistant", "content": "", "reasoning": "Hm.", "reasoning_content": "Hm."}


def test_a_tool_result_is_text() -> None:
    message = {"role": "tool", "content": "4", "tool_call_id": "x"}
    (body,) = ChatRequest.model_validate({"messages": [message]}).messages
    assert body.plain() == {"role": "tool", "content": "4"}


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": ["Hi"]},
        {"messages": [{"role": "robot", "content": "Hi"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
        {"n": 0},
        {"n": "2"},
        {"n": True},
        {"temperature": 2.1},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"top_p": 1.1},
        {"seed": 2**63},
        {"max_tokens": 0},
        {"max_completion_tokens": 1.5},
        {"stop": ""},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"top_logprobs": 21, "logprobs": True},
        {"top_logprobs": 2},
        {"logprobs": 2},
        {"stream_options": {"include_usage": True}},
        {"stream": "yes"},
        {"midcourse": {"mode": "off"}},
        {"midcourse": {"purpose": "two words"}},
        {"chat_template_kwargs": {"messages": []}},
        {"chat_template_kwargs": []},
        {"chat_template_kwargs": {"texts": ["x"] * 1001}},
        {"chat_template_kwargs": {"deep": nested(16)}},
        {"reasoning_effort": "Tell me how, whatever it is."},
    ],
)
def test_what_is_out_of_shape_or_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        chat(**fields)


def test_a_template_takes_what_templates_take() -> None:
    wish = {"enable_thinking": True, "deep": nested(15), "texts": ["x"] * 900, "none": {}}
    assert chat(chat_template_kwargs=wish).chat_template_kwargs == wish


def test_null_is_the_same_as_nothing() -> None:
    names = set(ChatRequest.model_fields) - {"messages"}
    assert chat(**dict.fromkeys(names)).model_dump() == chat().model_dump()


@pytest.mark.parametrize(
    ("name", "neutral", "wish"),
    [
        ("tools", [], [{"type": "function"}]),
        ("tool_choice", "none", "required"),
        ("response_format", {"type": "text"}, {"type": "json_object"}),
        ("presence_penalty", 0.0, 0.5),
        ("frequency_penalty", 0, -1),
        ("logit_bias", {}, {"5": 1}),
        ("functions", None, [{}]),
        ("best_of", 1, 2),
        ("echo", False, True),
        ("suffix", "", "x"),
        ("continue_final_message", False, True),
    ],
)
def test_what_we_cannot_honour_is_named_unless_it_asks_for_nothing(name: str, neutral: Any, wish: Any) -> None:
    assert chat(**{name: neutral}).unsupported() is None
    assert chat(**{name: wish}).unsupported() == name


def test_fields_that_nobody_knows_pass_and_can_be_listed() -> None:
    body = chat(service_tier="auto", zeal=9, tools=[])
    assert body.unsupported() is None
    assert body.ignored() == ["service_tier", "zeal"]


@pytest.mark.parametrize(
    ("fields", "purpose"),
    [
        ({}, "serve"),
        ({"metadata": {"purpose": "eval"}}, "eval"),
        ({"metadata": {"purpose": "two words"}}, "serve"),
        ({"metadata": {"purpose": 5}}, "serve"),
        ({"metadata": {"purpose": "eval"}, "midcourse": {"purpose": "red-team"}}, "red-team"),
    ],
)
def test_the_purpose_is_ours_or_in_the_metadata(fields: dict[str, Any], purpose: str) -> None:
    assert chat(**fields).purpose == purpose


def test_stop_strings_are_one_or_several() -> None:
    assert chat().stops == ()
    assert chat(stop="x").stops == ("x",)
    assert chat(stop=["x", "y"]).stops == ("x", "y")


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [[1, 2]]), ([[1, 2], [3]], [[1, 2], [3]])],
)
def test_a_prompt_is_text_or_ids_one_or_several(prompt: Any, prompts: list[Any]) -> None:
    assert CompletionRequest.model_validate({"prompt": prompt}).prompts == prompts


@pytest.mark.parametrize("prompt", ["", [], [""], [[]], [-1], ["a", 1], [1, "a"], [[1], 2], [True], None, 3, {}])
def test_other_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(ValidationError):
        CompletionRequest.model_validate({"prompt": prompt})


def test_nobody_is_told_about_our_own_names_for_alternatives() -> None:
    from_errors = refusal_of(Refused(400, "x"))
    assert from_errors.status == 400
    assert str(refusal_of(ValueError("secret"))) == "The server failed; its log says why, under the request id."
