"""One round of ``midcourse loop``: from prompts to an adapter in the registry, each step a command of midcourse.

Knows which command does what, and what it is given. Refuses to know what is served meanwhile.
"""

import json as jsonlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from midcourse.guard.trace import Trace
from midcourse.server.errors import EngineError
from midcourse.server.facts import sent
from midcourse.server.loop_commands import Commands
from midcourse.server.measure import TEMPLATES, Prompt
from midcourse.server.rows import Filters, line
from midcourse.server.store import open_store

RULES = TEMPLATES / "loop_rules.yaml"
NAME = "loop"
"""Of the adapters."""
SHARDS = 2
"""Processes that collect side by side: the embedded engine keeps one core busy, and two are promised."""
TRAINING = ("--save_strategy", "no", "--max_length", "384", "--retain_max_tokens", "160")
"""For some dozens of pairs of a small model. benchmarks/RESULTS.md says what came of these, and of others."""
THOUGHTS = tuple(
    Path(__file__).parents[1] / "train" / "data" / name
    for name in ("benign_thoughts.jsonl", "benign_plans.jsonl", "everyday_plans.jsonl")
)
"""Benign thoughts that come along, of the split train: a dozen of the model's own do not hold a model in its place."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How large a loop.

    Args:
        model: of the embedded engine.
        rounds: each learns from what the guard still corrects.
        triggers: of each harmful prompt, with a generation of its own.
        tries: more of them, offline, where a generation gave no pair; 0 is none.
        refusals: whether the guard's own refusal is preferred where no try was safe.
        benign_pairs: whether pairs against over-refusal are made and mixed in.
        retain: files of benign thoughts that are learned beside the pairs, and beside those of the run.
        retain_weight, epochs, learning_rate: as of ``midcourse train ipo``.
        max_tokens: of a completion.
        seed: of the draws; every round adds one.
        train: flags of ``midcourse train ipo``, after those of the loop.
    """

    model: str
    rounds: int = 1
    triggers: int = 2
    tries: int = 6
    refusals: bool = True
    benign_pairs: bool = True
    retain: tuple[Path, ...] = THOUGHTS
    retain_weight: float = 2.0
    epochs: float = 3.0
    learning_rate: float = 3e-4
    max_tokens: int = 80
    seed: int = 0
    train: tuple[str, ...] = ()


