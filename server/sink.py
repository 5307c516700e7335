"""What a writer asks of a store, and the patience to ask it again.

Knows threads. Knows no queue, no SQL and no file.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from midcourse.guard.trace import Trace
from midcourse.server.rows import RecordError


class Sink(Protocol):
    """Where traces go; ``Store`` is one."""

    def put(self, traces: Sequence[Trace]) -> None:
        """All or none, committed on return. Writing a trace twice is writing it once."""
        ...

    def check(self) -> None:
        """Raise if it cannot be reached."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Door:
    """A sink that is opened when it is needed, and opened anew after it failed."""

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open_sink = open_sink
        self._lock = threading.Lock()
        self._sink: Sink | None = None

    def put(self, traces: Sequence[Trace]) -> None:
        """As the sink does."""
        sink = self._opened()
        try:
            sink.put(traces)
        except RecordError:
            raise
        except Exception:
            self.close()
            raise

    def check(self) -> None:
        """As the sink does."""
        sink = self._opened()
        try:
            sink.check()
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Close the sink; the next use opens another."""
        with self._lock:
            sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def _opened(self) -> Sink:
        with self._lock:
            if self._sink is None:
                self._sink = self._open_sink()
            return self._sink
