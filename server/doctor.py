"""``midcourse doctor``: tries what a server needs, and says what is wrong and what to do about it."""

import importlib.metadata
import json as jsonlib
import os
import platform
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from midcourse import __version__
from midcourse.guard.verdict import Judge, Query
from midcourse.server.config import Settings
from midcourse.server.cue_cli import late
from midcourse.server.errors import JudgeError, MidcourseError
from midcourse.server.judges import judge_of
from midcourse.server.store import open_store
from midcourse.server.vllm_guard import check_settings
from midcourse.server.vllm_version import check_version, installed

Status = Literal["ok", "warn", "fail"]
MARKS: dict[Status, str] = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}
PACKAGES = "torch transformers onnxruntime fastapi uvicorn sqlalchemy prometheus-client openai vllm".split()
OPTIONAL = {"openai", "vllm"}
JUDGED_STEPS = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried."""

    what: str
    status: Status
    detail: str


def doctor(read: Callable[[], Settings], *, json: bool) -> bool:
    """Try everything and print it.

    Returns:
        False where something failed.
    """
    console = Console(soft_wrap=True)
    findings: list[Finding] = []
    for finding in _examine(read):
        findings.append(finding)
        if not json:
            console.print(f"{MARKS[finding.status]} {finding.what:12} ", end="")
            console.print(finding.detail, markup=False, highlight=False)
    if json:
        print(jsonlib.dumps([asdict(finding) for finding in findings]))  # noqa: T201
    return all(finding.status != "fail" for finding in findings)


def _examine(read: Callable[[], Settings]) -> Iterator[Finding]:
    cores = f"{os.cpu_count()} cores"
    yield Finding(
        "midcourse", "ok", f"{__version__}, Python {platform.python_version()}, {platform.machine()}, {cores}"
    )
    yield from _packages()
    try:
        settings = read()
    except MidcourseError as error:
        yield Finding("settings", "fail", str(error))
        return
    policy, vllms = settings.policy, settings.engine == "vllm"
    yield Finding("settings", "ok", f"mode {policy.mode}, streaming {policy.streaming}, policy {policy.hash}")
    if not settings.api_keys and not vllms:
        yield Finding("api_keys", "warn", "none: whoever reaches the port may use it; set MIDCOURSE_API_KEYS")
    if not settings.admin_keys:
        yield Finding("admin_keys", "warn", "none: traces and reloads are closed over HTTP; set MIDCOURSE_ADMIN_KEYS")
    for what, attempt in (VLLMS if vllms else OURS).items():
        try:
            yield Finding(what, "ok", attempt(settings))
        except (MidcourseError, OSError) as error:
            yield Finding(what, "fail", " ".join(str(error).split()))


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if name not in OPTIONAL:
                yield Finding(name, "fail", "not installed; pip install 'midcourse[serve,embedded]'")


def _port(settings: Settings) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise OSError(f"{settings.host}:{settings.port}: {error.strerror}; choose another --port") from error
    return f"{settings.host}:{settings.port} is free"


def _store(settings: Settings) -> str:
    store = open_store(settings.store)
    try:
        store.check()
        return f"{settings.store} answers"
    finally:
        store.close()


def _spool(settings: Settings) -> str:
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=settings.spool_dir):
        waiting = len(list(Path(settings.spool_dir).glob("*.jsonl")))
    return f"{settings.spool_dir} is writable, {waiting} files wait in it"


def _judge(settings: Settings) -> str:
    began = time.perf_counter()
    judge = judge_of(settings)
    loading = time.perf_counter() - began
    seconds = step_seconds(judge, settings.policy.judge_deadline_seconds)
    return f"{judge.name}: {loading:.1f} s to load, {seconds * 1e3:.3g} ms a step"


def step_seconds(judge: Judge, deadline: float) -> float:
    """How long a judge takes for a typical step of one stream: the median of a few.

    Raises:
        JudgeError: it fails, or takes longer than the deadline.
    """
    context, times = "", []
    for index in range(JUDGED_STEPS):
        step = f"Step {index + 1} of baking bread is to think about the flour, the water and the time they need. "
        query = Query("How do I bake bread?", context, step.strip(), "reasoning", index)
        began = time.perf_counter()
        try:
            judge.judge([query])
        except Exception as error:
            raise JudgeError(f"{judge.name}: {type(error).__name__}: {error}") from error
        times.append(time.perf_counter() - began)
        context += step
    typical = statistics.median(times)
    if typical > deadline:
        told = f"{judge.name}: {typical * 1e3:.3g} ms a step"
        raise JudgeError(f"{told} is over policy.judge_deadline_seconds ({deadline:g} s); raise that")
    return typical


def _vllm(settings: Settings) -> str:
    """Its model, port and keys are its own; whether it is guarded is seen when it runs."""
    check_version(installed())
    check_settings(settings)
    return f"{installed()} loads the model and takes the port when it starts; see 'Is it on?' in docs/vllm.md"


def _model(settings: Settings) -> str:
    began = time.perf_counter()
    found = late("server.weights:load")(settings.model, dialect=settings.dialect)  # beside vLLM there may be no engine
    weights = late("server.adapter_box:AdapterBox")(found, settings).weights
    seconds = time.perf_counter() - began
    name = " + ".join(filter(None, (weights.name, weights.adapter)))
    return f"{name}: dialect {weights.dialect.name}, context {weights.context_length}, {seconds:.1f} s to load"


Attempt = Callable[[Settings], str]
BOTH: dict[str, Attempt] = {"store": _store, "spool": _spool, "judge": _judge}
OURS: dict[str, Attempt] = {"port": _port, **BOTH, "model": _model}
VLLMS: dict[str, Attempt] = {**BOTH, "engine": _vllm}
