"""What a training run leaves: a folder with ``adapter/``, as PEFT writes it, and ``run.json``. Knows that layout.

A folder that PEFT itself wrote will do, too; then somebody has to say what it is an adapter of.
"""

import json
from pathlib import Path
from typing import NamedTuple

from midcourse.models.lora import AdapterError, read_lora
from midcourse.models.manifest import Run

RUN, ADAPTER = "run.json", "adapter"
FIELDS = ("base_model", "method", "config", "data", "metrics")


class RunFolder(NamedTuple):
    """Where the adapter lies, how it was made, and the adapter's folder that it went on from, if it says so."""

    adapter: Path
    run: Run
    parent: Path | None = None
    knows_parent: bool = False


def read_run(folder: Path, base: str | None = None) -> RunFolder:
    """Look into a run's folder, or into a PEFT folder.

    Args:
        base: the base model of a PEFT folder; None takes what its configuration says.

    Raises:
        AdapterError: it is neither, or the base model is not known.
    """
    path = folder / RUN
    if path.is_file():
        if base is not None:
            raise AdapterError(f"--base: {path} names the base model already; leave it out")
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            run = Run.of({key: told[key] for key in FIELDS if key in told})
            parent = told.get("parent") or {}
            went_on = Path(parent["adapter"]) if "adapter" in parent else None
        except (OSError, ValueError, TypeError) as error:
            raise AdapterError(f"{path}: {error}; give the folder of a run of midcourse train") from error
        return RunFolder(folder / ADAPTER, run, went_on, "parent" in told)
    named = base or read_lora(folder).base_model
    if not named:
        raise AdapterError(f"{folder}: nothing says which base model this is an adapter of; give --base MODEL")
    return RunFolder(folder, Run(named, "unknown", {}, {}, {}))
