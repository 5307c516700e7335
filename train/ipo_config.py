"""What ``midcourse train`` is told: TRL's and transformers' own settings, and ours beside them.

A YAML file, then flags. Knows names, defaults and what contradicts what. An unknown key is an error, and so is a
setting of TRL's that this loss would silently ignore. The loss is named by the command: no ``loss_type`` is taken,
because the word ``ipo`` names another loss there (*Identity* PO).
"""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import torch
import yaml
from transformers import HfArgumentParser
from transformers.integrations.integration_utils import get_reporting_integration_callbacks
from trl.trainer.dpo_config import DPOConfig

from midcourse.models.language import choose_dtype
from midcourse.models.rows import DataError

Method = Literal["ipo", "sft", "dpo", "random"]
METHODS: dict[str, str] = {
    "ipo": "Intervened Preference Optimization: partial DPO from the cut on, and NLL on the chosen side",
    "sft": "NLL on the chosen side alone",
    "dpo": "DPO and NLL on the whole reasoning",
    "random": "as ipo, with the trigger put at a random step of the reasoning",
}

IGNORED = (
    "loss_type loss_weights ld_alpha f_divergence_type f_alpha_divergence_coef label_smoothing use_weighting"
    " discopop_tau truncation_mode padding_free pad_to_multiple_of sync_ref_model ref_model_mixup_alpha"
    " ref_model_sync_steps model_init_kwargs trust_remote_code router_aux_loss_coef pad_token dataset_num_proc"
    " remove_unused_columns train_sampling_strategy length_column_name label_smoothing_factor use_liger_kernel"
    " liger_kernel_config push_to_hub do_train do_eval do_predict"
).split()
"""Settings of DPOConfig that nothing here reads."""


@dataclass
class Ours:
    """What TRL has no name for, or where its name is kept for what we do alike."""

    pairs: str = field(metadata={"help": "Folder that midcourse pairs build wrote."})
    model_name_or_path: str = field(
        default="reasoner", metadata={"help": "reasoner, smollm2, a folder or a hub id.", "aliases": ["--model"]}
    )
    dtype: str = field(default="float32", metadata={"help": "Of the base weights.", "choices": ["float32", "bfloat16"]})
    adapter: str | None = field(
        default=None, metadata={"help": "Go on from this LoRA adapter, which is the reference then."}
    )
    use_peft: bool = field(default=True, metadata={"help": "False trains every weight of the model."})
    lora_r: int = field(default=16, metadata={"help": "Rank; vLLM takes 16 unless it is told more."})
    lora_alpha: int = field(default=32, metadata={"help": "Scale, over the rank."})
    lora_dropout: float = field(default=0.0, metadata={"help": "Dropout before the adapter."})
    nll_weight: float | None = field(
        default=None, metadata={"help": "Of the NLL on the chosen side; default 0.2 as in the paper, and 1 for sft."}
    )
    retain: list[str] = field(
        default_factory=list, metadata={"help": "JSONL of benign reasoning: id, prompt, reasoning, response."}
    )
    retain_weight: float = field(default=1.0, metadata={"help": "Of the NLL on it."})
    retain_per_pair: int = field(default=1, metadata={"help": "So many of it beside every pair."})
    retain_max_tokens: int = field(default=256, metadata={"help": "Of each, behind the prompt."})
    benign_pairs: str | None = field(
        default=None, metadata={"help": "Folder of pairs against over-refusal (stage 2), mixed with the others."}
    )
    harmful_ratio: float = field(default=0.5, metadata={"help": "Pairs of --pairs to one of --benign_pairs."})
    trigger: Literal["learn", "context"] = field(
        default="learn", metadata={"help": "Whether the trigger's own tokens are learned."}
    )
    preference_tokens: int | None = field(
        default=None, metadata={"help": "Of either side, from the cut on, that are compared; default: all."}
    )
    min_side: int = field(default=4, metadata={"help": "Tokens of a side that max_length must leave."})
    probe_steps: int = field(
        default=0, metadata={"help": "Updates between two looks at what the model says; 0 is never."}
    )
    probe_prompts: str | None = field(
        default=None, metadata={"help": "JSONL of prompts to look at: prompt, benign; nothing is learned of them."}
    )
    probe_limit: int = field(default=8, metadata={"help": "Of them, so many of each kind."})
    probe_tokens: int = field(default=48, metadata={"help": "Of an answer."})
    probe_judge: Literal["cue", "lexical"] = field(default="cue", metadata={"help": "Which judge reads the answers."})
    together: bool | None = field(
        default=None, metadata={"help": "Both sides behind one prompt; default: where the attention allows it."}
    )

    def __post_init__(self) -> None:
        positive = "lora_r lora_alpha retain_per_pair retain_max_tokens min_side harmful_ratio probe_limit probe_tokens"
        for name in positive.split():
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name} is {getattr(self, name)}: must be above 0")
        if self.preference_tokens is not None and self.preference_tokens < 1:
            raise ValueError(f"--preference_tokens is {self.preference_tokens}: must be above 0")
        for name in ("nll_weight", "retain_weight"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"--{name} is {getattr(self, name)}: must not be below 0")
        if not 0 <= self.lora_dropout < 1:
            raise ValueError(f"--lora_dropout is {self.lora_dropout}: must be from 0 to below 1")
        if self.probe_steps < 0:
            raise ValueError(f"--probe_steps is {self.probe_steps}: must not be below 0")
        if bool(self.probe_steps) != (self.probe_prompts is not None):
            raise ValueError("--probe_steps, --probe_prompts: give both, or neither")
        if self.adapter is not None and not self.use_peft:
            raise ValueError("--adapter: goes on from a LoRA adapter, so leave out --use_peft false")


