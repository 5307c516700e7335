"""The manifest of a run of ``midcourse eval``: what was asked of whom, with what.

Knows its JSON, and what may not change: a run may be gone on with, and conditions and tasks may be added to it, but the
model, the sampling, the judges and what a condition is stay.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from midcourse import __version__
from midcourse.models.files import write_atomically
from midcourse.models.outcome_run import MANIFEST
from midcourse.server.errors import CallerError

FIXED = ("model", "judges", "own", "sampling")
PACKAGES = ("inspect-ai", "openai", "torch", "transformers", "onnxruntime", "numpy", "vllm")


def read_manifest(out: Path) -> dict[str, Any]:
    """Of a run's folder; empty where there is none yet.

    Raises:
        CallerError: it cannot be read.
    """
    path = out / MANIFEST
    if not path.exists():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CallerError(f"--out {path}: cannot read it: {error}; give a new folder", param="out") from error
    if not isinstance(told, dict):
        raise CallerError(f"--out {path}: is no manifest; give a new folder", param="out")
    return told


def check_same(out: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """That a run goes on as it was begun.

    Raises:
        CallerError: naming what differs.
    """
    for key in FIXED:
        was, now = old.get(key), new.get(key)
        if not was or not now or was == now:  # where nothing harmful was asked, nobody judged
            continue
        if isinstance(was, dict):
            key = next(name for name in {**was, **now} if was.get(name) != now.get(name))
            was, now = was.get(key), now.get(key)
        raise CallerError(f"--out {out}: was begun with {key} {was}, not {now}; give a new folder", param="out")
    for name, now in new["conditions"].items():
        was = old.get("conditions", {}).get(name, now)
        if {**was, "url": ""} != {**now, "url": ""}:  # the same server may listen elsewhere today
            raise CallerError(f"--out {out}: its {name} is {was}, not {now}; give a new folder", param="out")


def write_manifest(out: Path, old: dict[str, Any], new: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Put what a run did beside what it did before, and write that."""
    command = ["midcourse", *_without_secrets(sys.argv[1:])]
    told = {
        "commands": [*(each for each in old.get("commands", ()) if each != command), command],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "seconds": round(old.get("seconds", 0.0) + seconds, 1),
        **{key: new.get(key) or old.get(key) for key in FIXED},
        "conditions": {**old.get("conditions", {}), **new["conditions"]},
        "tasks": {**old.get("tasks", {}), **new["tasks"]},
    }
    write_atomically(out / MANIFEST, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return told


def versions() -> dict[str, str]:
    """Of ourselves, of Python, and of what is installed of all that answers and judges."""
    found = {"midcourse": __version__, "python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Of the checkout that this file is in, with a + where it was changed; None where it is installed."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _without_secrets(arguments: list[str]) -> list[str]:
    """A key is nobody's business."""
    hidden = list(arguments)
    for place, argument in enumerate(arguments):
        if argument.startswith("--api-key="):
            hidden[place] = "--api-key=..."
        elif argument == "--api-key" and place + 1 < len(arguments):
            hidden[place + 1] = "..."
    return hidden
