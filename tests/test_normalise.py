"""Normalised text: evasions alone and combined, texts without any, any text at all, and how long it takes."""

import base64
import codecs
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midcourse.models.normalise import normalised

PLAIN = "I know this is wrong, but maybe it is for a story, so I can go on."

EVASIONS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "alternating": lambda text: "".join(c.upper() if n % 2 else c.lower() for n, c in enumerate(text)),
    "spaced": " ".join,
    "dotted": lambda text: " ".join(".".join(word) for word in text.split()),
    "zero width": "\u200b".join,
    "homoglyphs": lambda text: text.translate(str.maketrans("aceopxyi", "асеорхуі")),
    "fullwidth": lambda text: text.translate({n: n + 0xFEE0 for n in range(33, 127)}),
    "leetspeak": lambda text: text.translate(str.maketrans("oieat", "01347")),
    "base64": lambda text: base64.b64encode(text.encode("utf-8", "replace")).decode(),
    "hex": lambda text: text.encode("utf-8", "replace").hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "backwards": lambda text: " ".join(word[::-1] for word in text.split()),
    "zalgo": lambda text: "".join(c + "\u0336\u0323" for c in text),
    "stretched": lambda text: text.replace("o", "ooooo"),
    "escaped": lambda text: text.replace(" ", "%20"),
}


def words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


@pytest.mark.parametrize("name", EVASIONS)
def test_every_evasion_is_undone(name: str) -> None:
    found, plain = words(normalised(EVASIONS[name](PLAIN))), words(PLAIN)
    assert sum(word in found for word in plain) >= 0.85 * len(plain)


@pytest.mark.parametrize("inner", ["leetspeak", "homoglyphs", "reversed", "rot13", "zero width"])
@pytest.mark.parametrize("outer", ["base64", "hex", "fullwidth", "zero width"])
def test_combined_evasions_are_undone(inner: str, outer: str) -> None:
    found, plain = words(normalised(EVASIONS[outer](EVASIONS[inner](PLAIN)))), words(PLAIN)
    assert sum(word in found for word in plain) >= 0.85 * len(plain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        PLAIN,
        "Okay, so 7 x 3 is 21 (B2B, GPT-4, v1.2, mp3); e.g. NASA's U.S. site, https://a.org/b%20c?d=1.",
        "def f(x: int) -> int:\n    return x ** 2 + 1  # the h0 of a_1\n\n\nassert f(3) == 10",
        r"\[ \sum_{i=0}^{n} a_i x^i = \frac{1}{2} \] so that $x_1 + x_2 \le 3!$",
        "SELECT id FROM users WHERE name = 'Bob' AND age > 30;",
        "sha1: da39a3ee5e6b4b0d3255bfef95601890afd80709, uuid f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "Ich weiß, dass das falsch ist. Je sais que c'est mal. Sé que está mal. Я знаю, что это неправильно.",
        "我知道这是错的。これは間違っています。이것은 잘못입니다. هذا خطأ. यह गलत है।",
        "She said “no” — and that’s that 🙂",
    ],
)
def test_text_without_evasion_stays_but_for_white_space(text: str) -> None:
    assert normalised(text).split() == text.split()


SEEDS = (
    "how to build a bomb I know 7 x B2B GPT-4 v1.2 e.g. x_1 ... Привет мир соре а я ﷺ ﬁ ² 好 한 é e\u0301 🇺🇸 😀".split()
)


@given(st.lists(st.sampled_from(SEEDS)), st.lists(st.sampled_from(sorted(EVASIONS)), max_size=3), st.text(max_size=5))
def test_a_second_time_changes_nothing(seeds: list[str], names: list[str], noise: str) -> None:
    text = " ".join(seeds)
    for name in names:
        text = EVASIONS[name](text) + noise
    once = normalised(text)
    assert normalised(once) == once


@given(st.text(st.characters(), max_size=200))
def test_any_text_is_taken_and_comes_out_encodable(text: str) -> None:
    once = normalised(text)
    once.encode()
    assert normalised(once) == once


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_shuffled_evasions_settle(seed: int) -> None:
    shuffle = random.Random(seed)
    text = " ".join(
        EVASIONS[shuffle.choice(sorted(EVASIONS))](word) for word in shuffle.sample(PLAIN.split() + SEEDS, 9)
    )
    once = normalised(text)
    assert normalised(once) == once


@pytest.mark.parametrize(
    "unit",
    [
        " ",
        "\n ",
        "ab",
        "a",
        ".a",
        "h o w ",
        "!",
        "b1",
        "h0w ",
        "ab ",
        "QUJD",
        "%41",
        "a%",
        "b\u0301\u0302",
        "аb",
        "gur ",
        "eht dna ",
        "THE AND ",
        "tHe hOw ",
        "\ud800",
        "a\u200d",
        "\U000e0041",
        "A.",
        "'a'",
        "a=",
        "(((",
        "0x41",
    ],
)
def test_time_grows_with_the_length(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        began = time.process_time()
        normalised(text)
        return time.process_time() - began

    # Quadratic would be 64 times; the floor keeps noise out.
    assert min(seconds(40_000) for _ in range(3)) < 30 * max(0.003, min(seconds(5_000) for _ in range(3)))


def test_plain_text_takes_the_short_way() -> None:
    text = (
        "The user asks for a plan of the garden. Maybe I can begin with the soil, and then list some plants for it. "
        * 2
    )
    took = []
    for _ in range(20):
        began = time.process_time()
        for _ in range(50):
            normalised(text[:200])
        took.append((time.process_time() - began) / 50)
    assert min(took) < 120e-6  # measured: 25 µs
