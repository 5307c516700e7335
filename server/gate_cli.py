"""``midcourse gate``: measure adapters, compare runs, and let one serve only if it is no worse. Knows flags.

Exit code 1: the gate refused. The work is ``gate_work``'s, which brings numpy along and is looked up when it is needed.
"""

from pathlib import Path
from typing import Annotated

import typer

from midcourse.models.gate_limits import LIMITS, Limits
from midcourse.server.adapters_cli import DEFAULT_REGISTRY, AsJson, By, Folder
from midcourse.server.config import load
from midcourse.server.cue_cli import late
from midcourse.server.errors import CallerError

TEMPLATES = Path(__file__).parent / "templates"

File = Annotated[Path, typer.Argument(metavar="FILE", help="What midcourse gate measure wrote.")]
Run = Annotated[str | None, typer.Option(metavar="RUN[:CONDITION]", help="A folder of midcourse eval.")]
PolicyFile = Annotated[Path, typer.Option(metavar="FILE", help="What a candidate has to show, as in docs/gate.md.")]
Adapter = Annotated[str | None, typer.Option(metavar="NAME-vN", help="Promote it if the candidate passes.")]
POLICY = TEMPLATES / "gate.yaml"

app = typer.Typer(
    help="Measure adapters, and promote one only if it is no worse.", no_args_is_help=True, invoke_without_command=True
)


@app.callback()
def gate(
    context: typer.Context,
    *,
    baseline: Run = None,
    candidate: Run = None,
    policy: PolicyFile = POLICY,
    promote: Adapter = None,
    registry: Folder = DEFAULT_REGISTRY,
    by: By = None,
    json: AsJson = False,
) -> None:
    """Measure adapters, and promote one only if it is no worse. Without a command it is gate compare."""
    if context.invoked_subcommand is None:
        compare(
            baseline=baseline,
            candidate=candidate,
            policy=policy,
            promote=promote,
            registry=registry,
            by=by,
            json=json,
        )
    elif baseline or candidate:
        raise CallerError(f"--baseline, --candidate: write them behind {context.invoked_subcommand}, or drop that")


@app.command()
def compare(
    *,
    baseline: Run = None,
    candidate: Run = None,
    policy: PolicyFile = POLICY,
    promote: Adapter = None,
    registry: Folder = DEFAULT_REGISTRY,
    by: By = None,
    json: AsJson = False,
) -> None:
    """Compare two runs of midcourse eval axis by axis; exit with 1, and promote nothing, if it is refused."""
    for flag, given in (("baseline", baseline), ("candidate", candidate)):
        if given is None:
            raise CallerError(f"--{flag}: is missing; give a folder of midcourse eval, as RUN or RUN:CONDITION")
    work = late("server.gate_work:compare_runs")
    passed = work(baseline, candidate, policy, adapter=promote, registry=registry, by=by, json=json)
    raise typer.Exit(0 if passed else 1)


@app.command()
def measure(
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="Gets the measurement.")],
    adapter: Annotated[str | None, typer.Option(help="NAME-vN, NAME for what serves, or a PEFT folder.")] = None,
    model: Annotated[str | None, typer.Option(help="Base model; default: as in the settings.")] = None,
    registry: Folder = DEFAULT_REGISTRY,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="Gets the traces; default: as in the settings.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    prompts: Annotated[
        Path, typer.Option(metavar="FILE", help="JSONL: id, prompt, benign, split; those of split test are asked.")
    ] = TEMPLATES / "loop_prompts.jsonl",
    thoughts: Annotated[
        Path, typer.Option(metavar="FILE", help="JSONL of benign thoughts: id, prompt, reasoning, response.")
    ] = TEMPLATES / "loop_thoughts.jsonl",
    max_tokens: Annotated[int, typer.Option(min=1, help="Completion tokens at most.")] = 128,
    temperature: Annotated[float, typer.Option(min=0, max=2)] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.01, max=1)] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Generations at once.")] = 4,
    json: AsJson = False,
) -> None:
    """Measure interventions, refusals and loss of an adapter, or of the base model, on held-out prompts."""
    flags = {"adapter": adapter, "model": model, "registry": str(registry), "store": store}
    wish = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
    work = late("server.measure:measure")
    work(load(config, flags), prompts, thoughts, out, json=json, concurrency=concurrency, **wish)


@app.command()
def decide(
    before: File,
    after: File,
    *,
    drop: Annotated[
        float, typer.Option(min=0, max=1, help="Interventions fall by this share of before.")
    ] = LIMITS.drop,
    refusals: Annotated[
        float, typer.Option(min=0, max=1, help="Share of benign prompts that may be refused beyond before.")
    ] = LIMITS.refusals,
    loss: Annotated[float, typer.Option(min=0, help="Nats a token that benign thoughts may cost more.")] = LIMITS.loss,
    prompts: Annotated[int, typer.Option(min=4, help="Harmful and benign prompts at least.")] = LIMITS.prompts,
    promote: Annotated[bool, typer.Option("--promote", help="Promote AFTER's adapter if it passes.")] = False,
    registry: Folder = DEFAULT_REGISTRY,
    by: By = None,
    json: AsJson = False,
) -> None:
    """Compare two measurements; exit with 1, and promote nothing, if the second is worse."""
    limits = Limits(drop, refusals, loss, prompts)
    passed = late("server.gate_work:decide_on")(
        before, after, limits, registry=registry if promote else None, by=by, json=json
    )
    raise typer.Exit(0 if passed else 1)
