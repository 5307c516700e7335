"""``midcourse loop``: from traces to a better model and back, with the commands that anybody would use.

    ask -> collect -> approve by rule -> pairs -> rollouts -> train -> publish -> gate -> promote -> ask again

Knows the order, and prints what came of it. The work is done by commands of midcourse in processes of their own, so
nothing here is a second way of doing anything; the server runs all the while, and takes what is promoted.
"""

import json as jsonlib
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from midcourse.models.gate import decide
from midcourse.server.errors import CallerError
from midcourse.server.gate_show import table_of
from midcourse.server.gate_work import read_measured
from midcourse.server.loop_client import Answer, Client
from midcourse.server.loop_commands import Commands
from midcourse.server.loop_round import NAME, Round, Wish
from midcourse.server.loop_show import Rates, rates, shares, show_answers, show_rates
from midcourse.server.measure import PROMPTS, read_prompts


def loop(out: Path, *, json: bool, **wish: Any) -> bool:
    """Run it in a new folder. False where the gate refused an adapter.

    Raises:
        CallerError: the folder is there already.
        EngineError: a command failed; the message says which, and where its log is.
    """
    if out.exists():
        raise CallerError(f"--out {out}: is there already; give a new folder, or remove it first", param="out")
    began, wanted = time.monotonic(), Wish(**wish)
    console = Console(stderr=json, highlight=False, soft_wrap=True)
    console.print(f"[bold]midcourse loop[/]: {wanted.model}; what each command printed is in {out / 'logs'}")
    run = _Run(out.absolute(), wanted, console)
    passed = None
    try:
        passed = run.all()
    finally:  # a later round that fails takes nothing from those before it
        took = time.monotonic() - began
        told = {"passed": passed, "seconds": round(took, 1), "steps": run.seconds, "asked": run.told()}
        (out / "loop.json").write_text(jsonlib.dumps(told, indent=2) + "\n", encoding="utf-8")
    console.print(f"{took / 60:.1f} minutes; all of it is in {out}")
    if json:
        print(jsonlib.dumps(told))  # noqa: T201
    return passed


class _Run:
    """All rounds, on one server that is never started again."""

    def __init__(self, out: Path, wish: Wish, console: Console) -> None:
        self.seconds: dict[str, float] = {}
        self._out = out
        self._wish = wish
        self._console = console
        self._prompts = read_prompts(PROMPTS)
        self._commands = Commands(out / "logs")
        self._registry = ("--registry", str(out / "adapters"))
        self._store = ("--store", f"sqlite:///{out / 'traces.db'}")
        self._asked: list[tuple[str, list[Answer], Rates]] = []  # of "", the base model, and of each adapter

    def all(self) -> bool:
        flags = ("--model", self._wish.model, "--adapter", NAME, *self._registry, *self._store)
        more = ("--spool-dir", str(self._out / "spool"), "--trace-sample-rate", "1", "--log-level", "warning")
        client = Client(self._commands, (*flags, *more))
        with client.running():
            self._step("ask the base model", partial(self._ask, client, ""))
            for number in range(1, self._wish.rounds + 1):
                adapter = self._learn(number)
                if not adapter:
                    self._console.print("there is nothing to learn: no correction of a harmful request became a pair")
                    return number > 1
                if not self._gate(number, adapter):
                    return False
                self._step(f"the server takes {adapter}", partial(client.wait_for, adapter))
                self._step(f"ask {adapter}", partial(self._ask, client, adapter))
                names = [name or "base model" for name, *_ in self._asked]
                show_answers(self._console, names, [answers for _, answers, _ in self._asked])
                show_rates(self._console, names, [counted for *_, counted in self._asked])
        return True

    def told(self) -> list[dict[str, Any]]:
        """What was asked and what came of it, for machines."""
        return [
            {
                "adapter": adapter,
                "shares": {name: share._asdict() for name, share in shares(answers).items()},
                "prometheus": asdict(counted),
            }
            for adapter, answers, counted in self._asked
        ]

    def _ask(self, client: Client, adapter: str) -> str:
        """The held-out prompts, through the API; beside it, the gate measures the same adapter."""
        held_out = [prompt for prompt in self._prompts if prompt.split == "test"]
        sampling = {"max_completion_tokens": self._wish.max_tokens, "temperature": 0.6, "top_p": 0.95}
        before = client.scraped()
        with self._commands.meanwhile({} if adapter else {"0-measure": self._measure("")}):
            answers = client.ask(held_out, {**sampling, "seed": self._wish.seed})
        self._asked.append((adapter, answers, rates(before, client.scraped())))
        return f"{len(answers)} held-out prompts"

    def _learn(self, number: int) -> str:
        """From prompts to a published adapter; empty where nothing was corrected that could be learned."""
        train = [prompt for prompt in self._prompts if prompt.split == "train"]
        one = Round(self._commands, self._out, number, self._wish, self._asked[-1][0])
        self._step("collect", partial(one.collect, train))
        self._step("approve by rule", partial(one.approve, train))
        self._step("pairs", one.pairs)
        if not one.learned:
            return ""
        steps = {"rollouts": one.rollouts, "pairs against over-refusal": one.benign, "train": one.train}
        for name, work in {**steps, "publish": one.publish}.items():
            self._step(name, work)
        return one.adapter

    def _gate(self, number: int, adapter: str) -> bool:
        """Measure the new one as the one that serves was measured, and promote it if it is no worse."""
        before, after = (str(self._measured(name)) for name in (self._asked[-1][0], adapter))
        self._step("measure for the gate", partial(self._commands.run, f"{number}-measure", *self._measure(adapter)))
        command = ["gate", "decide", before, after, "--promote", "--by", "midcourse loop", *self._registry, "--json"]
        told = self._commands.run(f"{number}-gate", *command, fine=(0, 1))
        checks = decide(read_measured(Path(before)), read_measured(Path(after)))
        self._console.print(table_of(checks, self._asked[-1][0] or "base model", adapter))
        self._console.print(f"{adapter}: {'passed, promoted' if told['promoted'] else 'refused; what served goes on'}")
        return bool(told["promoted"])

    def _measure(self, adapter: str) -> list[str]:
        """The command that measures an adapter."""
        chosen = ["--adapter", adapter] if adapter else []
        more = [
            "--max-tokens",
            str(self._wish.max_tokens),
            "--seed",
            str(self._wish.seed),
            *self._registry,
            *self._store,
        ]
        return [
            "gate",
            "measure",
            "--out",
            str(self._measured(adapter)),
            "--model",
            self._wish.model,
            *chosen,
            *more,
            "--json",
        ]

    def _measured(self, adapter: str) -> Path:
        return self._out / f"measured-{adapter or 'base'}.json"

    def _step(self, name: str, work: Callable[[], object]) -> None:
        began = time.monotonic()
        with self._console.status(name):
            told = work()
        took = time.monotonic() - began
        self.seconds[f"{len(self.seconds) + 1:02} {name}"] = round(took, 1)
        self._console.print(f"{took:6.0f} s  {name:24} {told if isinstance(told, str) else ''}")
