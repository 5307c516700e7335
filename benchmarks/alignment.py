"""Base, SFT, full DPO, IPO and random insertion: trained on the same pairs with one budget, asked the same prompts.

    .venv/bin/python benchmarks/alignment.py --pairs DIR --out DIR [--retain FILE ...] [-- FLAGS OF midcourse train]

Every method is a run of `midcourse train` in a process of its own; what it has done is not done again, so the same
command goes on where it was cut short. Then every model answers the held-out prompts without a guard, and judges read
what it said: the guard's own (cue: the share at which it would intervene) and others that have no part in it.
Prints Markdown: shares with 95 % intervals over drawn prompts, and differences from the base model in pairs.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import Progress

from midcourse.guard.dialect import DIALECTS
from midcourse.models import curves
from midcourse.models.answer import Answer
from midcourse.models.answer_judges import judge_of
from midcourse.models.curves import Estimate, Floats
from midcourse.models.files import sha256_of, write_atomically
from midcourse.models.language import LanguageModel, choose_dtype, load
from midcourse.models.likelihood import losses, spelled
from midcourse.models.merge import merged
from midcourse.models.outcome import HARMFUL, Harm
from midcourse.models.refusal import refuses
from midcourse.models.rows import Row, read
from midcourse.server.loop_round import THOUGHTS as KEPT
from midcourse.server.measure import PROMPTS, THOUGHTS, Prompt, read_prompts
from midcourse.train.generate import Sampling, continue_from

METHODS = ("sft", "dpo", "ipo", "random")
NAMES = {"base": "base", "sft": "SFT on chosen", "dpo": "full DPO", "ipo": "**IPO**", "random": "random insertion"}
FLAGS = "--num_train_epochs 3 --learning_rate 3e-4 --retain_weight 2 --retain_max_tokens 160 --max_length 384".split()
GUARD, JUDGES = "cue", ("refusal", "lexical", "ngram")


class Said(NamedTuple):
    """One answer, and what became of it: harm by judge, as reasoning and response."""

    prompt: str
    sample: int
    reasoning: str
    response: str


class Table(NamedTuple):
    """One question: its title, and hits and cases of every prompt, (prompts,) each, by condition."""

    title: str
    counts: Mapping[str, tuple[Floats, Floats]]


def train(method: str, out: Path, data: Sequence[str], flags: Sequence[str]) -> None:
    """An adapter of a method, if there is none yet."""
    folder, began = out / method, time.perf_counter()
    if (folder / "run.json").is_file():
        return
    resume = ["--resume_from_checkpoint", "last"] if list(folder.glob("checkpoint-*")) else []
    command = ["train", method, *data, "--output_dir", str(folder), *flags, *resume]
    with (out / f"{method}.log").open("a") as log:
        done = subprocess.run(
            [sys.executable, "-m", "midcourse.server.cli", *command], stdout=log, stderr=log, check=False
        )
    if done.returncode:
        last = (out / f"{method}.log").read_text().strip().splitlines()[-1:]
        raise SystemExit(f"{method} ended with {done.returncode}: {' '.join(last)} (see {out / method}.log)")
    print(f"{method}: trained in {(time.perf_counter() - began) / 60:.1f} minutes", file=sys.stderr)


def answers(
    model: LanguageModel, prompts: Sequence[Prompt], sampling: Sampling, samples: int, dialect: str
) -> list[Said]:
    """What a model without a guard says."""
    tags = DIALECTS[dialect]
    asked = [tuple(spelled(model.tokenizer, Row(p.id, p.text, "."), tags)[0]) for p in prompts]
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("answering", total=len(asked) * samples)
        drawn = continue_from(
            model, asked, sampling, samples=samples, progress=lambda done, total: bar.update(task, completed=done)
        )
    found = []
    for prompt, each in zip(prompts, drawn, strict=True):
        for number, one in enumerate(each):
            text = str(model.tokenizer.decode(list(one.ids), clean_up_tokenization_spaces=False))
            thought, _, response = text.partition(tags.close.strip() or "\0")
            found.append(Said(prompt.id, number, thought, response))
    return found


def measure(name: str, out: Path, prompts: Sequence[Prompt], rows: Sequence[Row], wish: argparse.Namespace) -> Any:
    """Answers and losses of a condition, from an earlier run where there was one."""
    file = out / f"{name}.answers.json"
    if not file.is_file():
        began = time.perf_counter()
        model = load(wish.model, choose_dtype(wish.dtype))
        network: Any = model.network
        if name != "base":
            network = merged(network, out / name / "adapter")
        model = model._replace(network=network)
        said = answers(model, prompts, Sampling(wish.max_tokens, 0.6, 0.95, wish.seed), wish.samples, wish.dialect)
        told = {"answers": said, "losses": losses(model, rows, DIALECTS[wish.dialect])}
        write_atomically(file, json.dumps(told))
        print(f"{name}: measured in {(time.perf_counter() - began) / 60:.1f} minutes", file=sys.stderr)
    told = json.loads(file.read_text())
    return {"answers": [Said(*each) for each in told["answers"]], "losses": told["losses"]}


def verdicts(
    measured: Mapping[str, Any], prompts: Sequence[Prompt], judges: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Of every condition, what each judge says of each answer."""
    text = {prompt.id: prompt.text for prompt in prompts}
    found: dict[str, dict[str, Any]] = {name: {} for name in measured}
    for spec in judges:
        judge = judge_of(spec)
        for name, told in measured.items():
            asked = [Answer(text[s.prompt], s.reasoning, s.response) for s in told["answers"]]
            found[name][spec] = [harm or Harm(None, None) for harm in judge.judge(asked)]
    return found


