from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from midcourse.guard.delta import Delta
from midcourse.server.stop import StopStrings

LETTERS = st.text(alphabet="ab\n", max_size=30)
STOPS = st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=4).map(tuple)


def cut(text: str, sizes: Sequence[int], finish: bool = True) -> list[Delta]:
    """``text`` in deltas of these sizes, then the rest in one; 0 is an empty delta."""
    deltas: list[Delta] = []
    at = 0
    for size in sizes:
        deltas.append(Delta(text[at : at + size], (len(deltas),)))
        at += size
    return [*deltas, Delta(text[at:], (len(deltas),), finish_reason="length" if finish else None)]


def run(stop: tuple[str, ...], deltas: Sequence[Delta]) -> list[Delta]:
    filter_ = StopStrings(stop)
    return [out for delta in deltas for out in filter_.feed(delta)] + list(filter_.flush())


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def expected(text: str, stop: tuple[str, ...]) -> str:
    """The text before the stop string that is completed first, the longer one where two are."""
    found = [(text.find(string) + len(string), text.find(string)) for string in stop if string in text]
    return text[: min(found)[1]] if found else text


@given(LETTERS, STOPS, st.lists(st.integers(0, 4), max_size=20))
def test_any_cut_gives_the_same_text_and_no_stop_string_leaves(
    text: str, stop: tuple[str, ...], sizes: list[int]
) -> None:
    out = run(stop, cut(text, sizes))
    assert text_of(out) == expected(text, stop)
    assert not any(string in text_of(out) for string in stop)
    assert [delta.finish_reason for delta in out[:-1]] == [None] * (len(out) - 1)
    assert out[-1].finish_reason == ("stop" if any(string in text for string in stop) else "length")


@given(LETTERS, STOPS, st.lists(st.integers(0, 4), max_size=20))
def test_nothing_is_lost_or_changed_where_there_is_no_stop_string(
    text: str, stop: tuple[str, ...], sizes: list[int]
) -> None:
    deltas = cut(text, sizes, finish=False)
    if not any(string in text for string in stop):
        assert run(stop, deltas) == deltas


@given(LETTERS, STOPS, st.lists(st.integers(0, 4), max_size=20))
def test_ids_that_leave_are_a_prefix_of_what_came(text: str, stop: tuple[str, ...], sizes: list[int]) -> None:
    ids = [token for delta in run(stop, cut(text, sizes)) for token in delta.token_ids]
    assert ids == list(range(len(ids)))


def test_a_token_that_straddles_the_stop_string_keeps_its_ids_and_loses_the_rest() -> None:
    out = run(("END",), [Delta("one", (1,)), Delta(" two EN", (2,)), Delta("D three", (3,)), Delta(" four", (4,))])
    assert out == [Delta("one", (1,)), Delta(" two ", (2,), finish_reason="stop")]


def test_a_token_wholly_inside_the_stop_string_is_dropped() -> None:
    out = run(("END",), [Delta("one", (1,), 7), Delta("EN", (2,), 7), Delta("D", (3,), 7)])
    assert out == [Delta("one", (1,), 7), Delta("", (), 7, finish_reason="stop")]


def test_only_what_may_begin_a_stop_string_is_held() -> None:
    filter_ = StopStrings(("aab",))
    assert text_of(filter_.feed(Delta("xa"))) == ""
    assert text_of(filter_.feed(Delta("a"))) == ""
    assert text_of(filter_.feed(Delta("a"))) == "xa"
    assert text_of(filter_.feed(Delta("x"))) == "aax"


def test_nothing_leaves_after_the_end() -> None:
    filter_ = StopStrings(("b",))
    assert filter_.feed(Delta("ab")) == (Delta("a", finish_reason="stop"),)
    assert filter_.feed(Delta("more")) == filter_.flush() == ()
    ended = StopStrings(())
    assert ended.feed(Delta("a", finish_reason="length")) == (Delta("a", finish_reason="length"),)
    assert ended.feed(Delta("more")) == ended.flush() == ()


def test_forced_text_neither_stops_nor_helps_to_stop() -> None:
    filter_ = StopStrings(("stop",))
    assert filter_.feed(Delta("st")) == ()
    forced = Delta("op stop st", forced=True)
    assert filter_.feed(forced) == (Delta("st"), forced)
    assert filter_.feed(Delta("op")) == (Delta("op"),)
