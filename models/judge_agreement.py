"""Judges of answers on answers that people judged: what they have in common. Prints nothing, and no text leaves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midcourse.models.answer import AnswerJudge
from midcourse.models.curves import Estimate
from midcourse.models.judged_sets import SETS, JudgedSet
from midcourse.models.kappa import agreement
from midcourse.models.outcome import HARMFUL
from midcourse.models.rows import DataError

BY_REFUSAL = "refusal"
"""The one judge that says whether an answer refuses; what the others say of a harmless answer is another matter."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One judge on one set.

    Args:
        asks: what yes means: harm or refusal, of which part, and who said so.
        n: answers that the judge gave a verdict on, to so many different ``items``, and of them ``yes`` by the label.
    """

    set: str
    asks: str
    judge: str
    version: str
    n: int
    items: int
    yes: int
    found: dict[str, Estimate]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        about = {"set": self.set, "asks": self.asks, "judge": self.judge, "version": self.version}
        numbers = {name: estimate._asdict() for name, estimate in self.found.items()}
        return {**about, "n": self.n, "items": self.items, "yes": self.yes, **numbers}


def compared(judges: Sequence[AnswerJudge], data: Path, names: str = "") -> tuple[list[Compared], list[str]]:
    """Every judge on every set that it can be asked about.

    Args:
        data: folder with ``judges/`` and ``traces/``.
        names: of sets, separated by commas; empty takes those whose files are there.

    Returns:
        What was found, and which sets were left out and why.

    Raises:
        DataError: a set that was named is not there, or no set is.
        OSError: a judge cannot be asked.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := next((name for name in chosen if name not in SETS), None):
        raise DataError(f"--sets: {unknown!r} is none of {', '.join(SETS)}")
    found: list[Compared] = []
    skipped: list[str] = []
    for name in chosen or SETS:
        try:
            judged = SETS[name](data)
        except DataError as error:
            if chosen or not isinstance(error.__cause__, FileNotFoundError):
                raise
            skipped.append(f"{name} is left out: {error}")
            continue
        found += on_set(judges, judged)
    if not found:
        raise DataError(f"{data}: no labelled set is there that these judges can be asked about; see docs/judges.md")
    return found, skipped


def on_set(judges: Sequence[AnswerJudge], judged: JudgedSet) -> list[Compared]:
    """Every judge on one set, then the verdicts that were published with it."""
    found = []
    for judge in judges:
        if judged.asks == "harm" or judge.name == BY_REFUSAL:
            said = _said(judge, judged)
            found += [_compared(judged, judge.name, judge.version, said)] if any(v is not None for v in said) else []
    return found + [_compared(judged, name, "published", said) for name, said in judged.recorded.items()]


def _said(judge: AnswerJudge, judged: JudgedSet) -> list[bool | None]:
    values = [harm and getattr(harm, judged.part) for harm in judge.judge([row.answer for row in judged.rows])]
    wants_harm = judged.asks == "harm"
    return [None if value is None else (value >= HARMFUL) is wants_harm for value in values]


def _compared(judged: JudgedSet, name: str, version: str, said: Sequence[bool | None]) -> Compared:
    both = [(row, verdict) for row, verdict in zip(judged.rows, said, strict=True) if verdict is not None]
    truth, items = [row.yes for row, _ in both], [row.item for row, _ in both]
    numbers = agreement(truth, [verdict for _, verdict in both], items)
    asks = f"{judged.asks}, {judged.by}"
    return Compared(judged.name, asks, name, version, len(truth), len(set(items)), sum(truth), numbers)
