"""What a request to vLLM's server says, for judge and trace: read from its body on the way in, kept beside it.

An engine sees token ids only. The prompt that they spell holds the request, but the template's words, too; the body
holds it as it was written, and what it is for. Knows ASGI and three request shapes. The judge does not depend on it:
what it did not read, or what the prompt does not hold, is taken from the prompt.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from midcourse.server.asked import request_text
from midcourse.server.replies import error_reply
from midcourse.server.vllm_routes import GUARDED
from midcourse.server.wire import Extension, Request

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Args:
        text: for the judge, as our own server tells it.
        last: the text of the last message; a prompt that does not hold it was made of something else.
        messages: for the trace. Of a request that is no chat there are none, and no texts.
        purpose: for the trace.
    """

    text: str
    last: str
    messages: tuple[Mapping[str, Any], ...]
    purpose: str


ASKED: ContextVar[Asked | None] = ContextVar("midcourse_asked", default=None)


def told(asked: Asked | None, prompt: str) -> str:
    """What the judge is told of a prompt: the request behind it where it is one, else the prompt itself."""
    if asked is None or not asked.last.strip() or _squeezed(asked.last) not in _squeezed(prompt):
        return prompt
    return asked.text


class Listens:
    """Sets ``ASKED`` for what runs inside, and changes nothing; what would be lost of a wish is an error 400."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or scope["method"] != "POST" or path not in GUARDED:
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        try:
            asked = _read(path, b"".join(message.get("body", b"") for message in messages))
        except RequestValidationError as error:
            await error_reply(error)(scope, receive, send)
            return
        reset = ASKED.set(asked)
        waiting = iter(messages)

        async def again() -> Message:
            return next(waiting, None) or await receive()

        try:
            await self._app(scope, again, send)
        finally:
            with contextlib.suppress(ValueError):  # closed from another context: the variable is gone with its own
                ASKED.reset(reset)


def _read(path: str, raw: bytes) -> Asked | None:
    try:
        body = json.loads(raw)
    except ValueError:  # the server says so better
        return None
    if not isinstance(body, dict):
        return None
    purpose = _purpose(body)
    messages, template = READERS[path](body) if path in READERS else ([], {})
    if not messages or not all(isinstance(message, dict) for message in messages):
        return Asked("", "", (), purpose)
    return Asked(request_text(messages, template), request_text(messages[-1:]), tuple(messages), purpose)


def _purpose(body: Body) -> str:
    """As our own server reads it.

    Raises:
        RequestValidationError: what is ours in the body is not what it should be; its purpose might be lost.
    """
    given, metadata = body.get("midcourse"), body.get("metadata")
    try:
        ours = None if given is None else Extension.model_validate(given)
    except ValidationError as error:
        problems = [{**problem, "loc": ("body", "midcourse", *problem["loc"])} for problem in error.errors()]
        raise RequestValidationError(problems) from error
    if ours is not None and ours.policy:
        fix = "a request cannot strengthen the policy under vLLM; leave it out, or set it for the server"
        raise RequestValidationError([{"type": "value_error", "loc": ("body", "midcourse", "policy"), "msg": fix}])
    return Request.model_construct(midcourse=ours, metadata=metadata if isinstance(metadata, dict) else None).purpose


def _chat(body: Body) -> tuple[list[Any], Body]:
    """Whatever else reaches the template is told, too: it may hold the request as well as a message does."""
    names = ("chat_template", "chat_template_kwargs", "documents", "tools", "reasoning_effort")
    return _list(body.get("messages")), {name: body[name] for name in names if name in body}


def _anthropic(body: Body) -> tuple[list[Any], Body]:
    return _list(body.get("messages")), {name: body[name] for name in ("system", "tools") if name in body}


def _responses(body: Body) -> tuple[list[Any], Body]:
    if body.get("previous_response_id") is not None:  # most of the chat is elsewhere
        return [], {}
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else _list(given)
    return items, {name: body[name] for name in ("instructions", "tools") if name in body}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _squeezed(text: str) -> str:
    """Without white space, which templates add and take away."""
    return "".join(text.split())


READERS: dict[str, Callable[[Body], tuple[list[Any], Body]]] = {
    "/invocations": _chat,  # of what it may invoke, only chats have messages
    "/v1/chat/completions": _chat,
    "/v1/messages": _anthropic,
    "/v1/responses": _responses,
}
