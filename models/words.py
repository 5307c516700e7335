"""Which strings are English words, and where the words are in letters without gaps. Knows spelling, no meaning.

A decoder needs it: whether ``bu1ld`` hides a word, and ``Ym9tYg==`` a sentence, is decided by what comes out.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

MAX_WORD = 20
"""Longer strings are not looked up: nothing in the list is, and a key of the cache stays small."""
CACHED_WORDS = 16_384
"""Twice the words of the list and its usual forms; about 2 MB."""
UNKNOWN_LETTER = 7.0
"""What a letter outside all words costs a segmentation: about as much as a rare word of four."""

_SUFFIXES = tuple(
    (form.partition(">")[0], form.partition(">")[2])
    for form in "ies>y ied>y ily>y es s ed d ing ing>e ly er r ers rs ion ions ion>e ions>e".split()
)
"""Endings of forms, and what the stem ends in instead."""


def _read() -> tuple[str, ...]:
    text = resources.files("midcourse.models").joinpath("words.txt").read_text(encoding="utf-8")
    return tuple(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


WORDS = ("a", "i", *_read())
"""Frequent words first; forms made by a suffix are not listed."""
_COST = {word: math.log(rank + 10) for rank, word in reversed(list(enumerate(WORDS)))}


def _stems(word: str) -> Iterator[str]:
    """What the word may be a form of: plans, planned, planning -> plan."""
    for suffix, ending in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            stem = word[: -len(suffix)]
            yield stem + ending
            if stem[-1] == stem[-2] and len(stem) > 3 and not ending:
                yield stem[:-1]


@lru_cache(maxsize=CACHED_WORDS)
def cost(word: str) -> float:
    """Minus the log of how likely a lower-case word is, up to a constant; infinite where it is none."""
    if len(word) > MAX_WORD:
        return math.inf
    if word in _COST:
        return _COST[word]
    return min((1.0 + _COST[stem] for stem in _stems(word) if stem in _COST), default=math.inf)


def known(word: str) -> bool:
    """Whether a lower-case string is a word of the list or a usual form of one."""
    return cost(word) < math.inf


def segmented(letters: str) -> list[str] | None:
    """The words that lower-case letters without gaps most likely are; None where they are mostly something else.

    Viterbi over unigram costs, linear in the letters. Words of three letters and more have to cover two thirds:
    short ones fit into anything.
    """
    best, step = [0.0], [0]
    for end in range(1, len(letters) + 1):
        options = [(best[end - 1] + UNKNOWN_LETTER, 1)]
        sizes = range(1, min(MAX_WORD, end) + 1)
        options += ((best[end - size] + cost(letters[end - size : end]), size) for size in sizes)
        chosen = min(options)
        best.append(chosen[0])
        step.append(chosen[1])
    words: list[str] = []
    end, loose = len(letters), False
    while end:
        word = letters[end - step[end] : end]
        end -= len(word)
        unknown = not known(word)
        words[-1:] = [word + words[-1]] if unknown and loose else [*words[-1:], word]
        loose = unknown
    words.reverse()
    covered = sum(len(word) for word in words if len(word) >= 3 and known(word))
    return words if 3 * covered >= 2 * len(letters) else None
