"""``midcourse loop``: the whole walk on this machine. Knows flags and exit codes; 1: the gate refused."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from midcourse.server.config import Settings
from midcourse.server.cue_cli import late

MODEL = str(Settings.model_fields["model"].default)


def loop(
    context: typer.Context,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder for all of it; default: data/loop-TIME.")
    ] = None,
    model: Annotated[str, typer.Option(help="Of the embedded engine.")] = MODEL,
    rounds: Annotated[int, typer.Option(min=1, max=9, help="Each learns from what is still corrected.")] = 1,
    triggers: Annotated[int, typer.Option(min=1, max=14, help="Of each harmful prompt.")] = 2,
    tries: Annotated[int, typer.Option(min=0, max=14, help="More, offline, where a generation gave no pair.")] = 6,
    refusals: Annotated[bool, typer.Option(help="Where no try is safe, prefer the guard's own refusal.")] = True,
    benign_pairs: Annotated[bool, typer.Option(help="Mix pairs against over-refusal in.")] = True,
    retain: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Benign thoughts to keep; default: those that come along.")
    ] = None,
    retain_weight: Annotated[float, typer.Option(min=0, help="Of the loss on them.")] = 2.0,
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the pairs.")] = 3.0,
    learning_rate: Annotated[float, typer.Option(min=1e-8, help="Peak of the training.")] = 3e-4,
    max_tokens: Annotated[int, typer.Option(min=16, help="Of a completion.")] = 80,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Collect, approve, train, pass the gate, promote, serve: on a few dozen prompts. Flags of train ipo may follow."""
    folder = out or Path("data") / f"loop-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    wish = {"model": model, "rounds": rounds, "triggers": triggers, "max_tokens": max_tokens, "seed": seed}
    wish |= {"tries": tries, "benign_pairs": benign_pairs, "retain_weight": retain_weight, "epochs": epochs}
    wish |= {"refusals": refusals, "learning_rate": learning_rate, **({"retain": tuple(retain)} if retain else {})}
    passed = late("server.loop:loop")(folder, json=json, train=tuple(context.args), **wish)
    raise typer.Exit(0 if passed else 1)
