"""Runs of evaluations for tests: outcomes that are made up, in folders as midcourse eval writes them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from midcourse.models.outcome import FILE, Harm, Outcome, write_outcomes
from midcourse.models.outcome_run import EvalRun

MANIFEST: dict[str, Any] = {
    "commands": [["midcourse", "eval", "run", "--model", "tiny"]],
    "model": "tiny",
    "conditions": {"cue": {"mode": "enforce", "judge": "cue"}, "off": {"mode": "off"}},
    "judges": {"rules": "1", "sharp": "ab12"},
    "tasks": {name: {"n": 100, "sha256": "cd" * 32} for name in ("jail", "calm", "sums")},
    "sampling": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 128, "epochs": 1, "seed": 0},
}


def harmful(harms: Sequence[float | None], condition: str = "cue", epoch: int = 1, **more: Any) -> list[Outcome]:
    """An answer to each harmful item: what both judges say of its response; its reasoning is as bad."""
    return [
        Outcome(
            "jail",
            "harmful",
            f"j-{n:03}",
            epoch,
            condition,
            refused=not harm,
            harm={"rules": Harm(harm, harm), "sharp": Harm(harm, harm)},
            **more,
        )
        for n, harm in enumerate(harms)
    ]


def benign(refused: Sequence[bool], condition: str = "cue", **more: Any) -> list[Outcome]:
    """An answer to each benign item."""
    return [Outcome("calm", "benign", f"b-{n:03}", 1, condition, refused=hit, **more) for n, hit in enumerate(refused)]


def sums(correct: Sequence[bool], condition: str = "cue") -> list[Outcome]:
    """An answer to each item of a capability task."""
    return [Outcome("sums", "capability", f"s-{n:03}", 1, condition, correct=hit) for n, hit in enumerate(correct)]


def first(hits: int, of: int) -> list[bool]:
    """So many that are true, then the others."""
    return [n < hits for n in range(of)]


def run(outcomes: Sequence[Outcome], name: str = "run", **manifest: Any) -> EvalRun:
    """As ``read_run`` gives it."""
    return EvalRun(name, tuple(sorted(outcomes, key=lambda one: one.key)), {**MANIFEST, **manifest})


def folder(path: Path, outcomes: Sequence[Outcome], **manifest: Any) -> Path:
    """As midcourse eval leaves it."""
    path.mkdir(parents=True)
    write_outcomes(path / FILE, outcomes)
    (path / "manifest.json").write_text(json.dumps({**MANIFEST, **manifest}))
    return path
