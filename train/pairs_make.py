"""``midcourse pairs build``: exports in, a folder of pairs out.

Knows files, the tokenizer and what is printed. What a pair is, is ``pairs``'.
"""

import json as jsonlib
import pkgutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from midcourse import __version__
from midcourse.guard.verdict import Judge
from midcourse.models.files import sha256_of
from midcourse.models.rows import DataError
from midcourse.train.approved import Approved, read_approved
from midcourse.train.cuts import Decode, Encode
from midcourse.train.decontaminate import clean
from midcourse.train.pair import Ids
from midcourse.train.pairs import SPLITS, Again, Built, Wish, build
from midcourse.train.pairs_card import ABOUT, card
from midcourse.train.pairs_file import write_pairs


def make(
    exports: Sequence[Path],
    out: Path,
    judge: Judge,
    *,
    tokenizer: str | None,
    weights: str | None = None,
    command: str,
    json: bool,
    again: Mapping[str, Any] | None = None,
    against: Sequence[Path] = (),
    refusals: bool = False,
    **wish: Any,
) -> None:
    """Read, build, write and print.

    Args:
        again: where a trace gave no pair, try other triggers: ``tries``, and the arguments of ``tries_make.trying``.
        against: files and folders of evaluations; traces that repeat an item are left out.
        refusals: where nothing better is found, prefer the guard's own refusal.
        tokenizer: ``smollm2``, a folder or a hub id; None is ``weights``.
        weights: what goes on from a cut: as ``tokenizer``; None is the model that the traces name.
        command: as it was given, for the card.
        wish: see ``Wish``.

    Raises:
        DataError: a file is wrong, the traces are of several models, or no pair is left.
    """
    pkgutil.resolve_name("pyarrow.parquet")  # before an hour of judging
    if out.exists():
        raise DataError(f"--out {out}: is there already; give a new folder, or remove it first")
    wanted = Wish(**wish)
    (traces, unused), compared = clean(read_approved(exports), against)
    name = model_of(traces, wanted)
    spelling = tokenizer_of(tokenizer or weights or name)
    more = _again(out, judge, weights or name, wanted, **again) if again else None
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("judging", total=None)
        told = partial(_tell, bar, task)
        how: dict[str, Any] = {"again": more, "encode": encode_by(spelling) if refusals else None}
        built = build(traces, judge, decode_by(spelling), wanted, progress=told, **how)
    facts = facts_of(built, wanted, traces, exports, command)
    facts |= {"judge": judge.name, "not_used": dict(unused), "decontaminated": compared}
    facts |= {"tries": again["tries"] if again else 0, "refusals": refusals}
    finish(out, built, facts, json=json)
    if again:
        pkgutil.resolve_name("midcourse.train.tries_make:forget")(out)


def facts_of(
    built: Built, wish: Wish, traces: Sequence[Approved], exports: Sequence[Path], command: str
) -> dict[str, Any]:
    """What every folder of pairs says of how it was made."""
    return {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "midcourse": __version__,
        "sources": [{"file": str(path), "sha256": sha256_of(path)} for path in exports],
        "wish": asdict(wish),
        "traces": len(traces),
        "interventions": built.interventions,
        "dropped": dict(built.dropped.most_common()),
    }


def finish(out: Path, built: Built, facts: dict[str, Any], *, json: bool) -> None:
    """Write the folder, and say what came of it.

    Raises:
        DataError: it cannot be written, or there is no pair.
    """
    counts = {split: len(built.pairs[split]) for split in SPLITS}
    if sum(counts.values()):
        write_pairs(out, built.pairs, card(built.pairs, facts), facts)
    if json:
        print(jsonlib.dumps({**facts, "pairs": counts, "out": str(out)}, ensure_ascii=False))  # noqa: T201
    else:
        show(built, facts)
    if not sum(counts.values()):
        raise DataError(f"no pair is left of {facts['traces']} approved traces; {out} was not written")
    if not json:
        print(f"written to {out}; read {out}/README.md before you train on it")  # noqa: T201


def _again(out: Path, judge: Judge, model: str, wish: Wish, *, tries: int, **more: Any) -> Again:
    """Looked up late: it brings torch along, which pairs of live traces alone do not need."""
    how = pkgutil.resolve_name("midcourse.train.tries:Trying")
    trying = how(tries, wish.threshold, min_tokens=wish.min_tokens, seed=wish.seed)
    found: Again = pkgutil.resolve_name("midcourse.train.tries_make:trying")(out, judge, trying, model, **more)
    return found


def _tell(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def tokenizer_of(name: str) -> Any:
    """A tokenizer of transformers.

    Raises:
        DataError: there is no such tokenizer.
    """
    try:
        if name in ("smollm2", "reasoner"):  # one tokenizer
            smollm2 = pkgutil.resolve_name("midcourse.models.smollm2")
            found = smollm2.read_tokenizer(pkgutil.resolve_name("gguf:GGUFReader")(smollm2.find_file()))
        else:
            found = pkgutil.resolve_name("transformers:AutoTokenizer").from_pretrained(name)
    except (OSError, ValueError, LookupError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"--tokenizer {name}: {reason}; give smollm2, a folder or a hub id") from error
    return found


def decode_by(tokenizer: Any) -> Decode:
    """Ids into text by a tokenizer of transformers, special tokens shown and nothing tidied."""

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    return decode


def encode_by(tokenizer: Any) -> Encode:
    """Text into ids by a tokenizer of transformers, nothing added."""

    def encode(text: str) -> Ids:
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

    return encode


def model_of(traces: Sequence[Approved], wish: Wish) -> str:
    """The one model whose traces these are.

    Raises:
        DataError: there are several.
    """
    if wish.model is not None:
        return wish.model
    models = Counter(trace.origin.model for trace in traces)
    if len(models) > 1:
        told = ", ".join(f"{name or 'unnamed'} ({n})" for name, n in models.most_common())
        raise DataError(f"the traces are of several models: {told}; choose one with --model")
    return next(iter(models), "reasoner")


def show(built: Built, facts: Mapping[str, Any]) -> None:
    """What became of everything that a pair could have been made of."""
    console, about = Console(highlight=False), ABOUT[facts.get("kind", "interventions")]
    left = ", ".join(f"{n} {reason}" for reason, n in Counter(facts["not_used"]).most_common())
    console.print(f"{facts['traces']} approved traces{f' (not used: {left})' if left else ''}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(about.of)
    table.add_column("", justify="right")
    table.add_column("")
    table.add_row("in them", str(built.interventions), "")
    for reason, n in built.dropped.most_common():
        table.add_row(f"- {reason}", str(n), about.reasons[reason])
    for split in SPLITS:
        requests = len({pair.request for pair in built.pairs[split]})
        table.add_row(f"= {split}", str(len(built.pairs[split])), f"of {requests} request{'s' * (requests != 1)}")
    console.print(table)
