"""What the registry writes down, as values: how an adapter was made, what a version is, what serves, who did it.

Knows fields and JSON. Refuses to know folders.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

SCHEMA = 1

ESCAPED = "backslashreplace"
"""For JSON as UTF-8: half a surrogate pair, which a command line can hold, becomes the escape that JSON has for it."""

Did = Literal["publish", "promote", "rollback"]


class RecordError(ValueError):
    """A record is not what its kind says; the message names the field."""


class Record:
    """A frozen dataclass that can be read from the JSON object it was written as."""

    __slots__ = ()

    @classmethod
    def of(cls, value: object) -> Self:
        """From JSON.

        Raises:
            RecordError: it is no object, or a field is missing, unknown or of another type.
        """
        if not isinstance(value, Mapping):
            raise RecordError(f"is {type(value).__name__}; expected an object")
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        wrong = sorted(names ^ value.keys())
        if wrong:
            raise RecordError(f"{wrong[0]}: {'is missing' if wrong[0] in names else 'unknown field'}")
        try:
            return TypeAdapter(cls).validate_python(dict(value))
        except ValidationError as error:
            first = error.errors()[0]
            raise RecordError(f"{first['loc'][0]}: {first['msg']}, not {first['input']!r:.60}") from error


@dataclass(frozen=True, slots=True)
class Run(Record):
    """How an adapter was made: ``run.json`` of a training run has these fields, and may have others.

    Args:
        base_model: ``smollm2``, a hub id, or a folder.
        method: of training, ``sft`` for one.
        config: the trainer's settings.
        data: what it learned from, a name to a SHA-256.
        metrics: what was measured.
    """

    base_model: str
    method: str
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest(Record):
    """One version. It is written once.

    Args:
        adapter: ``NAME-vN``.
        config_sha256: ``digest`` of ``config``.
        parent: the version that it was trained on from; where nobody said, what served when it was published.
        created: seconds since the epoch, UTC.
        files: SHA-256 of each file.
    """

    schema: int
    adapter: str
    base_model: str
    method: str
    config: Mapping[str, Any]
    config_sha256: str
    data: Mapping[str, Any]
    metrics: Mapping[str, Any]
    parent: str | None
    created: float
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Alias(Record):
    """What serves under a name.

    Args:
        adapter: None is the base model.
        before: what was promoted before and may be gone back to, the latest last.
        at: since when, in seconds since the epoch, UTC.
    """

    adapter: str | None
    before: tuple[str, ...]
    at: float
    by: str
    reason: str | None

    @property
    def outdated(self) -> frozenset[str]:
        """What served once, and is neither in force nor the one before, which is kept for a rollback."""
        return frozenset(self.before) - {self.adapter, *self.before[-1:]}


@dataclass(frozen=True, slots=True)
class Event(Record):
    """One line of the history.

    Args:
        previous: what served until then; None is the base model.
        at: seconds since the epoch, UTC.
    """

    at: float
    by: str
    did: Did
    name: str
    adapter: str | None
    previous: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Who:
    """Who changes the registry, and why."""

    by: str
    reason: str | None = None


def digest(config: Mapping[str, Any]) -> str:
    """The hash of a configuration, whatever the order of its keys."""
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors=ESCAPED)).hexdigest()
