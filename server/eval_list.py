"""``midcourse eval list``: the tasks, and where each finds its items. Asks no hub; knows whether somebody logged in."""

import json as jsonlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from midcourse.tasks.catalogue import BENCHMARKS, Benchmark
from midcourse.tasks.items import local_file


class Place(NamedTuple):
    """Of a task: its file below ``--data``, whether that is there, and the hub's dataset."""

    task: str
    kind: str
    file: str
    found: bool
    hub: str
    licence: bool


def show_tasks(data: Path | None, *, json: bool) -> None:
    """A row for each."""
    places = _places(data)
    if json:
        print(jsonlib.dumps([place._asdict() for place in places], indent=2))  # noqa: T201
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("task", "kind", "file below --data", "hub"):
        table.add_column(title, overflow="fold")
    for place in places:
        there = f"{place.file} [green]is there[/]" if place.found else place.file
        table.add_row(place.task, place.kind, there, place.hub + (" (licence)" if place.licence else ""))
    Console(highlight=False).print(table)


def to_be_had(tasks: Sequence[str], data: Path | None) -> list[str]:
    """Without those that are neither in a file nor handed out by the hub to whoever did not log in."""
    gated = {place.task for place in _places(data) if place.licence and not place.found}
    return [name for name in tasks if name not in gated or logged_in()]


def logged_in() -> bool:
    """Whether there is a token for the Hugging Face hub."""
    try:
        return pkgutil.resolve_name("huggingface_hub:get_token")() is not None
    except ModuleNotFoundError:
        return False


def _places(data: Path | None) -> list[Place]:
    return [_place(benchmark, data) for benchmark in BENCHMARKS.values()]


def _place(benchmark: Benchmark, data: Path | None) -> Place:
    hub, file = benchmark.hub, f"{benchmark.file}.jsonl" if benchmark.file else ""
    named = "inspect-evals, in a sandbox" if benchmark.mark == "code" else hub.id if hub else ""
    found = local_file(benchmark.file, data) is not None
    return Place(benchmark.name, benchmark.kind, file, found, named, bool(hub and hub.licence))
