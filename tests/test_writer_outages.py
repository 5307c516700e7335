"""The writer over a real store that is locked, deleted, away or not yet there, and a process that is killed."""

import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prometheus_client import REGISTRY

from midcourse.guard.trace import Trace, Usage
from midcourse.server.spool import Spool
from midcourse.server.store import open_store
from midcourse.server.writer import Fate, TraceWriter


def a_trace(name: str) -> Trace:
    return Trace(name, "r1", "enforce", "hi", (), (), (), "ended", "stop", Usage())


def count(fate: str) -> float:
    return REGISTRY.get_sample_value("midcourse_traces_total", {"fate": fate}) or 0.0


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_a_trace_is_acknowledged_once_it_is_in_the_store(tmp_path: Path) -> None:
    url, before = f"sqlite:///{tmp_path}/traces.db", count("stored")
    writer = TraceWriter(partial(open_store, url), tmp_path / "spool", patience=60)
    store = open_store(url)
    for i in range(20):
        assert writer.submit(a_trace(f"t{i}")).result(10) == "stored"
        assert store.get(f"t{i}") == a_trace(f"t{i}")
    writer.close()
    store.close()
    assert count("stored") == before + 20
    assert not (tmp_path / "spool").exists()


def test_a_store_that_cannot_be_opened_is_opened_later(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    url = f"sqlite:///{tmp_path}/data/traces.db"
    writer = TraceWriter(partial(open_store, url), tmp_path / "spool", replay_seconds=0.05)
    assert writer.submit(a_trace("a")).result(10) == "spooled"
    (tmp_path / "data").unlink()
    eventually(lambda: not Spool(tmp_path / "spool").files())
    writer.close()
    store = open_store(url)
    assert store.get("a") == a_trace("a")
    store.close()


def test_a_database_that_is_removed_is_made_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/data/traces.db"
    writer = TraceWriter(partial(open_store, url), tmp_path / "spool", replay_seconds=0.05)
    assert writer.submit(a_trace("a")).result(10) == "stored"
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    (tmp_path / "data").rmdir()
    assert writer.submit(a_trace("b")).result(10) == "spooled"
    eventually(lambda: not Spool(tmp_path / "spool").files())
    assert writer.submit(a_trace("c")).result(10) == "stored"
    writer.close()
    store = open_store(url)
    assert {row.id for row in store.page()} == {"b", "c"}
    store.close()


def test_a_locked_database_is_spooled_around(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    open_store(url).close()
    writer = TraceWriter(partial(open_store, url), tmp_path / "spool", patience=0.1, replay_seconds=0.05)
    with sqlite3.connect(tmp_path / "traces.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert writer.submit(a_trace("a")).result(10) == "spooled"
        other.execute("COMMIT")
    other.close()
    eventually(lambda: not Spool(tmp_path / "spool").files())
    writer.close()
    store = open_store(url)
    assert store.counts().total == 1
    store.close()


def test_close_writes_what_is_waiting_and_then_takes_no_more(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    writer = TraceWriter(partial(open_store, url), tmp_path / "spool", patience=60)
    futures = [writer.submit(a_trace(f"t{i}")) for i in range(1000)]
    writer.close(60)
    assert {future.result(0) for future in futures} == {"stored"}
    assert writer.submit(a_trace("late")).result(0) == "dropped"
    store = open_store(url)
    assert store.counts().total == 1000
    store.close()


CHILD = """
    import os, sys
    import structlog
    from collections import deque
    from functools import partial
    from pathlib import Path
    from midcourse.guard.trace import Trace, Usage
    from midcourse.server.store import open_store
    from midcourse.server.writer import TraceWriter

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    url, spool, run = sys.argv[1:]
    writer = TraceWriter(partial(open_store, url), Path(spool), patience=0.02, replay_seconds=0.1)
    waiting = deque()
    for i in range(10**9):
        trace = Trace(f"{run}-{i}", "r1", "enforce", "hi" * 500, (), (), (), "ended", "stop", Usage())
        waiting.append((trace.id, writer.submit(trace)))
        if len(waiting) == 20:
            name, future = waiting.popleft()
            os.write(1, f"{name} {future.result()}\\n".encode())
"""


def _killed(url: str, tmp_path: Path, run: int, chance: random.Random) -> dict[str, Fate]:
    """Let a child write, lock the database under it now and then, kill it; what had it been told was safe?"""
    command = [sys.executable, "-c", textwrap.dedent(CHILD), url, str(tmp_path / "spool"), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline()]
        with sqlite3.connect(tmp_path / "traces.db", isolation_level=None, timeout=20) as other:
            if run % 2:
                other.execute("BEGIN IMMEDIATE")
            time.sleep(chance.uniform(0, 0.3))
            if run % 2 and chance.random() < 0.5:
                other.execute("COMMIT")
                time.sleep(chance.uniform(0, 0.3))
            child.send_signal(signal.SIGKILL)
        other.close()
        acknowledged += child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    fates: dict[str, Fate] = {}
    for text in acknowledged:
        name, _, fate = text.rstrip("\n").partition(" ")
        assert fate in ("stored", "spooled")
        fates[name] = "stored" if fate == "stored" else "spooled"
    return fates


def test_nothing_that_was_acknowledged_is_lost_under_kill_9(tmp_path: Path) -> None:
    url, chance = f"sqlite:///{tmp_path}/traces.db", random.Random(7)
    open_store(url).close()
    fates: dict[str, Fate] = {}
    for run in range(8):
        fates |= _killed(url, tmp_path, run, chance)
        store = open_store(url)
        stored = {trace.id for trace in store.iterate()}
        assert {name for name, fate in fates.items() if fate == "stored"} <= stored
        spooled = "".join(file.read_text() for file in Spool(tmp_path / "spool").files())
        assert all(f'"id":"{name}"' in spooled for name in fates.keys() - stored)
        store.close()
    assert set(fates.values()) == {"stored", "spooled"}
    store = open_store(url)
    Spool(tmp_path / "spool").replay(store.put)
    assert fates.keys() <= {trace.id for trace in store.iterate()}
    store.close()
