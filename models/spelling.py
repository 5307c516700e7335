"""Words with their letters kept apart, written with digits, in strange capitals or with letters repeated.

Each is undone only where a word of the list comes out, so that formulas, versions, units and identifiers stay. Knows
spelling, no meaning; never raises.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise, product

from midcourse.models.words import MAX_WORD, known, segmented

MOST_LETTERS = 600
"""Letters segmented at a time: the longest step. More are taken in pieces."""
MOST_READINGS = 16
"""Readings tried of one word in digits: each 1 may be i or l."""

_APART = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,4}[^\W_](?![^\W_]))+")
_GAP, _WIDE = re.compile(r"[\W_]+"), re.compile(r"\s+")
_LEET = dict(pair.split(":") for pair in "0:o 1:il 3:e 4:a 5:s 6:g 7:t 8:b 9:g @:a $:s !:i +:t".split())
_TOKEN = re.compile(r"(?<![\w@$!+.])[A-Za-z0-9@$!+]+(?!\w)")
_WORD = re.compile(r"[A-Za-z]+")
_LETTERS, _DOUBLED = re.compile(r"[^\W\d_]+"), re.compile(r"(.)\1{2,}")
_REPEATED = re.compile(r"([^\W\d_])\1{3,}")
_LONG_RUN = re.compile(r"([^\w\s])\1{256,}")
_SPACES = re.compile(r"\s{3,}")
_LISTED = re.compile(r"['\",]\s|['\"],|^['\"]$")
"""Gaps of a list of letters, which spells in good faith."""
_MEASURE = re.compile(r"\d{2,}[a-z]{1,3}|\d+x\d+[a-z]{0,3}", re.IGNORECASE)
_NAME = re.compile(r"(?:[A-Z][a-z]{2,})+[A-Z]+[a-z]*")
_FUNCTION_WORDS = frozenset("the to a of and is in it for that how i you my on with this be are not can do or".split())
_IN_SENTENCE = re.compile(r"[ ,.'’!?:;\"-]{1,3}")


def bounded(text: str) -> str:
    """Runs of the same letter (beyond 3), sign (256), space (4) and line (2) cut to what readers can see."""
    text = _LONG_RUN.sub(lambda run: run.group(1) * 256, text)
    if _REPEATED.search(text):
        text = _LETTERS.sub(lambda word: _short(word.group()), text)
    return _SPACES.sub(lambda run: _narrowed(run.group()), text)


def _narrowed(space: str) -> str:
    lines = min(2, space.count("\n"))
    indent = space.rpartition("\n")[2]
    return "\n" * lines + (indent if len(indent) <= 4 else "    ")


def _short(word: str) -> str:
    """A word without runs of letters: the word of the list that it stretches, or three of each letter."""
    if not _REPEATED.search(word) or (len(word) <= 32 and len(set(word)) == 1):  # XXXX, #FFFFFF
        return word
    stretched = min(3, len(_DOUBLED.findall(word)))
    for sizes in product((1, 2), repeat=stretched):
        left = iter((*sizes, *(1 for _ in word)))
        reading = _DOUBLED.sub(lambda run, left=left: run.group(1) * next(left), word)  # type: ignore[misc]
        if known(reading.lower()):
            return reading
    return _REPEATED.sub(lambda run: run.group(1) * 3, word)


def together(text: str) -> str:
    """The text with s p a c e d, d.o.t.t.e.d and h-y-p-h-e-n-e-d words put together."""
    return _APART.sub(lambda group: _joined(group.group()), text)


def _joined(group: str) -> str:
    """The words of single letters: wider gaps part them, or the word list does where all gaps are the same."""
    gaps = _GAP.findall(group)
    narrow = min(Counter(gaps).items(), key=lambda item: (-item[1], len(item[0])))[0]
    letters = _GAP.split(group)
    if _LISTED.search(narrow) or 3 * sum(map(str.isalpha, letters)) < 2 * len(letters):
        return group
    words, between = [letters[0]], []
    for gap, letter in zip(gaps, letters[1:], strict=True):
        if gap == narrow:
            words[-1] += letter
        else:
            words.append(letter)
            between.append(_WIDE.sub(" ", gap) if gap.strip(narrow) else " ")
    words = [" ".join(_parted(word)) for word in words]
    parts = [part for word in words for part in word.split()]
    total = sum(map(len, parts))
    covered = sum(len(part) for part in parts if len(part) >= 3 and known(_read(part)))
    clear = 2 * covered >= total or (total >= 6 and between and covered and all(known(_read(part)) for part in parts))
    if total < 3 or (total < 4 and narrow in " ,") or not clear:
        return group
    return words[0] + "".join(gap + word for gap, word in zip(between, words[1:], strict=True))


def _parted(word: str) -> list[str]:
    """One word, or several that were spaced without gaps between them."""
    plain = word.lower()
    if len(word) < 5 or not plain.isascii() or len(plain) != len(word) or known(_read(plain)):
        return [word]
    pieces = (plain[at : at + MOST_LETTERS] for at in range(0, len(plain), MOST_LETTERS))
    parts = [part for piece in pieces for part in segmented(piece) or [piece]]
    sizes, at = [], 0
    for part in parts:
        sizes.append(word[at : at + len(part)])
        at += len(part)
    return sizes


def _read(word: str) -> str:
    """A lower-case word with its digits read as letters, the first known reading if there is one."""
    return next((reading for reading in _readings(word.lower()) if known(reading)), word.lower())


def _readings(word: str) -> list[str]:
    options = [_LEET.get(c, c) for c in word]
    many = sum(len(option) > 1 for option in options) > MOST_READINGS.bit_length() - 1
    return ["".join(letters) for letters in product(*(option[:1] for option in options) if many else options)]


def unleeted(text: str) -> str:
    """The text with w0rds in d1g1ts decoded: clear ones, short ones beside two of those, unknown ones beside four."""
    clear = {token for token in _TOKEN.findall(text) if _coded(token) and _clear(token)}
    if not clear:
        return text

    def read(found: re.Match[str]) -> str:
        token = found.group()
        body = token.rstrip("!+")
        if token in clear or (len(clear) >= 2 and _coded(body)) or (len(clear) >= 4 and _fluent(body)):
            return _like(body, _read(body)) + token[len(body) :]
        return token

    return _TOKEN.sub(read, text)


def _spelt(body: str) -> bool:
    """Whether a token is short enough for a word, and all letters and signs that stand for letters."""
    return len(body) <= MAX_WORD and not body.isalpha() and all(c in _LEET or c.isalpha() for c in body)


def _coded(token: str) -> bool:
    """Whether a token, but for a last exclamation mark, is an English word in letters and signs."""
    body = token.rstrip("!+")
    return _spelt(body) and not body.isdigit() and not _MEASURE.fullmatch(body) and known(_read(body))


def _fluent(body: str) -> bool:
    """What is a word where everybody writes so: 17 for it, 573p for step, and unknown words with signs inside."""
    return _spelt(body) and (known(_read(body)) or (len(body) > 3 and not body.isdigit() and not body[:-1].isalpha()))


def _clear(token: str) -> bool:
    """A sign inside the word, or before three letters at least. x1, 5th and 3D say nothing."""
    body = token.rstrip("!+")
    if len(body) < 3 or sum(map(str.isalpha, body)) < 2:
        return len(body) >= 5 and body[-1].isalpha()
    inside = any(c in _LEET for c in body[1:-1])
    return (inside and not body[:-1].isalpha()) or (body[0] in _LEET and len(body) >= 5 and body[1:].isalpha())


def _like(token: str, reading: str) -> str:
    """The reading with the capitals of the token."""
    if token[0].isupper() and not token.isupper():
        return reading.capitalize()
    return reading


def lowered(text: str) -> str:
    """The text with aLtErNaTiNg words and sentences in capitals in lower case; acronyms and emphasis stay."""
    strange = {word for word in _WORD.findall(text) if _alternating(word, 2)}
    if strange:
        fewest = 1 if len(strange) > 1 else 2
        text = _WORD.sub(lambda word: _calm(word.group(), fewest), text)
    pieces, at = list[str](), 0
    for start, end in _shouts(text):
        pieces += [text[at:start], text[start:end].lower()]
        at = end
    return "".join((*pieces, text[at:]))


def _calm(word: str, fewest: int) -> str:
    return word.lower() if _alternating(word, fewest) else word


def _alternating(word: str, fewest: int) -> bool:
    """Whether an English word changes its case so often, a capital at its beginning apart."""
    if word.islower() or word.isupper() or word[1:].islower() or _NAME.fullmatch(word):
        return False
    changes = sum(one.isupper() != two.isupper() for one, two in pairwise(word))
    return changes >= fewest and len(word) > fewest and known(word.lower())


def _shouts(text: str) -> Iterator[tuple[int, int]]:
    """Sentences in capitals: four English words and a function word, or all of a text of two words or more."""
    run: list[re.Match[str]] = []
    words = list(_WORD.finditer(text))
    alone = all(word.group().isupper() for word in words) and not any(c.isalpha() and not c.isascii() for c in text)
    for word in (*words, None):
        near = not run or (word is not None and _IN_SENTENCE.fullmatch(text, run[-1].end(), word.start()))
        if word is not None and near and word.group().isupper():
            run.append(word)
            continue
        if _shouted([found.group() for found in run], alone):
            yield run[0].start(), run[-1].end()
        run = [word] if word is not None and word.group().isupper() else []


def _shouted(run: list[str], alone: bool) -> bool:
    long = [word.lower() for word in run if len(word) > 1]
    sentence = alone or (len(long) >= 4 and not _FUNCTION_WORDS.isdisjoint(long))
    return sentence and len(long) >= 2 and 3 * sum(map(known, long)) >= 2 * len(long)
