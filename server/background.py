"""Threads that do not keep the process alive, and log lines that do not flood. Knows nothing of what they are for."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import structlog

T = TypeVar("T")
LOG_SECONDS = 60.0
_log = structlog.get_logger(__name__)


def in_background(work: Callable[[], T], name: str) -> Future[T]:
    """Run it on a thread of its own that, unlike an executor's, is not waited for at the end if it hangs."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on it cannot be cancelled: the work goes on anyway

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is told through the future
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


class Rarely:
    """One line a minute about the same thing, and how often it happened meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: Counter[str] = Counter()
        self._next: dict[str, float] = {}

    def __call__(self, what: str, **details: object) -> None:
        with self._lock:
            self._times[what] += 1
            if time.monotonic() < self._next.get(what, 0.0):
                return
            self._next[what] = time.monotonic() + LOG_SECONDS
            times = self._times.pop(what)
        _log.warning(what, times=times, **details)
