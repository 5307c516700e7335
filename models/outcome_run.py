"""A run of an evaluation as its folder has it, and whether two of them may be compared. Knows outcomes and manifest.

A folder holds them ::

    outcomes.jsonl   what came of each item, in every condition
    manifest.json    how it was made: sampling, the files of the tasks, the versions of the judges
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from midcourse.models.monitor import OWN
from midcourse.models.outcome import Kind, Outcome, read_outcomes

MANIFEST = "manifest.json"
ADAPTER = frozenset({"--adapter", "--registry"})
"""Flags that say which adapter ran: the rest of what a condition is."""
FREE = frozenset({"seed", "limit"})
"""What two runs may have drawn differently: pairs are of items, and which items these are is seen from the outcomes."""


class RunError(ValueError):
    """A run cannot be read, or two cannot be compared; the message says what differs, and the fix."""


@dataclass(frozen=True, slots=True)
class EvalRun:
    """One condition of a run.

    Args:
        name: ``RUN:condition``.
        outcomes: of this condition, in the order of task, item and epoch.
        manifest: of the whole run.
    """

    name: str
    outcomes: tuple[Outcome, ...]
    manifest: Mapping[str, Any]

    @property
    def own(self) -> frozenset[str]:
        """Judges that the guard judges with, too; of a manifest that does not say it, by their names."""
        return frozenset(self.manifest.get("own") or ()) | OWN

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was set in its condition.

        Raises:
            RunError: the manifest does not say it.
        """
        name = self.outcomes[0].condition
        found = _part(self, "conditions").get(name)
        if not isinstance(found, Mapping):
            raise RunError(f"{self.name}: its {MANIFEST} does not say what {name} is; run it again")
        return found

    @property
    def adapter(self) -> str | None:
        """What ``--adapter`` told the server of its condition."""
        return self._chosen.get("--adapter")

    @property
    def registry(self) -> str | None:
        """Where that adapter came from; None is the default."""
        return self._chosen.get("--registry")

    @property
    def _chosen(self) -> dict[str, str]:
        return _adapter_and_rest(self.settings.get("flags") or ())[0]

    def ran(self, adapter: str) -> bool:
        """Whether this adapter answered: by ``--adapter``, or as a model of a server, as vLLM has it."""
        return adapter in (self.adapter, self.manifest.get("model"))


def read_run(text: str) -> EvalRun:
    """``RUN`` or ``RUN:condition``, of which RUN is a folder of midcourse eval.

    Raises:
        RunError, OutcomeError: it is none, or has other conditions.
    """
    folder, condition = Path(text), ""
    if not folder.is_dir() and ":" in text:
        path, _, condition = text.rpartition(":")
        folder = Path(path)
    if not folder.is_dir():
        raise RunError(f"{text}: there is no such folder; give RUN or RUN:condition, where midcourse eval wrote RUN")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / MANIFEST}: cannot read it: {error}; give a folder of midcourse eval") from error
    outcomes = read_outcomes(folder)
    known = sorted({one.condition for one in outcomes})
    if not condition and len(known) == 1:
        condition = known[0]
    if condition not in known:
        wanted = f"has no condition {condition!r}" if condition else "has several conditions"
        raise RunError(f"{folder}: {wanted}; say {' or '.join(f'{folder}:{each}' for each in known) or 'another RUN'}")
    own = tuple(sorted((one for one in outcomes if one.condition == condition), key=lambda one: one.key))
    if twice := next((one for one, after in pairwise(own) if one.key == after.key), None):
        raise RunError(f"{folder}: {twice.task} {twice.id} has two answers of epoch {twice.epoch}; remove one")
    return EvalRun(f"{folder}:{condition}", own, manifest)


def check_alike(one: EvalRun, other: EvalRun, tasks: Collection[str], judges: Collection[str]) -> None:
    """That the same was asked in the same way, and judged by the same judges; of what a comparison looks at.

    Raises:
        RunError: naming what differs.
    """
    for part, keys in (("sampling", None), ("tasks", tasks), ("judges", judges)):
        was, now = (_part(run, part) for run in (one, other))
        for key in sorted((was.keys() | now.keys()) - FREE) if keys is None else sorted(keys):
            values = [_facts(told, part, key) for told in (was, now)]
            if values[0] != values[1]:
                told = " and ".join(
                    f"{value!r:.60} in {run.name}" for value, run in zip(values, (one, other), strict=True)
                )
                raise RunError(f"{part}.{key}: is {told}; run both alike")
    for task in sorted(tasks):
        asked = [{each.key for each in run.outcomes if each.task == task} for run in (one, other)]
        for run, missing in ((one, asked[1] - asked[0]), (other, asked[0] - asked[1])):
            if missing:
                _, item, epoch = min(missing)
                raise RunError(
                    f"{run.name}: lacks {len(missing)} answers of {task}, such as {item} epoch {epoch}; run it"
                )


def check_only_adapter(baseline: EvalRun, candidate: EvalRun, adapter: str) -> None:
    """That the candidate ran an adapter, the baseline did not, and that is all that sets the two apart.

    Raises:
        RunError: naming what differs.
    """
    if not candidate.ran(adapter):
        told = f"--adapter {candidate.adapter}" if candidate.adapter else "no adapter"
        model = candidate.manifest.get("model")
        raise RunError(f"{candidate.name}: ran model {model} with {told}; run it with --adapter {adapter}")
    if baseline.ran(adapter):
        raise RunError(f"{baseline.name}: ran {adapter} as well; give a run of what it is to take the place of")
    was, now = (_but_adapter(run) for run in (baseline, candidate))
    if candidate.manifest.get("model") != adapter:
        was["model"], now["model"] = (run.manifest.get("model") for run in (baseline, candidate))
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            told = f"{was.get(key)!r:.60} in {baseline.name} and {now.get(key)!r:.60} in {candidate.name}"
            raise RunError(f"{key}: is {told}; an adapter is promoted for what it alone did, so run both alike")


def check_shared(one: EvalRun, other: EvalRun, *kinds: Kind) -> None:
    """That two runs are alike in the tasks that both have, and in the judges of these.

    Raises:
        RunError: naming what differs.
    """
    seen = [[each for each in run.outcomes if each.kind in kinds] for run in (one, other)]
    tasks = set.intersection(*({each.task for each in part} for part in seen))
    judges = set.intersection(*({judge for each in part for judge in each.harm} for part in seen))
    check_alike(one, other, tasks, judges)


def _part(run: EvalRun, name: str) -> Mapping[str, Any]:
    part = run.manifest.get(name)
    if not isinstance(part, Mapping):
        raise RunError(f"{run.name}: its {MANIFEST} does not say {name}; run it again with this midcourse eval")
    return part


def _but_adapter(run: EvalRun) -> dict[str, Any]:
    return {**run.settings, "flags": _adapter_and_rest(run.settings.get("flags") or ())[1]}


def _adapter_and_rest(flags: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Flags that say which adapter ran, the last of each, and all others."""
    chosen, rest, left = dict[str, str](), list[str](), iter(flags)
    for flag in left:
        name, equals, value = flag.partition("=")
        if name not in ADAPTER:
            rest.append(flag)
            continue
        chosen[name] = value if equals else next(left, "")
    return chosen, rest


def _facts(told: Mapping[str, Any], part: str, key: str) -> object:
    """Of a task, only what was in its file: how many items were taken is seen from the outcomes."""
    found = told.get(key)
    return found.get("sha256") if part == "tasks" and isinstance(found, Mapping) else found
