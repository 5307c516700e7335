"""``midcourse eval run``: the same questions under every condition, each on a server of its own, into one folder.

Knows conditions, servers and the folder. What a task is, and how it is run, is ``tasks``', which brings Inspect along
and is looked up late.
"""

import json as jsonlib
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from midcourse.models.answer import AnswerJudge
from midcourse.models.caveats import uneven
from midcourse.models.outcome import FILE, Outcome, write_outcomes
from midcourse.models.outcome_run import EvalRun
from midcourse.models.report_tables import Arm, pooled
from midcourse.models.rows import DataError
from midcourse.models.safety_table import lines
from midcourse.server.config import ServedJudge, load, overrides_of
from midcourse.server.cue_cli import late
from midcourse.server.errors import CallerError, EngineError, as_callers
from midcourse.server.eval_manifest import check_same, read_manifest, write_manifest
from midcourse.server.eval_show import show
from midcourse.server.loop_client import Client
from midcourse.server.loop_commands import Commands
from midcourse.tasks.catalogue import BENCHMARKS

JUDGES = get_args(ServedJudge)
CONDITIONS = ("off", *JUDGES)
"""Without a guard, or with one whose judge is so called."""
PATIENCE = 600.0
"""Seconds until a server is ready: longer than anybody would watch, because nobody watches an evaluation."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who answers.

    Args:
        model: of the embedded engine, or as a server that runs calls it.
        url: of such a server, ending in ``/v1``; None starts our own.
        key: for that server; an administrator's, if it is ours, so that traces can be read.
        midcourse: whether that server is ours.
        flags: more settings of our own server.
    """

    model: str
    url: str | None = None
    key: str = ""
    midcourse: bool = True
    flags: tuple[str, ...] = ()


def run(out: Path, target: Target, conditions: Sequence[str], wish: dict[str, Any], *, json: bool) -> None:
    """Ask, judge, write, and print.

    Raises:
        CallerError: a task, a condition, a file or a judge is wrong, or the folder holds another run.
        EngineError: a server or a task failed; what is finished stays, and is not asked again.
    """
    began, out = time.monotonic(), out.absolute()
    check_names(conditions, wish["tasks"], target)
    check_settings(out, conditions, target)
    wanted = late("tasks.run:Wish")(**wish)
    with as_callers(DataError):
        judges = _judges(wish)
        late("tasks.run:build_all")(wanted, wanted.tasks, conditions[0], midcourse=target.midcourse)
    told = _told(target, conditions, wish, judges)
    old = read_manifest(out)
    check_same(out, old, told)
    (out / "logs").mkdir(parents=True, exist_ok=True)
    write_manifest(out, old, told, 0.0)  # a run that is killed leaves logs, which may be gone on with in one way only
    console = Console(stderr=json, highlight=False, soft_wrap=True, quiet=json)
    troubles: list[str] = []
    try:
        for condition in conditions:
            troubles += _condition(out, target, condition, wanted, console)
    finally:
        outcomes = _gather(out, told)
        manifest = write_manifest(out, old, told, time.monotonic() - began)
    _print(console, out, outcomes, manifest, time.monotonic() - began, json=json)
    if troubles:
        raise EngineError("; ".join(troubles) + "; run it again to go on")


def check_names(conditions: Sequence[str], tasks: Sequence[str], target: Target) -> None:
    """That there are such tasks and conditions; those of a server that runs are its owner's to name.

    Raises:
        CallerError: naming the flag.
    """
    if unknown := [name for name in tasks if name not in BENCHMARKS]:
        raise CallerError(f"--tasks: {unknown[0]!r} is none of {', '.join(BENCHMARKS)}", param="tasks")
    if not tasks or not conditions:
        raise CallerError("--tasks, --conditions: name at least one of each", param="tasks")
    if target.url is not None and len(conditions) != 1:
        raise CallerError("--conditions: one server is one condition; give one name for it", param="conditions")
    unknown = [name for name in conditions if name not in CONDITIONS] if target.url is None else []
    if unknown:
        raise CallerError(f"--conditions: {unknown[0]!r} is none of {', '.join(CONDITIONS)}", param="conditions")
    if any(not name.replace("-", "_").isidentifier() for name in conditions):
        raise CallerError(f"--conditions {conditions[0]}: give a name of letters, digits, - and _", param="conditions")


def check_settings(out: Path, conditions: Sequence[str], target: Target) -> None:
    """That every server of our own would take its settings.

    Raises:
        ConfigError: naming the setting.
    """
    for condition in conditions if target.url is None else ():
        load(overrides=overrides_of([*flags_of(condition, target.model, out), *target.flags]), env={})


def flags_of(condition: str, model: str, out: Path) -> list[str]:
    """Settings of the server of a condition; every generation is stored, for whoever measures the guard."""
    chosen = ["--policy.mode", "enforce", "--judge", condition]
    if condition == "off":
        chosen = ["--policy.mode", "off", "--judge", "lexical"]
    store = ["--store", f"sqlite:///{out / 'traces' / condition}.db", "--spool-dir", str(out / "traces" / condition)]
    return ["--model", model, *chosen, *store, "--trace-sample-rate", "1", "--log-level", "warning"]


