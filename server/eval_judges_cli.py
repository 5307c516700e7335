"""``midcourse eval judges``, ``train-judge``: how far judges of answers agree with people. Knows flags and tables."""

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from midcourse.models.answer import AnswerJudgeError
from midcourse.models.answer_judges import JudgeSpecError, judges_of
from midcourse.models.rows import DataError
from midcourse.models.terminal import visible
from midcourse.server.cue_cli import late
from midcourse.server.errors import CallerError, MidcourseError, as_callers

Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder with judges/ and traces/, see docs/judges.md.")]
WIDE = 160
COLUMNS = ("accuracy", "kappa", "precision", "recall")


def judges(
    *,
    data: Data,
    judges: Annotated[str, typer.Option(help="Which, separated by commas; see docs/judges.md.")] = "refusal,ngram",
    sets: Annotated[str, typer.Option(help="Which labelled sets, separated by commas; default: all there are.")] = "",
    json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Measure judges of answers against people's labels, every number with its 95 % interval."""
    try:
        with as_callers(JudgeSpecError, DataError):
            found, skipped = late("models.judge_agreement:compared")(judges_of(judges), data, sets)
    except AnswerJudgeError as error:
        raise MidcourseError(str(error)) from error
    if json:
        typer.echo(jsonlib.dumps([each.plain() for each in found], indent=2, ensure_ascii=False))
    else:
        show(found)
    for name in skipped:
        typer.echo(f"midcourse: {visible(name)}", err=True)


def train_judge(
    *,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="Gets the judge and its card.")],
    json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Train the small judge of answers on GPTFuzz's human labels, and measure it on the questions held out."""
    try:
        with as_callers(DataError):
            card = late("train.answer_judge:train_judge")(data, out)
    except OSError as error:
        raise CallerError(f"--out {out}: cannot write it: {error.strerror}") from error
    told = {key: value for key, value in card.items() if key != "weights"}
    typer.echo(
        jsonlib.dumps(told, indent=2) if json else f"{out}: kappa {shown(card['held_out']['kappa'])} on held out"
    )


def show(found: list[Any]) -> None:
    """One row for each judge on each set."""
    table = Table(box=None, pad_edge=False)
    for name in ("set", "yes is", "judge", "n", "items", "yes", *COLUMNS):
        table.add_column(name, justify="left" if name in ("set", "yes is", "judge") else "right", header_style="dim")
    for each in found:
        head = [Text(visible(text)) for text in (each.set, each.asks, each.judge)]
        cells = [shown(each.found[name]._asdict()) for name in COLUMNS]
        table.add_row(*head, str(each.n), str(each.items), str(each.yes), *cells)
    console = Console(width=WIDE)
    console.print(table)
    console.print(
        "Intervals of 95 % are from drawing items, and stand where there are enough of them (docs/judges.md)."
    )


def shown(estimate: dict[str, Any]) -> str:
    """A number with its interval."""
    if estimate["value"] is None:
        return "–"
    if estimate["low"] is None:
        return f"{estimate['value']:.2f}"
    return f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f})"
