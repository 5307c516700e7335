"""The adapters of a running vLLM server, over HTTP: its runtime LoRA routes, and our alias where it is guarded.

Knows those routes and what goes wrong with them. The server has to have been started with ``--enable-lora`` and
``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True``, and has to see the registry's folder under the same path.
"""

import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from midcourse.models.manifest import Alias
from midcourse.models.registry import Registry, version_of
from midcourse.server.errors import CallerError, EngineError

SECONDS = 300.0  # a large adapter from a slow disk, into every worker
ROUNDS = 20  # of following an alias that others move; each is a promotion by somebody
HINT = "start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"


class Served(NamedTuple):
    """A line of ``/v1/models``. ``parent`` is None for the base model."""

    name: str
    root: str
    parent: str | None


class _Reply(NamedTuple):
    status: int
    body: Any

    @property
    def problem(self) -> str:
        error = self.body.get("error") if isinstance(self.body, dict) else self.body
        return str(error.get("message", error) if isinstance(error, dict) else error)


class VllmServer:
    """A server.

    Args:
        url: as clients have it, without ``/v1``.
        key: vLLM's ``--api-key``, and one of ``admin_keys``, where these are set.

    Raises:
        EngineError: in every method: it does not answer, or failed.
        CallerError: in every method: it cannot do what was asked, and says why.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise CallerError(f"--server {url}: is no http:// or https:// URL", param="server")
        self.url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def adapters(self) -> list[Served]:
        """Loaded adapters and aliases; not the base model."""
        reply = self._expected(self._ask("GET", "/v1/models"))
        try:
            served = [Served(card["id"], card.get("root") or "", card.get("parent")) for card in reply["data"]]
        except (AttributeError, KeyError, TypeError) as error:
            raise CallerError(f"--server {self.url}: lists no models; is it a vLLM server?", param="server") from error
        return [line for line in served if line.parent is not None]

    def load(self, name: str, folder: Path) -> bool:
        """Load an adapter under a name. False where that name has these files already."""
        path = str(folder.resolve())
        if self._has(name, path):
            return False
        try:
            self._lora("load", lora_name=name, lora_path=path)
        except CallerError:
            if self._has(name, path):  # somebody else was faster
                return False
            raise
        return True

    def unload(self, name: str) -> None:
        """Take an adapter, or an alias, away from new requests."""
        self._lora("unload", lora_name=name)

    def point(self, name: str, adapter: str, folder: Path) -> None:
        """Let ``name`` lead to a loaded adapter, if it does not yet.

        A server without midcourse in it has no aliases: there the name is unloaded and loaded, and requests in between
        are refused.
        """
        roots = {line.name: line.root for line in self.adapters()}
        if roots.get(name) == str(folder.resolve()):
            return
        reply = self._ask("PUT", f"/v1/midcourse/aliases/{name}", adapter=adapter)
        if reply.status != 404 or "is not loaded" in reply.problem:
            self._expected(reply)
            return
        if name in roots:
            self.unload(name)
        self.load(name, folder)

    def _has(self, name: str, path: str) -> bool:
        return any(line.name == name and line.root == path for line in self.adapters())

    def _lora(self, verb: str, **body: str) -> None:
        reply = self._ask("POST", f"/v1/{verb}_lora_adapter", **body)
        if reply.status == 404 and "lora" not in reply.problem.lower():  # the route itself is not there
            raise CallerError(f"--server {self.url}: has no route to {verb} adapters; {HINT}", param="server")
        self._expected(reply)

    def _expected(self, reply: _Reply) -> Any:
        if reply.status == 200:
            return reply.body
        if reply.status in (401, 403):
            raise CallerError(f"--key: {self.url} answers {reply.status}: {reply.problem}", param="key")
        raise CallerError(f"--server {self.url}: answers {reply.status}: {reply.problem}", param="server")

    def _ask(self, method: str, path: str, **body: str) -> _Reply:
        data = json.dumps(body).encode() if body else None
        try:
            request = urllib.request.Request(  # noqa: S310 - its scheme was checked
                f"{self.url}{path}", data, self._headers, method=method
            )
            with urllib.request.urlopen(request, timeout=SECONDS) as reply:  # noqa: S310
                return _Reply(reply.status, _parsed(reply.read()))
        except urllib.error.HTTPError as error:
            return _Reply(error.code, _parsed(error.read()))
        except (OSError, http.client.IncompleteRead, http.client.BadStatusLine) as error:
            raise EngineError(f"--server {self.url}: does not answer: {error!s:.200}") from error
        except (http.client.HTTPException, ValueError) as error:  # of a URL or of a key that cannot be sent
            raise CallerError(f"--server {self.url}, or --key: {error}", param="server") from error


def take(server: VllmServer, registry: Registry, adapter: str) -> None:
    """Have a version loaded, and its name lead to it."""
    folder, version = registry.verified(adapter), version_of(adapter)
    assert version is not None  # it was found in the registry
    server.load(adapter, folder)
    server.point(version.name, adapter, folder)


def serve_alias(server: VllmServer, registry: Registry, name: str) -> None:
    """Bring a server to where an alias is: that version loaded, the one before kept, older ones gone.

    Somebody else may promote meanwhile, and each brings the server to what the registry said when they looked. So who
    has done that looks again, until nothing has changed since: whoever comes last has then seen the last alias.

    Raises:
        CallerError: the server cannot do it, also at a second try; or others never cease to promote.
    """
    failed: Alias | None = None
    for _ in range(ROUNDS):
        alias = registry.alias(name)
        try:
            _bring(server, registry, name, alias)
        except CallerError:  # such as of a version that somebody has unloaded since
            if alias == failed:
                raise
            failed = alias
        else:
            if registry.alias(name) == alias:
                return
    raise CallerError(f"{name}: others promote all the time; midcourse adapters promote it again", param="server")


def _bring(server: VllmServer, registry: Registry, name: str, alias: Alias) -> None:
    if alias.adapter is None:
        if any(line.name == name for line in server.adapters()):
            server.unload(name)
        return
    take(server, registry, alias.adapter)
    for line in server.adapters():
        version = version_of(line.name)
        if version is not None and version.name == name and line.name in alias.outdated:
            server.unload(line.name)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")[:500]