@dataclass
class Theirs(DPOConfig):
    """TRL's configuration, with defaults that suit LoRA on some hundred pairs.

    The paper searched learning rates of 1e-6 to 1e-5 and beta 0.05 and 0.1 with a batch of 64, one or two epochs,
    cosine with a warm-up of 0.1, no weight decay. LoRA wants some tens of times the rate of full fine-tuning.
    """

    learning_rate: float | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": "Peak, of AdamW; default 1e-4 for LoRA, 5e-6 for every weight."}
    )
    num_train_epochs: float = field(default=2.0, metadata={"help": "Passes over the pairs."})
    per_device_train_batch_size: int = field(default=2, metadata={"help": "Pairs at once."})
    gradient_accumulation_steps: int = field(default=2, metadata={"help": "Batches of an update."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Course of the learning rate."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Updates, or a share of them below 1."})
    weight_decay: float = field(default=0.0, metadata={"help": "Of AdamW."})
    logging_steps: float = field(default=1, metadata={"help": "Updates between two lines of metrics.jsonl."})
    save_strategy: str = field(default="epoch", metadata={"help": "When a checkpoint is written: no, epoch, steps."})
    save_total_limit: int | None = field(default=1, metadata={"help": "Checkpoints that are kept."})
    precompute_ref_log_probs: bool | None = field(  # type: ignore[assignment]
        default=None,
        metadata={"help": "Ask the reference once for every pair, before training; default: in one process."},
    )
    activation_checkpointing: bool | None = field(
        default=None, metadata={"help": "Trade time for memory; default: on an accelerator."}
    )
    gradient_checkpointing: bool | None = field(  # type: ignore[assignment]
        default=None, metadata={"help": "The old name of activation_checkpointing."}
    )

    def __post_init__(self) -> None:
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        gpu = not self.use_cpu
        if self.activation_checkpointing is None:
            self.activation_checkpointing = gpu if self.gradient_checkpointing is None else self.gradient_checkpointing
        self.gradient_checkpointing = None  # transformers warns about the old name, and copies the new one into it
        if self.bf16 is None and not self.fp16 and not gpu:  # without the instruction it crawls
            self.bf16 = choose_dtype("auto") is torch.bfloat16
        super().__post_init__()  # type: ignore[no-untyped-call]
        if self.precompute_ref_log_probs and self.world_size > 1:  # TRL keeps them where one process alone finds them
            raise ValueError("--precompute_ref_log_probs: works in one process alone; leave it out")
        if self.precompute_ref_log_probs is None:
            self.precompute_ref_log_probs = self.world_size == 1


class Wish(NamedTuple):
    """A run, as it was asked for."""

    method: Method
    ours: Ours
    theirs: Theirs


