"""``midcourse eval run`` and ``list``: flags and exit codes; 1: a server or a task failed, the rest is kept.

The defaults are the small suite: about 40 minutes on two cores with the embedded model.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from midcourse.server.config import Settings
from midcourse.server.cue_cli import late

MODEL = str(Settings.model_fields["model"].default)
TASKS = "jailbreakbench,harmbench,xstest_safe,or_bench_hard,gsm8k"
GATED = (
    "is left out: the hub hands it out to whoever accepted its licence and logged in (hf auth login); or give --data"
)
ALL = 0

Data = Annotated[Path | None, typer.Option(metavar="DIR", help="Files of benchmarks; what is not there, the hub has.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]


def run(
    context: typer.Context,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; again, and it goes on.")],
    data: Data = None,
    tasks: Annotated[str, typer.Option(help="As midcourse eval list names them.")] = TASKS,
    conditions: Annotated[
        str, typer.Option(help="off, or the judge of a guard; with --base-url, your name for that server.")
    ] = "off,lexical,cue,random",
    judges: Annotated[str, typer.Option(help="Two or more, see docs/eval.md.")] = "refusal,ngram",
    model: Annotated[str, typer.Option(help="Of the embedded engine, or as --base-url calls it.")] = MODEL,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="A server that runs; ends in /v1.")] = None,
    api_key: Annotated[str, typer.Option(envvar="EVAL_API_KEY", help="For it; of ours, an administrator's.")] = "",
    midcourse: Annotated[
        bool | None, typer.Option(help="Whether --base-url is ours; default: it is asked.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=ALL, help="Items of a task, drawn by --seed; 0: all.")] = 12,
    epochs: Annotated[int, typer.Option(min=1, help="Answers to each item.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=16, help="Of a completion.")] = 160,
    temperature: Annotated[float, typer.Option(min=0, max=2)] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.01, max=1)] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Answers at once.")] = 4,
    json: Json = False,
) -> None:
    """Ask benchmarks under several conditions, judge the answers, write a run folder. Flags of serve may follow."""
    target = late("server.eval_target:target_of")(
        model, base_url, api_key, midcourse=midcourse, flags=tuple(context.args)
    )
    wish: dict[str, Any] = {"limit": limit or None, "judges": judges, "epochs": epochs, "max_tokens": max_tokens}
    wish |= {"temperature": temperature, "top_p": top_p, "seed": seed, "concurrency": concurrency}
    wish |= {"tasks": _tasks(tasks, data), "data": data.absolute() if data else None}
    late("server.eval_run:run")(out, target, _names(conditions), wish, json=json)


def list_(data: Data = None, json: Json = False) -> None:
    """Name the tasks, what they ask, and where their items come from."""
    late("server.eval_list:show_tasks")(data, json=json)


def _tasks(text: str, data: Path | None) -> tuple[str, ...]:
    """Of the small suite what can be had here; of what somebody chose, everything."""
    names = _names(text)
    kept = late("server.eval_list:to_be_had")(names, data) if text == TASKS else names
    for name in names:
        if name not in kept:
            typer.echo(f"midcourse: {name} {GATED}", err=True)
    return tuple(kept)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
