"""Requests as OpenAI's clients send them: shapes and ranges.

Knows the fields that we honour, and those that we must refuse rather than ignore. Refuses to know what they do.
Types are strict, as JSON's are: ``"n": "2"`` is an error. Fields that nobody here knows are let pass, as vLLM does.
"""

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from midcourse.server.unsupported import NEUTRAL, RESERVED_TEMPLATE_KEYS

PURPOSE = re.compile(r"[A-Za-z0-9_.-]{1,64}")

# Templates take switches and a few texts. What is said to one is walked through, text by text, for the judge and for
# control tokens; 900 levels would end in a RecursionError there.
TEMPLATE_DEPTH = 16
TEMPLATE_WIDTH = 1_000  # values on one level


class _Object(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


def _text_only(value: object) -> object:
    if isinstance(value, str) and value != "text":
        raise PydanticCustomError("part", "content parts of this type are not supported; send text parts")
    return value


class TextPart(_Object):
    """A part of a message's content."""

    type: Annotated[Literal["text"], BeforeValidator(_text_only)]
    text: str


def _kind_of_content(value: object) -> str:
    return "(parts)" if isinstance(value, list) else "(text)"


# Tags stand in brackets so that error messages can leave them out.
Content = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[list[TextPart], Field(min_length=1), Tag("(parts)")],
    Discriminator(_kind_of_content),
]


class _Message(_Object):
    role: str
    content: Content | None
    name: str | None = None

    def text(self) -> str:
        """The content, its parts on lines of their own."""
        content = self.content or ""
        return content if isinstance(content, str) else "\n".join(part.text for part in content)

    def plain(self) -> dict[str, object]:
        """As chat templates want it. ``developer`` is what newer clients call ``system``."""
        return {"role": "system" if self.role == "developer" else self.role, "content": self.text()}


class SystemMessage(_Message):
    """Instructions of the application."""

    role: Literal["system", "developer"]
    content: Content


class UserMessage(_Message):
    """What the user says."""

    role: Literal["user"]
    content: Content


class AssistantMessage(_Message):
    """An earlier answer, with its reasoning under either name, or under both."""

    role: Literal["assistant"]
    content: Content | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None

    def plain(self) -> dict[str, object]:
        """With the reasoning under both names, for templates look at one or the other."""
        reasoning = self.reasoning or self.reasoning_content
        thoughts = {"reasoning": reasoning, "reasoning_content": reasoning} if reasoning else {}
        return {"role": "assistant", "content": self.text(), **thoughts}


class ToolMessage(_Message):
    """The result of a tool, as text."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str | None = None


def _role_of(value: object) -> str | None:
    role = value.get("role") if isinstance(value, dict) else getattr(value, "role", None)
    known = {"system": "(system)", "developer": "(system)"} | {r: f"({r})" for r in ("user", "assistant", "tool")}
    return known.get(role) if isinstance(role, str) else None


Message = Annotated[
    Annotated[SystemMessage, Tag("(system)")]
    | Annotated[UserMessage, Tag("(user)")]
    | Annotated[AssistantMessage, Tag("(assistant)")]
    | Annotated[ToolMessage, Tag("(tool)")],
    Discriminator(
        _role_of,
        custom_error_type="role",
        custom_error_message="expected an object with a role: system, developer, user, assistant or tool",
    ),
]


class StreamOptions(_Object):
    """Of a stream."""

    include_usage: bool | None = None


class Extension(BaseModel):
    """Our own wishes (``extra_body={"midcourse": {...}}``).

    ``annotate`` shows interventions in the answer; ``policy`` may make the policy stricter, never weaker;
    ``purpose`` is kept in the trace (``eval`` is never trained on).
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    annotate: bool = False
    policy: dict[str, Any] = Field(default_factory=dict)
    purpose: Annotated[str, StringConstraints(pattern=f"^{PURPOSE.pattern}$")] | None = None


StopString = Annotated[str, StringConstraints(min_length=1)]
Stop = Annotated[
    Annotated[StopString, Tag("(text)")] | Annotated[list[StopString], Field(max_length=4), Tag("(parts)")],
    Discriminator(_kind_of_content),
]
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Request(_Object):
    """What both routes share. A field that is null is a field that was not sent."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Int64 | None = None
    stop: Stop | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    midcourse: Extension | None = None

    @model_validator(mode="before")
    @classmethod
    def _whole_characters(cls, body: object) -> object:
        """JSON can spell half a character, which no tokenizer takes and no answer could repeat."""
        if isinstance(body, dict):
            try:
                json.dumps(body, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise PydanticCustomError("surrogate", "a text holds half of a surrogate pair") from error
            except RecursionError as error:
                raise PydanticCustomError("depth", "the body is nested too deeply") from error
        return body

    @model_validator(mode="after")
    def _options_need_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError("stream_options", "stream_options is only allowed when stream is true")
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def purpose(self) -> str:
        """Our own field, else ``metadata.purpose`` where it is a tag of ours."""
        if self.midcourse is not None and self.midcourse.purpose is not None:
            return self.midcourse.purpose
        found = (self.metadata or {}).get("purpose")
        return found if isinstance(found, str) and PURPOSE.fullmatch(found) else "serve"

    def unsupported(self) -> str | None:
        """The first field that asks for something that we cannot do."""
        for name, value in (self.model_extra or {}).items():
            if name in NEUTRAL and value is not None and value not in NEUTRAL[name]:
                return name
        return None

    def ignored(self) -> list[str]:
        """Fields that nobody here knows."""
        return sorted(set(self.model_extra or {}) - set(NEUTRAL))


def _inside(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


class ChatRequest(Request):
    """Body of ``/v1/chat/completions``."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    chat_template_kwargs: dict[str, Any] | None = None

    @field_validator("chat_template_kwargs")
    @classmethod
    def _nothing_reserved(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in value or {}:
            if name in RESERVED_TEMPLATE_KEYS:
                raise PydanticCustomError("reserved", "may not set {name}", {"name": name})
        level: list[object] = [value]
        for _ in range(TEMPLATE_DEPTH):
            level = [entry for outer in level for entry in _inside(outer)]
            if len(level) > TEMPLATE_WIDTH:
                raise PydanticCustomError("width", "holds too many values")
        if any(_inside(outer) for outer in level):
            raise PydanticCustomError("depth", "is nested too deeply")
        return value

    @model_validator(mode="after")
    def _alternatives_need_logprobs(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise PydanticCustomError("top_logprobs", "top_logprobs is only allowed when logprobs is true")
        return self


TokenIds = Annotated[list[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(min_length=1)]


def _kind_of_prompt(value: object) -> str:
    if not isinstance(value, list):
        return "(text)"
    first = value[0] if value else None
    if isinstance(first, list):
        return "(id lists)"
    return "(ids)" if isinstance(first, int) else "(texts)"


PromptText = Annotated[str, StringConstraints(min_length=1)]
Prompt = Annotated[
    Annotated[PromptText, Tag("(text)")]
    | Annotated[list[PromptText], Field(min_length=1), Tag("(texts)")]
    | Annotated[TokenIds, Tag("(ids)")]
    | Annotated[list[TokenIds], Field(min_length=1), Tag("(id lists)")],
    Discriminator(_kind_of_prompt),
]


class CompletionRequest(Request):
    """Body of ``/v1/completions``. ``max_tokens`` is 16 where it is not sent, as OpenAI has it."""

    prompt: Prompt
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """One entry a prompt: text, or token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        ids = [entry for entry in self.prompt if isinstance(entry, int)]
        return [ids] if ids else [entry for entry in self.prompt if isinstance(entry, str | list)]
