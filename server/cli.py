"""The command ``midcourse``. Knows flags, exit codes and one-line errors; each command's work has its own file.

Exit codes: 0 done, 1 the work itself failed, 2 the command or its input was wrong, 130 interrupted.
"""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from midcourse import __version__
from midcourse.server.adapters_cli import app as adapters_app
from midcourse.server.analyse_cli import app as analyse_app
from midcourse.server.config import Settings, load, overrides_of
from midcourse.server.cue_cli import app as cue_app
from midcourse.server.cue_cli import late
from midcourse.server.errors import CallerError, MidcourseError
from midcourse.server.eval_cli import app as eval_app
from midcourse.server.gate_cli import app as gate_app
from midcourse.server.loop_cli import loop
from midcourse.server.pairs_cli import app as pairs_app
from midcourse.server.rollouts_cli import rollouts
from midcourse.server.traces_cli import app as traces_app
from midcourse.server.train_cli import app as train_app
from midcourse.server.vllm_flags import flags_of
from midcourse.server.vllm_version import installed

app = typer.Typer(
    name="midcourse",
    help="Keeps large reasoning models safe while they think.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(traces_app, name="traces", help="Look at, review, export and delete the records of guarded generations.")
app.add_typer(pairs_app, name="pairs", help="Make preference pairs of approved traces.")
app.add_typer(adapters_app, name="adapters", help="Publish, promote and roll back adapters.")
app.add_typer(analyse_app, name="analyse", help="Measure where chains of thought turn, and what turns them.")
app.add_typer(train_app, name="train", help="Teach a model what its guard corrected.")
app.add_typer(cue_app, name="cue", help="Measure, calibrate, label, train and export the judge of the steps.")
app.add_typer(gate_app, name="gate", help="Measure adapters, and promote one only if it is no worse.")
app.add_typer(eval_app, name="eval", help="Measure safety, over-refusal and capability, and compare.")
app.command()(rollouts)

# Heavy parts are looked up when they are needed, so that `midcourse traces` does not wait for torch.
EXTRAS = {"torch": "embedded", "transformers": "embedded", "gguf": "embedded", "openai": "eval", "httpx": "serve"}
EXTRAS |= {"numpy": "onnx", "onnxruntime": "onnx", "tokenizers": "onnx", "onnx": "train", "matplotlib": "plots"}
EXTRAS |= {"inspect_ai": "eval"}
EXTRAS |= {"pyarrow": "train", "peft": "train"}
EXTRAS |= {"trl": "train", "datasets": "train", "accelerate": "train"}
Config = Annotated[Path | None, typer.Option(help="YAML file with settings; MIDCOURSE_CONFIG names it, too.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]
USAGE = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])
"""click's UsageError: in a package of its own, or as typer's copy of it, by typer's version."""
ANY_FLAG = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command(context_settings=ANY_FLAG)(loop)
FLAGS_EPILOG = "Any setting can be given as a flag: --port 9000, --policy.mode shadow. They are: "


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    command = typer.main.get_command(app)
    try:
        sys.exit(command.main(args=arguments, prog_name="midcourse", standalone_mode=False) or 0)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except USAGE as error:
        message = error.format_message()
        if message.startswith("Usage: "):  # nothing was asked for, so the answer is the help
            print(message, file=sys.stderr)  # noqa: T201
        else:
            _complain(message)
        sys.exit(2)
    except ModuleNotFoundError as error:
        missing, first = (error.name or "").partition(".")[0], (sys.argv[1:] if arguments is None else arguments)[:1]
        extra = "demo" if (missing, [*first]) == ("openai", ["demo"]) else EXTRAS.get(missing, "serve")
        _complain(f"{error.name} is not installed; pip install 'midcourse[{extra}]'")
        sys.exit(2)
    except MidcourseError as error:
        _complain(str(error))
        sys.exit(2 if isinstance(error, CallerError) else 1)


def _complain(message: str) -> None:
    print(f"midcourse: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201


def _settings(config: Path | None, arguments: Sequence[str], **defaults: str) -> Callable[[], Settings]:
    given = overrides_of(arguments)
    for key, value in defaults.items():
        if f"MIDCOURSE_{key.upper()}" not in os.environ and config is None:
            given.setdefault(key, value)
    return lambda: load(config, given)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"midcourse {__version__}")
        raise typer.Exit


@app.command(context_settings=ANY_FLAG, epilog=FLAGS_EPILOG + ", ".join(Settings.model_fields) + ".")
def serve(context: typer.Context, config: Config = None) -> None:
    """Serve the OpenAI API with every generation guarded: midcourse serve [MODEL] [flags].

    Where vLLM is installed and a MODEL is named, vLLM serves it, and any flag of vllm serve may follow.
    """
    arguments = list(context.args)
    model = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    flags = flags_of(arguments)
    given = overrides_of(flags.ours)
    engine = load(config, given).engine or ("vllm" if model is not None and installed() else "embedded")
    if engine == "vllm":
        late("server.vllm_serve:serve")(load(config, given), given, flags.theirs, model=model, config=config)
        return
    if model is not None:
        arguments += ["--model", model]
    read = _settings(config, arguments, log_format="console" if sys.stderr.isatty() else "json")
    late("server.serve:serve")(read(), read)


@app.command(context_settings=ANY_FLAG)
def collect(  # noqa: PLR0917
    context: typer.Context,
    prompts: Annotated[Path, typer.Argument(help="JSONL with prompt or messages, or text, one prompt a line.")],
    config: Config = None,
    samples: Annotated[int, typer.Option(min=1, max=1000, help="Generations of each prompt.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first prompts.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Completion tokens at most.")] = 512,
    temperature: Annotated[float, typer.Option(min=0, max=2)] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.01, max=1)] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Sample k of a prompt draws with seed + k.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Generations at once.")] = 4,
    triggers: Annotated[int | None, typer.Option(min=1, help="So many, each with a generation of its own.")] = None,
    purpose: Annotated[Literal["collect", "eval"], typer.Option(help="eval is never trained on.")] = "collect",
    json: Json = False,
) -> None:
    """Run a file of prompts through the guard and store every trace. Runs that were cut short go on where they were.

    Prompts that the model cannot take are told and left out; then it ends with 1.
    """
    read = _settings(config, context.args)
    wish: dict[str, Any] = {"samples": samples, "limit": limit, "max_tokens": max_tokens, "temperature": temperature}
    wish |= {"top_p": top_p, "seed": seed, "concurrency": concurrency, "triggers": triggers, "purpose": purpose}
    raise typer.Exit(0 if late("server.collect:collect")(prompts, read(), json=json, **wish) else 1)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Text, a trace, or {prompt, reasoning, response}; - is stdin.")],
    prompt: Annotated[str, typer.Option(help="The request, where the file does not hold it.")] = "",
    config: Config = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if a step is flagged.")] = False,
    json: Json = False,
) -> None:
    """Judge a finished chain of thought, step by step, without changing it."""
    flagged = late("server.check:check")(file, load(config), prompt=prompt, json=json)
    raise typer.Exit(1 if flagged and exit_code else 0)


@app.command()
def demo(
    serve: Annotated[bool, typer.Option("--serve", help="Leave the server running.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
) -> None:
    """Watch a real model's reasoning being corrected mid-stream."""
    late("server.demo:demo")(keep=serve, port=port)


@app.command(context_settings=ANY_FLAG)
def doctor(context: typer.Context, config: Config = None, json: Json = False) -> None:
    """Look for what would keep a server from starting or serving well."""
    healthy = late("server.doctor:doctor")(_settings(config, context.args), json=json)
    raise typer.Exit(0 if healthy else 1)


if __name__ == "__main__":
    main()
