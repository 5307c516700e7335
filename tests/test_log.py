import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from midcourse.server.config import load
from midcourse.server.log import configure
from tests.kit import CUED, serving


@pytest.fixture(autouse=True)
def _afterwards_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("midcourse")
    handlers, level, own = list(root.handlers), root.level, ours.level
    before = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(own)
    structlog.configure(**before)


async def test_a_request_is_one_line_without_a_word_of_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load(env={}))
    async with serving(CUED) as kit:
        reply = await kit.chat("my secret prompt")
        await kit.client.get("/health")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    body = reply.json()
    assert (entry["event"], entry["id"], entry["status"], entry["outcome"]) == ("request", body["id"], 200, "ok")
    assert (entry["route"], entry["interventions"]) == ("/v1/chat/completions", 1)
    assert entry["tokens"] == body["usage"]["completion_tokens"]
    assert entry["request_id"] == reply.headers["x-request-id"]
    assert entry["seconds"] > 0
    assert "secret" not in line
    assert "BAD" not in line


async def test_at_debug_level_ignored_fields_and_probes_are_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load(env={"MIDCOURSE_LOG_LEVEL": "debug"}))
    async with serving() as kit:
        await kit.chat(zeal=1)
        await kit.client.get("/health")
    entries = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [entry["event"] for entry in entries] == ["ignored_fields", "request", "request"]
    assert entries[0]["fields"] == ["zeal"]


def test_lines_of_libraries_look_like_ours(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load(env={}))
    logging.getLogger("elsewhere").warning("hm %s", 1)
    logging.getLogger("elsewhere").debug("quiet")
    entry = json.loads(capsys.readouterr().err)
    assert (entry["event"], entry["level"], entry["logger"]) == ("hm 1", "warning", "elsewhere")


def test_people_get_text_and_no_tracebacks_with_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load(env={"MIDCOURSE_LOG_FORMAT": "console"}))
    prompt = "my secret prompt".upper()
    try:
        raise ValueError(len(prompt))
    except ValueError:
        structlog.get_logger("midcourse.x").exception("it_failed")
    text = capsys.readouterr().err
    assert "it_failed" in text
    assert "ValueError: 16" in text
    assert "SECRET" not in text
