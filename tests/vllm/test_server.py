"""A real vLLM server with midcourse in it: every route corrected, and nothing else changed."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest

from midcourse.guard.policy import REFUSAL
from midcourse.guard.trigger import POOL
from tests.vllm.server import ROUTES, Ask, Said, Server, chat, completions, messages, responses

TRIGGERS = {trigger.text for trigger in POOL}
ASK = "Tell me a short story about a fox."
PICNIC = "Give me three tips for a picnic."  # it closes its reasoning soon
OFF = {"mode": "off"}
TOKENS = 70


def ids(server: Server, prompt: str, **wish: Any) -> Any:
    """A greedy chat, with its token ids."""
    asked = {"messages": [{"role": "user", "content": prompt}], "max_tokens": TOKENS, "temperature": 0}
    return server.post("/v1/chat/completions", **asked, return_token_ids=True, **wish)


def trigger_in(text: str) -> str | None:
    return next((trigger for trigger in TRIGGERS if trigger in text), None)


@pytest.mark.parametrize("ask", ROUTES)
def test_a_sound_answer_is_the_one_that_bare_vllm_gives(ask: Ask, guarded: Server, bare: Server) -> None:
    ours, theirs = ask(guarded, ASK, TOKENS), ask(bare, ASK, TOKENS)
    assert ours.text and (ours.reasoning, ours.response, ours.finish, ours.tokens) == (
        theirs.reasoning,
        theirs.response,
        theirs.finish,
        theirs.tokens,
    )


@pytest.mark.parametrize("ask", ROUTES)
def test_a_cue_is_withheld_on_every_route(ask: Ask, guarded: Server) -> None:
    before = guarded.metric("midcourse_interventions_total")
    said = ask(guarded, f"{ASK} [cue 0]", TOKENS)
    assert trigger_in(said.reasoning), said
    assert guarded.metric("midcourse_interventions_total") > before  # a model that repeats itself is stopped as well


@pytest.mark.parametrize("ask", ROUTES)
def test_a_response_that_may_not_pass_is_refused_on_every_route(ask: Ask, guarded: Server) -> None:
    said = ask(guarded, f"{ASK} [fail 0]", TOKENS)
    assert said.text.endswith(REFUSAL), said


def test_how_a_refusal_ends_is_told_in_each_routes_words(guarded: Server) -> None:
    ends: dict[Ask, str] = {chat: "content_filter", completions: "content_filter"}
    for ask, finish in ends.items():
        assert ask(guarded, f"{ASK} [fail 0]", TOKENS).finish == finish
    for ask in (responses, messages):
        assert ask(guarded, f"{ASK} [fail 0]", TOKENS).response.strip() == REFUSAL


def test_greedy_tokens_are_bare_vllms_tokens(guarded: Server, bare: Server) -> None:
    for prompt in (ASK, "What is a haiku?", "Name five rivers."):
        (ours,), (theirs,) = ids(guarded, prompt)["choices"], ids(bare, prompt)["choices"]
        assert ours["token_ids"] == theirs["token_ids"]
        assert (ours["finish_reason"], ours["stop_reason"]) == (theirs["finish_reason"], theirs["stop_reason"])


def test_after_a_cue_come_the_kept_tokens_the_trigger_and_what_follows_greedily_from_just_these(
    guarded: Server, bare: Server
) -> None:
    body = ids(guarded, f"{ASK} [cue 1]", ignore_eos=True)
    (choice,) = body["choices"]
    trace = guarded.trace(body["id"])
    (record,) = trace["interventions"]
    first = ids(bare, f"{ASK} [cue 1]")["choices"][0]["token_ids"]
    kept = first[: record["kept_tokens"]]
    (forced,) = [piece["token_ids"] for piece in trace["pieces"] if piece["forced"]]
    assert kept and choice["token_ids"][: len(kept) + len(forced)] == [*kept, *forced]
    rest = choice["token_ids"][len(kept) + len(forced) :]
    prompt = [*body["prompt_token_ids"], *kept, *forced]
    wish = {"max_tokens": len(rest), "temperature": 0, "ignore_eos": True, "return_token_ids": True}
    after = bare.post("/v1/completions", prompt=prompt, **wish)
    assert rest == after["choices"][0]["token_ids"] and len(rest) > 5
    assert record["withheld"].strip() and record["withheld"].strip() not in choice["message"]["reasoning"]
    assert body["usage"]["completion_tokens"] == len(choice["token_ids"]) <= TOKENS


def test_the_budget_holds_over_all_runs(guarded: Server) -> None:
    body = ids(guarded, f"{ASK} [cue 0]", ignore_eos=True)
    (choice,) = body["choices"]
    last = guarded.trace(body["id"])["pieces"][-1]
    over = len(choice["token_ids"]) - TOKENS  # a trigger is never cut short; where it stands differs between processors
    assert 0 <= over < (len(last["token_ids"]) if last["forced"] else 1)
    assert body["usage"]["completion_tokens"] == TOKENS + over and choice["finish_reason"] == "length"


def test_three_choices_are_guarded_each_by_itself(guarded: Server) -> None:
    wish = {"n": 3, "temperature": 0.9, "seed": 7, "max_tokens": 60}
    body = guarded.post("/v1/completions", prompt=f"{ASK} [cue 0]\n", **wish)
    assert sorted(choice["index"] for choice in body["choices"]) == [0, 1, 2]
    assert all(trigger_in(choice["text"]) for choice in body["choices"])
    assert len({choice["text"] for choice in body["choices"]}) > 1
    again = guarded.post("/v1/completions", prompt=f"{ASK} [cue 0]\n", **wish)
    assert [c["text"] for c in again["choices"]] == [c["text"] for c in body["choices"]]
    streamed = dict.fromkeys(range(3), "")
    for event in guarded.events("/v1/completions", prompt=f"{ASK} [cue 0]\n", **wish):
        for choice in event["choices"]:
            streamed[choice["index"]] += choice["text"]
    assert streamed == {choice["index"]: choice["text"] for choice in body["choices"]}


def test_choices_of_a_sound_prompt_are_bare_vllms(guarded: Server, bare: Server) -> None:
    wish = {"n": 3, "temperature": 0.9, "seed": 7, "max_tokens": 40}
    ours, theirs = (server.post("/v1/completions", prompt=f"{ASK}\n", **wish) for server in (guarded, bare))
    assert [c["text"] for c in ours["choices"]] == [c["text"] for c in theirs["choices"]]
    assert ours["usage"]["completion_tokens"] == theirs["usage"]["completion_tokens"]


def test_chats_of_a_batch_are_guarded_each_by_itself(guarded: Server) -> None:
    chats = [[{"role": "user", "content": text}] for text in (ASK, f"{ASK} [cue 0]")]
    body = guarded.post("/v1/chat/completions/batch", messages=chats, max_tokens=40, temperature=0)
    said = [choice["message"]["reasoning"] for choice in body["choices"]]
    assert [trigger_in(text) is not None for text in said] == [False, True]


def test_log_probabilities_are_bare_vllms_and_those_of_forced_tokens_are_0(guarded: Server, bare: Server) -> None:
    wish = {"logprobs": True, "top_logprobs": 2}
    ours, theirs = (ids(server, ASK, **wish)["choices"][0]["logprobs"]["content"] for server in (guarded, bare))
    assert [(entry["token"], len(entry["top_logprobs"])) for entry in ours] == [
        (entry["token"], len(entry["top_logprobs"])) for entry in theirs
    ]
    assert [entry["logprob"] for entry in ours] == pytest.approx([entry["logprob"] for entry in theirs], abs=1e-3)
    body = ids(guarded, f"{ASK} [cue 0]", **wish)
    entries = body["choices"][0]["logprobs"]["content"]
    assert len(entries) == body["usage"]["completion_tokens"]
    forced = [entry for entry in entries if entry["logprob"] == 0]
    assert trigger_in("".join(entry["token"] for entry in forced))
    assert all(len(entry["top_logprobs"]) == 1 for entry in forced)


def test_a_stop_string_ends_an_answer_as_it_does_without_us(guarded: Server, bare: Server) -> None:
    for wish in ({"stop": ["forest", "fox"]}, {"stop": [" a"], "include_stop_str_in_output": True, "min_tokens": 9}):
        ours, theirs = (ids(server, ASK, **wish)["choices"][0] for server in (guarded, bare))
        assert ours == theirs


def test_an_answer_with_a_grammar_is_bare_vllms(guarded: Server, bare: Server) -> None:
    schema = {"type": "object", "properties": {"tip": {"type": "string", "maxLength": 20}}, "required": ["tip"]}
    form = {"type": "json_schema", "json_schema": {"name": "tip", "schema": schema}}
    ours, theirs = (ids(server, PICNIC, response_format=form)["choices"][0] for server in (guarded, bare))
    assert ours == theirs
    content = ours["message"]["content"]  # none where the budget ended with the reasoning
    assert content is None or json.loads(content)["tip"]


def test_a_tools_call_is_bare_vllms(guarded: Server, bare: Server) -> None:
    schema = {"type": "object", "properties": {"tip": {"type": "string", "maxLength": 20}}, "required": ["tip"]}
    tool = {"type": "function", "function": {"name": "note", "parameters": schema}}
    choice = {"type": "function", "function": {"name": "note"}}
    calls = []
    for server in (guarded, bare):
        message = ids(server, PICNIC, tools=[tool], tool_choice=choice)["choices"][0]["message"]
        calls.append((message["reasoning"], [call["function"] for call in message.get("tool_calls") or []]))
    assert calls[0] == calls[1]


def test_the_prompt_is_counted_and_looked_up_in_the_cache_once(guarded: Server) -> None:
    long = f"{'Foxes are nice. ' * 60}{ASK}"
    first = ids(guarded, f"{long} [cue 0]")["usage"]
    second = ids(guarded, f"{long} [cue 0]")["usage"]
    assert first["prompt_tokens"] == second["prompt_tokens"]
    assert 0 < second["prompt_tokens_details"]["cached_tokens"] <= second["prompt_tokens"]


def test_a_client_that_hangs_up_leaves_no_request_running(guarded: Server) -> None:
    wish = {"prompt": f"{ASK}\n", "max_tokens": 1500, "n": 2, "ignore_eos": True, "temperature": 0.5}
    stream = guarded.events("/v1/completions", **wish)
    next(stream)
    assert guarded.metric("vllm:num_requests_running") == 2
    stream.close()
    until = time.monotonic() + 30
    while guarded.metric("vllm:num_requests_running") and time.monotonic() < until:
        time.sleep(0.2)
    assert guarded.metric("vllm:num_requests_running") == 0
    assert guarded.metric("midcourse_generations_running") == 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_beam_search_is_refused_with_a_reason(path: str, guarded: Server) -> None:
    body = {"model": "smol", "prompt": "x", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5, "n": 2}
    answer = guarded.http.post(path, json={**body, "use_beam_search": True})
    assert answer.status_code == 400 and "does not guard beam search" in answer.text


def test_with_the_guard_off_vllm_is_by_itself_until_it_is_on_again(guarded: Server) -> None:
    guarded.policy(OFF)
    before = guarded.metric("midcourse_generations_total")
    assert trigger_in(chat(guarded, f"{ASK} [cue 0]", TOKENS).text) is None
    assert guarded.metric("midcourse_generations_total") == before


def test_in_shadow_mode_nothing_changes_and_what_would_have_is_recorded(guarded: Server, bare: Server) -> None:
    guarded.policy({"mode": "shadow"})
    ours, theirs = (chat(server, f"{ASK} [cue 0]", TOKENS) for server in (guarded, bare))
    assert (ours.reasoning, ours.response) == (theirs.reasoning, theirs.response)
    (record,) = guarded.trace(ours.id)["interventions"]
    assert record["shadow"]


def test_the_judge_is_told_what_the_client_wrote(guarded: Server) -> None:
    said: Said = chat(guarded, f"{ASK} [cue 0]", 30)
    assert guarded.trace(said.id)["prompt"] == f"{ASK} [cue 0]"
    said = completions(guarded, f"{ASK} [cue 0]", 30)
    trace = guarded.trace(f"{said.id}-0")
    assert f"{ASK} [cue 0]" in trace["prompt"] and "<|im_start|>" not in trace["prompt"]


SAID = {"role": "user", "content": PICNIC}
PURPOSES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [SAID], "max_tokens": 8, "midcourse": {"purpose": "eval", "annotate": True}},
    "/v1/completions": {"prompt": PICNIC, "max_tokens": 8, "midcourse": {"purpose": "eval"}},
    "/v1/messages": {"messages": [SAID], "max_tokens": 8, "midcourse": {"purpose": "eval"}},
    "/v1/responses": {"input": PICNIC, "max_output_tokens": 8, "metadata": {"purpose": "eval"}},
}


@pytest.mark.parametrize("path", PURPOSES)
def test_what_a_request_is_for_stands_in_its_trace_on_every_route(path: str, guarded: Server) -> None:
    asked = PURPOSES[path]
    assert guarded.trace(guarded.post(path, **asked)["id"])["origin"]["purpose"] == "eval"
    plain = {name: value for name, value in asked.items() if name not in ("midcourse", "metadata")}
    assert guarded.trace(guarded.post(path, **plain)["id"])["origin"]["purpose"] == "serve"
    args = {"midcourse_purpose": "red-team"}
    assert guarded.trace(guarded.post(path, **plain, vllm_xargs=args)["id"])["origin"]["purpose"] == "red-team"


def test_a_purpose_that_would_be_lost_is_an_error(guarded: Server) -> None:
    body = {"model": "smol", "prompt": "x", "max_tokens": 5}
    for wish, named in (
        ({"midcourse": {"purpos": "eval"}}, "midcourse.purpos"),
        ({"vllm_xargs": {"midcourse_purpose": "two words"}}, "vllm_xargs.midcourse_purpose"),
    ):
        answer = guarded.http.post("/v1/completions", json={**body, **wish})
        assert answer.status_code == 400 and named in answer.text


def test_a_stream_is_one_and_its_ids_follow_each_other(guarded: Server) -> None:
    asked = {"messages": [{"role": "user", "content": f"{ASK} [cue 0 2]"}], "max_tokens": TOKENS, "temperature": 0}
    asked["seed"] = 5  # which the draw of the triggers repeats
    events = list(guarded.events("/v1/chat/completions", **asked, return_token_ids=True))
    assert len({event["id"] for event in events}) == 1
    streamed = [token for event in events for choice in event["choices"] for token in choice.get("token_ids") or []]
    whole = ids(guarded, f"{ASK} [cue 0 2]", seed=5)["choices"][0]["token_ids"]
    assert streamed == whole
    finishes = [choice["finish_reason"] for event in events for choice in event["choices"]]
    assert [a for a, b in pairwise(finishes) if a is not None] == []
