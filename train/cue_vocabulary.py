"""A smaller vocabulary for a byte-level BPE tokenizer: the tokens that the training texts use most.

Nothing becomes unreadable: a token that is left out falls apart into its parts, and the bytes always stay.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer


def pruned(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> tuple[str, list[int]]:
    """A tokenizer with at most ``size`` tokens.

    Args:
        tokenizer: byte-level BPE.
        texts: what it will read.
        size: tokens to keep, at least one for every byte.

    Returns:
        Its JSON, and for each new id the old one (rows of the embedding to keep).

    Raises:
        ValueError: ``size`` is smaller than the alphabet.
    """
    whole = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = whole["model"]["vocab"]
    merges = [
        tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in whole["model"]["merges"]
    ]
    parts: dict[str, tuple[str, ...]] = {}
    for merge in merges:
        parts.setdefault("".join(merge), merge)
    kept = {token for token in vocabulary if token not in parts}
    if size < len(kept):
        raise ValueError(f"vocabulary: {size} tokens cannot hold the alphabet; give at least {len(kept)}")
    names = {number: token for token, number in vocabulary.items()}
    for number, _ in _counted(tokenizer, texts).most_common():
        needed = _closure(names[number], parts, kept)
        if len(kept) + len(needed) <= size:
            kept |= needed
    order = sorted(kept, key=vocabulary.__getitem__)
    return _smaller(whole, order, merges), [vocabulary[token] for token in order]


def _counted(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for text in texts:
        counts.update(tokenizer.encode(text, add_special_tokens=False).ids)
    return counts


def _closure(token: str, parts: dict[str, tuple[str, ...]], kept: set[str]) -> set[str]:
    """What must be kept, too, for a token to be made: its parts, and theirs."""
    needed: set[str] = set()
    waiting = [token]
    while waiting:
        token = waiting.pop()
        if token not in kept and token not in needed:
            needed.add(token)
            waiting += parts.get(token, ())
    return needed


def _smaller(whole: dict[str, Any], order: Sequence[str], merges: Sequence[tuple[str, ...]]) -> str:
    numbers = {token: number for number, token in enumerate(order)}
    whole["model"]["vocab"] = numbers
    whole["model"]["merges"] = [
        list(merge) for merge in merges if all(part in numbers for part in (*merge, "".join(merge)))
    ]
    whole["added_tokens"] = []  # control tokens are text like any other to a judge
    whole["post_processor"] = None
    return json.dumps(whole, ensure_ascii=False)