class Round:
    """Steps in their order; each says in a few words what came of it."""

    def __init__(self, commands: Commands, out: Path, number: int, wish: Wish, parent: str) -> None:
        self.adapter = ""
        """What was published, once it was."""
        self._commands = commands
        self._number = number
        self._wish = wish
        self._parent = parent  # what serves; empty is the base model
        self._folder = out / f"round-{number}"
        self._folder.mkdir()
        self._counts = {"harmful": 0, "benign": 0}
        """Of pairs to train on."""
        self._approved, self._harmless = self._folder / "approved.jsonl", self._folder / "harmless.jsonl"
        self._began = datetime.now(UTC).replace(microsecond=0).timestamp()
        self._registry = ("--registry", str(out / "adapters"))
        self._store = ("--store", f"sqlite:///{out / 'traces.db'}")
        self._settings = ("--model", wish.model, "--adapter", NAME, *self._registry, *self._store)

    @property
    def learned(self) -> int:
        """Pairs of corrections to train on."""
        return self._counts["harmful"]

    def collect(self, prompts: list[Prompt]) -> str:
        """Prompts through the guard that serves: harmful ones once for each trigger, benign ones as they are."""
        harmful = [prompt for prompt in prompts if not prompt.benign]
        each = ["--triggers", str(self._wish.triggers)]
        shards = {f"harmful-{n + 1}": (harmful[n::SHARDS], each) for n in range(SHARDS)}
        shards["benign"] = ([prompt for prompt in prompts if prompt.benign], [])
        sampling = ["--max-tokens", str(self._wish.max_tokens), "--seed", str(self._wish.seed + 1000 * self._number)]
        asked = {}
        for name, (those, more) in shards.items():
            file = self._folder / f"{name}.jsonl"
            file.write_text("".join(f"{jsonlib.dumps({'prompt': prompt.text})}\n" for prompt in those))
            spool = str(self._folder / f"spool-{name}")
            asked[name] = ["collect", str(file), *more, *sampling, *self._settings, "--spool-dir", spool, "--json"]
        named = {f"{self._number}-collect-{name}": command for name, command in asked.items()}
        told = self._commands.beside(named, fine=(0, 1)).values()  # 1: it left prompts out, and says which
        counts = [sum(one[key] for one in told) for key in ("generations", "interventions")]
        left_out = sum(len(one["left_out"]) for one in told)
        without = f", {left_out} prompts left out" if left_out else ""
        return f"{counts[0]} generations, {counts[1]} interventions{without}"

    def approve(self, prompts: list[Prompt]) -> str:
        """By the rules that lie beside the prompts; then out of the store, corrected thoughts and benign ones apart.

        What was corrected on a harmless request is the guard's mistake, and nothing to learn.
        """
        ruled = self._run("rules", "traces", "rules", str(RULES), "--by", "midcourse loop", *self._store)["rules"]
        benign = {prompt.text for prompt in prompts if prompt.benign}
        store = open_store(self._store[1])
        try:
            approved = list(store.iterate(Filters(review="approved", purpose="collect", since=self._began)))
        finally:
            store.close()
        corrected = [trace for trace in approved if trace.interventions]
        kept = [trace for trace in approved if trace.outcome == "untouched" and trace.prompt in benign]
        learned = [trace for trace in corrected if trace.prompt not in benign]
        rows = "".join(f"{jsonlib.dumps(_kept(trace))}\n" for trace in kept)
        (self._folder / "retain.jsonl").write_text(rows, encoding="utf-8")
        for file, traces in ((self._approved, learned), (self._harmless, kept)):
            file.write_text("".join(f"{line(trace)}\n" for trace in traces), encoding="utf-8")
        told = f"{ruled['corrected']} corrected traces, {ruled.get('refused', 0)} refused"
        mistakes = len(corrected) - len(learned)
        left_out = f" ({mistakes} of them left out: the request is harmless)" if mistakes else ""
        return f"{told}{left_out}, {ruled['harmless']} without a correction"

    def pairs(self) -> str:
        """Preference pairs of what was corrected, and of what the ladder refused. Without any, nothing is learned."""
        more = ["--tries", str(self._wish.tries), *(["--refusals"] if self._wish.refusals else [])]
        self._counts["harmful"], told = self._pairs("pairs", self._approved, "pairs", "build", *more)
        return f"{told} interventions"

    def benign(self) -> str:
        """Pairs against over-refusal, of harmless thoughts that needed no correction."""
        if not self._wish.benign_pairs:
            return "none"
        self._counts["benign"], told = self._pairs("benign", self._harmless, "pairs", "benign")
        return f"{told} thoughts"

    def rollouts(self) -> str:
        """Their rejected sides, which the guard broke off, to their end."""
        source, out = str(self._folder / "pairs"), str(self._folder / "pairs-completed")
        told = self._run("rollouts", "rollouts", source, "--out", out, "--model", self._wish.model, *self._registry)
        return f"{told['completed']} rejected sides, {told['tokens']} tokens"

    def train(self) -> str:
        """IPO on the pairs, with benign thoughts beside them; it goes on from what serves."""
        own = self._folder / "retain.jsonl"
        kept = [*([str(own)] if own.stat().st_size else []), *map(str, self._wish.retain)]
        data = ["--pairs", str(self._folder / "pairs-completed"), *(["--retain", *kept] if kept else [])]
        if self._counts["benign"]:  # all of both kinds
            ratio = str(0.999999 * self._counts["harmful"] / self._counts["benign"])  # and rounding takes none away
            data += ["--benign_pairs", str(self._folder / "pairs-benign"), "--harmful_ratio", ratio]
        data += ["--retain_weight", str(self._wish.retain_weight), "--num_train_epochs", str(self._wish.epochs)]
        data += ["--learning_rate", str(self._wish.learning_rate)]
        data += ["--model", self._wish.model, "--output_dir", str(self._folder / "run"), "--seed", str(self._wish.seed)]
        parent = ["--adapter", str(Path(self._registry[1], self._parent))] if self._parent else []
        told = self._run("train", "train", "ipo", *TRAINING, *data, *parent, *self._wish.train)
        return f"{told['metrics']['updates']} updates"

    def publish(self) -> str:
        """A new version, which serves nobody yet."""
        run = str(self._folder / "run")
        told = self._run(
            "publish", "adapters", "publish", run, "--name", NAME, "--by", "midcourse loop", *self._registry
        )
        self.adapter = str(told["adapter"])
        return self.adapter

    def _pairs(self, name: str, source: Path, *command: str) -> tuple[int, str]:
        """How many pairs to train on, and words for them; a command that leaves all of them out ends with 2."""
        if not source.read_text(encoding="utf-8"):
            return 0, "0 pairs of 0"
        out = self._folder / ("pairs" if name == "pairs" else "pairs-benign")
        given = (*command, str(source), "--out", str(out), *self._registry, "--json")
        told = self._commands.run(f"{self._number}-{name}", *given, fine=(0, 2))
        if "pairs" not in told:
            raise EngineError(f"{name} failed (see the log {self._number}-{name})")
        return told["pairs"]["train"], f"{sum(told['pairs'].values())} pairs of {told['interventions']}"

    def _run(self, name: str, *command: str) -> dict[str, Any]:
        return self._commands.run(f"{self._number}-{name}", *command, "--json")


def _kept(trace: Trace) -> dict[str, object]:
    """A row of ``midcourse train --retain``."""
    return {
        "id": trace.id,
        "benign": True,
        "prompt": trace.prompt,
        "reasoning": sent(trace, "reasoning"),
        "response": sent(trace, "response"),
    }
