"""``midcourse adapters``: the registry, and the adapters of a running vLLM server.

Knows the command line. Versions and aliases are ``models.registry``'s, vLLM's routes ``server.adapters_remote``'s.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from midcourse.models.lora import AdapterError
from midcourse.models.manifest import Alias, Manifest, Who
from midcourse.models.registry import Registry, version_of
from midcourse.models.run_folder import read_run
from midcourse.models.terminal import visible
from midcourse.server.adapters_remote import Served, VllmServer, serve_alias, take
from midcourse.server.config import Settings
from midcourse.server.errors import as_callers
from midcourse.server.show import moment

DEFAULT_REGISTRY = Path(str(Settings.model_fields["registry"].default))

Folder = Annotated[
    Path, typer.Option("--registry", metavar="DIR", envvar="MIDCOURSE_REGISTRY", help="The adapter registry.")
]
Version = Annotated[str, typer.Argument(metavar="NAME-vN", help="A version.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the history.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it; default: the user's name.")]
ServerUrl = Annotated[str | None, typer.Option("--server", metavar="URL", help="A running vLLM server, too.")]
OfServer = Annotated[str, typer.Option("--server", metavar="URL", help="A running vLLM server.")]
Key = Annotated[str | None, typer.Option("--key", envvar="VLLM_API_KEY", help="Key of the server.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]

app = typer.Typer(help="Publish, promote and roll back adapters.", no_args_is_help=True)


@contextmanager
def opened(folder: Path) -> Iterator[Registry]:
    """The registry; what is wrong with it, or with what was asked of it, is the caller's error."""
    with as_callers(AdapterError):
        yield Registry(folder)


