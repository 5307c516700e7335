"""The policy in force, and how it is replaced while streams run.

Knows where the policy comes from. Refuses to touch a running generation: each keeps the policy that it began with.
"""

from collections.abc import Callable
from typing import NamedTuple

import structlog

from midcourse.guard.policy import Policy
from midcourse.server.config import Settings
from midcourse.server.errors import ConfigError
from midcourse.server.metrics import RELOADS

log = structlog.get_logger(__name__)


class Reloaded(NamedTuple):
    """Hashes of the policy before and after."""

    old: str
    new: str


class PolicyBox:
    """Holds one policy.

    Args:
        settings: as the server was started.
        read: reads file, environment and flags again, as at the start.
    """

    def __init__(self, settings: Settings, read: Callable[[], Settings]) -> None:
        self._settings = settings
        self._read = read
        self._watchers: list[Callable[[Reloaded], None]] = []

    @property
    def current(self) -> Policy:
        """What the next request is guarded by."""
        return self._settings.policy

    def watch(self, watcher: Callable[[Reloaded], None]) -> None:
        """Have ``watcher`` called after each reload that went well."""
        self._watchers.append(watcher)

    def reload(self) -> Reloaded:
        """Read everything again and put the policy in force. Other settings stay until a restart.

        Raises:
            ConfigError: something is wrong with what was read; the old policy stays, and the failure is counted.
        """
        try:
            settings = self._read()
        except ConfigError as error:
            RELOADS.labels(result="error").inc()
            log.error("policy_reload", result="error", problem=str(error), kept=self.current.hash)
            raise
        changed = {name for name in Settings.model_fields if getattr(settings, name) != getattr(self._settings, name)}
        result = Reloaded(self.current.hash, settings.policy.hash)
        self._settings = settings
        RELOADS.labels(result="ok").inc()
        for watcher in self._watchers:
            watcher(result)
        log.info("policy_reload", result="ok", old=result.old, new=result.new, mode=settings.policy.mode)
        if result.old == result.new:
            log.warning("policy_reload", why="the policy is as it was; flags and environment stand above the file")
        if changed - {"policy"}:
            log.warning("policy_reload", ignored=sorted(changed - {"policy"}), why="these are read at the start only")
        return result

    def on_signal(self) -> None:
        """As ``reload``, for SIGHUP: nobody is there to be told of a failure but the log."""
        try:
            self.reload()
        except ConfigError:
            return  # logged and counted
