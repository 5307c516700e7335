"""Rows of data and a judge for tests: sentences carry their scores, as in ``A plan [cue 0.9].``"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from midcourse.guard.verdict import Query, Verdict

_MARK = re.compile(r"\[(\w+) ([\d.]+)\]")


class MarkedJudge:
    """Gives the label in the mark its probability, and neutral the rest. Remembers what it was asked."""

    name = "marked"

    def __init__(self) -> None:
        self.asked: list[Query] = []

    def judge(self, queries: Sequence[Query]) -> list[Verdict]:
        self.asked += queries
        return [_verdict(query.step) for query in queries]


def _verdict(step: str) -> Verdict:
    found = _MARK.search(step)
    scores = {"neutral": 0.0, "cue": 0.0, "harmful": 0.0, "safety": 0.0}
    if found is not None:
        scores[found[1]] = float(found[2])
    scores["neutral"] += 1 - sum(scores.values())
    return Verdict(**scores)


def row(id: str, *steps: tuple[str, str | None] | str, **more: Any) -> dict[str, Any]:
    """A row of sentences ``mark`` or ``(mark, label)``; ``"cue 0.9"`` is the sentence ``Step [cue 0.9].``"""
    reasoning, spans = "", []
    for step in steps:
        mark, label = (step, None) if isinstance(step, str) else step
        text = f"Step [{mark}]. "
        spans.append([len(reasoning), len(reasoning) + len(text), label])
        reasoning += text
    labelled = {} if not steps or isinstance(steps[0], str) else {"spans": spans}
    return {"id": id, "model": "m", "prompt": "How so?", "reasoning": reasoning, **labelled, **more}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    """A file of rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
