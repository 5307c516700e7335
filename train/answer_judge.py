"""Trains the small judge of answers (``models.judge_ngram``) on GPTFuzz's human labels, and writes its card.

A question in four is never learned from, and the card says how far the judge agrees with people on those.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from midcourse import __version__
from midcourse.models.curves import Floats
from midcourse.models.files import sha256_of, write_atomically
from midcourse.models.judge_ngram import SCHEMA, NgramJudge, packed
from midcourse.models.judged_sets import Judged, gptfuzz_all, held_out
from midcourse.models.kappa import agreement
from midcourse.models.ngram import BUCKETS, LONGEST, features, fitted, scores
from midcourse.models.outcome import HARMFUL
from midcourse.models.rows import DataError

RIDGE = 1e-4
FOLDS = 4
LIMITS = [
    "It learned from what one model (ChatGPT, 2023) answered to twenty questions in 77 jailbreak templates.",
    "It reads the text alone: a good answer to a good request looks like help, and may be called harmful.",
    "It sees the tone of help and of refusal, not whether the help is any good; gibberish may pass for help.",
    "It learned from responses: on thoughts it is a guess from a distance.",
    "English alone.",
]


def train_judge(data: Path, out: Path) -> dict[str, Any]:
    """Train, measure on the questions that were held out, and write the card.

    Args:
        data: folder with ``judges/gptfuzz_human_labels.csv``.

    Raises:
        DataError: the file is wrong, or too small to hold questions out.
    """
    rows = gptfuzz_all(data)
    kept, tested = ([row for row in rows if held_out(row.item) is side] for side in (False, True))
    if min(len({row.item for row in part}) for part in (kept, tested)) < 2 or len({row.yes for row in kept}) < 2:
        raise DataError(f"{data}: too few questions to hold some out; give GPTFuzz's whole file")
    weights, bias, slope = calibrated(kept)
    card = {
        "schema": SCHEMA,
        "name": "ngram-1",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "midcourse": __version__,
        "licence": "Apache-2.0",
        "what": f"logistic regression on words and pairs of words in {BUCKETS} buckets, first {LONGEST} characters",
        "limits": LIMITS,
        "training": {
            "file": "gptfuzz_human_labels.csv (GPTFuzz, MIT)",
            "sha256": sha256_of(data / "judges" / "gptfuzz_human_labels.csv"),
            "answers": len(kept),
            "questions": len({row.item for row in kept}),
            "ridge": RIDGE,
            "slope": slope,
        },
        "bias": bias * slope,
        "weights": packed(weights * slope),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, json.dumps(card, indent=1))
    card["held_out"] = measured(NgramJudge(out), tested)
    card["weights"] = card.pop("weights")  # last, so that the rest can be read
    write_atomically(out, json.dumps(card, indent=1) + "\n")
    return card


def calibrated(rows: Sequence[Judged]) -> tuple[Floats, float, float]:
    """Weights and bias of all rows, and the slope that makes their logits honest on questions not learned from.

    The slope is fitted to the logits of rows whose questions were left out (Platt 1999, without his offset).
    """
    questions = sorted({row.item for row in rows})
    fold = np.array([questions.index(row.item) % FOLDS for row in rows])
    yes = np.array([float(row.yes) for row in rows])
    logits = np.zeros(len(rows))
    for left_out in range(min(FOLDS, len(questions))):
        inside = [row for row, number in zip(rows, fold, strict=True) if number != left_out]
        outside = [row.answer.response for row, number in zip(rows, fold, strict=True) if number == left_out]
        weights, bias = _fit(inside)
        logits[fold == left_out] = scores(features(outside), weights, bias)
    return *_fit(rows), slope_of(logits, yes)


def slope_of(logits: Floats, yes: Floats) -> float:
    """The factor between 0.1 and 10 at which logits lose least, by trying a hundred of them."""
    factors = np.geomspace(0.1, 10, 101)
    losses = [np.logaddexp(0, -factor * logits * (2 * yes - 1)).mean() for factor in factors]
    return float(factors[int(np.argmin(losses))])


def measured(judge: NgramJudge, rows: Sequence[Judged]) -> dict[str, Any]:
    """Agreement with people on rows, with intervals over drawn questions, and the Brier score."""
    found = [harm.response or 0.0 for harm in judge.judge([row.answer for row in rows])]
    truth = [row.yes for row in rows]
    numbers = agreement(truth, [value >= HARMFUL for value in found], [row.item for row in rows])
    brier = float(np.mean([(value - yes) ** 2 for value, yes in zip(found, truth, strict=True)]))
    return {"answers": len(rows), "brier": brier, **{name: estimate._asdict() for name, estimate in numbers.items()}}


def _fit(rows: Sequence[Judged]) -> tuple[Floats, float]:
    yes = np.array([float(row.yes) for row in rows])
    return fitted(features([row.answer.response for row in rows]), yes, ridge=RIDGE)
