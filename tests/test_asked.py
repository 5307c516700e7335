from typing import Any

import pytest

from midcourse.server.asked import request_text

Turn = dict[str, Any]


def turn(role: str, content: object, **more: object) -> Turn:
    return {"role": role, "content": content, **more}


def test_a_single_question_is_told_as_it_is() -> None:
    assert request_text([turn("user", " How? ")]) == " How? "


def test_every_role_is_told_in_order() -> None:
    chat = [turn("system", "S"), turn("user", "one"), turn("assistant", "A"), turn("tool", "T"), turn("user", "two")]
    assert request_text(chat) == "S\n\none\n\nA\n\nT\n\ntwo"


def test_the_last_question_ends_it_whatever_came_after() -> None:
    chat = [turn("user", "one"), turn("user", "two"), turn("assistant", "A"), turn("tool", "T")]
    assert request_text(chat) == "one\n\nA\n\nT\n\ntwo"


def test_a_chat_without_a_question_is_told_all_the_same() -> None:
    assert request_text([turn("system", "Do it."), turn("assistant", None)]) == "Do it."


def test_reasoning_in_the_history_is_told_once() -> None:
    chat = [turn("assistant", "A", reasoning="R", reasoning_content="R"), turn("user", "Q")]
    assert request_text(chat) == "R\n\nA\n\nQ"


def test_what_the_template_is_given_comes_first_and_only_its_strings() -> None:
    template = {"model_identity": "M", "thinking": True, "deep": {"list": ["L", 3, None]}}
    assert request_text([turn("user", "Q")], template) == "M\n\nL\n\nQ"


@pytest.mark.parametrize("content", [[], "", " \n", None])
def test_what_is_empty_leaves_no_blank_lines(content: object) -> None:
    assert request_text([turn("system", content), turn("user", "Q")]) == "Q"


def test_text_parts_are_text() -> None:
    assert request_text([turn("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])]) == "a\n\nb"
