"""``midcourse rollouts``: the rejected sides of pairs, completed. Knows flags; the work is named as text."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from midcourse.models.rows import DataError
from midcourse.server.adapters_cli import DEFAULT_REGISTRY, Folder
from midcourse.server.cue_cli import late
from midcourse.server.errors import as_callers


def rollouts(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="Folder that midcourse pairs build wrote.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder of pairs.")],
    model: Annotated[str | None, typer.Option(help="smollm2, a folder or a hub id; default: the pairs' own.")] = None,
    registry: Folder = DEFAULT_REGISTRY,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of reasoning, cue and continuation; default: as it was generated.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Continuations at once.")] = 16,
    dtype: Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="Of the weights.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Complete the rejected sides of pairs, which the guard had stopped, with the model that generated them."""
    wish = {"max_tokens": max_tokens, "seed": seed, "batch_size": batch_size}
    command = shlex.join(["midcourse", *sys.argv[1:]])
    with as_callers(DataError):
        make = late("train.rollouts_make:make")
        make(pairs, out, model=model, registry=registry, dtype=dtype, command=command, json=json, **wish)
