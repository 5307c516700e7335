"""``midcourse pairs benign``: approved traces of harmless requests in, a folder of pairs against over-refusal out.

Knows files, models and what is printed. What such a pair is, is ``benign_pairs``'.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from midcourse.guard.verdict import Judge
from midcourse.models.bar import bar_of
from midcourse.models.rows import DataError
from midcourse.train.approved import Approved, read_approved
from midcourse.train.benign_pairs import Reject, build, interrupted, refused_by
from midcourse.train.decontaminate import clean
from midcourse.train.drawn import Drawn, Writer, open_writer
from midcourse.train.pairs import Wish
from midcourse.train.pairs_make import facts_of, finish, model_of
from midcourse.train.tries import Trying


def make(
    exports: Sequence[Path],
    out: Path,
    judge: Judge,
    source: Mapping[str, Any],
    *,
    command: str,
    json: bool,
    against: Sequence[Path] = (),
    **wish: Any,
) -> None:
    """Read, go on from the thoughts, write and print.

    Args:
        source: ``adapter`` whose refusals are rejected, or None for triggers; ``weights`` that go on from the traces,
            or None for the model that they name; ``registry``, ``batch_size``, ``dtype``.
        command: as it was given, for the card.
        against: files and folders of evaluations; traces that repeat an item are left out.
        wish: see ``pairs.Wish``.

    Raises:
        DataError: a file is wrong, the traces are of several models or adapters, or no pair is left.
    """
    if out.exists():
        raise DataError(f"--out {out}: is there already; give a new folder, or remove it first")
    wanted = Wish(**wish)
    (traces, unused), compared = clean(read_approved(exports), against)
    name, wrote = model_of(traces, wanted), _adapter_of(traces)
    name, adapter = source["weights"] or name, source["adapter"] or wrote
    model = open_writer(name, source["registry"], source["dtype"], adapter, flag="--weights")
    drawn = Drawn(out, "benign", f"{name} {adapter}")
    with bar_of() as bar:
        writer = Writer(model, drawn, bar, source["batch_size"])
        reject: Reject = partial(interrupted, tokenizer=model.tokenizer, go_on=writer.go_on, how=_how(wanted))
        if source["adapter"]:
            reject = partial(refused_by, tokenizer=model.tokenizer, go_on=writer.go_on, seed=wanted.seed)
        built = build(traces, judge, model.tokenizer, reject, wanted)
    facts = facts_of(built, wanted, traces, exports, command) | {"kind": "benign", "judge": judge.name}
    facts |= {"not_used": dict(unused), "decontaminated": compared, "rejected_by": source["adapter"] or "triggers"}
    finish(out, built, facts, json=json)
    drawn.file.unlink(missing_ok=True)


def _how(wish: Wish) -> Trying:
    return Trying(1, wish.threshold, min_tokens=wish.min_tokens, seed=wish.seed)


def _adapter_of(traces: Sequence[Approved]) -> str:
    """The one adapter that wrote the traces; empty is the base model."""
    names = sorted({trace.origin.adapter or "" for trace in traces})
    if len(names) > 1:
        told = ", ".join(name or "the base model" for name in names)
        raise DataError(f"the traces are of several adapters: {told}; export those of one, with --since or --before")
    return next(iter(names), "")
