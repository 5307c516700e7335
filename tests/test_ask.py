"""Asking for verdicts: a server on this machine, replies that are none, and what is said when there are too many."""

import pytest

from midcourse.models.answer import AnswerJudgeError
from midcourse.models.ask import KEY, LOST, Server, Verdicts
from tests.model_server import serving


def test_a_server_is_asked_coldly_with_the_key_of_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "secret")
    with serving() as (url, seen):
        server = Server(url, "m", most=7)
        assert server.chat([{"role": "user", "content": "Hi"}]) == "0"
        assert server.complete("Hi") == "safe"
    assert [(each["path"], each["temperature"], each["max_tokens"]) for each in seen] == [
        ("/v1/chat/completions", 0, 7),
        ("/v1/completions", 0, 7),
    ]
    assert {each["key"] for each in seen} == {"Bearer secret"}


def test_an_overloaded_server_is_asked_again() -> None:
    with serving(429, 503) as (url, seen):
        assert Server(url, "m", most=7).complete("Hi") == "safe"
    assert len(seen) == 3


def test_a_server_that_fails_is_named_with_the_fix() -> None:
    with (
        serving(500) as (url, _),
        pytest.raises(AnswerJudgeError, match=r"judge m at http.*is the server up, and MIDC"),
    ):
        Server(url, "m", most=7, retries=0).complete("Hi")


@pytest.mark.parametrize(
    ("chat", "finish", "read"),
    [
        ("Hm.</think>safe", "stop", "safe"),
        ("<think>It is safe.", "stop", ""),
        ("It is unsafe, no, safe", "length", ""),
        ("<think>Hm.</think>unsafe\nS1", "length", ""),
        ("safe", "content_filter", ""),
    ],
)
def test_a_thought_and_a_reply_that_was_cut_off_are_no_reply(chat: str, finish: str, read: str) -> None:
    with serving(chat=chat, text=chat, finish=finish) as (url, _):
        server = Server(url, "m", most=7)
        assert server.chat([{"role": "user", "content": "Hi"}]) == read
        assert server.complete("Hi") == (chat if finish == "stop" else "")


def digit(reply: str) -> float | None:
    return float(reply) if reply.isdigit() else None


def test_verdicts_come_in_order_and_what_is_not_asked_has_none() -> None:
    verdicts = Verdicts[int]("j", str, digit)
    assert verdicts.of([*range(50), None]) == [*map(float, range(50)), None]
    assert (verdicts.asked, verdicts.unreadable) == (50, 0)


def test_a_reply_without_a_verdict_is_asked_for_once_more() -> None:
    replies = ["hm", "1"]
    verdicts = Verdicts[str]("j", lambda _: replies.pop(0), digit, concurrency=1)
    assert verdicts.of(["?"]) == [1.0] and verdicts.unreadable == 0


def test_a_few_replies_without_a_verdict_are_counted_and_too_many_are_an_error() -> None:
    verdicts = Verdicts[str]("j", str, digit, concurrency=1)
    assert verdicts.of(["hm"] * LOST) == [None] * LOST and verdicts.unreadable == LOST
    with pytest.raises(AnswerJudgeError, match="judge j: 4 of 4 replies hold no verdict"):
        verdicts.of(["hm"])


def test_of_many_replies_a_small_share_may_be_lost() -> None:
    verdicts = Verdicts[str]("j", str, digit, concurrency=1)
    assert verdicts.of((["1"] * 19 + ["hm"]) * 10).count(None) == 10
