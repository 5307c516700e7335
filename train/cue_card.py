"""``midcourse cue export``: from the file that ``midcourse cue train`` wrote to the folder of a judge, with its card.

Knows what a card tells people. What a judge needs of it to run is checked by reading it as a judge does.
"""

import json
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from midcourse import __version__
from midcourse.guard.verdict import prompt_alone
from midcourse.models.card import FILE, Card
from midcourse.models.cue import Combine, CueJudge
from midcourse.models.files import write_atomically
from midcourse.models.layout import Limits
from midcourse.train.cue_export import ExportError, export
from midcourse.train.cue_net import Shape

COMBINE = Combine(step=1.0, prompt=1.0, before=0.0, bias=0.0, keep=0.0)
"""Step and prompt weigh the same, what came before nothing: until somebody has fitted it."""
LICENCE = "Apache-2.0"
BASE = {"name": "HuggingFaceTB/SmolLM2-135M-Instruct", "licence": "Apache-2.0"}
INTENDED_USE = (
    "To judge steps of a reasoning model's thoughts and responses inside midcourse, with thresholds calibrated on the"
    " operator's own traffic. Not to moderate people, not as the only safeguard, not to prove that a text is harmless."
)
KNOWN_FAILURES = (
    "Of a long prompt only the beginning and the end are read, of a long step only the beginning.",
    "It learned from English most of all, and sees less in other languages.",
    "It has learned to see topics, too: innocent steps on grave subjects are flagged more often than others.",
    "Disguises that are not undone before reading (ciphers, invented words) are read as they stand.",
    "A harmful request in harmless words, or spread over many steps that are innocent one by one, passes.",
    "On jailbreak texts it flags three of four thoughts that stay safe; in dialogues of several turns it misses most.",
    "A harmless instruction behind a harmful request (a format, a wish for detail) lowers the request's risk.",
    "Nobody has tried for long to mislead it on purpose.",
)


class Written(NamedTuple):
    """What was exported."""

    folder: str
    name: str
    bytes: int
    combine: dict[str, float]


def write(file: Path, out: Path, *, name: str, combine: Path | None = None, metrics: Sequence[Path] = ()) -> Written:
    """Write the folder of a judge, and ask that judge once.

    Args:
        file: ``cue.pt`` of ``midcourse cue train``.
        out: the folder.
        name: of the judge, with its version; it stands in every trace.
        combine: a JSON object with some of the keys of ``models.cue.Combine``.
        metrics: what ``midcourse cue eval --json`` said of this very judge when it was written before; for the card.

    Raises:
        ExportError: one of them is wrong, or the judge would be too large.
        OSError: a file cannot be read or written.
    """
    if not name or not all(c.isalnum() or c in "-_.+" for c in name):
        raise ExportError(f"--name {name!r}: expected letters, digits and -_.+, such as cue-1")
    weights, said = weights_of(combine), {path: _said(path) for path in metrics}
    kept = _kept(file)
    try:
        state, tokenizer, shape = kept["state"], kept["tokenizer"], Shape(**kept["shape"])
        card = card_of(name, kept["about"], shape, weights)
    except (KeyError, TypeError) as error:
        raise ExportError(f"{file}: {type(error).__name__} {error}; {AGAIN}") from error
    size = export(state, shape, tokenizer, card, out)
    judge = CueJudge(out)
    judge.judge([prompt_alone("How do I bake bread?", 100)])
    if said:
        _onto_card(out, judge.card, said)
    return Written(str(out), name, size + (out / FILE).stat().st_size, asdict(weights))


def _said(path: Path) -> dict[str, Any]:
    """What a measurement said, with the names of its files alone; ``card`` says of which judge."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        files = [{**each, "file": Path(each["file"]).name} for each in said["files"]]
        return {name: value for name, value in said.items() if value} | {"card": said["card"], "files": files}
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{path}: {type(error).__name__} {error}; give what midcourse cue eval --json said"
        ) from error


def _onto_card(out: Path, card: Card, metrics: Mapping[Path, dict[str, Any]]) -> None:
    for path, said in metrics.items():
        if said.pop("card") != card.fingerprint:
            raise ExportError(f"{path}: was measured on another judge; run midcourse cue eval --json on this one")
    whole = {**card.everything, "metrics": list(metrics.values())}
    write_atomically(out / FILE, json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


AGAIN = "give the cue.pt that midcourse cue train wrote"


def _kept(file: Path) -> dict[str, Any]:
    try:
        kept = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ExportError(f"{file}: is no file of weights; {AGAIN}") from error
    if not isinstance(kept, dict):
        raise ExportError(f"{file}: holds a {type(kept).__name__}; {AGAIN}")
    return kept


def weights_of(combine: Path | None) -> Combine:
    """``COMBINE`` with what a file says otherwise.

    Raises:
        ExportError: a key is unknown, or a value is no number.
    """
    if combine is None:
        return COMBINE
    try:
        given = json.loads(combine.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ExportError(f"{combine}: not JSON: {error}") from error
    known = [each.name for each in fields(Combine)]
    if not isinstance(given, dict):
        raise ExportError(f"{combine}: expected an object with some of {', '.join(known)}")
    for key, value in given.items():
        if key not in known:
            raise ExportError(f"{combine}: {key}: unknown key; known are {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ExportError(f"{combine}: {key}: is {value!r}; expected a number")
    return Combine(**(asdict(COMBINE) | given))


def card_of(name: str, about: Mapping[str, Any], shape: Shape, combine: Combine) -> dict[str, Any]:
    """Everything on the card but what ``export`` sets."""
    return {
        "name": name,
        "date": datetime.now(UTC).date().isoformat(),
        "midcourse": __version__,
        "licence": LICENCE,
        "base": BASE | {"layers": shape.layers, "vocabulary": shape.vocabulary},
        "intended_use": INTENDED_USE,
        "known_failures": list(KNOWN_FAILURES),
        "limits": Limits()._asdict(),
        "combine": asdict(combine),
        "training": {"plan": about["plan"], "seed": about["seed"]},
        "data": about["data"],
    }
