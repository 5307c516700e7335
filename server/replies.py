"""Errors as OpenAI's clients read them: ``{"error": {"message", "type", "param", "code"}}`` and a status.

Knows HTTP and the tree in ``server.errors``. Refuses to let a stack trace or a prompt out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from midcourse.server.errors import CallerError, EngineError, MidcourseError
from midcourse.server.fan import Overloaded
from midcourse.server.wire_replies import ErrorReply

CLIENT_GONE = 499
"""What nginx logs when the client hung up. Nobody receives it."""


class Refused(MidcourseError):
    """The answer is an error with this status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.code = code
        self.headers = headers


def no_such_model(name: str, ours: str) -> Refused:
    """404. The name is the caller's, of any length: its first hundred characters say which it was."""
    shown = name if len(name) <= 100 else f"{name[:100]}…"
    message = f"The model {shown!r} does not exist; this server has {ours!r}."
    return Refused(404, message, code="model_not_found", param="model")


class ClientGone(MidcourseError):
    """The client hung up; there is nobody to answer."""


def refusal_of(error: Exception) -> Refused:
    """What the client is told about ``error``."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, ClientGone):
        return Refused(CLIENT_GONE, "the client hung up")
    if isinstance(error, Overloaded):
        return Refused(429, str(error), code="rate_limit_exceeded", headers={"Retry-After": "1"})
    if isinstance(error, CallerError):
        return Refused(400, str(error), param=error.param)
    if isinstance(error, EngineError):
        return Refused(502, f"The engine failed: {error}", code="engine_error")
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        return Refused(error.status_code, str(error.detail), headers=error.headers)
    return Refused(500, "The server failed; its log says why, under the request id.", code="internal_error")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Entries for a route's ``responses``."""
    return {status: {"model": ErrorReply} for status in statuses}


def error_body(refused: Refused) -> dict[str, Any]:
    """The JSON of an error."""
    kinds = {429: "rate_limit_error", 403: "permission_error"}
    kind = "server_error" if refused.status >= 500 else kinds.get(refused.status, "invalid_request_error")
    return {"error": {"message": str(refused), "type": kind, "param": refused.param, "code": refused.code}}


def error_reply(error: Exception) -> JSONResponse:
    """The whole response."""
    refused = refusal_of(error)
    headers = dict(refused.headers or {})
    return JSONResponse(error_body(refused), status_code=refused.status, headers=headers)


def _invalid(problems: Sequence[Mapping[str, Any]]) -> Refused:
    """The first problem of a request that is not what it should be."""
    first = problems[0]
    if first["type"] == "json_invalid":
        return Refused(400, f"The body is not JSON: {first['ctx']['error']}", code="invalid_json")
    if first["type"] in ("missing", "model_attributes_type", "dict_type") and len(first["loc"]) == 1:
        return Refused(400, "Send a JSON object, with Content-Type: application/json", code="invalid_json")
    param = _dotted(first["loc"][1:])
    message = f"{param}: {first['msg']}" if param else str(first["msg"])
    return Refused(400, message, param=param)


def _dotted(place: Sequence[int | str]) -> str | None:
    """``messages[0].content``; names of alternatives, in brackets, are ours and left out."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith("("):
            text += f".{part}"
    return text.removeprefix(".") or None