def parse(method: Method, arguments: Sequence[str]) -> Wish:
    """Settings of a command line: flags over the YAML file that ``--config`` names.

    Raises:
        DataError: something is unknown, missing, wrong or without effect.
    """
    given = _with_config([part for argument in arguments for part in _halves(argument)])
    kinds: Any = (Ours, Theirs)
    parser = _Parser(kinds, allow_abbrev=False, add_help=False)
    for name in (*IGNORED, *(["preference_tokens"] if method == "sft" else [])):
        if any(flag in given for flag in (f"--{name}", f"--no_{name}")):
            raise DataError(f"--{name}: has no effect on midcourse train {method}; leave it out")
    if "--output_dir" not in given:
        raise DataError("--output_dir: name a new folder for the run")
    try:
        parsed: Any = parser.parse_args_into_dataclasses(given, return_remaining_strings=True)
    except (ValueError, TypeError) as error:
        raise DataError(str(error).strip().splitlines()[0]) from error
    ours, theirs, unknown = parsed
    if unknown:
        raise DataError(f"{unknown[0]}: there is no such setting; see docs/training.md")
    if theirs.learning_rate is None:
        theirs.learning_rate = 1e-4 if ours.use_peft else 5e-6
    _check_range(theirs)
    if ours.probe_steps and theirs.world_size > 1:
        raise DataError("--probe_steps: works in one process alone; leave it out")
    if ours.nll_weight is None:
        ours.nll_weight = 1.0 if method == "sft" else 0.2
    if method == "sft":
        theirs.precompute_ref_log_probs = False
    return Wish(method, ours, theirs)


def _check_range(theirs: Theirs) -> None:
    """What transformers finds out about late, and in many lines.

    Raises:
        DataError: a number is out of range, or a place to report to is not installed.
    """
    for name in ("beta", "per_device_train_batch_size", "gradient_accumulation_steps"):
        if getattr(theirs, name) <= 0:
            raise DataError(f"--{name} is {getattr(theirs, name)}: must be above 0")
    if not 0 <= theirs.seed < 2**32:
        raise DataError(f"--seed is {theirs.seed}: must be from 0 to {2**32 - 1}")
    try:
        for callback in get_reporting_integration_callbacks(theirs.report_to):
            callback()
    except (RuntimeError, ValueError) as error:
        raise DataError(f"--report_to: {error}") from error


def settings(wish: Wish) -> dict[str, Any]:
    """Every setting, as plain data: ours, and those of TRL's that were changed or that training hangs on."""
    theirs = wish.theirs.to_dict()  # type: ignore[no-untyped-call]
    return dataclasses.asdict(wish.ours) | {
        name: theirs[name]
        for name in sorted(theirs)
        if name not in IGNORED and not name.startswith("hub_") and theirs[name] is not None
    }


class _Parser(HfArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line for whoever called, where argparse would print its usage and exit."""
        raise DataError(message)


def _halves(argument: str) -> list[str]:
    """``--name=value`` as two, and the dashes of a name as TRL writes them."""
    if not argument.startswith("--"):
        return [argument]
    name, equals, value = argument.partition("=")
    return [name.replace("-", "_").replace("__", "--", 1), *([value] if equals else [])]


def _with_config(given: list[str]) -> list[str]:
    """The flags, after those that the YAML file stands for; its ``env`` sets variables, as in TRL."""
    if "--config" not in given:
        return given
    place = given.index("--config")
    if len(given) < place + 2:
        raise DataError("--config: needs a YAML file")
    path, rest = Path(given[place + 1]), given[:place] + given[place + 2 :]
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"--config {path}: cannot read it: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"--config {path}: is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(read, dict):
        raise DataError(f"--config {path}: expected settings, one name: value a line")
    variables = read.pop("env", None) or {}
    if not isinstance(variables, dict):
        raise DataError(f"--config {path}: env: expected variables, one NAME: value a line")
    os.environ.update({str(name): str(value) for name, value in variables.items()})
    known = {each.name for kind in (Ours, Theirs) for each in dataclasses.fields(kind)} | {"model"}
    unknown = sorted(set(map(str, read)) - known)
    if unknown:
        raise DataError(f"--config {path}: {unknown[0]}: there is no such setting")
    flags = [f"--{name}" for name in read]
    return [part for flag, value in zip(flags, read.values(), strict=True) for part in _flag(flag, value)] + rest


def _flag(name: str, value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, dict):
        raise DataError(f"{name}: is a table; write one value")
    return [name, *map(str, value)] if isinstance(value, list) else [name, str(value)]
