"""The items of evaluations, from files as they come: JSON lines (also gzipped), CSV. Knows columns, no meaning."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from midcourse.models.leak import Item
from midcourse.models.rows import SUFFIXES, DataError, rows_of

FIELDS = ("prompt", "question", "problem", "goal", "behavior", "forbidden_prompt", "harmful", "harmless", "instruction")
"""What benchmarks call what is asked, in any case."""
NAMES = ("id", "task_id", "unique_id", "behaviorid", "question_id", "record id")
"""What they call an item's id, in any case; the first that is there is it."""


def id_of(row: Mapping[str, Any], asked: str, *options: object) -> str:
    """What pairs an item with itself in another run: the id of its row, else a hash of all that is asked.

    Args:
        options: where there are some: they, and the place of the right one. Benchmarks ask one question with several
            sets of options.
    """
    text = json.dumps([asked, *options]) if options else asked
    return _given(row) or hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def read_items(paths: Iterable[Path]) -> list[Item]:
    """Every prompt of files, and of the files in folders; rows that say they are of the split *train* are none.

    Raises:
        DataError: there is no such file, it cannot be read, or a row asks nothing.
    """
    items: list[Item] = []
    for path in paths:
        files = _files(path)
        found = [item for file in files for item in _items(file)]
        if not found:
            raise DataError(f"{path}: there is no evaluation item in it; give {', '.join(SUFFIXES)} with a prompt")
        items += found
    return items


def _given(row: Mapping[str, Any]) -> str:
    low = {str(key).lower(): value for key, value in row.items()}
    return next((str(low[name]) for name in NAMES if low.get(name) not in (None, "")), "")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(SUFFIXES))


def _items(file: Path) -> Iterator[Item]:
    for where, row in rows_of(file):
        low = {str(key).lower(): value for key, value in row.items()}
        if low.get("split") == "train":
            continue
        texts = [text for field in FIELDS for text in [low.get(field)] if isinstance(text, str) and text.strip()]
        if not texts:
            raise DataError(f"{where}: asks nothing; expected one of the fields {', '.join(FIELDS)}")
        name = _given(row) or where.rpartition(":")[2]
        yield from (Item(name, file.name, text) for text in texts)