def tables(
    measured: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], prompts: Sequence[Prompt]
) -> Iterator[Table]:
    """Every question, counted by prompt."""
    harmful, benign = ([p.id for p in prompts if p.benign == kind] for kind in (False, True))
    any_part = {
        name: [max((p for p in harm if p is not None), default=0.0) for harm in each[GUARD]]
        for name, each in found.items()
    }

    def counted(ids: Sequence[str], values: Mapping[str, Sequence[float | None]]) -> dict[str, tuple[Floats, Floats]]:
        return {name: by_prompt(ids, measured[name]["answers"], scores) for name, scores in values.items()}

    yield Table("harmful: a cue, by the guard's judge", counted(harmful, any_part))
    for spec in next(iter(found.values())):
        for n, part in enumerate(("reasoning", "response")):
            if spec != GUARD:
                scores = {name: [harm[n] for harm in each[spec]] for name, each in found.items()}
                yield Table(f"harmful: {part} harmful, by {spec}", counted(harmful, scores))
    refused = {
        name: [float(refuses(s.response, s.reasoning)) for s in told["answers"]] for name, told in measured.items()
    }
    yield Table("harmful: refused", counted(harmful, refused))
    yield Table("benign: refused", counted(benign, refused))
    yield Table("benign: a cue, by the guard's judge", counted(benign, any_part))


def by_prompt(ids: Sequence[str], said: Sequence[Said], scores: Sequence[float | None]) -> tuple[Floats, Floats]:
    """Hits and cases of each prompt; an answer without the part that is asked about is no case."""
    place = {name: n for n, name in enumerate(ids)}
    hits, cases = np.zeros(len(ids)), np.zeros(len(ids))
    for one, score in zip(said, scores, strict=True):
        if one.prompt in place and score is not None:
            hits[place[one.prompt]] += score >= HARMFUL
            cases[place[one.prompt]] += 1
    return hits, cases


def cell(found: Estimate) -> str:
    """A value with its interval, and how many cases."""
    if found.value is None:
        return "–"
    low, high = ("", "") if found.low is None else (f"{found.low:.2f}", f"{found.high:.2f}")
    return f"{found.value:.2f} ({low} to {high}; n = {found.n})"


def shares(table: Table) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Of each condition the share, and its difference from the base model's over the same drawn prompts."""
    weights = curves.samples(len(table.counts["base"][0]), np.random.default_rng(0))
    of = {name: curves.ratio(weights, hits, cases) for name, (hits, cases) in table.counts.items()}
    values = {name: curves.divided(weights @ hits, weights @ cases) for name, (hits, cases) in table.counts.items()}
    return of, {name: curves.estimate(values[name] - values["base"], of[name].n) for name in of if name != "base"}


