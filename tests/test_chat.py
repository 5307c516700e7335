from typing import Any

import pytest

from midcourse.server.scripted import Script
from midcourse.server.wire_replies import ChatCompletion
from tests.kit import CALM, CUED, events, serving

THOUGHT = "Let me think. All is fine."
ANSWER = "The answer is 4."
TURN = "Let me think."


def texts(stream: list[Any], name: str, index: int = 0) -> str:
    choices = [choice for event in stream[:-1] for choice in event["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get(name, "") for choice in choices)


async def test_a_whole_answer_has_reasoning_and_content_and_no_markup() -> None:
    async with serving() as kit:
        reply = await kit.chat()
    body = reply.json()
    ChatCompletion.model_validate(body)
    assert reply.status_code == 200
    assert body["id"].startswith("chatcmpl-")
    message = body["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_content"] == THOUGHT
    assert message["content"] == ANSWER
    assert body["choices"][0]["finish_reason"] == "stop"
    assert "midcourse" not in body["choices"][0]


async def test_a_stream_opens_with_the_role_and_ends_with_a_reason_usage_and_done() -> None:
    async with serving() as kit:
        reply = await kit.chat(stream=True, stream_options={"include_usage": True})
        whole = (await kit.chat()).json()
    stream = events(reply.text)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert stream[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert texts(stream, "reasoning") == texts(stream, "reasoning_content") == THOUGHT
    assert texts(stream, "content") == ANSWER
    reasons = [choice["finish_reason"] for event in stream[:-1] for choice in event["choices"]]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert all(event["usage"] is None for event in stream[:-2])
    assert stream[-2]["choices"] == []
    assert stream[-2]["usage"] == whole["usage"]
    assert stream[-1] == "data: [DONE]"
    assert {event["id"] for event in stream[:-1]} == {stream[0]["id"]}
    assert "think>" not in reply.text


async def test_without_the_option_no_chunk_speaks_of_usage() -> None:
    async with serving() as kit:
        assert "usage" not in (await kit.chat(stream=True)).text


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_the_reasoning_can_stand_in_one_field_only(field: str) -> None:
    other = ({"reasoning", "reasoning_content"} - {field}).pop()
    async with serving(flags={"reasoning_field": field}) as kit:
        message = (await kit.chat()).json()["choices"][0]["message"]
        stream = events((await kit.chat(stream=True)).text)
    assert message[field] == texts(stream, field) == THOUGHT
    assert other not in message
    assert texts(stream, other) == ""


async def test_an_intervention_is_invisible_by_default() -> None:
    async with serving(CUED) as kit:
        stream, whole = await kit.chat(stream=True), await kit.chat()
        assert [trace.outcome for trace in kit.memory.traces.values()] == ["intervened", "intervened"]
    for reply in (stream, whole):
        assert '"midcourse"' not in reply.text
        assert "BAD" not in reply.text
    assert texts(events(stream.text), "reasoning").startswith(TURN)
    assert whole.json()["choices"][0]["message"]["content"] == "I can't help with that."


@pytest.mark.parametrize("by", ["header", "body"])
async def test_an_annotated_stream_names_the_trigger_where_it_stands(by: str) -> None:
    async with serving(CUED) as kit:
        if by == "header":
            kit.client.headers["X-Midcourse-Metadata"] = "enabled"
        wish: dict[str, Any] = {"midcourse": {"annotate": True}} if by == "body" else {}
        stream = events((await kit.chat(stream=True, **wish)).text)
        (trace,) = kit.memory.traces.values()
    noted = [event["choices"][0] for event in stream[:-1] if "midcourse" in event["choices"][0]]
    record = trace.interventions[0]
    assert noted[0]["midcourse"] == {
        "event": "intervention",
        "attempt": 1,
        "rung": "trigger",
        "trigger": record.trigger_id,
        "cause": "cue",
        "phase": "reasoning",
    }
    assert noted[0]["delta"]["reasoning"] == record.trigger
    summary = noted[1]["midcourse"]
    assert noted[1]["finish_reason"] == "stop"
    assert (summary["event"], summary["outcome"], summary["interventions"]) == ("summary", "intervened", 1)
    assert summary["trace"] == trace.id == stream[0]["id"]
    assert "BAD" not in str(stream)


async def test_an_annotated_whole_answer_has_a_summary_with_its_events() -> None:
    async with serving(CUED) as kit:
        body = (await kit.chat(midcourse={"annotate": True})).json()
    ChatCompletion.model_validate(body)
    note = body["choices"][0]["midcourse"]
    assert [event["event"] for event in note["events"]] == ["intervention"]
    assert note["injected_tokens"] == body["usage"]["completion_tokens_details"]["midcourse_injected_tokens"] > 0


async def test_in_shadow_mode_the_client_that_asks_sees_what_would_have_happened() -> None:
    script = "First, the BAD plan. Then the BAD deed. And more.\n</think>\n\nDone."
    async with serving(script, flags={"policy.mode": "shadow"}) as kit:
        reply = await kit.chat(stream=True, midcourse={"annotate": True})
    stream = events(reply.text)
    notes = [choice["midcourse"] for event in stream[:-1] for choice in event["choices"] if "midcourse" in choice]
    assert [note["event"] for note in notes] == ["would_intervene", "would_intervene", "summary"]
    assert (notes[-1]["interventions"], notes[-1]["would_intervene"]) == (0, 2)
    assert texts(stream, "reasoning") == "First, the BAD plan. Then the BAD deed. And more."
    assert reply.headers["x-midcourse-mode"] == "shadow"


async def test_usage_counts_what_the_guard_did_summed_over_choices() -> None:
    async with serving(CUED) as kit:
        one = (await kit.chat(midcourse={"annotate": True})).json()
        three = (await kit.chat(n=3)).json()["usage"]
        traces = list(kit.memory.traces.values())
    usage, used = one["usage"], traces[0].usage
    assert usage["completion_tokens"] == used.completion
    assert usage["completion_tokens_details"] == {
        "reasoning_tokens": used.reasoning,
        "midcourse_injected_tokens": used.injected,
        "midcourse_withheld_tokens": used.withheld,
        "midcourse_discarded_tokens": used.discarded,
    }
    assert used.withheld > 0
    assert three["prompt_tokens"] == usage["prompt_tokens"] == used.prompt
    assert three["completion_tokens"] == sum(trace.usage.completion for trace in traces[1:])
    assert three["total_tokens"] == three["prompt_tokens"] + three["completion_tokens"]


async def test_choices_run_at_once_with_seeds_and_ids_of_their_own() -> None:
    async with serving(CUED, CALM, CUED, delay=0.001) as kit:
        stream = events((await kit.chat(n=3, seed=5, stream=True)).text)
        seeds = sorted(generation.sampling.seed or 0 for generation in kit.engine.generations)
        ids = sorted(kit.memory.traces)
    assert seeds == [5, 6, 7]
    completion = stream[0]["id"]
    assert ids == [completion, f"{completion}-2"]
    assert texts(stream, "content", 1) == ANSWER
    assert texts(stream, "content", 0) == texts(stream, "content", 2) == "I can't help with that."
    order = [event["choices"][0]["index"] for event in stream[:-1]]
    assert order != sorted(order)
    opened = [index for index in range(3) if any(e["choices"][0]["delta"].get("role") for e in stream[:-1])]
    assert opened == [0, 1, 2]


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_spell_the_text_beside_them(stream: bool) -> None:
    async with serving(CUED) as kit:
        reply = await kit.chat(logprobs=True, top_logprobs=2, stream=stream)
        (trace,) = kit.memory.traces.values()
    if stream:
        choices = [event["choices"][0] for event in events(reply.text)[:-1]]
        pairs = [(c["delta"].get("reasoning") or c["delta"].get("content") or "", c["logprobs"]) for c in choices]
    else:
        (choice,) = reply.json()["choices"]
        message = choice["message"]
        pairs = [(message["reasoning"] + message["content"], choice["logprobs"])]
    forced = ""
    for text, logprobs in pairs:
        rows = logprobs["content"] if logprobs else []
        assert "".join(row["token"] for row in rows) == text
        assert all(len(row["top_logprobs"]) in (0, 2) for row in rows)
        forced += "".join(row["token"] for row in rows if not row["top_logprobs"])
        assert all(bytes(row["bytes"]).decode() == row["token"] for row in rows)
    assert forced == trace.interventions[0].trigger  # the withheld token would be among the alternatives


async def test_log_probabilities_are_null_unless_asked_for() -> None:
    async with serving() as kit:
        assert (await kit.chat()).json()["choices"][0]["logprobs"] is None
        assert (await kit.chat(logprobs=True)).json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"] == []


async def test_an_answer_that_ends_in_the_reasoning_has_no_content() -> None:
    async with serving() as kit:
        (choice,) = (await kit.chat(max_completion_tokens=3, max_tokens=500)).json()["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning"] == "Let me think."


async def test_what_was_asked_for_reaches_engine_and_trace() -> None:
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "One."}]},
        {"role": "assistant", "content": "Two.", "reasoning": "Hm."},
        {"role": "user", "content": "Three."},
    ]
    wish: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["zzz"], "max_tokens": 99}
    async with serving(CUED) as kit:
        wish |= {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "low"}
        reply = await kit.chat(messages=messages, metadata={"purpose": "eval"}, user="u", **wish)
        (trace,) = kit.memory.traces.values()
        (rendered, template) = kit.engine.rendered[0]
        prompt = kit.engine.detokenize(trace.origin.prompt_ids)
    assert template == {"enable_thinking": True, "reasoning_effort": "low"}
    assert rendered[2]["reasoning_content"] == "Hm."
    assert trace.origin.messages == tuple(rendered)
    assert trace.prompt == "low\n\nBe kind.\n\nOne.\n\nHm.\n\nTwo.\n\nThree."
    assert prompt.endswith("<|user|>Three.\n<|assistant|><think>\n")
    sampling = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ("zzz",), "max_tokens": 99, "logprobs": None}
    assert dict(trace.origin.sampling) == sampling
    origin = trace.origin
    assert (origin.model, origin.judge, origin.purpose, origin.choice) == ("scripted", "words", "eval", 0)
    assert origin.policy == reply.headers["x-midcourse-policy"]
    assert origin.request_id == reply.headers["x-request-id"]


