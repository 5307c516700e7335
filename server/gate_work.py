"""The work of ``midcourse gate``: read what was measured, decide, promote, print. What passes is for ``models``."""

import json as jsonlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from midcourse.models.compare import Line, compare
from midcourse.models.files import sha256_of
from midcourse.models.gate import Check, Measured, decide
from midcourse.models.gate_limits import GateError, Limits
from midcourse.models.gate_policy import Axis, axes_of
from midcourse.models.lora import AdapterError
from midcourse.models.manifest import Who
from midcourse.models.outcome import OutcomeError
from midcourse.models.outcome_run import EvalRun, RunError, check_only_adapter, read_run
from midcourse.models.registry import Registry
from midcourse.server.errors import CallerError, ConfigError, as_callers
from midcourse.server.eval_show import widen
from midcourse.server.gate_show import facts_of, notes_of, reason, shown, table_of, table_of_lines, told
from midcourse.server.settings_text import load_yaml


def compare_runs(
    baseline: str, candidate: str, policy: Path, *, adapter: str | None, registry: Path, by: str | None, json: bool
) -> bool:
    """Whether the candidate passes every axis; if so, and an adapter is named, that is promoted.

    Raises:
        CallerError: a run or the policy cannot be read, the runs are not alike, or the adapter was not what ran.
    """
    axes = read_policy(policy)
    with as_callers(RunError, OutcomeError, GateError):
        old, new = read_run(baseline), read_run(candidate)
        if adapter is not None:
            _check_promotable(old, new, adapter, registry)
        lines = compare(axes, old, new)
    passed = all(line.verdict == "passed" for line in lines)
    if passed and adapter is not None:
        numbers = "; ".join(
            f"{line.name} {told(line, line.found.baseline)} -> {told(line, line.found.candidate)}" for line in lines
        )
        _promote(registry, adapter, by, f"passed the gate {policy.name} against {old.name}: {numbers}")
    if json:
        facts = {"baseline": old.name, "candidate": new.name, "policy": str(policy), "sha256": sha256_of(policy)}
        found = {
            **facts,
            "passed": passed,
            "promoted": passed and adapter is not None,
            "axes": [as_json(line) for line in lines],
        }
        typer.echo(jsonlib.dumps(found, indent=2))
        return passed
    console = Console()
    widen(console)
    console.print(table_of_lines(lines))
    for note in notes_of(lines):
        typer.echo(note)
    for line in lines:
        if line.verdict != "passed":
            typer.echo(f"{line.name}: {reason(line)}")
    verdict = f"passed, {adapter} promoted" if adapter else "passed"
    typer.echo(f"{new.name}: {verdict if passed else 'refused, nothing was promoted'}")
    return passed


def _check_promotable(old: EvalRun, new: EvalRun, adapter: str, registry: Path) -> None:
    try:
        check_only_adapter(old, new, adapter)
    except RunError as error:
        raise CallerError(f"--promote {adapter}: {error}", param="promote") from error
    if new.registry and Path(new.registry).resolve() != registry.resolve():
        problem = f"ran with --registry {new.registry}, and {registry} may hold another {adapter}; give the same one"
        raise CallerError(f"--promote {adapter}: {new.name} {problem}", param="promote")


def as_json(line: Line) -> dict[str, Any]:
    """An axis, for machines: ``p`` is one-sided, and what decides; ``difference`` is candidate minus baseline."""
    decided = {"p": line.p, "adjusted": line.adjusted, "needed": line.needed, "verdict": line.verdict}
    sides = {"unjudged": line.unjudged._asdict(), "cut": line.cut._asdict()}
    return {**asdict(line.axis), "judge": line.judge or None, **facts_of(line.found), **sides, **decided}


def read_policy(file: Path) -> tuple[Axis, ...]:
    """The axes of a file.

    Raises:
        ConfigError: naming the key, and the fix.
    """
    try:
        return axes_of(load_yaml(file))
    except GateError as error:
        raise ConfigError(f"{file}: {error}", param="policy") from error


def decide_on(before: Path, after: Path, limits: Limits, *, registry: Path | None, by: str | None, json: bool) -> bool:
    """Whether the second measurement passes; if so, and there is a registry, its adapter is promoted.

    Raises:
        CallerError: a file cannot be read, or the two cannot be compared.
    """
    old, new = read_measured(before), read_measured(after)
    with as_callers(GateError):
        checks = decide(old, new, limits)
    passed = all(check.passed for check in checks)
    if passed and registry is not None:
        reason = "; ".join(f"{c.name} {shown(c.before, c.nats)} -> {shown(c.after, c.nats)}" for c in checks)
        _promote(registry, new.adapter, by, f"passed the gate: {reason}")
    promoted = passed and registry is not None
    if json:
        told = {"before": old.adapter, "after": new.adapter, "passed": passed, "promoted": promoted}
        typer.echo(jsonlib.dumps({**told, "checks": [_check(check) for check in checks]}, indent=2))
        return passed
    name = new.adapter or "base model"
    Console().print(table_of(checks, old.adapter or "base model", name))
    typer.echo(f"{name}: {'passed, promoted' if promoted else 'passed' if passed else 'refused, nothing was promoted'}")
    return passed


def read_measured(path: Path) -> Measured:
    """A measurement from its file.

    Raises:
        CallerError: it cannot be read, or is none.
    """
    try:
        return Measured.of(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, GateError) as error:
        raise CallerError(f"{path}: {error}") from error


def _check(check: Check) -> dict[str, Any]:
    change = None if check.change is None else facts_of(check.change)
    return {**check._asdict(), "before": check.before._asdict(), "after": check.after._asdict(), "change": change}


def _promote(registry: Path, adapter: str, by: str | None, reason: str) -> None:
    with as_callers(AdapterError):
        Registry(registry).promote(adapter, Who(by or os.environ.get("USER") or "unknown", reason))
