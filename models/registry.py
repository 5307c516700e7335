"""The adapter registry: immutable versions ``NAME-vN`` in one folder, and an alias for each name: which of them serves.

Knows files, hashes and who did what. Refuses to know torch, engines, and whether an adapter is any good: that is for
whoever promotes. Several processes may share a folder: what changes it holds its lock, what reads it needs none,
because versions and aliases appear whole. ::

    ipo-v1/  ipo-v2/     adapter_config.json, adapter_model.safetensors, manifest.json, README.md
    ipo.json             the alias: what serves under this name, and what did before
    history.jsonl        who published, promoted and rolled back what, when and why; it only grows
"""

import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from midcourse.models.adapter_card import card_of
from midcourse.models.files import drop_torn_line, sha256_of, write_atomically
from midcourse.models.lora import CONFIG, WEIGHTS, AdapterError, read_lora, read_modules
from midcourse.models.manifest import ESCAPED, SCHEMA, Alias, Event, Manifest, Record, RecordError, Run, Who, digest

MANIFEST, CARD, HISTORY, LOCK = "manifest.json", "README.md", "history.jsonl", ".lock"
PUBLISHED = (CONFIG, WEIGHTS)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # a folder, a file, and a model's name in URLs
VERSION = re.compile(rf"(?P<name>{NAME.pattern})-v(?P<number>[1-9]\d{{0,8}})")
NOTHING = Alias(None, (), 0.0, "", None)
"""The alias of a name under which nothing was promoted yet."""

R = TypeVar("R", bound=Record)


class RegistryError(AdapterError):
    """The registry does not hold what was asked for, or it is not what its manifest says."""


