"""What guards vLLM in one process."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from midcourse.guard.policy import Policy
from midcourse.guard.trace import Trace
from midcourse.server.config import load
from midcourse.server.dialects import format_of
from midcourse.server.errors import ConfigError
from midcourse.server.metrics import BUILD
from midcourse.server.vllm_guard import Guard, check_settings
from tests.kit import WordJudge
from tests.test_trace import example


def guard(folder: Path, config: Path | None = None, judge: str = "lexical") -> Guard:
    given = {"store": f"sqlite:///{folder}/t.db", "spool_dir": str(folder / "spool"), "judge": judge}
    return Guard(lambda: load(config, given, {}), format_of({}, chosen="r1"), "guarded-model", lambda _: WordJudge())


@pytest.mark.parametrize("adapter", ["ipo-v2", "folder/of/peft"])
def test_a_version_or_a_folder_is_no_name_to_follow(adapter: str) -> None:
    check_settings(load(overrides={"adapter": "ipo"}, env={}))
    with pytest.raises(ConfigError, match=r"adapter: .* is no name in the registry.*--lora-modules"):
        check_settings(load(overrides={"adapter": adapter}, env={}))


@pytest.mark.parametrize("name", ["api_keys", "api_keys_file"])
def test_keys_that_would_protect_nothing_are_an_error(name: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("secret\n")
    settings = load(None, {name: str(file)}, {})
    with pytest.raises(ConfigError, match="vLLM's --api-key"):
        check_settings(settings)


def test_a_store_that_is_none_is_an_error_at_the_start() -> None:
    with pytest.raises(ConfigError, match="store: "):
        check_settings(load(None, {"store": "nothing"}, {}))
    check_settings(load(None, {"admin_keys": "a"}, {}))


async def test_traces_are_kept_and_found_by_the_ids_that_clients_see(tmp_path: Path) -> None:
    made = guard(tmp_path)
    traces: list[Trace] = [
        replace(example(), id=name) for name in ("chatcmpl-a.1", "cmpl-bbb-0.2", "resp_ccc_0.3", "resp_ccc_0-1.4")
    ]
    await made.record(traces[0])
    await made.record(traces[1])
    for trace in traces[2:]:
        made.abandoned(trace)
    await made.close()
    names = ("chatcmpl-a", "cmpl-bbb", "resp_ccc", "resp_ccc_0-1", "chatcmpl", "c")
    found = [await asyncio.to_thread(made.store.get, name) for name in names]
    assert [trace and trace.id for trace in found] == [*(trace.id for trace in traces), None, None]
    made.store.close()


def value(policy: str) -> float:
    samples = [sample for family in BUILD.collect() for sample in family.samples]
    return sum(s.value for s in samples if s.labels["policy"] == policy and s.labels["model"] == "guarded-model")


async def test_a_reload_shows_in_the_builds_metric(tmp_path: Path) -> None:
    file = tmp_path / "midcourse.yaml"
    file.write_text("policy: {mode: enforce}\n")
    made = guard(tmp_path, file)
    before = made.policies.current.hash
    file.write_text("policy: {mode: shadow}\n")
    made.policies.reload()
    after = made.policies.current.hash
    assert before == Policy().hash != after
    assert (value(before), value(after)) == (0, 1)
    await made.close()


@pytest.mark.parametrize(("judge", "warnings"), [("lexical", 0), ("random", 1)])
async def test_whoever_serves_with_the_baseline_of_an_evaluation_is_warned(
    tmp_path: Path, judge: str, warnings: int
) -> None:
    with capture_logs() as logs:
        made = guard(tmp_path, judge=judge)
    await made.close()
    assert sum("baseline" in line["event"] for line in logs) == warnings