@app.command("list")
def list_adapters(
    name: Annotated[str | None, typer.Argument(help="Only its versions.")] = None,
    *,
    registry: Folder = DEFAULT_REGISTRY,
    server: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List versions, oldest first, and which of them serve; with --server, what that has loaded."""
    if server is not None:
        _list_served([line for line in VllmServer(server, key).adapters() if _is_of(line.name, name)], as_json)
        return
    with opened(registry) as found:
        rows = [_row(found, found.manifest(str(version))) for version in found.versions(name)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        Console().print(_table(rows))
    else:
        typer.echo(f"{registry} holds no adapter{f' called {name}' if name else ''}; midcourse adapters publish")


@app.command()
def show(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="NAME-vN, or NAME for the version that serves.")],
    *,
    registry: Folder = DEFAULT_REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Show what is written down about a version, once its files are found to be those that were published."""
    with opened(registry) as found:
        if version_of(adapter) is None:
            adapter = found.promoted(adapter)
        folder = found.verified(adapter)
        manifest = found.manifest(adapter)
        row = _row(found, manifest)
    if as_json:
        typer.echo(json.dumps({**asdict(manifest), "serves": row["serves"], "folder": str(folder)}, indent=2))
        return
    typer.echo(visible((folder / "README.md").read_text(encoding="utf-8")))
    typer.echo(f"{folder}: {'serves' if row['serves'] else 'does not serve'}")


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a midcourse train run, or of PEFT.")],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="It becomes NAME's next version.")],
    base: Annotated[str | None, typer.Option(metavar="MODEL", help="Base model of a PEFT folder.")] = None,
    parent: Annotated[
        str | None, typer.Option(metavar="NAME-vN", help="Trained from; default: as RUN says, or what serves.")
    ] = None,
    registry: Folder = DEFAULT_REGISTRY,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Copy an adapter into the registry as a new version. It serves once it is promoted."""
    with opened(registry) as found:
        told = read_run(run, base)
        if parent is None and told.knows_parent:  # of another registry it has no name here
            inside = told.parent is not None and told.parent.resolve().parent == registry.resolve()
            parent = told.parent.name if told.parent is not None and inside else ""
        manifest = found.publish(told.adapter, name, told.run, _who(by, reason), parent)
    if as_json:
        typer.echo(json.dumps({**asdict(manifest), "folder": str(registry / manifest.adapter)}, indent=2))
    else:
        typer.echo(f"published {manifest.adapter}; midcourse adapters promote {manifest.adapter} has it serve")


@app.command()
def promote(
    adapter: Version,
    *,
    registry: Folder = DEFAULT_REGISTRY,
    server: ServerUrl = None,
    key: Key = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Have a version serve under its name. Servers that follow the name take it for new generations."""
    with opened(registry) as found:
        remote = None if server is None else VllmServer(server, key)
        if remote is not None:  # first: what the server cannot take is not promoted
            take(remote, found, adapter)
        alias = found.promote(adapter, _who(by, reason))
        if remote is not None:
            serve_alias(remote, found, adapter.rpartition("-v")[0])
    _tell(adapter, alias, as_json)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, without -vN.")],
    *,
    registry: Folder = DEFAULT_REGISTRY,
    server: ServerUrl = None,
    key: Key = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Have that serve again under a name which served before."""
    with opened(registry) as found:
        remote = None if server is None else VllmServer(server, key)
        if remote is not None:  # first: after a failure, a second try would go back twice
            remote.adapters()
            for adapter in found.alias(name).before[-1:]:
                take(remote, found, adapter)
        alias = found.rollback(name, _who(by, reason))
        if remote is not None:
            serve_alias(remote, found, name)
    _tell(name, alias, as_json)


@app.command()
def load(
    adapter: Version,
    *,
    server: OfServer,
    key: Key = None,
    registry: Folder = DEFAULT_REGISTRY,
) -> None:
    """Load a version into a running vLLM server, under its own name: to try it before it is promoted."""
    with opened(registry) as found:
        new = VllmServer(server, key).load(adapter, found.verified(adapter))
    typer.echo(f"{adapter} {'is loaded' if new else 'was loaded already'}")


@app.command()
def unload(
    adapter: Annotated[str, typer.Argument(metavar="ADAPTER", help="A version, or a name.")],
    *,
    server: OfServer,
    key: Key = None,
) -> None:
    """Take an adapter away from a running vLLM server; requests that run on it go on."""
    VllmServer(server, key).unload(adapter)
    typer.echo(f"{adapter} is unloaded")


@app.command()
def history(
    name: Annotated[str | None, typer.Argument(help="Only about this name.")] = None,
    *,
    registry: Folder = DEFAULT_REGISTRY,
    as_json: AsJson = False,
) -> None:
    """Show who published, promoted and rolled back what, when and why, oldest first."""
    with opened(registry) as found:
        events = found.history(name)
    if as_json:
        typer.echo(json.dumps([asdict(event) for event in events], indent=2))
        return
    for event in events:
        what = {"publish": "published"}.get(event.did, f"{event.previous or 'base model'} ->")
        why = f": {event.reason}" if event.reason else ""
        said = f"{moment(event.at)}  {event.did:8}  {what} {event.adapter or 'base model'}  by {event.by}{why}"
        typer.echo(visible(said))
    if not events:
        typer.echo(f"nothing was done yet in {registry}")


def _who(by: str | None, reason: str | None) -> Who:
    return Who(by or os.environ.get("USER") or "unknown", reason)


def _is_of(adapter: str, name: str | None) -> bool:
    version = version_of(adapter)
    return name in (None, adapter, version.name if version else None)


def _list_served(lines: list[Served], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([line._asdict() for line in lines], indent=2))
        return
    for line in lines:
        typer.echo(visible(f"{line.name}  {line.root}"))
    if not lines:
        typer.echo("no adapter is loaded")


def _row(registry: Registry, manifest: Manifest) -> dict[str, Any]:
    version = version_of(manifest.adapter)
    assert version is not None  # it was found by that name
    return {
        "adapter": manifest.adapter,
        "name": version.name,
        "serves": registry.alias(version.name).adapter == manifest.adapter,
        "base_model": manifest.base_model,
        "method": manifest.method,
        "parent": manifest.parent,
        "created": manifest.created,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("adapter", "serves", "base model", "method", "parent", "created (UTC)"):
        table.add_column(title, overflow="fold")
    for row in rows:
        texts = [row["adapter"], "yes" if row["serves"] else "", row["base_model"], row["method"], row["parent"] or ""]
        texts.append(moment(row["created"]).removesuffix(" UTC")[:16])
        table.add_row(*(Text(visible(text)) for text in texts))
    return table


def _tell(asked: str, alias: Alias, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(alias), indent=2))
        return
    version = version_of(alias.adapter or asked)
    back = f"; before: {alias.before[-1]}" if alias.before else ""
    typer.echo(f"{version.name if version else asked} -> {alias.adapter or 'the base model'}{back}")