def _condition(out: Path, target: Target, condition: str, wish: Any, console: Console) -> list[str]:
    pending = late("tasks.run:pending")(wish, condition, out / "logs")
    if not pending:
        console.print(f"[bold]{condition}[/]: finished before")
        return []
    console.print(f"[bold]{condition}[/]: {', '.join(pending)}")
    display = "none" if console.quiet else "rich" if sys.stdout.isatty() else "plain"
    with _serving(out, target, condition) as place, as_callers(DataError):
        found: list[str] = late("tasks.run:run")(wish, condition, place, out / "logs", display)
    return [f"{condition}: {line}" for line in found]


@contextmanager
def _serving(out: Path, target: Target, condition: str) -> Iterator[Any]:
    """A ``Place``: the server that was named, or one of our own for as long as it is needed."""
    place = late("tasks.run:Place")
    if target.url is not None:
        yield place(target.url, target.key or "none", target.model, target.midcourse)
        return
    (out / "traces").mkdir(parents=True, exist_ok=True)
    key = f"eval-{secrets.token_hex(8)}"
    flags = [*flags_of(condition, target.model, out), "--admin-keys", key, *target.flags]
    earlier = len(list((out / "servers").glob(f"{condition}-*")))
    client = Client(Commands(out / "servers" / f"{condition}-{earlier + 1}"), flags)
    with client.running(PATIENCE):
        yield place(f"{client.url}/v1", key, target.model, True)


def _gather(out: Path, told: dict[str, Any]) -> list[Outcome]:
    """Every finished log as outcomes, and what its task was."""
    with as_callers(DataError):
        outcomes: list[Outcome] = late("tasks.outcomes:outcomes_of")(out / "logs")
    for log in late("tasks.outcomes:finished")(out / "logs"):
        name, facts = log.facts["task"], {key: log.facts[key] for key in ("kind", "n", "file", "sha256")}
        if told["tasks"].setdefault(name, facts) != facts:
            raise CallerError(
                f"{log.file}: asked other items of {name} than another condition; delete it, and run again"
            )
    for name, facts in told["tasks"].items():
        if unjudged := _unjudged([one for one in outcomes if one.task == name]):
            told["tasks"][name] = {**facts, "unjudged": unjudged}
    write_outcomes(out / FILE, outcomes)
    return outcomes


def _print(
    console: Console, out: Path, outcomes: list[Outcome], manifest: dict[str, Any], seconds: float, *, json: bool
) -> None:
    """What came of it, and what to beware of."""
    warnings, found = uneven(pooled(_arms(out, outcomes, manifest))), lines(outcomes)
    if json:
        told = {"manifest": manifest, "lines": [asdict(line) for line in found], "warnings": warnings}
        print(jsonlib.dumps(told))  # noqa: T201
        return
    show(console, found)
    for warning in warnings:
        console.print(f"[yellow]{warning}[/]")
    console.print(f"{len(outcomes)} answers in {seconds / 60:.1f} minutes; all of it is in {out}")


def _arms(out: Path, outcomes: Sequence[Outcome], manifest: dict[str, Any]) -> list[Arm]:
    """The conditions as a report has them."""
    names = dict.fromkeys(one.condition for one in outcomes)
    own = {name: tuple(one for one in outcomes if one.condition == name) for name in names}
    return [Arm(name, EvalRun(f"{out}:{name}", own[name], manifest)) for name in names]


def _unjudged(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Of a task, how many answers of a condition a judge gave no verdict on, where there are any."""
    judges = {judge for one in outcomes for judge in one.harm}
    lost = Counter((one.condition, judge) for one in outcomes for judge in judges - one.harm.keys())
    found: dict[str, dict[str, int]] = {}
    for (condition, judge), times in sorted(lost.items()):
        found.setdefault(condition, {})[judge] = times
    return found


def _judges(wish: dict[str, Any]) -> list[AnswerJudge]:
    """Who judges; nobody where nothing harmful is asked."""
    if all(BENCHMARKS[name].kind != "harmful" for name in wish["tasks"]):
        return []
    return list(late("tasks.panel:panel_of")(wish["judges"]))


def _told(
    target: Target, conditions: Sequence[str], wish: dict[str, Any], judges: Sequence[AnswerJudge]
) -> dict[str, Any]:
    """A manifest, but for what comes of it."""
    sampling = ("temperature", "top_p", "max_tokens", "epochs", "seed", "limit")
    return {
        "model": target.model,
        "judges": {judge.name: judge.version for judge in judges},
        "own": [judge.name for judge in judges if judge.own],
        "sampling": {key: wish[key] for key in sampling},
        "conditions": {condition: _set(target, condition) for condition in conditions},
        "tasks": {},
    }


def _set(target: Target, condition: str) -> dict[str, Any]:
    """What a manifest says of a condition."""
    if target.url is not None:
        return {"mode": None, "judge": None, "url": target.url, "midcourse": target.midcourse}
    guarded = condition != "off"
    judge = condition if guarded else None
    return {"mode": "enforce" if guarded else "off", "judge": judge, "flags": list(target.flags)}
