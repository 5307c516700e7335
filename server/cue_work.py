"""What ``midcourse cue`` does between its flags and the arithmetic: files, hashes, judges, what is written and printed.

Knows no formula: those are ``models.evaluate``'s and ``models.calibrate``'s. Found late, because numpy comes along.
"""

import json as jsonlib
import pkgutil
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from midcourse.guard.verdict import Judge, Phase
from midcourse.models import calibrate as calibration
from midcourse.models import evaluate as evaluation
from midcourse.models.bar import watched
from midcourse.models.calibrate import Found, Per
from midcourse.models.files import sha256_of, write_atomically
from midcourse.models.labels import read_labels, relabelled
from midcourse.models.replay import Window
from midcourse.models.rows import DataError, Row, read
from midcourse.server import cue_show
from midcourse.server.config import JudgeName, Settings
from midcourse.server.errors import CallerError, ConfigError, MidcourseError, as_callers
from midcourse.server.judges import open_judge
from midcourse.server.policy_file import settings_of, write_thresholds


class Input(NamedTuple):
    """One file, as evidence."""

    file: str
    role: str
    sha256: str
    rows: int


def judge_of(name: JudgeName, model: Path | None) -> Judge:
    """The judge that a command names.

    Raises:
        CallerError: its folder is wrong.
    """
    if name == "lexical" and model is not None:
        raise CallerError("--model: the lexical judge has no folder; leave it out, or take --judge cue")
    try:
        return open_judge(name, model)
    except ConfigError as error:
        flag = "--judge" if error.param == "judge" else "--model"
        raise CallerError(f"{flag} {error}", param=flag.removeprefix("--")) from error


