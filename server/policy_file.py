"""Writes thresholds into a settings file and leaves every other character of it alone, comments included.

Knows where YAML keeps a value. What it wrote is read again, as ``midcourse serve`` reads it, before it replaces
anything.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from midcourse.models.files import write_atomically
from midcourse.server.config import Settings, load
from midcourse.server.errors import CallerError, ConfigError
from midcourse.server.settings_text import load_yaml

Keys = tuple[str, ...]


def settings_of(file: Path) -> Settings:
    """What a settings file says by itself, without environment and flags; the defaults where it is not there.

    Raises:
        ConfigError: the file is wrong.
    """
    return load(file, {}, {}) if file.exists() else Settings()


def write_thresholds(file: Path, thresholds: Mapping[str, float]) -> None:
    """Put ``policy.PHASE.threshold`` into a settings file, which is made if it is not there.

    Raises:
        CallerError: it cannot be written, or not without touching other keys.
    """
    before = load_yaml(file) if file.exists() else {}
    try:
        text = file.read_bytes().decode() if file.exists() else ""
    except OSError as error:
        raise CallerError(f"--policy {file}: cannot read it: {error.strerror}", param="policy") from error
    for phase, value in reversed(list(thresholds.items())):  # each goes before the first key that is there
        text = with_value(text, ("policy", phase, "threshold"), f"{value:.6f}")
    if not _means(text, _merged(before, thresholds)):
        keys = ", ".join(f"policy.{phase}.threshold: {value:.6f}" for phase, value in thresholds.items())
        raise CallerError(f"--policy {file}: too artful to edit in place; write {keys} there by hand", param="policy")
    try:
        write_atomically(file, text)
    except OSError as error:
        raise CallerError(f"--policy {file}: cannot write it: {error.strerror}", param="policy") from error


def with_value(text: str, path: Keys, value: str) -> str:
    """A YAML text with a plain value put at a path of keys, replaced or added."""
    node: yaml.Node | None = yaml.compose(text, yaml.SafeLoader)
    if node is None:
        return text + ("" if not text or text.endswith("\n") else "\n") + _block(path, value)
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            return _spliced(text, node, _flow(path[depth:], value))
        below: yaml.Node | None = next((child for name, child in node.value if name.value == key), None)
        if below is None:
            return _added(text, node, path[depth:], value)
        node = below
    return _spliced(text, node, value)


def _spliced(text: str, node: yaml.Node, new: str) -> str:
    """A node's text replaced; ``key:`` without a value gets one."""
    start, end = node.start_mark.index, node.end_mark.index
    gap = " " if start == end and text[start - 1 : start] == ":" else ""
    return f"{text[:start]}{gap}{new}{text[end:]}"


def _added(text: str, node: yaml.MappingNode, missing: Keys, value: str) -> str:
    """A key put before the first one of a mapping; at the very top, behind the last."""
    start = node.start_mark.index
    if node.flow_style:
        entry = _flow(missing, value)[1:-1]
        return f"{text[: start + 1]}{entry}{', ' if node.value else ''}{text[start + 1 :]}"
    newline = "\r\n" if "\r\n" in text else "\n"
    if node.start_mark.column == 0:
        return text + ("" if text.endswith("\n") else newline) + _block(missing, value).replace("\n", newline)
    line = _above_comments(text, text.rfind("\n", 0, start) + 1)
    entry = f"{' ' * node.start_mark.column}{missing[0]}: {_flow(missing[1:], value)}{newline}"
    return f"{text[:line]}{entry}{text[line:]}"


def _above_comments(text: str, line: int) -> int:
    """Where the comments begin that stand above a line: they belong to it."""
    while line:
        before = text.rfind("\n", 0, line - 1) + 1
        if not text[before:line].lstrip().startswith("#"):
            break
        line = before
    return line


def _flow(path: Keys, value: str) -> str:
    return f"{{{path[0]}: {_flow(path[1:], value)}}}" if path else value


def _block(path: Keys, value: str) -> str:
    return f"{path[0]}:\n  {path[1]}: {_flow(path[2:], value)}\n"


def _merged(before: Mapping[str, Any], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """What the file has to mean in the end."""
    policy = dict(before.get("policy") or {})
    for phase, value in thresholds.items():
        policy[phase] = {**(policy.get(phase) or {}), "threshold": round(value, 6)}
    return {**before, "policy": policy}


def _means(text: str, expected: dict[str, Any]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "draft.yaml")
        draft.write_text(text, encoding="utf-8", newline="")
        try:
            return load_yaml(draft) == expected
        except ConfigError:
            return False
