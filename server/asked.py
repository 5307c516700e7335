"""What the judge is told of a chat: every text that the caller wrote, whatever role it was given.

Knows messages as chat templates want them. Refuses to judge, and to cut: the session does.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def request_text(messages: Sequence[Mapping[str, Any]], template: Mapping[str, Any] | None = None) -> str:
    """The texts in their order, joined by blank lines; the last user message ends it, for it says what is asked.

    Args:
        messages: with ``role``, ``content`` (text, text parts or None), and an answer's reasoning.
        template: arguments of the chat template; their strings come first, as templates write them on top.
    """
    asking = [at for at, message in enumerate(messages) if message.get("role") == "user"][-1:]
    order = [at for at in range(len(messages)) if at not in asking] + asking
    texts = [*_strings(template), *(text for at in order for text in _texts(messages[at]))]
    return "\n\n".join(text for text in texts if text.strip())


def _texts(message: Mapping[str, Any]) -> list[str]:
    """Reasoning and content. The same reasoning may stand under both names."""
    content = message.get("content")
    parts = [part.get("text") for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    thoughts = dict.fromkeys(_strings([message.get("reasoning"), message.get("reasoning_content")]))
    return [*thoughts, *_strings(parts or content)]


def _strings(value: object) -> Iterator[str]:
    """Every string in a JSON value, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(entry)
