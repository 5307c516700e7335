"""What a request to vLLM's server says, read on its way in."""

import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from midcourse.server.vllm_asked import ASKED, Asked, Listens, told
from midcourse.server.vllm_routes import GUARDED

HELLO = {"role": "user", "content": "Hello  there"}
NO_CHAT = Asked("", "", (), "serve")


async def heard(path: str, body: Any, *, method: str = "POST", parts: int = 1) -> tuple[Asked | None, bytes]:
    """What stands in the variable while the application runs, and the body that it reads; or the answer without it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    size = max(1, -(-len(raw) // parts))
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)] or [b""]
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": at < len(pieces) - 1} for at, piece in enumerate(pieces)
    ]
    messages.append({"type": "http.disconnect"})
    seen: list[Asked | None] = []
    read = b""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal read
        seen.append(ASKED.get())
        while (message := await receive())["type"] == "http.request":
            read += message["body"]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answered.append(message)

    answered: list[Message] = []
    await Listens(app)({"type": "http", "method": method, "path": path}, receive, send)
    assert ASKED.get() is None and len(seen) + len(answered[:1]) == 1
    return (seen[0], read) if seen else (None, answered[1]["body"])


@pytest.mark.parametrize("parts", [1, 3])
async def test_a_chat_is_heard_and_its_body_passes_unchanged(parts: int) -> None:
    body = {"messages": [{"role": "system", "content": "Be kind."}, HELLO], "tools": [{"name": "search"}]}
    asked, raw = await heard("/v1/chat/completions", body, parts=parts)
    assert asked is not None and json.loads(raw) == body
    assert asked.text == "search\n\nBe kind.\n\nHello  there" and asked.last == "Hello  there"


async def test_an_invocation_is_heard_where_it_is_a_chat() -> None:
    asked, _ = await heard("/invocations", {"messages": [HELLO]})
    assert asked is not None and asked.last == "Hello  there"
    assert await heard("/invocations", {"prompt": "Hi"}) == (NO_CHAT, b'{"prompt": "Hi"}')


async def test_messages_of_anthropics_shape_are_heard_with_their_system_prompt() -> None:
    parts = [{"type": "text", "text": "Hi"}]
    asked, _ = await heard("/v1/messages", {"system": "Be kind.", "messages": [{"role": "user", "content": parts}]})
    assert asked is not None and asked.text == "Be kind.\n\nHi"


@pytest.mark.parametrize("given", ["Hi", [{"role": "user", "content": "Hi"}]])
async def test_a_response_is_heard_be_it_text_or_items(given: Any) -> None:
    asked, _ = await heard("/v1/responses", {"instructions": "Be kind.", "input": given})
    assert asked is not None and asked.text == "Be kind.\n\nHi"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "x", "messages": [HELLO]}),
        ("/v1/chat/completions/batch", {"messages": [[HELLO], [HELLO]]}),
        ("/v1/chat/completions", {"messages": "x"}),
        ("/v1/chat/completions", {"messages": [["x"]]}),
        ("/v1/responses", {"previous_response_id": "r", "input": "Hi"}),
    ],
)
async def test_of_anything_else_no_message_is_heard(path: str, body: Any) -> None:
    assert await heard(path, body) == (NO_CHAT, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b"[1]"),
        ("/v1/chat/completions", b"{"),
        ("/v1/completions", b"\xff"),
        ("/v1/embeddings", b'{"input": "Hi", "midcourse": {"purpose": "eval"}}'),
    ],
)
async def test_of_what_is_no_request_and_of_what_generates_nothing_nothing_is_heard(path: str, body: bytes) -> None:
    assert await heard(path, body) == (None, body)


@pytest.mark.parametrize("path", sorted(GUARDED))
async def test_the_purpose_is_heard_on_every_route_that_generates(path: str) -> None:
    asked, _ = await heard(path, {"messages": [HELLO], "input": "Hi", "midcourse": {"purpose": "eval"}})
    assert asked is not None and asked.purpose == "eval"


@pytest.mark.parametrize(
    ("fields", "purpose"),
    [
        ({}, "serve"),
        ({"midcourse": None, "metadata": None}, "serve"),
        ({"midcourse": {"annotate": True}}, "serve"),
        ({"metadata": {"purpose": "eval"}}, "eval"),
        ({"metadata": {"purpose": "two words"}}, "serve"),
        ({"metadata": "eval"}, "serve"),
        ({"metadata": {"purpose": "eval"}, "midcourse": {"purpose": "red-team"}}, "red-team"),
    ],
)
async def test_the_purpose_is_ours_or_in_the_metadata(fields: dict[str, Any], purpose: str) -> None:
    asked, _ = await heard("/v1/completions", {"prompt": "Hi", **fields})
    assert asked is not None and asked.purpose == purpose


@pytest.mark.parametrize(
    ("ours", "param"),
    [
        ({"purpose": "two words"}, "midcourse.purpose"),
        ({"purpose": 5}, "midcourse.purpose"),
        ({"policy": {"reasoning": {"threshold": 0.1}}}, "midcourse.policy"),
        ({"purpos": "eval"}, "midcourse.purpos"),
        ("eval", "midcourse"),
    ],
)
async def test_a_purpose_that_would_be_lost_is_an_error_that_names_the_field(ours: object, param: str) -> None:
    asked, answer = await heard("/v1/completions", {"prompt": "Hi", "midcourse": ours})
    error = json.loads(answer)["error"]
    assert asked is None and error["param"] == param and error["message"].startswith(f"{param}: ")


async def test_a_request_without_a_body_is_left_alone() -> None:
    assert (await heard("/v1/chat/completions", b"", method="GET"))[0] is None


def test_the_judge_is_told_of_the_request_if_the_prompt_holds_it_and_of_the_prompt_if_not() -> None:
    asked = Asked("All of it.", "Hello\nthere", (), "serve")
    assert told(asked, "user: Hello there! assistant:") == "All of it."
    assert told(asked, "user: something else") == "user: something else"
    assert told(Asked("", " ", (), "serve"), "the prompt") == "the prompt"
    assert told(None, "the prompt") == "the prompt"
