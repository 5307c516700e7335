"""What holds of a session for every text, every cut of it into deltas, and every haste of the judge."""

import re
from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from midcourse.guard.delta import Delta
from midcourse.guard.dialect import DIALECTS
from midcourse.guard.phase import Phase
from midcourse.guard.policy import Policy
from midcourse.guard.trace import TraceStep
from tests.play import SAFE, Played, by_word, play

_ALPHABET = [
    "a",
    "b ",
    " c",
    ". ",
    ".",
    "\n",
    "。",
    "! ",
    "BAD",
    "VILE ",
    "LOST",
    "1.",
    "e.g. ",
    "”",
    "é",
    "  ",
    "</",
    ">x",
    "Then ",
]
_TAGS = {name: [m for p in Phase for m, _ in d.markers(p)] for name, d in DIALECTS.items()}


def _text(name: str) -> st.SearchStrategy[str]:
    parts = _ALPHABET * 2 + _TAGS[name] + [tag[:4] for tag in _TAGS[name]]
    return st.lists(st.sampled_from(parts), min_size=1, max_size=40).map("".join)


@st.composite
def stories(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A dialect, and what the model says in each run."""
    name = draw(st.sampled_from(sorted(DIALECTS)))
    return name, draw(st.lists(_text(name), min_size=1, max_size=4))


def _cut(text: str, places: list[int], ids: bool) -> list[Delta]:
    edges = sorted({p % (len(text) + 1) for p in places} | {0, len(text)})
    parts = [text[a:b] for a, b in pairwise(edges)]
    deltas = [Delta(part, (hash(part) % 10**6,) if ids else ()) for part in parts]
    return [*deltas, Delta("", finish_reason="stop")]


def _settled(game: Played) -> list[TraceStep]:
    """The steps that count, without their numbers: how many discarded ones lie between depends on the judge's haste."""
    return [replace(s, index=0) for s in game.session.trace("t").steps if s.outcome != "discarded"]


_PLACES = st.lists(st.integers(0, 10_000), max_size=60)
_SMALL = Policy(max_step_chars=64, max_held_chars=10_000)


@settings(max_examples=200)
@given(stories(), st.lists(_PLACES, min_size=4, max_size=4), st.sampled_from(["enforce", "shadow", "off"]))
def test_any_cut_into_deltas_gives_the_same_text_steps_and_questions(
    story: tuple[str, list[str]], cuts: list[list[int]], mode: str
) -> None:
    name, texts = story
    policy = replace(_SMALL, mode=mode)  # type: ignore[arg-type]
    games: list[Played] = []
    everywhere = list(range(1000))
    ways: list[list[list[int]]] = [[[] for _ in cuts], cuts, [everywhere for _ in cuts]]
    for places in ways:
        runs = [_cut(text, at, ids=False) for text, at in zip(texts, places, strict=False)]
        games.append(play(runs, policy=policy, dialect=DIALECTS[name], starts=DIALECTS[name].starts_in("")))
    whole, *others = games
    for game in others:
        assert game.merged() == whole.merged()
        assert game.end == whole.end
        if mode != "enforce":
            assert game.queries == whole.queries
        assert game.session.trace("t").outcome == whole.session.trace("t").outcome
        assert _settled(game) == _settled(whole)


@settings(max_examples=200)
@given(stories(), _PLACES, st.lists(st.integers(0, 9), max_size=30), st.integers(0, 3))
def test_in_held_mode_nothing_leaves_that_no_verdict_has_passed(
    story: tuple[str, list[str]], places: list[int], delays: list[int], late: int
) -> None:
    name, texts = story
    runs = [_cut(text, places, ids=True) for text in texts]
    dialect = DIALECTS[name]
    game = play(runs, policy=_SMALL, dialect=dialect, starts=dialect.starts_in(""), delays=delays, late=late)
    trace = game.session.trace("t")
    passed = "".join(s.text for s in trace.steps if s.outcome == "released")
    shown = "".join(p.text for p in game.pieces if p.channel != "markup" and not p.forced)
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", passed)
    assert all(by_word(q) is SAFE for q in game.queries if q.step in passed and q.step)
    markup = "".join(p.text for p in game.pieces if p.channel == "markup" and not p.forced)
    tags = re.compile("|".join([*map(re.escape, _TAGS[name]), "assistant", "final"]))
    assert tags.sub("", markup).strip() == ""


@settings(max_examples=200)
@given(stories(), _PLACES, st.lists(st.integers(0, 9), max_size=30), st.integers(0, 3), st.booleans())
def test_released_withheld_and_discarded_are_everything_that_was_generated(
    story: tuple[str, list[str]], places: list[int], delays: list[int], late: int, optimistic: bool
) -> None:
    name, texts = story
    runs = [_cut(text, places, ids=True) for text in texts]
    policy = replace(_SMALL, streaming="optimistic" if optimistic else "held")
    dialect = DIALECTS[name]
    game = play(runs, policy=policy, dialect=dialect, starts=dialect.starts_in(""), delays=delays, late=late)
    usage = game.session.trace("t").usage
    sampled = sum(len(p.token_ids) for p in game.pieces if not p.forced)
    assert sampled + usage.withheld + usage.discarded == game.generated
    assert usage.completion == sampled + usage.injected


@settings(max_examples=200)
@given(stories(), _PLACES, st.lists(st.integers(0, 9), max_size=30))
def test_text_and_token_ids_never_disagree_across_a_rewind(
    story: tuple[str, list[str]], places: list[int], delays: list[int]
) -> None:
    name, texts = story
    spelled: dict[int, str] = {}
    runs = []
    for number, text in enumerate(texts):
        run = [
            replace(d, token_ids=(1000 * number + at,) if d.text else ())
            for at, d in enumerate(_cut(text, places, True))
        ]
        spelled |= {i: d.text for d in run for i in d.token_ids}
        runs.append(run)
    dialect = DIALECTS[name]
    game = play(runs, policy=_SMALL, dialect=dialect, starts=dialect.starts_in(""), delays=delays)
    for rewind in game.rewinds:
        assert "".join(spelled[i] for i in rewind.kept) == rewind.kept_text
        spelled[-rewind.generation] = rewind.forced
    if all(record.rung == "trigger" for record in game.records):  # a refusal may leave half a token behind
        assert "".join(spelled[i] for p in game.pieces for i in p.token_ids) == game.text()