async def test_a_request_may_make_the_policy_stricter() -> None:
    async with serving(CUED) as kit:
        wish = {"policy": {"reasoning": {"max_interventions": 0}}, "annotate": True}
        reply = await kit.chat(midcourse=wish)
        plain = await kit.chat()
    choice = reply.json()["choices"][0]
    assert choice["midcourse"]["outcome"] == "refused"
    assert choice["midcourse"]["events"][0]["rung"] == "refuse"
    assert choice["message"]["content"] == "I'm sorry, but I can't help with that."
    assert choice["finish_reason"] == "stop"
    assert reply.headers["x-midcourse-policy"] != plain.headers["x-midcourse-policy"]


async def test_a_refusal_can_say_content_filter() -> None:
    script = Script("Hm.\n</think>\n\nThe VILE recipe. More.")
    async with serving(script, flags={"policy.refusal_finish_reason": "content_filter"}) as kit:
        (choice,) = (await kit.chat()).json()["choices"]
        stream = events((await kit.chat(stream=True)).text)
    assert choice["finish_reason"] == stream[-2]["choices"][0]["finish_reason"] == "content_filter"
    assert choice["message"]["content"] == "I'm sorry, but I can't help with that."


async def test_the_model_may_be_left_out() -> None:
    async with serving() as kit:
        reply = await kit.client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}]})
    assert reply.json()["model"] == "scripted"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_record_is_safe_before_the_answer_is_done(stream: bool) -> None:
    async with serving(CUED, CALM) as kit:
        kit.memory.pause = 0.05
        reply = await kit.chat(stream=stream, n=2)
        assert len(kit.memory.traces) == 1
    assert reply.status_code == 200