def evaluate(
    judge: Judge,
    *,
    data: Sequence[Path],
    benign: Sequence[Path],
    labels: Sequence[Path],
    threshold: float,
    png: Path | None,
    json: bool,
) -> None:
    """Measure and print.

    Raises:
        CallerError: a file is wrong, or there is nothing to draw.
        MidcourseError: the picture cannot be written.
    """
    if not data and not benign:
        raise CallerError("there is nothing to measure; give --data FILE, or --benign FILE")
    if png is not None and not png.absolute().parent.is_dir():
        raise CallerError(f"--png {png}: there is no such folder", param="png")
    draw = pkgutil.resolve_name("midcourse.models.plot:draw") if png is not None else None  # before an hour of judging
    with as_callers(DataError), watched("judging") as told:
        rows, innocent, files = inputs(data, benign, labels)
        if png is not None and not any(span.label in ("cue", "harmful") for row in rows for span in row.spans):
            raise CallerError(
                "--png: no sentence of --data is labelled cue or harmful, so there is no curve", param="png"
            )
        rows, innocent = _with_reasoning(rows), _with_reasoning(innocent)
        if not rows and not innocent:
            raise CallerError("no row has reasoning, so there is nothing to measure")
        measured = evaluation.measure(judge, rows, innocent, told)
    found = evaluation.report(measured, threshold)
    if draw is not None:
        _draw(draw, png, measured)
    if json:
        card = getattr(judge, "card", None)  # a judge of word lists has none
        measured_on = {"card": card.fingerprint} if card else {}
        print_json({**found.plain(), **measured_on, "files": [file._asdict() for file in files]})
    else:
        cue_show.report(found, [f"{file.role}: {file.file} ({file.rows} rows)" for file in files])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``midcourse cue calibrate`` was asked for."""

    benign: tuple[Path, ...]
    target: float
    per: Per
    policy: Path | None
    judge: str
    model: Path | None

    @property
    def command(self) -> str:
        """The command line that finds the same again."""
        words = ["midcourse", "cue", "calibrate", *(word for path in self.benign for word in ("--benign", str(path)))]
        words += ["--target-fpr", f"{self.target:g}", "--per", self.per, "--judge", self.judge]
        for name, value in (("--policy", self.policy), ("--model", self.model)):
            words += [name, str(value)] if value is not None else []
        return shlex.join(words)


def calibrate(judge: Judge, wanted: Wanted, *, json: bool) -> None:
    """Find thresholds, print them, and write them where a settings file is given.

    Raises:
        CallerError: a file or the target is wrong, or no phase can be calibrated.
    """
    policy, target = wanted.policy, wanted.target
    if not wanted.benign:
        raise CallerError("there is nothing to calibrate on; give --benign FILE")
    if not 0 < target < 1:
        raise CallerError(f"--target-fpr is {target}: expected a share between 0 and 1, such as 0.001")
    settings = settings_of(policy) if policy is not None else Settings()
    guard = settings.policy
    window = Window(guard.max_step_chars, guard.context_chars, guard.prompt_chars)
    if policy is not None and str(settings.judge) != wanted.judge:
        _warn(f"{policy} sets judge: {settings.judge}, but these thresholds are for {wanted.judge}")
    elif policy is not None and settings.judge_model != wanted.model:
        theirs = settings.judge_model or "none, the one inside"
        _warn(f"{policy} sets judge_model: {theirs}, but these thresholds are for {wanted.model or 'the one inside'}")
    with as_callers(DataError), watched("judging") as told:
        _, rows, files = inputs((), wanted.benign, ())
        found = calibration.calibrate(judge, rows, target, per=wanted.per, window=window, progress=told)
    problems = [f"{phase}: {each.problem}" for phase, each in found.items() if each.problem]
    if len(problems) == len(found):
        raise CallerError("; ".join(problems))
    for problem in problems:
        _warn(f"{problem}; its threshold stays as it was")
    evidence = _evidence(judge, wanted, found, files)
    if policy is not None:
        _write(policy, found, evidence)
    if json:
        print_json(evidence)
    else:
        cue_show.thresholds(judge.name, found, target, wanted.per)
        print(f"written to {policy} and {_beside(policy)}" if policy else "not written; --policy FILE does")  # noqa: T201


def compare(files: Sequence[Path], labels: Path | None, other: Path, json: bool) -> None:
    """Print how far two readings agree.

    Raises:
        CallerError: a file is wrong, or they have nothing in common.
    """
    with as_callers(DataError):
        readings = pkgutil.resolve_name("midcourse.train.label:readings")
        agreement = pkgutil.resolve_name("midcourse.train.agreement:agreement")
        found = agreement(readings(files, labels), readings((), other))
    if json:
        print_json({name: estimate._asdict() for name, estimate in found.items()})
    else:
        cue_show.section("agreement", found)


def read_aloud(files: Sequence[Path], labels: Path | None, *, json: bool, **wish: Any) -> None:
    """Have somebody label.

    Raises:
        CallerError: a file is wrong.
    """
    if labels is None:
        raise CallerError("--labels: say which file takes the labels")
    with as_callers(DataError):
        wish["name"] = f"{wish['name']}, {datetime.now(UTC):%Y-%m-%d}"
        done = pkgutil.resolve_name("midcourse.train.label:label")(files, labels, quiet=json, **wish)
    if json:
        print_json({"labelled": done, "file": str(labels)})
    else:
        print(f"{done} sentences labelled, saved in {labels}")  # noqa: T201


def inputs(
    data: Iterable[Path], benign: Iterable[Path], labels: Iterable[Path]
) -> tuple[list[Row], list[Row], list[Input]]:
    """The rows of labelled files, corrected, and of benign ones; and what was read.

    Raises:
        DataError, CallerError: a file is wrong, or was given twice.
    """
    rows: dict[str, list[Row]] = {"data": [], "benign": []}
    files: list[Input] = []
    for role, paths in (("data", data), ("benign", benign)):
        for path in paths:
            new = read(path)
            files.append(Input(str(path), role, sha256_of(path), len(new)))
            rows[role] += new
    for path in labels:
        corrections = read_labels(path)
        rows["data"] = relabelled(rows["data"], corrections)
        files.append(Input(str(path), "labels", sha256_of(path), len(corrections)))
    seen: dict[str, str] = {}
    for file in files:
        if file.sha256 in seen:
            raise CallerError(f"{file.file}: is {seen[file.sha256]} again, and would count twice; give it once")
        seen[file.sha256] = file.file
    return rows["data"], rows["benign"], files


def _with_reasoning(rows: Sequence[Row]) -> list[Row]:
    """Those that have any: a model that answered without thinking has no sentence to ask about."""
    kept = [row for row in rows if row.reasoning.strip()]
    if len(kept) < len(rows):
        first = next(row for row in rows if not row.reasoning.strip())
        _warn(f"{len(rows) - len(kept)} rows without reasoning are left out, the first is {first.where}")
    return kept


def _draw(draw: Callable[..., None], png: Path | None, measured: evaluation.Measured) -> None:
    own = [trace for trace in measured.data if trace.labelled]
    pooled = evaluation.ranked([*own, *measured.benign])
    try:
        draw(png, evaluation.ranked(own), pooled, f"{measured.judge}: cue or harmful against the rest")
    except OSError as error:
        raise MidcourseError(f"--png {png}: cannot write it: {error.strerror}", param="png") from error


def _evidence(judge: Judge, wanted: Wanted, found: dict[Phase, Found], files: Sequence[Input]) -> dict[str, Any]:
    """What a threshold stands on, for each phase."""
    common = {"judge": judge.name, "target_fpr": wanted.target, "per": wanted.per, "command": wanted.command}
    common |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "files": [file._asdict() for file in files]}
    return {phase: {**asdict(each), **common} for phase, each in found.items()}


def _write(policy: Path, found: dict[Phase, Found], evidence: dict[str, Any]) -> None:
    thresholds: dict[str, float] = {
        phase: each.threshold for phase, each in found.items() if each.threshold is not None
    }
    write_thresholds(policy, thresholds)
    beside = _beside(policy)
    try:
        kept = jsonlib.loads(beside.read_text(encoding="utf-8")) if beside.exists() else {}
        new = kept | {phase: evidence[phase] for phase in thresholds}
        write_atomically(beside, jsonlib.dumps(new, indent=2) + "\n")
    except (OSError, ValueError) as error:
        raise MidcourseError(f"{policy} is written, but its evidence is not: {beside}: {error}") from error


def _beside(policy: Path) -> Path:
    return policy.with_suffix(".calibration.json")


def _warn(text: str) -> None:
    print(f"midcourse: {text}", file=sys.stderr)  # noqa: T201


def print_json(value: object) -> None:
    """For machines."""
    print(jsonlib.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))  # noqa: T201
