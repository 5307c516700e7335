"""Thought and answer in a text that its server did not part, by their tags. Knows the tags of the dialects, no more.

``vllm serve`` without ``--reasoning-parser`` hands out what the model wrote: ``thought</think>answer`` where the
template opened the thought (R1), ``<think>thought`` where the limit of tokens ended it. A thought whose template opened
it and which was cut off holds no tag: nobody can tell it from an answer.
"""

from typing import NamedTuple

from midcourse.guard.dialect import MAGISTRAL, R1, SEED

TAGGED = (R1, MAGISTRAL, SEED)
"""Qwen3's tags are R1's. Those of others are words that an answer may hold, or no text at all."""


class Parted(NamedTuple):
    """What was thought, and what was said."""

    thought: str
    said: str


def parted(text: str) -> Parted:
    """Split at the first closing tag; what is opened and never closed is all thought."""
    for dialect in TAGGED:
        (opening, _), (closing, _) = dialect.prompt
        thought, closed, said = text.partition(closing)
        if closed or thought.lstrip().startswith(opening):
            return Parted(thought.strip().removeprefix(opening).strip(), said.strip())
    return Parted("", text)
