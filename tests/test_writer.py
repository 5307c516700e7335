"""The writer, with real threads and a real spool, over a store that misbehaves when it is told to."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from midcourse.guard.trace import Intervention, Origin, Outcome, Trace, Usage
from midcourse.server.errors import StoreError
from midcourse.server.rows import RecordError
from midcourse.server.spool import Spool
from midcourse.server.store import open_store
from midcourse.server.writer import Fate, TraceWriter

CUT = Intervention(1, 0, "reasoning", "cue", "trigger", 2, 9, "withheld", (7,), "", (), "pause", "Wait.")


def a_trace(name: str, outcome: Outcome = "intervened") -> Trace:
    cuts = (CUT,) if outcome in ("intervened", "shadow") else ()
    return Trace(name, "r1", "enforce", "hi", (), (), cuts, outcome, "stop", Usage())


def count(fate: str) -> float:
    return REGISTRY.get_sample_value("midcourse_traces_total", {"fate": fate}) or 0.0


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


class Memory:
    """A sink that does as it is told: fails while ``error`` is set, and waits while ``gate`` is closed."""

    def __init__(self) -> None:
        self.traces: dict[str, Trace] = {}
        self.puts = 0
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def put(self, traces: Sequence[Trace]) -> None:
        self.puts += 1
        self.gate.wait(30)
        if self.error is not None:
            raise self.error
        self.traces |= {trace.id: trace for trace in traces}

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


class Desk:
    """A writer over a ``Memory``, in a hurry."""

    def __init__(self, spool: Path, queue_size: int = 100, patience: float = 5.0) -> None:
        self.sink = Memory()
        self.spool = spool
        self.writer = TraceWriter(
            lambda: self.sink, spool, queue_size=queue_size, patience=patience, replay_seconds=0.05
        )

    def write(self, *names: str) -> list[Fate]:
        return [future.result(10) for future in [self.writer.submit(a_trace(name)) for name in names]]

    def spooled(self) -> list[Path]:
        return Spool(self.spool).files()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("midcourse.server.writer.RETRY_SECONDS", (0.1, 0.2))
    desk = Desk(tmp_path / "spool")
    yield desk
    desk.sink.gate.set()
    desk.writer.close()


def test_traces_that_wait_together_are_committed_together(desk: Desk) -> None:
    desk.sink.gate.clear()
    first = desk.writer.submit(a_trace("first"))
    eventually(lambda: desk.sink.puts == 1)
    others = [desk.writer.submit(a_trace(f"t{i}")) for i in range(50)]
    assert REGISTRY.get_sample_value("midcourse_trace_queue_length") == 50
    desk.sink.gate.set()
    assert {future.result(10) for future in [first, *others]} == {"stored"}
    assert desk.sink.puts == 2


def test_a_store_that_fails_loses_nothing_and_gets_everything_when_it_is_back(desk: Desk) -> None:
    spooled, replayed = count("spooled"), count("replayed")
    desk.sink.error = StoreError("down")
    assert desk.write("a", "b") == ["spooled", "spooled"]
    assert desk.write("c") == ["spooled"]
    assert desk.sink.traces == {}
    desk.sink.error = None
    eventually(lambda: len(desk.sink.traces) == 3 and not desk.spooled())
    eventually(lambda: count("replayed") == replayed + 3)
    assert count("spooled") == spooled + 3
    assert desk.write("d") == ["stored"]


def test_any_error_of_a_store_is_a_failure_of_the_store(desk: Desk) -> None:
    desk.sink.error = ZeroDivisionError("a bug")
    assert desk.write("a") == ["spooled"]


def test_a_slow_store_is_not_waited_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path, patience=0.05)
    desk.sink.gate.clear()
    start = time.monotonic()
    assert desk.write("a") == ["spooled"]
    assert desk.write("b") == ["spooled"]
    assert time.monotonic() - start < 2
    assert desk.sink.puts == 1
    desk.sink.gate.set()
    eventually(lambda: set(desk.sink.traces) == {"a", "b"} and not desk.spooled())
    desk.writer.close()


def test_what_a_dead_process_left_is_replayed_at_the_start(tmp_path: Path) -> None:
    dead = Spool(tmp_path)
    dead.append([a_trace("a").to_json(), a_trace("b").to_json()])
    dead.seal()
    desk = Desk(tmp_path)
    eventually(lambda: set(desk.sink.traces) == {"a", "b"} and not desk.spooled())
    desk.writer.close()


def test_one_bad_trace_does_not_take_the_store_away_from_the_others(desk: Desk, tmp_path: Path) -> None:
    desk.sink.error = RecordError("too odd")
    rejected = count("rejected")
    assert desk.write("odd") == ["spooled"]
    eventually(lambda: count("rejected") == rejected + 1)
    desk.sink.error = None
    assert desk.write("good") == ["stored"]
    assert [file.name.split(".", 1)[1] for file in (tmp_path / "spool").iterdir()] == ["rejected.jsonl"]


def test_a_trace_that_json_cannot_say_is_dropped_alone_and_logged(tmp_path: Path) -> None:
    writer = TraceWriter(partial(open_store, f"sqlite:///{tmp_path}/traces.db"), tmp_path / "spool", patience=60)
    bad = Trace("bad", "r1", "enforce", "hi", (), (), (CUT,), "intervened", "stop", Usage(), Origin(adapter=object()))  # type: ignore[arg-type]
    with capture_logs() as logs:
        assert writer.submit(bad).result(10) == "dropped"
    assert writer.submit(a_trace("good")).result(10) == "stored"
    writer.close()
    assert "'bad' cannot be written as JSON" in logs[0]["why"]


def test_while_neither_store_nor_spool_works_traces_wait_in_memory(desk: Desk) -> None:
    desk.sink.error = StoreError("down")
    desk.spool.write_text("in the way")
    futures = [desk.writer.submit(a_trace(f"t{i}")) for i in range(3)]
    assert not wait(futures, timeout=0.3).done
    desk.spool.unlink()
    assert {future.result(10) for future in futures} == {"spooled"}


def test_a_full_queue_drops_the_oldest_sample_first_and_says_so(desk: Desk) -> None:
    desk.writer._size = 3
    desk.sink.gate.clear()
    running = desk.writer.submit(a_trace("running"))
    eventually(lambda: desk.sink.puts == 1)
    before = count("dropped")
    with capture_logs() as logs:
        order: list[tuple[str, Outcome]] = [
            ("cut 1", "intervened"), ("plain 1", "untouched"), ("plain 2", "untouched"), ("cut 2", "shadow"),
            ("cut 3", "refused"), ("plain 3", "untouched"), ("cut 4", "failed"),
        ]  # fmt: skip
        futures = {name: desk.writer.submit(a_trace(name, outcome)) for name, outcome in order}
        lost = [name for name, future in futures.items() if future.done()]
    assert lost == ["cut 1", "plain 1", "plain 2", "plain 3"]
    assert count("dropped") == before + 4
    assert [log["event"] for log in logs] == ["traces were dropped"]
    desk.sink.gate.set()
    assert {name for name, future in futures.items() if future.result(10) == "stored"} == {"cut 2", "cut 3", "cut 4"}
    assert running.result(10) == "stored"


def test_close_leaves_to_the_spool_what_a_hanging_store_does_not_take(tmp_path: Path) -> None:
    desk = Desk(tmp_path, patience=0.05)
    desk.sink.gate.clear()
    futures = [desk.writer.submit(a_trace(f"t{i}")) for i in range(10)]
    desk.writer.close(5)
    assert {future.result(0) for future in futures} == {"spooled"}
    found: list[Trace] = []
    Spool(tmp_path).replay(found.extend)
    assert len(found) == 10
    desk.sink.gate.set()


def test_close_drops_what_goes_nowhere_and_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("in the way")
    desk = Desk(tmp_path / "spool")
    desk.sink.error = StoreError("down")
    future = desk.writer.submit(a_trace("a"))
    desk.writer.close(5)
    assert future.result(0) == "dropped"


async def test_a_stream_waits_for_the_acknowledgement_but_not_for_ever(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert await desk.writer.record(a_trace("a")) == "stored"
    desk.sink.gate.clear()
    assert await desk.writer.record(a_trace("b"), seconds=0.05) is None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(desk.writer.record(a_trace("c")), 0.05)
    desk.sink.gate.set()
    assert await desk.writer.record(a_trace("d")) == "stored"
    assert set(desk.sink.traces) == {"a", "b", "c", "d"}
    await asyncio.to_thread(desk.writer.close)


def test_eventful_traces_are_always_wanted_and_of_the_others_a_fixed_share(desk: Desk) -> None:
    names = [f"chatcmpl-{i}" for i in range(4000)]
    outcomes: tuple[Outcome, ...] = ("intervened", "shadow", "refused", "ended", "failed")
    assert all(desk.writer.wanted(a_trace("x", outcome)) for outcome in outcomes)
    assert not any(desk.writer.wanted(a_trace(name, "untouched")) for name in names)
    desk.writer._share = 0.1
    chosen = [name for name in names if desk.writer.wanted(a_trace(name, "untouched"))]
    assert 300 < len(chosen) < 500
    assert chosen == [name for name in names if desk.writer.wanted(a_trace(name, "cancelled"))]
    desk.writer._share = 1.0
    assert all(desk.writer.wanted(a_trace(name, "untouched")) for name in names)


def test_submit_cannot_be_cancelled_by_its_waiter(desk: Desk) -> None:
    desk.sink.gate.clear()
    future: Future[Fate] = desk.writer.submit(a_trace("a"))
    assert not future.cancel()
    desk.sink.gate.set()
    assert future.result(10) == "stored"
