"""What is asked: the rows of a benchmark, from a file where there is one and from the hub otherwise.

Knows files, columns and the hub. A sample of a benchmark is drawn by a hash of each item's id, so that two runs with
one seed ask the same items, in whatever order the file has them.
"""

import hashlib
import json
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from midcourse.models.eval_items import id_of
from midcourse.models.files import sha256_of
from midcourse.models.rows import SUFFIXES, DataError, rows_of
from midcourse.tasks.catalogue import PLACEHOLDER, Benchmark, Hub

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One question.

    Args:
        request: what it is about: what judges are told, without the jailbreak around it.
        asked: what the model reads.
        target: of a capability item, the right answer; a letter where there are choices.
    """

    id: str
    request: str
    asked: str
    target: str = ""


class Items(NamedTuple):
    """Of a benchmark: all of it or a sample, where it comes from, and the hash of that."""

    items: tuple[Item, ...]
    source: str
    sha256: str


def items_of(benchmark: Benchmark, data: Path | None, *, limit: int | None = None, seed: int = 0) -> Items:
    """The items of a benchmark, sampled if there are more than ``limit``.

    Raises:
        DataError: it cannot be had; the message says which file or which login would do. Or a row is wrong.
        ModuleNotFoundError: the hub is to be asked, and ``datasets`` is not installed.
    """
    file = local_file(benchmark.file, data)
    rows = rows_of(file) if file else _from_hub(benchmark, data)
    items = _unique((where, _item(benchmark, row, where)) for where, row in rows if _counts(benchmark, row))
    if not items:
        raise DataError(f"{benchmark.name}: no item in {file or benchmark.hub}")
    if benchmark.templates:
        items = _disguised(items, _templates(benchmark, data), seed)
    if file and not benchmark.templates:
        sha256 = sha256_of(file)
    else:  # of a jailbreak, its template and the seed that chose it are part of what is asked
        sha256 = _hash(json.dumps([[item.id, item.asked, item.target] for item in items]))
    return Items(
        tuple(drawn(items, limit, seed)), file.name if file else benchmark.hub.id if benchmark.hub else "", sha256
    )


class Named(Protocol):
    """Anything with an id."""

    @property
    def id(self) -> Any: ...


T = TypeVar("T", bound=Named)


def drawn(items: Iterable[T], limit: int | None, seed: int) -> list[T]:
    """So many at most; which ones, seed and id decide, each for itself: a larger sample holds the smaller one."""
    return list(items) if limit is None else sorted(items, key=lambda item: _hash(f"{seed}:{item.id}"))[:limit]


def local_file(name: str, data: Path | None) -> Path | None:
    """The file of that name in the folder of ``--data``; None where there is none."""
    files = [data / f"{name}{suffix}" for suffix in SUFFIXES] if data and name else []
    return next((file for file in files if file.is_file()), None)


def _from_hub(benchmark: Benchmark, data: Path | None) -> Iterator[tuple[str, Row]]:
    wanted = f"{data or 'DIR'}/{benchmark.file}.jsonl"
    hub = benchmark.hub
    if hub is None:
        raise DataError(f"{benchmark.name}: is on no hub; put it into {wanted}, and give --data")
    try:
        rows = _load(hub)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # the hub's client has an error for everything, below no common one
        login = "accept its licence on its page and log in (hf auth login), or " if hub.licence else ""
        why = (str(error).splitlines() or [""])[0][:120]
        raise DataError(
            f"{benchmark.name}: cannot load {hub.id}: {type(error).__name__}: {why}; {login}put it into {wanted}"
        ) from error
    yield from ((f"{hub.id}:{number}", row) for number, row in enumerate(rows))


def _load(hub: Hub) -> Iterable[Row]:
    load = pkgutil.resolve_name("datasets:load_dataset")
    # Tabs and quotes of WildJailbreak's files; the others are Parquet or JSON, and do not look at these.
    more = {"delimiter": "\t", "keep_default_na": False} if hub.id == "allenai/wildjailbreak" else {}
    rows: Iterable[Row] = load(hub.id, hub.config, split=hub.split, revision=hub.revision, **more)
    return rows


def _counts(benchmark: Benchmark, row: Row) -> bool:
    return all(str(row.get(column, value)) == value for column, value in benchmark.only.items())


def _item(benchmark: Benchmark, row: Row, where: str) -> Item:
    request = _text(row, benchmark.request, where)
    if benchmark.choices:
        return _choice(benchmark, row, where, request)
    item = Item(id_of(row, request), request, request)
    if benchmark.mark == "none":
        return item
    # GSM8K: the working, ####, the number.
    return replace(item, target=_text(row, benchmark.answer, where).rpartition("####")[2].strip())


def _choice(benchmark: Benchmark, row: Row, where: str, request: str) -> Item:
    """The question with its options; in an order that the id decides where the right one always comes first."""
    if len(benchmark.choices) == 1:
        options, right = _listed(row, benchmark.choices[0], benchmark.answer[0], where)
        name = id_of(row, request, options, right)
    else:
        told = [_text(row, (column,), where) for column in benchmark.choices]
        name = id_of(row, request, told, 0)
        options = sorted(told, key=lambda option: _hash(f"{name}:{option}"))
        right = options.index(told[0])
    lines = [f"{chr(ord('A') + number)}) {option}" for number, option in enumerate(options)]
    return Item(name, request, "\n".join([request, "", *lines]), chr(ord("A") + right))


def _listed(row: Row, column: str, answer: str, where: str) -> tuple[list[Any], int]:
    """A list of options, and the place of the right one."""
    options, place = row.get(column), str(row.get(answer))
    if not isinstance(options, list) or not place.isdigit() or int(place) >= len(options):
        raise DataError(f"{where}: {column}: expected a list, and in {answer} the place of the right one, from 0")
    return options, int(place)


def _disguised(items: Iterable[Item], templates: list[str], seed: int) -> list[Item]:
    """Each request in one template, which its id decides."""
    drawn = [(item, templates[int(_hash(f"{seed}:template:{item.id}"), 16) % len(templates)]) for item in items]
    return [replace(item, asked=template.replace(PLACEHOLDER, item.request)) for item, template in drawn]


def _templates(benchmark: Benchmark, data: Path | None) -> list[str]:
    file = local_file(benchmark.templates, data)
    if file is None:
        raise DataError(
            f"{benchmark.name}: there is no {data or 'DIR'}/{benchmark.templates}.jsonl; it holds a prompt with "
            f"{PLACEHOLDER} a line"
        )
    found = [_text(row, ("prompt", "text"), where) for where, row in rows_of(file)]
    if not found or any(PLACEHOLDER not in text for text in found):
        raise DataError(f"{file}: every template needs {PLACEHOLDER}, where the request goes")
    return found


def _text(row: Row, columns: tuple[str, ...], where: str) -> str:
    """Of the first column that is there; of a list of turns, the first."""
    for column in columns:
        value = row.get(column)
        value = value[0] if isinstance(value, list) and value else value
        if value not in (None, ""):
            return str(value)
    raise DataError(f"{where}: {' or '.join(columns)}: is missing or empty; expected text")


def _unique(items: Iterable[tuple[str, Item]]) -> list[Item]:
    """Once each.

    Raises:
        DataError: two questions have one id.
    """
    found: dict[str, tuple[str, Item]] = {}
    for where, item in items:
        first, same = found.setdefault(item.id, (where, item))
        if same != item:
            raise DataError(f"{where}: id: {item.id!r} is another question's at {first}; give every row its own")
    return [item for _, item in found.values()]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
