"""Text to plain values: YAML with fewer surprises. Knows no key and no default."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from midcourse.server.errors import ConfigError

_BOOL = "tag:yaml.org,2002:bool"
_PROSE = frozenset({"refusal"})
"""Keys whose text is never read as YAML: a sentence may contain a colon."""


class _Loader(yaml.SafeLoader):
    """YAML, but ``off``, ``on``, ``yes`` and ``no`` are words (as in YAML 1.2), and a key may be written once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                at = key_node.start_mark
                raise yaml.MarkedYAMLError(problem=f"key {key_node.value!r} is written twice", problem_mark=at)
            if isinstance(key_node.value, str):
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL or letter in "tTfF"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file; an empty file is an empty mapping.

    Raises:
        ConfigError: no such file, not YAML, or no mapping.
    """
    try:
        value = yaml.load(path.read_text(), _Loader)  # noqa: S506 -- a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config: cannot read {path}: {error}", param="config") from error
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"config: {path} is not YAML: {problem}", param="config") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"config: {path} holds a {type(value).__name__}; expected keys and values", param="config")
    return value


def scalar(key: str, value: object) -> object:
    """A value as YAML would read it, where it came as text from a variable or a flag."""
    if not isinstance(value, str) or key in _PROSE:
        return value
    try:
        return yaml.load(value, _Loader)  # noqa: S506 -- a SafeLoader
    except yaml.YAMLError:
        return value
