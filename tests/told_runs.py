"""Run folders of evaluations for tests of reports: made up, harmless, and small enough to be counted by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from midcourse.models.outcome import FILE, Harm, Outcome, write_outcomes

Said = tuple[float | None, float | None]


def harmful(
    condition: str, said: Mapping[str, Sequence[Said]], interventions: Sequence[int] = (), epochs: int = 1
) -> list[Outcome]:
    """An answer to each item and epoch: what each judge says of its reasoning and its response."""
    n = len(next(iter(said.values())))
    counts = interventions or [0] * n
    return [
        Outcome(
            *("jail", "harmful", f"j{k // epochs:02}", k % epochs + 1, condition),
            harm={judge: Harm(*scores[k]) for judge, scores in said.items()},
            interventions=counts[k],
            tokens=100,
            injected=10 * counts[k],
            withheld=5 * counts[k],
            discarded=2 * counts[k],
        )
        for k in range(n)
    ]


def benign(condition: str, refused: Sequence[bool]) -> list[Outcome]:
    """An answer to each harmless request."""
    return [Outcome("calm", "benign", f"b{n}", 1, condition, refused=each, tokens=50) for n, each in enumerate(refused)]


def sums(condition: str, correct: Sequence[bool]) -> list[Outcome]:
    """An answer to each task with a right answer."""
    return [
        Outcome("sums", "capability", f"s{n}", 1, condition, correct=each, tokens=50) for n, each in enumerate(correct)
    ]


def folder(path: Path, outcomes: Sequence[Outcome], **manifest: Any) -> Path:
    """As midcourse eval run leaves it."""
    path.mkdir(parents=True)
    judges = dict.fromkeys(sorted({judge for one in outcomes for judge in one.harm}), "v1")
    told: dict[str, Any] = {
        "commands": [["midcourse", "eval", "run", "--model", "a model"]],
        "date": "2026-11-22T01:00:00+00:00",
        "commit": "abc1234",
        "versions": {"midcourse": "0.1", "inspect-ai": "0.3.285"},
        "seconds": 12.5,
        "model": "tiny",
        "conditions": {name: {"mode": "off"} for name in dict.fromkeys(one.condition for one in outcomes)},
        "judges": judges,
        "tasks": {
            one.task: {"kind": one.kind, "n": 4, "file": f"{one.task}.jsonl", "sha256": "cd"} for one in outcomes
        },
        "sampling": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64, "epochs": 1, "seed": 0},
    }
    (path / "manifest.json").write_text(json.dumps({**told, **manifest}))
    write_outcomes(path / FILE, outcomes)
    return path
