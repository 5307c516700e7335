"""``midcourse pairs``: what training learns from, made of approved traces.

Knows flags and opens the judge. The work is named as text, because a server does not import what trains.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from midcourse.models.rows import DataError
from midcourse.server.adapters_cli import DEFAULT_REGISTRY
from midcourse.server.adapters_cli import Folder as Registry
from midcourse.server.config import JudgeName
from midcourse.server.cue_cli import late
from midcourse.server.errors import as_callers

Weights = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="What goes on from the traces: smollm2, a folder or a hub id; default: theirs."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Continuations at once.")]
Dtype = Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="Of the weights.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]

AGAINST = "Items of evaluations, which are not to be trained on: JSONL or CSV, or a folder; repeatable."

app = typer.Typer(help="Make preference pairs of approved traces.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Make preference pairs of approved traces."""


@app.command()
def build(
    exports: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What midcourse traces export wrote.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder: Parquet files and a data card.")],
    model: Annotated[str | None, typer.Option(help="Only traces of this model.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="smollm2, a folder or a hub id; default: --weights.")] = None,
    weights: Weights = None,
    judge: Annotated[JudgeName, typer.Option(help="Which judge looks for cues in the chosen sides.")] = "cue",
    judge_model: Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder.")] = None,
    threshold: Annotated[float, typer.Option(min=0.001, max=1, help="It has found a cue from here on.")] = 0.5,
    per_prompt: Annotated[int, typer.Option(min=1, help="Pairs of one request at most.")] = 6,
    per_trigger: Annotated[int | None, typer.Option(min=1, help="Pairs with one trigger at most.")] = None,
    min_tokens: Annotated[int, typer.Option(min=1, help="Of either side, the trigger not counted.")] = 4,
    max_tokens: Annotated[int | None, typer.Option(min=8, help="Of prompt and longer side together.")] = None,
    test_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the requests that is held out.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, and of what a cap keeps.")] = 0,
    against: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", envvar="MIDCOURSE_AGAINST", help=AGAINST)
    ] = None,
    tries: Annotated[int, typer.Option(min=0, max=14, help="Triggers at a cut that gave no pair, offline.")] = 0,
    refusals: Annotated[
        bool, typer.Option("--refusals", help="Where nothing better is found, prefer the guard's own refusal.")
    ] = False,
    registry: Registry = DEFAULT_REGISTRY,
    batch_size: BatchSize = 16,
    dtype: Dtype = "auto",
    json: Json = False,
) -> None:
    """Make pairs: shared prefix, trigger and continuation as chosen, cue and continuation as rejected."""
    wish = {"model": model, "threshold": threshold, "per_prompt": per_prompt, "per_trigger": per_trigger}
    wish |= {"min_tokens": min_tokens, "max_tokens": max_tokens, "test_share": test_share, "seed": seed}
    opened = late("server.cue_work:judge_of")(judge, judge_model)
    command = shlex.join(["midcourse", *sys.argv[1:]])
    work = late("train.pairs_make:make")
    again = {"tries": tries, "registry": registry, "batch_size": batch_size, "dtype": dtype} if tries else None
    with as_callers(DataError):
        more = {"tokenizer": tokenizer, "weights": weights, "command": command, "again": again}
        work(exports, out, opened, json=json, refusals=refusals, against=against or [], **more, **wish)


@app.command()
def decontaminate(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="Folder that midcourse pairs build wrote.")],
    *,
    against: Annotated[list[Path], typer.Option(metavar="PATH", envvar="MIDCOURSE_AGAINST", help=AGAINST)],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="New folder, without what was found.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Gets ids, counts and misses.")] = None,
    neighbours: Annotated[bool, typer.Option("--neighbours", help="Name what is near in meaning, too.")] = False,
    encoder: Annotated[Path | None, typer.Option(metavar="DIR", help="MiniLM; default: the installed one.")] = None,
    json: Json = False,
) -> None:
    """Look for pairs whose request repeats an item of an evaluation; exit with 1 if there are some and no --out."""
    command = shlex.join(["midcourse", *sys.argv[1:]])
    wish = {"out": out, "told": report, "near": neighbours, "encoder": encoder, "command": command}
    with as_callers(DataError):
        clean = late("train.decontaminate_make:make")(pairs, against, json=json, **wish)
    raise typer.Exit(0 if clean else 1)


@app.command()
def benign(
    exports: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Approved traces of harmless requests.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder: Parquet files and a data card.")],
    adapter: Annotated[
        str | None, typer.Option(help="NAME-vN: what it refuses is rejected; default: triggers.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only traces of this model.")] = None,
    weights: Weights = None,
    judge: Annotated[JudgeName, typer.Option(help="Which judge looks for cues in the chosen sides.")] = "cue",
    judge_model: Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder.")] = None,
    threshold: Annotated[float, typer.Option(min=0.001, max=1, help="It has found a cue from here on.")] = 0.5,
    per_prompt: Annotated[int, typer.Option(min=1, help="Pairs of one request at most.")] = 6,
    min_tokens: Annotated[int, typer.Option(min=1, help="Of either side, a trigger not counted.")] = 4,
    max_tokens: Annotated[int | None, typer.Option(min=8, help="Of prompt and longer side together.")] = None,
    test_share: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the requests that is held out.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws, and of the split.")] = 0,
    against: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", envvar="MIDCOURSE_AGAINST", help=AGAINST)
    ] = None,
    registry: Registry = DEFAULT_REGISTRY,
    batch_size: BatchSize = 16,
    dtype: Dtype = "auto",
    json: Json = False,
) -> None:
    """Make pairs against over-refusal: the model's own way of answering as chosen, needless caution as rejected."""
    wish = {"model": model, "threshold": threshold, "per_prompt": per_prompt, "min_tokens": min_tokens}
    wish |= {"max_tokens": max_tokens, "test_share": test_share, "seed": seed}
    opened = late("server.cue_work:judge_of")(judge, judge_model)
    source = {"adapter": adapter, "weights": weights, "registry": registry, "batch_size": batch_size, "dtype": dtype}
    command = shlex.join(["midcourse", *sys.argv[1:]])
    with as_callers(DataError):
        make = late("train.benign_make:make")
        make(exports, out, opened, source, command=command, against=against or [], json=json, **wish)
