"""Two API servers over one engine: each has a guard, and one scrape shows both."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from midcourse.guard.trigger import POOL
from tests.vllm.server import PARSERS, ROUTES, Ask, Server, chat

CUED = "Tell me a short story about a fox. [cue 0]"


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(model, tmp_path_factory.mktemp("two"), plugin=True, flags=f"{PARSERS} --api-server-count 2") as server:
        yield server


def test_every_answer_of_two_api_servers_is_guarded_and_counted(server: Server) -> None:
    for _ in range(6):
        server.http.close()  # the next connection may go to the other one
        server.connect()
        said = chat(server, CUED, 30)
        assert any(trigger.text in said.reasoning for trigger in POOL)
    assert server.metric("midcourse_generations_total") == 6
    assert server.metric("midcourse_interventions_total") >= 6
    assert server.log.read_text().count('"event": "guarding"') == 2


def test_a_trace_is_found_whoever_wrote_it(server: Server) -> None:
    said = chat(server, CUED, 30)
    for _ in range(4):
        server.http.close()
        server.connect()
        assert server.trace(said.id)["interventions"]


@pytest.mark.parametrize("ask", ROUTES)
def test_every_route_of_two_api_servers_is_guarded(ask: Ask, server: Server) -> None:
    said = ask(server, CUED, 30)
    assert any(trigger.text in said.text for trigger in POOL)


def test_sighup_to_the_api_servers_reloads_the_policy_of_each(server: Server) -> None:
    server.write({"mode": "shadow"})
    listed = ("ps", "--ppid", str(server.pid), "-o", "pid=,args=")
    lines = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines()
    servers = [int(line.split()[0]) for line in lines if "VLLM::APIServer" in line]
    assert len(servers) == 2, lines
    for pid in servers:
        os.kill(pid, signal.SIGHUP)
    until = time.monotonic() + 30
    while server.log.read_text().count('"result": "ok"') < 2:
        assert time.monotonic() < until, server.log.read_text()[-2000:]
        time.sleep(0.2)
    for _ in range(4):
        server.http.close()
        server.connect()
        said = chat(server, CUED, 30)
        assert not any(trigger.text in said.text for trigger in POOL)
