"""Offsets of tokens in the text that they stand beside."""

from midcourse.guard.delta import Piece
from midcourse.server.engine import TokenLogprob
from midcourse.server.logprobs import completion_logprobs


def piece(text: str, *tokens: str) -> Piece:
    return Piece("response", text, logprobs=tuple(TokenLogprob(token, 1, -0.5) for token in tokens))


def test_a_token_whose_white_space_left_before_it_begins_where_that_does() -> None:
    whole = completion_logprobs([Piece("markup", " "), piece("a common", " a", " common")], 0)
    later = completion_logprobs([piece("a common", " a", " common")], 1)
    assert whole is not None and later is not None
    assert whole["text_offset"] == later["text_offset"] == [0, 2]


def test_a_token_that_a_stop_string_shortened_begins_where_its_text_does() -> None:
    told = completion_logprobs([piece("so fo", "so", " foo##")], 3)
    assert told is not None and told["text_offset"] == [3, 5]