class Version(NamedTuple):
    """``NAME-vN`` in its parts."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}-v{self.number}"


def version_of(text: str) -> Version | None:
    """The parts of ``NAME-vN``; None where it is something else."""
    found = VERSION.fullmatch(text)
    return Version(found["name"], int(found["number"])) if found else None


class Registry:
    """A folder of adapters. It need not exist until something is published.

    Raises:
        RegistryError: in every method that is given a name: it is none, or there is nothing by it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def versions(self, name: str | None = None) -> list[Version]:
        """What was published, oldest first, of one name or of all of them."""
        entries = self.folder.iterdir() if self.folder.is_dir() else ()
        found = [version for entry in entries if (version := version_of(entry.name)) and (entry / MANIFEST).is_file()]
        return sorted(version for version in found if name in (None, version.name))

    def manifest(self, adapter: str) -> Manifest:
        """What was written down about a version."""
        if version_of(adapter) is None:
            raise RegistryError(f"{adapter}: is no version; say NAME-vN, such as {self._example(adapter)}")
        path = self.folder / adapter / MANIFEST
        if not path.is_file():
            known = ", ".join(map(str, self.versions())) or "nothing"
            raise RegistryError(f"{adapter}: is not in {self.folder}, which holds {known}")
        found = _read(Manifest, path)
        if (found.schema, found.adapter) != (SCHEMA, adapter):
            raise RegistryError(f"{path}: is schema {found.schema} of {found.adapter}; this reads schema {SCHEMA}")
        return found

    def verified(self, adapter: str) -> Path:
        """The folder of a version, once its files are those that were published."""
        folder = self.folder / adapter
        files = self.manifest(adapter).files
        for name in PUBLISHED:
            path, expected = folder / name, files.get(name)
            if not path.is_file() or sha256_of(path) != expected:
                raise RegistryError(f"{path}: is missing or was changed since it was published; restore it")
        return folder

    def alias(self, name: str) -> Alias:
        """What serves under a name; ``NOTHING`` where nothing was promoted yet."""
        path = self.alias_file(name)
        if not path.is_file():
            return NOTHING
        return _read(Alias, path)

    def promoted(self, name: str) -> str:
        """The version that serves under a name.

        Raises:
            RegistryError: none does.
        """
        adapter = self.alias(name).adapter
        if adapter is None:
            known = ", ".join(map(str, self.versions(name))) or "no version of it"
            raise RegistryError(f"{name}: nothing was promoted; {self.folder} holds {known}")
        return adapter

    def alias_file(self, name: str) -> Path:
        """What to watch: it is replaced whenever another version is to serve."""
        _check_name(name)
        return self.folder / f"{name}.json"

    def publish(self, source: Path, name: str, run: Run, who: Who, parent: str | None = None) -> Manifest:
        """Copy the adapter in ``source`` to a new version. It appears when it is complete.

        Args:
            source: a PEFT folder; only the two files that make the adapter are taken.
            parent: the version that it went on from; empty for none, None for what serves under this name now.
        """
        _check_name(name)
        _look_at(source)
        with self._changing():
            for left in self.folder.glob(".draft-*"):  # of somebody who was killed: whoever drafts holds the lock
                shutil.rmtree(left, ignore_errors=True)
            adapter = Version(name, self._highest(name) + 1)
            before = self.alias(name).adapter
            if parent:
                self.manifest(parent)
            draft = self.folder / f".draft-{uuid.uuid4().hex}"
            try:
                manifest = _draft(draft, source, str(adapter), run, before if parent is None else parent or None)
                draft.rename(self.folder / str(adapter))
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            self._note(Event(manifest.created, who.by, "publish", name, str(adapter), before, who.reason))
        return manifest

    def promote(self, adapter: str, who: Who) -> Alias:
        """Have a version serve under its name. What serves already stays as it is."""
        self.verified(adapter)
        name = self._name_of(adapter)
        with self._changing():
            now = self.alias(name)
            if now.adapter == adapter:
                return now
            before = (*now.before, *([now.adapter] if now.adapter else []))
            return self._point(name, Alias(adapter, before, time.time(), who.by, who.reason), "promote", now)

    def rollback(self, name: str, who: Who) -> Alias:
        """Have that serve again what served before; before the first that was promoted, it was the base model."""
        with self._changing():
            now = self.alias(name)
            if now.adapter is None:
                raise RegistryError(f"{name}: the base model serves; there is nothing to roll back")
            adapter = now.before[-1] if now.before else None
            if adapter is not None:
                self.verified(adapter)
            return self._point(name, Alias(adapter, now.before[:-1], time.time(), who.by, who.reason), "rollback", now)

    def history(self, name: str | None = None) -> list[Event]:
        """Everything that was ever done, oldest first, about one name or about all of them."""
        path = self.folder / HISTORY
        lines = _text(path).split("\n")[:-1] if path.is_file() else []  # behind the last end, a line is being written
        events = [_of(Event, line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
        return [event for event in events if name in (None, event.name)]

    def _point(self, name: str, alias: Alias, did: Any, was: Alias) -> Alias:
        path = self.alias_file(name)
        write_atomically(path, json.dumps(asdict(alias), indent=2) + "\n")
        path.chmod(0o644)  # whoever serves may be another user
        self._note(Event(alias.at, alias.by, did, name, alias.adapter, was.adapter, alias.reason))
        return alias

    def _highest(self, name: str) -> int:
        """A number is never used twice, even where somebody deleted a version: caches know adapters by their names."""
        told = [version_of(event.adapter) for event in self.history(name) if event.adapter]
        return max((version.number for version in (*told, *self.versions(name)) if version), default=0)

    def _note(self, event: Event) -> None:
        path = self.folder / HISTORY
        drop_torn_line(path)
        with path.open("a", encoding="utf-8", errors=ESCAPED) as file:
            file.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _name_of(self, adapter: str) -> str:
        version = version_of(adapter)
        assert version is not None  # its manifest was read
        return version.name

    def _example(self, name: str) -> str:
        return str(next(iter(self.versions(name)[-1:]), Version("ipo", 1)))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Alone, whoever else has this folder open; the lock goes with the process that holds it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise RegistryError(f"{self.folder}: cannot be written: {error}") from error


def _draft(draft: Path, source: Path, adapter: str, run: Run, parent: str | None) -> Manifest:
    """All that makes a version, in a folder that is none yet. Everybody may read its files, and nobody write them."""
    draft.mkdir()
    for name in PUBLISHED:
        shutil.copyfile(source / name, draft / name)
    _look_at(draft)  # once more: a trainer may be writing the source
    files = {name: sha256_of(draft / name) for name in PUBLISHED}
    manifest = Manifest(
        schema=SCHEMA,
        adapter=adapter,
        base_model=run.base_model,
        method=run.method,
        config=run.config,
        config_sha256=digest(run.config),
        data=run.data,
        metrics=run.metrics,
        parent=parent,
        created=time.time(),
        files=files,
    )
    (draft / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n", "utf-8", ESCAPED)
    (draft / CARD).write_text(card_of(manifest), "utf-8", "replace")
    for path in draft.iterdir():
        path.chmod(0o444)
    return manifest


def _look_at(folder: Path) -> None:
    """Whether it can be served, as far as that can be said without a model."""
    lora = read_lora(folder)
    for module in read_modules(folder):
        lora.scale(module)


def _check_name(name: str) -> None:
    if NAME.fullmatch(name) is None or version_of(name) is not None:
        raise RegistryError(f"{name!r} is no name; letters, digits, dots and dashes, without -vN at the end")


def _read(kind: type[R], path: Path) -> R:
    return _of(kind, _text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: cannot be read: {error}") from error


def _of(kind: type[R], text: str, where: str) -> R:
    try:
        return kind.of(json.loads(text))
    except (json.JSONDecodeError, RecordError) as error:
        raise RegistryError(f"{where}: {error}") from error
