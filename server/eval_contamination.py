"""Runs and benchmarks in, fidelity and resistance or a rewritten benchmark out. Knows files, and what is printed."""

import json as jsonlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from midcourse.models.answer import AnswerJudgeError
from midcourse.models.contamination import ContaminationError, Results, agreement, aligned, assess, table
from midcourse.models.eval_items import FIELDS, id_of
from midcourse.models.files import write_atomically
from midcourse.models.outcome import Outcome, OutcomeError, read_outcomes
from midcourse.models.rows import DataError, objects
from midcourse.models.updates import TRANSFORMS, Question, Transform, Unchanged, back_translation, paraphrase, updated
from midcourse.server.cue_cli import late
from midcourse.server.errors import CallerError, EngineError, as_callers

MOST_TOKENS = 512
"""Of a reply of the model that rewrites."""


def contamination(
    original: str, contaminated: str, updates: Sequence[str], failed: Sequence[str], *, task: str | None, json: bool
) -> None:
    """Read, assess and print.

    Raises:
        CallerError: a run is none, or has other items.
    """
    with as_callers(OutcomeError, ContaminationError, DataError):
        lost = {name: _failed(Path(file)) for name, file in (_named("--failed", each) for each in failed)}
        pairs = {}
        for name, runs in (_named("--update", each) for each in updates):
            first, comma, second = runs.partition(",")
            if not comma:
                raise CallerError(f"--update {name}={runs}: needs two runs, NAME=RUN,RUN: both models on it")
            pairs[name] = tuple({**_results(run, task), **lost.get(name, {})} for run in (first, second))
        if unknown := lost.keys() - pairs.keys():
            raise CallerError(f"--failed {min(unknown)}: there is no --update of that name")
        base = _results(original, task)
        found = assess(base, _results(contaminated, task), {name: (a, b) for name, (a, b) in pairs.items()})
        again = _results(original, task, epoch=2)
        floor = agreement(*aligned({"epoch 1": base, "epoch 2": again})[0].values()) if again else None
    if json:
        told = {"assessed": [asdict(each) for each in found], "noise": asdict(floor) if floor else None}
        print(jsonlib.dumps(told, default=list))  # noqa: T201
        return
    header, *rows = table(found)
    shown = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        shown.add_row(*row)
    Console(highlight=False).print(shown)
    if floor and floor.share.value is not None:
        typer.echo(f"noise: the model agrees with itself, drawn anew, on {floor.share.value:.2f} of the benchmark")


def _named(flag: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise CallerError(f"{flag} {text}: expected NAME=...")
    return name, value


def _results(run: str, task: str | None, epoch: int = 1) -> Results:
    """Right or wrong by item, of one condition and task."""
    path, condition = Path(run), ""
    if not path.exists() and ":" in run:
        folder, _, condition = run.rpartition(":")
        path = Path(folder)
    outcomes = [one for one in read_outcomes(path) if one.kind == "capability"]
    outcomes = [one for one in outcomes if condition in ("", one.condition) and task in (None, one.task)]
    _one("condition", {one.condition for one in outcomes}, run, "give RUN:CONDITION")
    _one("task", {one.task for one in outcomes}, run, "choose one with --task")
    return _by_id([one for one in outcomes if one.epoch == epoch], run)


def _by_id(outcomes: Sequence[Outcome], run: str) -> Results:
    twice = [name for name, n in Counter(one.id for one in outcomes).items() if n > 1]
    if twice:
        raise CallerError(f"{run}: {twice[0]} has several answers of one epoch; remove all but one")
    return {one.id: one.correct for one in outcomes}


def _one(what: str, found: set[str], run: str, fix: str) -> None:
    if not found:
        raise CallerError(f"{run}: has no answers of a capability task that were asked for; choose another run")
    if len(found) > 1:
        raise CallerError(f"{run}: has several of {what}: {', '.join(sorted(found))}; {fix}")


def _failed(file: Path) -> Results:
    return {str(row.get("id")): None for _, row in objects(file)}


def update(
    items: Path,
    transform: str,
    out: Path,
    *,
    seed: int,
    url: str | None,
    model: str | None,
    language: str,
    json: bool,
) -> None:
    """Read, rewrite and write; the order stays.

    Raises:
        CallerError: a row is no question, a flag is missing, or a file cannot be written.
        EngineError: the model that rewrites cannot be reached.
    """
    change = TRANSFORMS.get(transform) or _by_model(transform, url, model, language)
    done, failed = [], []
    with as_callers(DataError):
        for where, row in objects(items):
            field, question = _question(row, where)
            try:
                found = updated(question, change, seed)
            except Unchanged as error:
                failed.append({"id": question.id, "reason": str(error)})
                continue
            except AnswerJudgeError as error:
                raise EngineError(str(error)) from error
            options = {"choices": list(found.options), "answer": found.answer} if found.options else {}
            done.append({**row, "id": found.id, field: found.text, **options})
    for file, rows in ((out, done), (out.with_name(f"{out.name}.failed"), failed)):
        _write(file, rows)
    told = {"transform": transform, "seed": seed, "rewritten": len(done), "failed": len(failed)}
    print(jsonlib.dumps(told) if json else f"{len(done)} rewritten into {out}, {len(failed)} not")  # noqa: T201


def _by_model(transform: str, url: str | None, model: str | None, language: str) -> Transform:
    if not url or not model:
        raise CallerError(f"--transform {transform}: needs --url and --model of what rewrites")
    server = late("models.ask:Server")(url, model, most=MOST_TOKENS)

    def ask(request: str) -> str:
        return str(server.chat([{"role": "user", "content": request}]))

    return paraphrase(ask) if transform == "paraphrase" else back_translation(ask, language)


def _question(row: dict[str, Any], where: str) -> tuple[str, Question]:
    """Which field asks, and the question; options are ``choices``, with the place of the right one in ``answer``."""
    field = next((name for name in FIELDS if isinstance(row.get(name), str) and row[name].strip()), None)
    if field is None:
        raise DataError(f"{where}: asks nothing; expected one of the fields {', '.join(FIELDS)}")
    options, answer = row.get("choices"), row.get("answer")
    if options is None:
        return field, Question(id_of(row, row[field]), row[field])
    if not isinstance(options, list) or not isinstance(answer, int) or not 0 <= answer < len(options):
        raise DataError(f"{where}: choices: expected a list, and in answer the place of the right one, from 0")
    return field, Question(id_of(row, row[field], options, answer), row[field], tuple(map(str, options)), answer)


def _write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    try:
        write_atomically(file, "".join(jsonlib.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    except OSError as error:
        raise CallerError(f"--out {file}: cannot write it: {error.strerror}") from error
