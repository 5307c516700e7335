"""The spool, on a real directory."""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from midcourse.guard.trace import Trace, Usage
from midcourse.server.errors import StoreError
from midcourse.server.rows import RecordError, line
from midcourse.server.spool import CHUNK, Spool
from midcourse.server.store import open_store


def a_trace(name: str) -> Trace:
    return Trace(name, "r1", "enforce", "hi \ud83d", (), (), (), "untouched", "stop", Usage())


def lines(*names: str) -> list[str]:
    return [line(a_trace(name)) for name in names]


def ids(traces: Sequence[Trace]) -> list[str]:
    return [trace.id for trace in traces]


def test_what_is_appended_and_sealed_is_replayed_once(tmp_path: Path) -> None:
    spool, found = Spool(tmp_path / "new" / "spool"), list[Trace]()
    spool.append(lines("a"))
    spool.append(lines("b", "c"))
    assert len(spool.files()) == 1
    spool.seal()
    assert spool.replay(found.extend) == (3, 0, 0)
    assert found == [a_trace("a"), a_trace("b"), a_trace("c")]
    assert spool.files() == []
    assert spool.replay(found.extend) == (0, 0, 0)


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert Spool(tmp_path / "none").replay(list[Trace]().extend) == (0, 0, 0)


def test_only_the_owner_can_read_the_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append(lines("a"))
    assert stat.S_IMODE(spool.files()[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.directory.stat().st_mode) == 0o700
    spool.seal()


def test_the_file_of_a_living_writer_is_not_taken_and_that_of_a_dead_one_is(tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from midcourse.server.spool import Spool
        Spool(Path(sys.argv[1])).append([sys.argv[2]])
        print("ready", flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), *lines("theirs")]
    spool, found = Spool(tmp_path), list[Trace]()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        assert spool.replay(found.extend) == (0, 0, 0)
        assert len(spool.files()) == 1
        other.kill()
    assert spool.replay(found.extend) == (1, 0, 0)
    assert ids(found) == ["theirs"]


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_torn_last_line_is_counted_and_costs_nothing_else(tmp_path: Path, cut: int) -> None:
    (tmp_path / "1-x.spool.jsonl").write_text("\n".join(lines("a", "b")) + "\n" + lines("c")[0][:cut])
    found = list[Trace]()
    assert Spool(tmp_path).replay(found.extend) == (2, 1, 0)
    assert ids(found) == ["a", "b"]
    assert list(tmp_path.iterdir()) == []


def test_a_last_line_that_lacks_only_its_end_is_whole(tmp_path: Path) -> None:
    (tmp_path / "1-x.spool.jsonl").write_text(lines("a")[0])
    assert Spool(tmp_path).replay(list[Trace]().extend) == (1, 0, 0)


def test_an_unreadable_line_in_the_middle_is_set_aside(tmp_path: Path) -> None:
    bad = [b"\xff\xfe", b"{}", lines("v")[0].replace('"version":1', '"version":9').encode(), b""]
    good = [text.encode() for text in lines("a", "b")]
    (tmp_path / "1-x.spool.jsonl").write_bytes(b"\n".join([good[0], *bad, good[1]]) + b"\n")
    found = list[Trace]()
    assert Spool(tmp_path).replay(found.extend) == (2, 0, 4)
    assert ids(found) == ["a", "b"]
    assert [file.name for file in tmp_path.iterdir()] == ["1-x.rejected.jsonl"]
    assert (tmp_path / "1-x.rejected.jsonl").read_bytes() == b"\n".join(bad) + b"\n"


def test_a_trace_that_the_store_cannot_take_is_set_aside_and_the_others_get_through(tmp_path: Path) -> None:
    spool, found = Spool(tmp_path), list[Trace]()

    def put(traces: Sequence[Trace]) -> None:
        if "poison" in ids(traces):
            raise RecordError("no")
        found.extend(traces)

    spool.append(lines("a", "poison", "b"))
    spool.seal()
    assert spool.replay(put) == (2, 0, 1)
    assert ids(found) == ["a", "b"]
    assert [file.read_text() for file in tmp_path.iterdir()] == [lines("poison")[0] + "\n"]


def test_a_replay_that_the_store_breaks_off_can_be_repeated(tmp_path: Path) -> None:
    spool, found = Spool(tmp_path), list[Trace]()
    names = [f"t{i}" for i in range(CHUNK + 10)]
    spool.append(lines(*names))
    spool.seal()

    def put(traces: Sequence[Trace]) -> None:
        if found:
            raise StoreError("gone")
        found.extend(traces)

    with pytest.raises(StoreError, match="gone"):
        spool.replay(put)
    assert len(spool.files()) == 1
    store = open_store(f"sqlite:///{tmp_path}/traces.db")
    store.put(found)
    assert spool.replay(store.put).traces == CHUNK + 10
    assert sorted(ids(list(store.iterate()))) == sorted(names)
    store.close()


def test_a_spool_that_is_full_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit_bytes=len(lines("a")[0]) + 10)
    spool.append(lines("a"))
    with pytest.raises(StoreError, match="is full"):
        spool.append(lines("b"))
    spool.seal()
    assert spool.replay(list[Trace]().extend).traces == 1


def test_a_directory_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="spool"):
        Spool(tmp_path / "file").append(lines("a"))


def test_a_spool_that_was_deleted_under_the_writer_starts_anew(tmp_path: Path) -> None:
    spool, found = Spool(tmp_path / "spool"), list[Trace]()
    spool.append(lines("a"))
    shutil.rmtree(tmp_path / "spool")
    spool.append(lines("b"))
    spool.seal()
    assert spool.replay(found.extend).traces == 1
    assert ids(found) == ["b"]


def test_after_a_failed_write_nothing_is_glued_to_the_torn_line(tmp_path: Path) -> None:
    spool, found = Spool(tmp_path), list[Trace]()
    spool.append(lines("a"))
    assert spool._file is not None
    read_only = os.open(spool.files()[0], os.O_RDONLY)
    fcntl.flock(spool._file, fcntl.LOCK_UN)
    os.dup2(read_only, spool._file)  # the next write fails, as on a full disk
    os.close(read_only)
    with pytest.raises(StoreError, match="Bad file descriptor"):
        spool.append(lines("b"))
    spool.append(lines("c"))
    assert len(spool.files()) == 2
    spool.seal()
    spool.replay(found.extend)
    assert sorted(ids(found)) == ["a", "c"]
