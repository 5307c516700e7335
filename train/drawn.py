"""What a model draws offline, kept while a run goes on: a run that was cut short draws nothing twice.

Knows a file beside the folder that is to be, and which model wrote a trace. Refuses to know what the draws are for.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from midcourse.models.language import LanguageModel, NoSuchModel, choose_dtype, load
from midcourse.models.lora import AdapterError
from midcourse.models.merge import merged
from midcourse.models.registry import Registry
from midcourse.models.rows import DataError
from midcourse.train.generate import Continuation, Ids, Sampling, continue_from


class Drawn:
    """What was drawn so far, a line each.

    Args:
        out: the folder that is to be; the file lies beside it, as ``.NAME.KIND.jsonl``.
        kind: of draws.
        key: whatever all of them hang on; draws with another one are not found.
    """

    def __init__(self, out: Path, kind: str, key: str) -> None:
        self.file = out.absolute().with_name(f".{out.name}.{kind}.jsonl")
        self._key = key
        self._found: dict[str, Continuation] = {}
        if self.file.is_file():
            for line in self.file.read_text(encoding="utf-8").splitlines():
                if line.endswith("}"):  # the last one may have been cut off
                    row = json.loads(line)
                    self._found[row["key"]] = Continuation(tuple(row["ids"]), tuple(row["end"]))

    def get(self, name: str) -> Continuation | None:
        return self._found.get(self._of(name))

    def put(self, names: Sequence[str], drawn: Sequence[Continuation]) -> None:
        """Keep what was drawn.

        Raises:
            DataError: the file cannot be written.
        """
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # its owner's, as pairs are
        except OSError as error:
            raise DataError(f"--out: cannot write {self.file}: {error.strerror}") from error
        with os.fdopen(number, "a", encoding="utf-8") as file:
            for name, one in zip(names, drawn, strict=True):
                self._found[self._of(name)] = one
                file.write(f"\n{json.dumps({'key': self._of(name), 'ids': one.ids, 'end': one.end})}")

    def _of(self, name: str) -> str:
        return hashlib.sha256(f"{self._key} {name}".encode()).hexdigest()


class Writer:
    """A model that goes on from prefixes, and remembers what it wrote.

    Args:
        model: that wrote the prefixes.
        drawn: what it remembers.
        bar: is told of every batch.
        batch_size: continuations that are decoded together.
    """

    def __init__(self, model: LanguageModel, drawn: Drawn, bar: Progress, batch_size: int) -> None:
        self.model = model
        self._drawn = drawn
        self._bar = bar
        self._batch_size = batch_size

    def go_on(self, prefixes: Sequence[Ids], sampling: Sampling) -> list[Continuation]:
        """A continuation of each, drawn or remembered; the longest first, as they share batches."""
        names = [f"{sampling} {prefix}" for prefix in prefixes]
        left = [n for n, name in enumerate(names) if self._drawn.get(name) is None]
        left.sort(key=lambda n: -len(prefixes[n]))
        task = self._bar.add_task("going on", total=len(prefixes), completed=len(prefixes) - len(left))
        for start in range(0, len(left), self._batch_size):
            batch = left[start : start + self._batch_size]
            written = continue_from(self.model, [prefixes[n] for n in batch], sampling, batch_size=self._batch_size)
            self._drawn.put([names[n] for n in batch], [one for (one,) in written])
            self._bar.advance(task, len(batch))
        found = [self._drawn.get(name) for name in names]
        return [one for one in found if one is not None]


def open_writer(name: str, registry: Path, dtype: str, adapter: str, *, flag: str = "--model") -> LanguageModel:
    """The model that generated traces, its adapter merged, on the accelerator where there is one.

    Args:
        adapter: in the registry; empty is none.
        flag: with which another model would be named.

    Raises:
        DataError: model or adapter does not load.
    """
    try:
        loaded = load(name, choose_dtype(dtype))
        network: Any = merged(loaded.network, Registry(registry).verified(adapter)) if adapter else loaded.network
    except (NoSuchModel, AdapterError) as error:
        raise DataError(f"{'--registry' if isinstance(error, AdapterError) else flag}: {error}") from error
    except ValueError as error:
        raise DataError(f"--dtype {dtype}: {error}") from error
    return loaded._replace(network=network.to("cuda" if torch.cuda.is_available() else "cpu"))
