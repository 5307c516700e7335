"""Text as a judge should read it: what hides words from a classifier and not from a model is undone.

Used before the prompt, the context and the step are tokenised. Undone are the cheap evasions: characters that cannot be
seen, look-alikes, piled-up marks, letters kept apart, digits for letters, strange capitals, simple codes. A text that
uses none of them keeps every letter; white space is bounded and compatibility forms are folded (NFKC). Paraphrase,
typing errors and other languages are the classifier's own business. No I/O beyond the word list, no state but caches.
"""

import re

from midcourse.models.codes import DECOYS, turned, unwrapped
from midcourse.models.letters import latin, visible
from midcourse.models.spelling import bounded, lowered, together, unleeted

ROUNDS = 8
"""Evasions come combined (base64 of leetspeak). Each round undoes one layer of each; two or three are enough."""
LONG_WORD = 16
"""Where base64 begins to be looked for."""

# What some evasion needs, none of it frequent in prose. Every branch begins with a small class: the search is a scan.
_ODD = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f%\\]"  # controls, escapes
    r"|(?<=[A-Za-z@$!+])[0-9@$!+A-Z]|[0-9@$!+](?=[A-Za-z])"  # digits and capitals inside words
    r"|[\s.,_*/|~:;'\"+=-][A-Za-z0-9][\W_]{1,4}[A-Za-z0-9][\W_]"  # single letters
    r"|  {4}|\n\s*\n\s*\n|[=\t\v\f\r]"
    r"|(?<=\s)[0-9a-fA-F]{2} [0-9a-fA-F]{2} [0-9a-fA-F]{2} "
)
_SAME = re.compile(r"([a-zA-Z])\1\1\1|([^\w\s])\2{256}")
_PUNCTUATION = str.maketrans("", "", ".,;:!?\"'()")


def normalised(text: str) -> str:
    """The text with evasions undone. Any text is taken, nothing is raised, and a second time changes nothing.

    Lone surrogates come out as U+FFFD. The result may be shorter or (NFKC) longer than the text.
    """
    seen = text if text.isascii() else latin(visible(text))
    if (seen.isascii() or seen == text.replace("…", "...")) and _plain(seen):
        return seen
    for _ in range(ROUNDS):
        before = text
        text = _round(text)
        if text == before:
            break
    return text


def _plain(text: str) -> bool:
    """Whether a text with plain letters shows nothing else that the rounds look for."""
    if _ODD.search(f" {text} ") or _SAME.search(text):
        return False
    words = text.lower().translate(_PUNCTUATION).split()
    return max(map(len, words), default=0) < LONG_WORD and len(DECOYS.intersection(words)) < 2


def _round(text: str) -> str:
    text = latin(visible(text))
    text = bounded(text)
    text = unwrapped(text)
    text = together(text)
    text = unleeted(text)
    text = lowered(text)
    return turned(text)
