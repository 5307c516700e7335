"""Collecting: prompts through the guard into the store, once each, on the real model."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from midcourse.server.collect import read_prompts
from midcourse.server.errors import CallerError
from midcourse.server.store import open_store


def test_prompts_come_as_rows_as_chats_or_as_lines(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    chat = [{"role": "user", "content": "c"}]
    file.write_text(f'{{"prompt": "a"}}\n\nplain b\n{json.dumps({"messages": chat})}\n')
    assert [turns[-1]["content"] for turns in read_prompts(file)] == ["a", "plain b", "c"]


@pytest.mark.parametrize("line", ["{", '{"text": "a"}', '{"prompt": " "}', '{"messages": []}'])
def test_a_line_that_is_no_prompt_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(f"fine\n{line}\n")
    with pytest.raises(CallerError, match=r"prompts\.jsonl:2: "):
        list(read_prompts(file))


def test_every_trace_is_stored_and_a_second_run_skips_what_is_there(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    file = tmp_path / "prompts.txt"
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is tea?"}]
    file.write_text(f"What is bread?\n{json.dumps({'messages': chat})}\n")

    def collect(*more: str) -> dict[str, Any]:
        store = ["--store", f"sqlite:///{tmp_path}/t.db", "--spool_dir", str(tmp_path / "spool"), "--judge", "lexical"]
        command = [sys.executable, "-m", "midcourse.server.cli", "collect", str(file), "--json", "--max-tokens", "12"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("MIDCOURSE_")}
        done = subprocess.run([*command, *store, *more], check=False, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        summary: dict[str, Any] = json.loads(done.stdout)
        return summary

    first = collect("--limit", "1", "--samples", "2")
    assert (first["generations"], first["already_stored"]) == (2, 0)
    second = collect("--samples", "2")
    assert (second["generations"], second["already_stored"]) == (4, 2)
    assert sum(second["outcomes"].values()) == 2
    store = open_store(f"sqlite:///{tmp_path}/t.db")
    store.put([replace(next(store.iterate()), outcome="cancelled")])
    assert collect("--samples", "2")["already_stored"] == 3
    traces = list(store.iterate())
    store.close()
    assert {trace.outcome for trace in traces} == {"untouched"}
    assert len(traces) == 4
    assert {trace.origin.purpose for trace in traces} == {"collect"}
    assert {trace.prompt for trace in traces} == {"What is bread?", "Be brief.\n\nWhat is tea?"}
    assert all(trace.usage.completion <= 12 for trace in traces)
