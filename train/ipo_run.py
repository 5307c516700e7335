"""``midcourse train ipo``, ``sft``, ``dpo``, ``random``: pairs in, a run folder out.

Knows files, the model and what is printed. What is learned of a pair is ``ipo_rows``', how, ``ipo_trainer``'s.

    adapter/        PEFT's two files: what is published and served (model/ where every weight was trained)
    run.json        base model, method, settings, hashes of the data, metrics, environment; written last
    metrics.jsonl   every log     curves.png   the same, to look at
    checkpoint-N/   what a run goes on from     started.json   what it has to be made with, then
"""

import json as jsonlib
import os
import platform
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PrinterCallback, ProgressCallback

from midcourse import __version__
from midcourse.models import language
from midcourse.models.files import sha256_of
from midcourse.models.language import DTYPES, LanguageModel
from midcourse.models.lora import WEIGHTS, AdapterError, read_lora, read_modules
from midcourse.models.rows import DataError
from midcourse.train.ipo_batch import Collator
from midcourse.train.ipo_config import Method, Ours, Wish, parse, settings
from midcourse.train.ipo_loss import Weights
from midcourse.train.ipo_probe import Probe, probe_of
from midcourse.train.ipo_resume import check_same, checkpoint, made_with, start
from midcourse.train.ipo_rows import DROPPED, Cutting, mixed, plain, retained, rows_of
from midcourse.train.ipo_score import allows_together
from midcourse.train.ipo_trainer import InterventionTrainer
from midcourse.train.ipo_watch import Watch, draw, read_metrics
from midcourse.train.pair import Pair
from midcourse.train.pairs_file import FACTS, read_pairs
from midcourse.train.plain_lora import plain_lora, save_adapter
from midcourse.train.random_insertion import inserted

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


@dataclass(frozen=True, slots=True)
class Data:
    """What is learned, and from which files."""

    train: list[dict[str, Any]]
    test: list[dict[str, Any]]
    kept: list[dict[str, list[int]]]
    counts: dict[str, int]
    hashes: dict[str, str]
    dialect: str = "none"


