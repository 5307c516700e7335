"""``midcourse eval contamination`` and ``eval update``: does a rewritten benchmark help? Knows flags, and no more."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from midcourse.server.cue_cli import late

Json = Annotated[bool, typer.Option("--json", help="For machines.")]
Name = Literal["typo", "synonym", "shuffle", "irrelevant", "relevant", "syntax", "paraphrase", "back-translation"]
RUN = "What midcourse eval wrote of {}; FILE or DIR, with :CONDITION where it holds several."


def contamination(
    *,
    original: Annotated[str, typer.Option(metavar="RUN", help=RUN.format("the model on the benchmark"))],
    contaminated: Annotated[str, typer.Option(metavar="RUN", help=RUN.format("the model that learned it, on it"))],
    update: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=RUN,RUN", help="Both models on an updated benchmark, in that order; repeatable."),
    ] = None,
    failed: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="What eval update could not rewrite; repeatable.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Of this task, where a run has several.")] = None,
    json: Json = False,
) -> None:
    """Print fidelity and contamination resistance of each update, question by question, against no update."""
    work = late("server.eval_contamination:contamination")
    work(original, contaminated, update or [], failed or [], task=task, json=json)


def update(
    items: Annotated[Path, typer.Argument(metavar="ITEMS.jsonl", help="Rows with a question; id, choices, answer.")],
    *,
    transform: Annotated[Name, typer.Option(help="How they are rewritten.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Gets the rewritten items; the others: FILE.failed.")],
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
    url: Annotated[str | None, typer.Option(help="OpenAI-compatible server that rewrites, up to /v1.")] = None,
    model: Annotated[str | None, typer.Option(help="Its model.")] = None,
    language: Annotated[str, typer.Option(help="Of back-translation.")] = "French",
    json: Json = False,
) -> None:
    """Rewrite the items of a benchmark, always in the same way for a seed; what cannot be rewritten is counted."""
    work = late("server.eval_contamination:update")
    work(items, transform, out, seed=seed, url=url, model=model, language=language, json=json)
