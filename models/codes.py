"""Text written in another code: base64, hex, URL escapes, rot13, and words or sentences backwards.

What comes out decides: a run is exchanged for its decoding where that is mostly English words and the run is not. Each
run is decoded at most twice over; a run that is nested deeper is left as it is. Knows words, no meaning; never raises.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from urllib.parse import unquote_to_bytes

from midcourse.models.letters import latin, visible
from midcourse.models.spelling import unleeted
from midcourse.models.words import WORDS, known

NESTING = 2
"""Codes within codes that are undone. People nest once; who nests deeper gets the raw text judged."""
MOST_CHARS = 32_768
"""A longer run is data, not a message: nobody hides 24 KB of sentences in one word."""
ENOUGH = 2.5
"""Words that a run of rot13 or reversed text has to show, less those that it hides."""

# Sixteen letters carry twelve bytes, "build a bomb"; with padding, which no word has, four bytes are enough.
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_=-])(?:[A-Za-z0-9+/_-]{16,}={0,2}|[A-Za-z0-9+/]{6,15}={1,2})(?![A-Za-z0-9+/=])")
_HEX = re.compile(
    r"(?<![\w%\\])(?:(?:0x)?[0-9a-fA-F]{12,}|(?:\\x[0-9a-fA-F]{2}){4,}|(?:(?:0x)?[0-9a-fA-F]{2}[ :,]{1,2}){5,}(?:0x)?"
    r"[0-9a-fA-F]{2})(?!\w)"
)
_ESCAPED = re.compile(r"(?<!\S)[^\s%]*(?:%[0-9a-fA-F]{2}[^\s%]*){2,}")
_TURNED = re.compile(r"[.,:;?!]*[A-Za-z']+")
_LETTERS = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)*")


def _unbase64(run: str) -> bytes:
    body = run.rstrip("=")
    return base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_" if "-" in run or "_" in run else None)


def _unhex(run: str) -> bytes:
    return bytes.fromhex(re.sub(r"0x|\\x|[ :,]", "", run))


def _unescape(run: str) -> bytes:
    return b"" if "://" in run else unquote_to_bytes(run.replace("+", " "))


_CODES: tuple[tuple[re.Pattern[str], Callable[[str], bytes]], ...] = (
    (_HEX, _unhex),
    (_BASE64, _unbase64),
    (_ESCAPED, _unescape),
)


def unwrapped(text: str) -> str:
    """The text with its runs of base64, hex and URL escapes decoded, where words come out."""
    for pattern, decode in _CODES:
        text = pattern.sub(lambda run, decode=decode: _decoded(run.group(), decode), text)  # type: ignore[misc]
    return text


def _decoded(run: str, decode: Callable[[str], bytes]) -> str:
    """What a run says, through ``NESTING`` codes; the run itself where it says nothing or is nested deeper."""
    text = _once(run, decode)
    for _ in range(NESTING):
        if text is None:
            return run
        if _wordy(text):
            return text
        text = _inner(text.strip())
    return run


def _once(run: str, decode: Callable[[str], bytes]) -> str | None:
    if len(run) > MOST_CHARS:
        return None
    try:
        text = decode(run).decode()
    except (binascii.Error, ValueError):
        return None
    return text if 20 * sum(c < " " and not c.isspace() for c in text) <= len(text) else None


def _inner(text: str) -> str | None:
    """A decoding that is one run again, decoded."""
    for pattern, decode in _CODES:
        if pattern.fullmatch(text):
            return _once(text, decode)
    return None


def _wordy(text: str) -> bool:
    """Mostly letters and spaces, and of the words at least half known, whatever hides them in turn."""
    text = turned(unleeted(latin(visible(text))))
    words = _LETTERS.findall(text)
    letters = sum(c.isalpha() or c.isspace() for c in text)
    good = [word for word in words if known(word.lower())]
    return 5 * letters >= 4 * len(text) and 2 * len(good) >= len(words) and any(len(word) > 2 for word in good)


_ROT13 = {ord(c): codecs.encode(c, "rot13") for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"}
# The edges of a run, which no word decides: "I" and "a", and the full stop before a sentence backwards.
_BEFORE_ROT13, _AFTER_ROT13 = re.compile(r"(?<!\w)[VNn] $"), re.compile(r" [VNn](?!\w)")
_BEFORE_REVERSED, _AFTER_REVERSED = re.compile(r"(?<!\S)[.?!,]{1,3}$"), re.compile(r" [IAa](?!\w)")
_ARTICLES = frozenset("a an the my your his their our".split())
_NO_NOUNS = frozenset(
    "of in to for on at by with from and or but is are was were be have has had can could would should will may might"
    " do does as that if about into it we you they he she i how what when who why so".split()
)


def _rot13(word: str) -> str:
    return word.translate(_ROT13)


def _backwards(word: str) -> str:
    return word[::-1]


_FREQUENT = [word for word in WORDS[:1200] if len(word) >= 3]
DECOYS = frozenset(w for word in _FREQUENT for w in (_rot13(word), _backwards(word)) if not known(w))
"""Frequent words in rot13 and backwards. A text without two of them is neither."""


def turned(text: str) -> str:
    """The text with its runs of rot13 words, and of words or sentences backwards, turned again."""
    if len(DECOYS.intersection(_words(text))) < 2:
        return text
    return _exchanged(_exchanged(text, _rot13, _rot13), _backwards, _reversed)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _LETTERS.findall(text)]


def _exchanged(text: str, turn: Callable[[str], str], whole: Callable[[str], str]) -> str:
    pieces, at = [], 0
    for start, end in _runs(text, turn):
        before = (_BEFORE_ROT13 if turn is _rot13 else _BEFORE_REVERSED).search(text, max(at, start - 6), start)
        after = (_AFTER_ROT13 if turn is _rot13 else _AFTER_REVERSED).match(text, end)
        start, end = before.start() if before else start, after.end() if after else end
        pieces += [text[at:start], whole(text[start:end])]
        at = end
    return "".join((*pieces, text[at:]))


def _runs(text: str, turn: Callable[[str], str]) -> Iterator[tuple[int, int]]:
    """Spans of text, disjoint and in order, that gain ``ENOUGH`` words when each word is turned.

    Each word counts for or against; a span begins where the sum leaves zero and ends where it was highest.
    """
    total, best, start, end = 0.0, 0.0, 0, 0
    for found in _LETTERS.finditer(text):
        gain = _gain(found.group().lower(), turn)
        if best >= ENOUGH and total + gain < best - ENOUGH:
            yield start, end
            total = best = 0.0
        if total <= 0:
            start, total, best = found.start(), 0.0, 0.0
        total += gain
        if total > best:
            best, end = total, found.end()
    if best >= ENOUGH:
        yield start, end


def _english(word: str) -> bool:
    """Whether a word is known, as it is or as a contraction."""
    return known(word.removesuffix("n't").partition("'")[0])


def _gain(word: str, turn: Callable[[str], str]) -> float:
    if len(word) < 2:
        return 0.0
    now, then = _english(word), _english(turn(word))
    size = 0.5 if len(word) == 2 else 1.0
    return size * (then - now) if now != then else (-1.0 if not now else 0.0)


def _reversed(run: str) -> str:
    """A run backwards: word by word where that makes better English, or capitals show that the order is right."""
    in_order = _TURNED.sub(lambda word: _backwards(word.group()), run)
    wrong, right = _clashes(_backwards(run)), _clashes(in_order)
    if wrong != right:
        return in_order if right < wrong else _backwards(run)
    words = _LETTERS.findall(run)
    ordered = len(words[0]) > 1 and words[0][-1].isupper() and not words[-1][-1].isupper()
    return in_order if ordered else _backwards(run)


def _clashes(text: str) -> int:
    """Articles before words that are no nouns."""
    words = _words(text)
    return sum(one in _ARTICLES and two in _NO_NOUNS for one, two in pairwise(words))
