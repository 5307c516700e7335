"""Where traces wait on disk while the store is away: files of one JSON line a trace.

Knows files, locks and torn lines. Knows no queue and no database: ``replay`` is told where to put what it finds.

A process holds a lock on the file it writes (``flock``): a spool file is its writer's for as long as that lives, and
to anyone after that, however it died. The directory must be on a file system that has such locks, and may be shared by
the processes of one machine.
"""

import contextlib
import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from midcourse.guard.trace import Trace, TraceError, from_json
from midcourse.server.errors import StoreError
from midcourse.server.rows import RecordError, line

LIMIT_BYTES = 1 << 30  # some 100,000 traces: days of an outage at one intervention a second, and no full disk
CHUNK = 256  # traces a transaction


class Replayed(NamedTuple):
    """What came of a replay.

    ``torn`` lines are the unfinished last ones of a writer that died; they were never acknowledged. ``rejected`` lines
    cannot be read or stored; they stay beside the spool in a ``.rejected.jsonl`` file.
    """

    traces: int = 0
    torn: int = 0
    rejected: int = 0


class Spool:
    """The spool directory of one process. Any thread may use it."""

    def __init__(self, directory: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.directory = directory
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._file: int | None = None

    def append(self, lines: Sequence[str]) -> None:
        """Write the lines and wait until they are on the disk.

        Raises:
            StoreError: the disk would not have them, or the spool is full. Some of them may have been written.
        """
        data = "".join(text + "\n" for text in lines).encode()
        with self._lock:
            try:
                self._check_room(len(data))
                self._write(data)
            except OSError as error:
                self._close()  # a line may be torn now, and nothing may be glued to it
                raise StoreError(f"spool {self.directory}: {error.strerror}") from error

    def seal(self) -> None:
        """Let go of the current file, so that it can be replayed; the next ``append`` starts another."""
        with self._lock:
            self._close()

    def files(self) -> list[Path]:
        """The spool files of every process, oldest first."""
        with contextlib.suppress(OSError):  # no directory: nothing there
            return sorted(self.directory.glob("*.spool.jsonl"), key=lambda path: (_size(path).st_mtime, path.name))
        return []

    def replay(self, put: Callable[[Sequence[Trace]], None]) -> Replayed:
        """Put everything that no living process holds where it belongs; a file goes once all of it is there.

        Raises:
            StoreError: ``put`` failed, or the disk. What was not put stays; what was may be put again.
        """
        total = Replayed()
        for path in self.files():
            try:
                with _claimed(path) as claimed:
                    if claimed:
                        found = _replay_file(path, put)
                        path.unlink()
                        total = Replayed(*(a + b for a, b in zip(total, found, strict=True)))
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                raise StoreError(f"spool {path}: {error.strerror}") from error
        return total

    def _check_room(self, more: int) -> None:
        used = sum(_size(path).st_size for path in self.files())
        if used + more > self._limit:
            raise StoreError(f"spool {self.directory} is full: {used} of {self._limit} bytes")

    def _write(self, data: bytes) -> None:
        while True:
            if self._file is None:
                self._file = self._create()
            _write_all(self._file, data)
            os.fsync(self._file)
            if os.fstat(self._file).st_nlink:
                return
            self._close()  # someone deleted the file under us: what it swallowed is not on the disk

    def _create(self) -> int:
        """A new file, locked. A replayer may take and remove it between its birth and our lock: then try again."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self.directory / f"{os.getpid()}-{secrets.token_hex(4)}.spool.jsonl"
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY, 0o600)
            if _lock(file) and os.fstat(file).st_nlink:
                _sync_directory(self.directory)
                return file
            os.close(file)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _replay_file(path: Path, put: Callable[[Sequence[Trace]], None]) -> Replayed:
    """Put the traces of one file, and set aside what cannot be put."""
    count, torn, bad = 0, 0, list[bytes]()
    with path.open("rb") as file:
        lines = iter(file)
        while chunk := list(islice(lines, CHUNK)):
            traces = []
            for raw in chunk:
                try:
                    traces.append(from_json(raw.decode()))
                except (TraceError, UnicodeDecodeError):
                    if raw.endswith(b"\n"):
                        bad.append(raw)
                    else:
                        torn += 1
            refused = _put_what_goes(traces, put)
            bad += [line(trace).encode() + b"\n" for trace in refused]
            count += len(traces) - len(refused)
    if bad:
        _set_aside(path, bad)
    return Replayed(count, torn, len(bad))


def _put_what_goes(traces: Sequence[Trace], put: Callable[[Sequence[Trace]], None]) -> list[Trace]:
    """Put all; where one trace spoils the whole, one by one. Returns those that would not go."""
    try:
        put(traces)
        return []
    except RecordError:
        refused = []
        for trace in traces:
            try:
                put([trace])
            except RecordError:
                refused.append(trace)
        return refused


def _set_aside(path: Path, lines: Iterable[bytes]) -> None:
    aside = path.with_name(path.name.replace(".spool.jsonl", ".rejected.jsonl"))
    file = os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)  # the whole file is replayed each time
    try:
        _write_all(file, b"".join(lines))
        os.fsync(file)
    finally:
        os.close(file)
    _sync_directory(path.parent)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Hold the file's lock; False if its writer, or another replayer, does."""
    file = os.open(path, os.O_RDONLY)
    try:
        yield _lock(file) and os.fstat(file).st_nlink > 0
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _size(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:  # replayed by another process since it was listed
        return os.stat_result((0,) * 10)


def _sync_directory(directory: Path) -> None:
    """A new file's name is on the disk only once its directory is."""
    file = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