def run(method: Method, arguments: Sequence[str], *, json: bool = False) -> None:
    """Train as asked, and say where the result is.

    Args:
        arguments: flags, see ``ipo_config``.
        json: print ``run.json`` instead of a sentence.

    Raises:
        DataError: a setting or a file is wrong.
    """
    started = time.monotonic()
    wish = parse(method, arguments)
    folder = Path(str(wish.theirs.output_dir))
    resume = checkpoint(folder, wish.theirs.resume_from_checkpoint)
    if wish.ours.adapter is not None:
        _check_adapter(Path(wish.ours.adapter))
    model = load(wish.ours)
    _check_together(wish.ours, model.network)
    data = gather(wish, model)
    probe = probe_of(wish.ours, model, data.dialect)
    made = made_with(wish, data.hashes)
    if resume is not None:
        check_same(resume, made)
    _say(", ".join(f"{count} {name}" for name, count in data.counts.items()))
    if not data.kept:
        _say("no --retain: without benign reasoning beside the pairs, the model learns to be cautious with everything")
    _make(folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # PEFT asks by the old name
        trainer = build(wish, model, data, folder, probe)
    if trainer.is_world_process_zero():
        start(folder, made)
    trainer.train(resume_from_checkpoint=resume)
    metrics = dict(trainer.evaluate()) if data.test else {}
    save(trainer, wish, folder, model)
    if not trainer.is_world_process_zero():
        return
    lines = read_metrics(folder / "metrics.jsonl")
    metrics |= _last(lines) | {"updates": trainer.state.global_step, "seconds": round(time.monotonic() - started, 1)}
    draw(folder / "curves.png", lines, f"{method} on {len(data.train)} pairs, {wish.ours.model_name_or_path}")
    record = {**describe(wish, data, method), "metrics": metrics}
    (folder / "run.json").write_text(jsonlib.dumps(record, indent=2) + "\n", encoding="utf-8")
    how = (
        f"publish it with midcourse adapters publish {folder} --name NAME" if wish.ours.use_peft else "serve its model/"
    )
    print(jsonlib.dumps(record) if json else f"written to {folder}; {how}")  # noqa: T201


def load(ours: Ours) -> LanguageModel:
    """The base model.

    Raises:
        DataError: it does not load.
    """
    try:
        return language.load(ours.model_name_or_path, DTYPES[ours.dtype])
    except language.NoSuchModel as error:
        raise DataError(f"--model_name_or_path {error}") from error


def gather(wish: Wish, model: LanguageModel) -> Data:
    """Rows of every file, with their hashes and counts.

    Raises:
        DataError: a file is wrong, or nothing is left to learn.
    """
    ours, folder = wish.ours, Path(wish.ours.pairs)
    cutting = Cutting(wish.theirs.max_length, ours.min_side, ours.trigger, whole=wish.method == "dpo")
    hashes = {str(folder / FACTS): _hash(folder / FACTS, "--pairs")}
    given = read_pairs(folder, "train")
    pairs = inserted(given, model.tokenizer, wish.theirs.seed) if wish.method == "random" else given
    dropped = {"without another step": len(given) - len(pairs)} if wish.method == "random" else {}
    if ours.benign_pairs is not None:
        benign = Path(ours.benign_pairs)
        hashes[str(benign / FACTS)] = _hash(benign / FACTS, "--benign_pairs")
        pairs = mixed(pairs, read_pairs(benign, "train"), ours.harmful_ratio, wish.theirs.seed)
    found = rows_of(pairs, model.tokenizer, cutting)
    test = rows_of(read_pairs(folder, "test"), model.tokenizer, cutting)
    if not found.rows:
        reasons = "; ".join(f"{n} {reason}: {DROPPED[reason]}" for reason, n in found.dropped.items())
        raise DataError(f"--pairs {folder}: no pair is left to train on ({reasons or 'the folder has none'})")
    hashes |= {file: _hash(Path(file), "--retain") for file in ours.retain}
    dialect = _dialect(pairs)
    kept = retained(map(Path, ours.retain), model.tokenizer, dialect, ours.retain_max_tokens)
    counts = {"pairs": len(found.rows), "held out": len(test.rows), "benign thoughts beside them": len(kept)}
    return Data(plain(found.rows), plain(test.rows), kept, counts | dropped | dict(found.dropped), hashes, dialect)


def build(
    wish: Wish, model: LanguageModel, data: Data, folder: Path, probe: Probe | None = None
) -> InterventionTrainer:
    """The trainer, ready to start.

    Raises:
        DataError: the adapter is of another model.
    """
    ours, network = wish.ours, model.network
    trained: Any = network
    network.train()
    more: dict[str, Any] = {}
    if ours.adapter is not None:
        try:
            trained = PeftModel.from_pretrained(network, ours.adapter, is_trainable=True)
        except (RuntimeError, ValueError) as error:
            raise DataError(f"--adapter {ours.adapter}: does not fit --model; give the one that it is of") from error
    elif ours.use_peft:
        more["peft_config"] = plain_lora(ours.lora_r, ours.lora_alpha, ours.lora_dropout)
    elif not wish.theirs.precompute_ref_log_probs and wish.method != "sft":
        more["ref_model"] = load(ours).network
    preference = 0.0 if wish.method == "sft" else 1.0
    weights = Weights(preference, float(ours.nll_weight or 0.0), ours.retain_weight, wish.theirs.beta)
    pad = int(model.tokenizer.pad_token_id or 0)
    together = ours.together if ours.together is not None else allows_together(model.network)
    trainer = InterventionTrainer(
        weights=weights,
        kept=data.kept,
        kept_per_pair=ours.retain_per_pair,
        model=trained,
        args=wish.theirs,
        train_dataset=Dataset.from_list(data.train),
        eval_dataset=Dataset.from_list(data.test) if data.test else None,
        processing_class=model.tokenizer,
        data_collator=Collator(pad, together, bool(preference), ours.preference_tokens),
        callbacks=[Watch(folder, wish.method), *([probe] if probe else [])],
        **more,
    )
    if probe is not None:
        probe.trainer = trainer
    for theirs in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(theirs)
    return trainer


def save(trainer: InterventionTrainer, wish: Wish, folder: Path, model: LanguageModel) -> None:
    """The adapter without a copy of its parent, or the whole model; every process has to call this."""
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    trained = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    if not isinstance(trained, PeftModel):
        trained.save_pretrained(folder / "model", state_dict=state)
        model.tokenizer.save_pretrained(folder / "model")
        return
    save_adapter(trained, folder / "adapter", wish.ours.model_name_or_path, state_dict=state)


def describe(wish: Wish, data: Data, method: Method) -> dict[str, Any]:
    """Everything that ``run.json`` says but the metrics."""
    environment = {"midcourse": __version__, "python": platform.python_version(), "platform": platform.platform()}
    environment |= {name: version(name) for name in LIBRARIES} | {"device": _device()}
    parent = wish.ours.adapter
    return {
        "base_model": wish.ours.model_name_or_path,
        "method": method,
        "parent": parent and {"adapter": parent, "sha256": _hash(Path(parent) / WEIGHTS, "--adapter")},
        "config": settings(wish),
        "data": data.hashes,
        "counts": data.counts,
        "environment": environment | {"processes": wish.theirs.world_size},
        "command": shlex.join(["midcourse", *sys.argv[1:]]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _last(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What was logged of the last update."""
    found: dict[str, Any] = next((line for line in reversed(lines) if "loss" in line), {})
    return {name: value for name, value in found.items() if name not in ("step", "epoch", "learning_rate")}


def _make(folder: Path) -> None:
    """The folder of the run.

    Raises:
        DataError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--output_dir {folder}: cannot make it: {error.strerror}") from error


def _check_adapter(folder: Path) -> None:
    """That an adapter can be gone on from, and be served afterwards.

    Raises:
        DataError: it cannot.
    """
    try:
        read_lora(folder)
        read_modules(folder)
    except AdapterError as error:
        raise DataError(f"--adapter {error}") from error


def _check_together(ours: Ours, network: Any) -> None:
    """That nobody asks for a layout that this model would learn nonsense from.

    Raises:
        DataError: somebody does.
    """
    if ours.together and not allows_together(network):
        raise DataError("--together true: the attention of this model takes no mask of our own; leave it out")


def _dialect(pairs: Sequence[Pair]) -> str:
    """Of the think tags: the one that most pairs are in."""
    names = [pair.dialect for pair in pairs]
    return max(set(names), key=names.count) if names else "none"


def _hash(path: Path, flag: str) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{flag} {path}: cannot read it: {error.strerror}") from error


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"


def _say(text: str) -> None:
    if int(os.environ.get("RANK", "0")) == 0:
        print(text, file=sys.stderr)  # noqa: T201
