"""Our table of routes against vLLM's own sources: a route that vLLM adds has to be looked at before it is open.

And of the routes in it, those for which no client is written: guarded, or closed.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from midcourse.guard.trigger import POOL
from midcourse.server.vllm_routes import CLOSED, GUARDED, OURS, SILENT
from tests.vllm.server import NAME, Server

DECORATOR = re.compile(
    r'(?:router|app)\.(?:get|post|put|delete|patch|head|websocket|api_route|add_api_route)\(\s*f?"([^"]*)"'
)
# Servers of their own, not the one that we are in.
ELSEWHERE = {"entrypoints/launchers/dp_supervisor.py", "entrypoints/cli/preload.py"}
# vLLM's directory of files outside its servers that look alike.
SERVERS = "entrypoints"


def in_the_sources() -> set[str]:
    spec = importlib.util.find_spec("vllm")
    assert spec is not None and spec.submodule_search_locations
    root = Path(next(iter(spec.submodule_search_locations)))
    files = [file for file in (root / SERVERS).rglob("*.py") if str(file.relative_to(root)) not in ELSEWHERE]
    return {path for file in files for path in DECORATOR.findall(file.read_text())}


def test_every_route_in_vllms_sources_is_in_our_table() -> None:
    found = in_the_sources()
    assert len(found) > 60
    assert found - (GUARDED | SILENT | CLOSED) == set()


def test_our_table_names_no_guarded_route_that_vllm_does_not_have() -> None:
    assert (GUARDED | CLOSED) - in_the_sources() == set()


def test_the_running_server_has_no_route_that_is_not_in_the_table(guarded: Server) -> None:
    listed = set(re.findall(r"Route: (\S+), ", guarded.log.read_text()))
    assert GUARDED & listed and {path for path in listed if path.startswith(OURS)}
    assert {path for path in listed - GUARDED - SILENT if not path.startswith(OURS)} == set()


@pytest.mark.parametrize("path", ["/v1/midcourse/policy", "/v1/midcourse/traces/x"])
def test_our_routes_are_there_for_those_who_have_the_key(path: str, guarded: Server) -> None:
    assert guarded.http.get(path).status_code == 401
    assert guarded.admin("GET", path).status_code in (200, 404)


CHAT = [{"role": "user", "content": "Tell me a short story about a fox. [cue 0]"}]
SHORT = {"max_tokens": 50, "temperature": 0, "ignore_eos": True}  # so that there is a step, whatever it says


def texts(choices: Any) -> list[str]:
    return [choice["text"] if "text" in choice else choice["message"]["reasoning"] for choice in choices]


def corrected(text: str) -> bool:
    return any(trigger.text in text for trigger in POOL)


def ids_of(server: Server, messages: Any) -> list[int]:
    tokens: list[int] = server.post("/tokenize", messages=messages)["tokens"]
    return tokens


def text_of(server: Server, tokens: list[int]) -> str:
    return str(server.post("/detokenize", tokens=tokens)["prompt"])


@pytest.mark.parametrize("wish", [{"messages": CHAT}, {"prompt": f"{CHAT[0]['content']}\n"}])
def test_invocations_are_guarded_whatever_they_invoke(wish: dict[str, Any], guarded: Server) -> None:
    body = guarded.post("/invocations", **wish, **SHORT)
    (text,) = texts(body["choices"])
    assert corrected(text)
    trace = guarded.trace(body["id"])
    assert trace["interventions"] and CHAT[0]["content"] in trace["prompt"]


def test_generation_by_tokens_is_guarded_and_so_is_its_stream(guarded: Server) -> None:
    asked = {"token_ids": ids_of(guarded, CHAT), "sampling_params": SHORT, "request_id": "by-tokens"}
    (choice,) = guarded.post("/inference/v1/generate", **asked)["choices"]
    assert corrected(text_of(guarded, choice["token_ids"]))
    streamed: list[int] = []
    for event in guarded.events("/inference/v1/generate", **asked):
        streamed += [token for choice in event.get("choices", []) for token in choice["token_ids"] or []]
    assert corrected(text_of(guarded, streamed))


def test_several_prompts_and_several_choices_are_guarded_each_by_itself(guarded: Server) -> None:
    prompts = [message["content"] for message in (CHAT[0], {"content": "Tell me a short story about a fox."})]
    body = guarded.post(
        "/v1/completions", prompt=[f"{prompt}\n" for prompt in prompts], n=2, **{**SHORT, "temperature": 0.9, "seed": 3}
    )
    assert [corrected(text) for text in texts(body["choices"])] == [True, True, False, False]
    chats = [CHAT, [{"role": "user", "content": prompts[1]}]]
    body = guarded.post("/v1/chat/completions/batch", messages=chats, **SHORT)
    assert [corrected(text) for text in texts(body["choices"])] == [True, False]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/generative_scoring", {"query": "Is it so? ", "items": ["Yes", "No"], "label_token_ids": [7, 8]}, 200),
        ("/v1/systemone", {"state": "A fox.", "questions": {"red": {"type": "noul", "instructions": "Is it?"}}}, 501),
    ],
)
def test_scores_that_are_read_from_the_engine_are_bare_vllms(
    path: str, body: dict[str, Any], status: int, guarded: Server, bare: Server
) -> None:
    answers = []
    for server in (guarded, bare):
        answer = server.http.post(path, json={"model": NAME, **body})
        assert answer.status_code == status, answer.text  # 501: our model is none that answers such questions
        answers.append({k: v for k, v in answer.json().items() if k not in ("id", "created")})
    assert answers[0] == answers[1]


@pytest.mark.parametrize("path", sorted(CLOSED))
def test_what_cannot_be_guarded_is_closed_or_not_there(path: str, guarded: Server) -> None:
    assert guarded.http.post(path, json={"model": NAME}).status_code in (403, 404)
