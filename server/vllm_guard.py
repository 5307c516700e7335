"""What guards vLLM in one process: settings, policy, judge, traces, and the model's format. Made once, when it starts.

Knows which settings make sense under vLLM's server. Refuses to import vLLM, and to know requests.
"""

from collections.abc import Callable
from functools import partial

import structlog

from midcourse import __version__
from midcourse.guard.trace import Trace
from midcourse.guard.verdict import Judge
from midcourse.models.registry import version_of
from midcourse.server.config import Settings
from midcourse.server.database import parse_url
from midcourse.server.dialects import Format
from midcourse.server.errors import ConfigError, StoreError
from midcourse.server.judges import DICE, judge_of
from midcourse.server.judging import JudgeRunner
from midcourse.server.metrics import BUILD
from midcourse.server.policy_box import PolicyBox, Reloaded
from midcourse.server.shelf import Shelf
from midcourse.server.store import open_store
from midcourse.server.writer import TraceWriter

log = structlog.get_logger(__name__)

UNIQUE = "."  # between the id that a client may have chosen, and what makes it the only one
SHORT = 8  # no id is shorter; the store looks for no shorter beginning

# Read by our own server only: under vLLM a key that seems to protect, and does not, would be worse than none.
VLLMS = {
    "api_keys": "vLLM's --api-key",
    "api_keys_file": "vLLM's --api-key",
}


def check_settings(settings: Settings) -> None:
    """Whether these settings can be meant for vLLM's server.

    Raises:
        ConfigError: one of them is vLLM's business, or cannot be.
    """
    for name, instead in VLLMS.items():
        if getattr(settings, name):
            raise ConfigError(f"{name}: has no effect under vLLM; use {instead}", param=name)
    if settings.adapter and (version_of(settings.adapter) is not None or "/" in settings.adapter):
        told = (
            "is no name in the registry, to be followed; vLLM takes a version or a folder as --lora-modules NAME=PATH"
        )
        raise ConfigError(f"adapter: {settings.adapter!r} {told}", param="adapter")
    try:
        parse_url(settings.store)
    except StoreError as error:
        raise ConfigError(f"store: {error}", param="store") from error


class Found(Shelf):
    """The store, by the ids that clients see: of a route that numbers its prompts or turns, the first is meant."""

    def get(self, id: str, /) -> Trace | None:
        """The trace with this id, or that of its first prompt (completions) or turn (responses).

        Raises:
            CallerError: the id was used more than once.
        """
        store = self.open()
        if len(id) < SHORT:
            return None
        names = (f"{id}{UNIQUE}", f"{id}-0{UNIQUE}", f"{id}_0{UNIQUE}")
        return store.get(id) or next(filter(None, map(store.find, names)), None)


class Guard:
    """The parts.

    Args:
        read: reads the settings, now and for a reload of the policy.
        format: how the model marks its reasoning.
        model: its name, for traces.
        judge: opens what judges.

    ``settings``, ``store`` and ``policies`` are what the operators' routes ask for.
    """

    def __init__(
        self, read: Callable[[], Settings], format: Format, model: str, judge: Callable[[Settings], Judge] = judge_of
    ) -> None:
        self.settings = read()
        check_settings(self.settings)
        self.format = format
        self.model = model
        self.judges = JudgeRunner(judge(self.settings))
        self.policies = PolicyBox(self.settings, read)
        self.store = Found(self.settings.store)
        self._writer = TraceWriter(
            partial(open_store, self.settings.store),
            self.settings.spool_dir,
            sample_rate=self.settings.trace_sample_rate,
        )
        self._show(self.policies.current.hash, 1)
        self.policies.watch(self._reshow)
        if self.settings.judge == "random":
            log.warning(DICE)
        log.info("guarding", model=model, dialect=format.dialect.name, exact=format.dialect.exact, judge=self.judge)
        if format.dialect.name == "none":
            log.warning("the model shows no reasoning format: all it writes is judged as a response; set dialect")

    @property
    def judge(self) -> str:
        """The judge's name."""
        return self.judges.judge.name

    async def record(self, trace: Trace) -> None:
        """Keep the trace of a generation that came to its end, if it is wanted; wait a second at most."""
        if self._writer.wanted(trace):
            await self._writer.record(trace)

    def abandoned(self, trace: Trace) -> None:
        """Keep the trace of one that did not, if it is wanted."""
        if self._writer.wanted(trace):
            self._writer.submit(trace)

    async def close(self) -> None:
        """Stop the threads; the last traces are written first."""
        await self.judges.close()
        self._writer.close()
        self.store.close()

    def _show(self, policy: str, value: int) -> None:
        BUILD.labels(__version__, self.model, self.format.dialect.name, self.judge, policy).set(value)

    def _reshow(self, reloaded: Reloaded) -> None:
        self._show(reloaded.old, 0)
        self._show(reloaded.new, 1)
