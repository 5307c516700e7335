"""The line: cuts at tokens, and books that balance where a marker lies inside one."""

from midcourse.guard.delta import Delta
from midcourse.guard.line import Line


def line(*texts: str, ids: bool = True) -> Line:
    made = Line()
    for at, text in enumerate(texts):
        made.append(Delta(text, (at,) if ids else ()), "reasoning")
    return made


def test_a_cut_inside_a_token_moves_to_its_end() -> None:
    made = line("ab", "cd", "ef")
    assert made.ahead(0, 3) == (2, 1) and len(made) == 3
    assert made.ahead(0, 4) == (2, 0)


def test_text_without_ids_is_cut_at_the_character() -> None:
    made = line("abcd", ids=False)
    assert made.ahead(0, 3) == (1, 0)
    assert [d.text for d in made.deltas] == ["abc", "d"]
    assert made.whole(0, 2) == 1 and made.text(0, 1) == "ab"


def test_a_token_split_for_a_marker_has_to_be_spelled_again_when_its_end_goes() -> None:
    made = line("so", "n>The", " end")
    assert made.exactly(0, 4) == 2
    assert [d.text for d in made.deltas] == ["so", "n>", "The", " end"]
    assert made.ids(0, 2) == (0,) and made.ids(0, 3) == (0, 1)
    assert made.truncate(2) == "n>" and made.text(0, 2) == "son>"
    assert line("a", "b").truncate(1) == ""


def test_whole_stays_before_a_token_that_reaches_further() -> None:
    made = line("ab", "cd")
    assert (made.whole(0, 3), made.whole(0, 2), len(made)) == (1, 1, 2)


def test_pieces_are_runs_of_one_channel_and_one_author() -> None:
    made = line("a", "b", "c")
    made.append(Delta("T", (9,), forced=True, logprobs="lp"), "reasoning")
    made.label(0, 1, "markup")
    pieces = list(made.pieces(0, 4))
    assert [(p.channel, p.text, p.token_ids, p.forced) for p in pieces] == [
        ("markup", "a", (0,), False),
        ("reasoning", "bc", (1, 2), False),
        ("reasoning", "T", (9,), True),
    ]
    assert pieces[2].logprobs == ("lp",)
