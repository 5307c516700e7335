"""What ``midcourse eval report`` does between its flags and the page: runs, files beside them, what is written.

Found late, because numpy and matplotlib come along.
"""

import json as jsonlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from midcourse.models.caveats import caveats
from midcourse.models.curves import Ranking, ranking
from midcourse.models.files import write_atomically
from midcourse.models.outcome import OutcomeError, read_outcomes
from midcourse.models.outcome_run import RunError, read_run
from midcourse.models.report import More, blocks, stream_rows
from midcourse.models.report_page import Block, Picture, markdown, page
from midcourse.models.report_tables import Arm
from midcourse.models.rows import DataError, objects
from midcourse.models.traffic import traffic
from midcourse.server.cue_work import print_json
from midcourse.server.errors import CallerError, StoreError, as_callers
from midcourse.server.rows import Filters
from midcourse.server.store import open_store


def report(
    runs: Sequence[str], out: Path, *, title: str, streaming: Sequence[Path], roc: Sequence[Path], json: bool
) -> None:
    """Write both pages and the pictures.

    Raises:
        CallerError: a run or a file is wrong, or nothing can be written.
    """
    with as_callers(RunError, OutcomeError, DataError, StoreError):
        arms = arms_of(runs)
        streams = {**_guarded(arms), **{path.name: _streamed(path) for path in streaming}}
        more = More(streams, _rankings(roc))
    found = blocks(arms, more)
    files = _written(out, title, found)
    warnings = caveats(arms)
    if json:
        print_json({"files": files, "conditions": [arm.name for arm in arms], "warnings": warnings})
        return
    for warning in warnings:
        print(f"midcourse: {warning}")  # noqa: T201
    print(f"written: {', '.join(files)}")  # noqa: T201


def arms_of(runs: Sequence[str]) -> list[Arm]:
    """Every condition of every run, in the order of the outcomes; a condition's name where that says enough.

    Raises:
        RunError, OutcomeError: a run cannot be read.
        CallerError: a condition was named twice.
    """
    named = [name for text in runs for name in _conditions(text)]
    if twice := [name for name, times in Counter(named).items() if times > 1]:
        raise CallerError(f"{twice[0]}: is there twice; give every run once")
    found = [read_run(name) for name in named]
    folders = {Path(run.name.rpartition(":")[0]) for run in found}
    plain = len({folder.name for folder in folders}) == len(folders)
    arms = []
    for run in found:
        folder, _, condition = run.name.rpartition(":")
        several = f"{Path(folder).name if plain else folder}:{condition}"
        arms.append(Arm(several if len(folders) > 1 else condition, run))
    return arms


def _conditions(text: str) -> list[str]:
    """``RUN:condition`` for every condition of a run; what names one already stays."""
    if not Path(text).is_dir():
        return [text]
    return [f"{Path(text)}:{name}" for name in dict.fromkeys(one.condition for one in read_outcomes(Path(text)))]


def _guarded(arms: Sequence[Arm]) -> dict[str, Any]:
    """What the guard did, from the traces that a run keeps of every condition; those without a guard have nothing."""
    found: dict[str, Any] = {}
    for arm in arms:
        folder, _, condition = arm.run.name.rpartition(":")
        file = Path(folder) / "traces" / f"{condition}.db"
        if file.is_file():
            store = open_store(f"sqlite:///{file.absolute()}", create=False)
            try:
                seen = [each.plain() for each in traffic(store.iterate(Filters(purpose="eval"))) if each.generations]
            finally:
                store.close()
            found |= {arm.name: {"traffic": seen}} if seen else {}
    return found


def _streamed(path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = jsonlib.loads(path.read_text(encoding="utf-8"))
        stream_rows(path.name, told)
    except OSError as error:
        raise CallerError(f"--streaming {path}: cannot read it: {error.strerror}", param="streaming") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"--streaming {path}: give what midcourse eval streaming --json printed"
        raise CallerError(message, param="streaming") from error
    return told


def _rankings(files: Sequence[Path]) -> dict[str, Ranking]:
    """Scores of labelled answers, by judge."""
    scored: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
    for where, value in (line for path in files for line in objects(path)):
        match value:
            case {"judge": str() as judge, "score": int() | float() as score, "harmful": bool() as is_}:
                scored[judge].append((float(score), is_))
            case _:
                raise DataError(f'{where}: write {{"judge": NAME, "score": 0 to 1, "harmful": true or false}}')
    return {
        judge: ranking(np.array([s for s, _ in told]), np.array([h for _, h in told]), np.arange(len(told)))
        for judge, told in scored.items()
    }


def _written(out: Path, title: str, found: Sequence[Block]) -> list[str]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for block in found:
            if isinstance(block, Picture):
                (out / f"{block.name}.png").write_bytes(block.png)
        pages = {out / "report.md": markdown(title, found), out / "report.html": page(title, found)}
        for path, text in pages.items():
            write_atomically(path, text)
    except OSError as error:
        raise CallerError(f"--out {out}: cannot write there: {error.strerror}", param="out") from error
    return [str(path) for path in pages]
