"""A command line for two: which flags are ours, and which are vLLM's."""

from collections.abc import Sequence
from typing import NamedTuple

OURS = frozenset(
    "engine policy judge judge_model judge_threads random_rate random_seed dialect store spool_dir trace_sample_rate"
    " admin_keys adapter registry log_level log_format".split()
)
"""Settings that mean something under vLLM. All other flags are vLLM's: its host and port, its keys, its model."""


class Flags(NamedTuple):
    """A command line, by whom it is for."""

    ours: list[str]
    theirs: list[str]


def flags_of(arguments: Sequence[str]) -> Flags:
    """Sort them: ``--policy.mode shadow`` is ours, ``--max-model-len 4096`` is vLLM's."""
    flags = Flags([], [])
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        name, equals, _ = flag.removeprefix("--").partition("=")
        if not flag.startswith("--") or name.partition(".")[0].replace("-", "_") not in OURS:
            flags.theirs.append(flag)
            continue
        flags.ours.append(flag)
        if not equals and rest:
            flags.ours.append(rest.pop(0))
    return flags