def loss_cells(measured: Mapping[str, Any]) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Nats a token of benign thoughts, and the difference from the base model's, over drawn thoughts."""
    found, values = {}, {}
    for name, told in measured.items():
        nats, tokens = (np.array(column, float) for column in zip(*told["losses"], strict=True))
        weights = curves.samples(len(nats), np.random.default_rng(0))
        values[name] = curves.divided(weights @ (nats * tokens), weights @ tokens)
        found[name] = curves.estimate(values[name], len(nats))
    return found, {n: curves.estimate(values[n] - values["base"], found[n].n) for n in found if n != "base"}


def report(
    measured: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], prompts: Sequence[Prompt]
) -> Iterator[str]:
    """Two Markdown tables: values, and differences from the base model."""
    questions = {table.title: shares(table) for table in tables(measured, found, prompts)}
    questions["benign thoughts: loss, nats a token"] = loss_cells(measured)
    for n, title in enumerate(("share (95 % interval)", "difference from base (95 % interval)")):
        names = [name for name in measured if not n or name != "base"]
        yield "| " + " | ".join([title, *(NAMES[name] for name in names)]) + " |"
        yield "|---" * (len(names) + 1) + "|"
        for question, both in questions.items():
            yield "| " + " | ".join([question, *(cell(both[n][name]) for name in names)]) + " |"
        yield ""


def settled(out: Path, wish: argparse.Namespace, flags: Sequence[str]) -> None:
    """That what lies in the folder was made as is asked for now."""
    files = [wish.pairs / "pairs.json", wish.prompts, wish.thoughts, *wish.retain]
    free = ("out", "methods", "judges")
    told: dict[str, Any] = {key: str(value) for key, value in sorted(vars(wish).items()) if key not in free} | {
        "flags": list(flags)
    }
    told["files"] = {str(file): sha256_of(file) for file in files}
    file = out / "settings.json"
    out.mkdir(parents=True, exist_ok=True)
    if file.is_file() and json.loads(file.read_text()) != told:
        raise SystemExit(f"--out {out}: was begun with other settings ({file}); give another folder, or remove it")
    write_atomically(file, json.dumps(told, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="folder of pairs, rejected sides completed")
    parser.add_argument("--out", type=Path, required=True, help="folder for all of it; goes on where it was")
    parser.add_argument("--model", default="reasoner")
    parser.add_argument("--retain", type=Path, action="append", help="benign thoughts; default: those that come along")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--judges", nargs="+", default=JUDGES, help="beside the guard's own, as in midcourse eval")
    parser.add_argument("--prompts", type=Path, default=PROMPTS, help="those of split test are asked")
    parser.add_argument("--thoughts", type=Path, default=THOUGHTS)
    parser.add_argument("--samples", type=int, default=2, help="answers to each prompt")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--dialect", default="r1", choices=DIALECTS)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    given = list(sys.argv[1:] if arguments is None else arguments)
    at = given.index("--") if "--" in given else len(given)
    wish, flags = parser.parse_args(given[:at]), [*FLAGS, "--save_strategy", "epoch", *given[at + 1 :]]
    wish.retain = wish.retain if wish.retain is not None else [*KEPT]
    settled(wish.out, wish, flags)
    data = ["--pairs", str(wish.pairs), "--model", wish.model, "--seed", str(wish.seed)]
    data += ["--retain", *map(str, wish.retain)] if wish.retain else []
    prompts = [prompt for prompt in read_prompts(wish.prompts) if prompt.split == "test"]
    rows, measured = read(wish.thoughts), {}
    for name in ("base", *wish.methods):
        if name != "base":
            train(name, wish.out, data, flags)
        measured[name] = measure(name, wish.out, prompts, rows, wish)
    found = verdicts(measured, prompts, [GUARD, *wish.judges])
    runs = {name: json.loads((wish.out / name / "run.json").read_text()) for name in wish.methods}
    pairs = {run["counts"]["pairs"] for run in runs.values()}
    updates = {run["metrics"]["updates"] for run in runs.values()}
    print(f"    benchmarks/alignment.py {shlex.join(given)}\n")
    print(
        f"{sorted(pairs)} pairs, {sorted(updates)} updates each, {wish.samples} answers of {wish.max_tokens} tokens.\n"
    )
    print("\n".join(report(measured, found, prompts)))


if __name__ == "__main__":
    main()
