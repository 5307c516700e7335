"""Rows of token ids to tensors. Knows shapes and masks; no model, no loss, no file.

Two layouts, one loss. *Apart*: prompt + chosen and prompt + rejected are two rows, as in TRL. *Together*: one row holds
the prompt once and both sides behind it; each side sees the prompt and itself:

    tokens    p1 p2 | p3 c1 c2 | p3 r1      the prompt's last token stands before either side, and predicts its first
    position  0  1  | 2  3  4  | 2  3
    branch    0  0  | 1  1  1  | 2  2

That saves a forward and a backward over every prompt, which is most of a pair whose chat template is long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from midcourse.train.ipo_loss import CHOSEN, NOTHING, PREFIX, REJECTED, RETAINED

IGNORED = -100
PAD, SHARED, FIRST, SECOND = -1, 0, 1, 2
FILL = {"position_ids": 0, "shift_labels": IGNORED, "branch": PAD, "part": NOTHING}
BEHIND = {CHOSEN: PREFIX, REJECTED: NOTHING}
"""What the end of a side is part of, where only its beginning is preferred: chosen text is learned all the same."""
REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
Batch = dict[str, Tensor]


class Line(NamedTuple):
    """One row of a batch: (time,) each. ``labels`` are shifted already: the label of a position is the next token."""

    ids: list[int]
    labels: list[int]
    part: list[int]
    position: list[int]
    branch: list[int]


def line(
    prompt: Sequence[int],
    *sides: tuple[Sequence[int], int, int],
    learned_prefix: int = 0,
    preferred: int | None = None,
) -> Line:
    """A prompt with what follows it.

    Args:
        sides: ids, how many of the first are not learned, and what the others are part of.
        learned_prefix: so many of the prompt's last tokens are learned, too.
        preferred: so many learned tokens of either side are compared; None is all of them.
    """
    shared = len(prompt) - 1
    first = len(prompt) - learned_prefix  # the first learned token of the prompt
    learned = [position + 1 >= first for position in range(shared)]
    found = Line(
        [*prompt[:-1]],
        [token if mark else IGNORED for token, mark in zip(prompt[1:], learned, strict=True)],
        [PREFIX if mark else NOTHING for mark in learned],
        [*range(shared)],
        [SHARED] * shared,
    )
    for branch, (ids, skipped, part) in enumerate(sides, FIRST):
        found.ids.extend((prompt[-1], *ids[:-1]))
        compared = len(ids) if preferred is None else min(len(ids), skipped + preferred)
        parts = [NOTHING] * skipped + [part] * (compared - skipped) + [BEHIND.get(part, part)] * (len(ids) - compared)
        found.labels.extend(token if part != NOTHING else IGNORED for token, part in zip(ids, parts, strict=True))
        found.part.extend(parts)
        found.position.extend(range(shared, shared + len(ids)))
        found.branch.extend([branch] * len(ids))
    return found


@dataclass(frozen=True, slots=True)
class Collator:
    """Rows of ``ipo_rows`` to a batch.

    Args:
        pad: an id for what is behind the end of a line; it is never seen.
        together: which of the layouts.
        rejected: False leaves that side out, for a loss that has no use for it.
        preferred: so many tokens of either side are compared; None is all of them.
    """

    pad: int
    together: bool = True
    rejected: bool = True
    preferred: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """A batch of pairs, with what the reference makes of them where the rows know it."""
        lines: list[Line] = []
        owner: list[int] = []
        for number, row in enumerate(rows):
            chosen = (row["chosen_ids"], row["chosen_skipped"], CHOSEN)
            sides = [chosen, (row["rejected_ids"], 0, REJECTED)] if self.rejected else [chosen]
            if self.together:
                lines.append(
                    line(row["prompt_ids"], *sides, learned_prefix=row["learned_prefix"], preferred=self.preferred)
                )
            else:
                prefix = (row["learned_prefix"], 0)
                lines += [
                    line(row["prompt_ids"], side, learned_prefix=n, preferred=self.preferred)
                    for side, n in zip(sides, prefix, strict=False)
                ]
            owner += [number] * (len(lines) - len(owner))
        batch = _tensors(lines, owner, self.pad)
        known = [name for name in REFERENCE if name in rows[0]]
        return batch | {name: torch.tensor([row[name] for row in rows]) for name in known}

    def retained(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """A batch of benign reasoning."""
        lines = [line(row["prompt_ids"], (row["completion_ids"], 0, RETAINED)) for row in rows]
        return _tensors(lines, [*range(len(lines))], self.pad)

    def join(self, pairs: Batch, retained: Batch) -> Batch:
        """Both in one batch, so that there is one forward; on the device of the first."""
        width = max(pairs["input_ids"].shape[1], retained["input_ids"].shape[1])
        device, joined = pairs["input_ids"].device, dict(pairs)
        for name, fill in {**FILL, "input_ids": self.pad}.items():
            both = (each[name].to(device) for each in (pairs, retained))
            joined[name] = torch.cat([functional.pad(each, (0, width - each.shape[1]), value=fill) for each in both])
        owners = retained["owner"].to(device) + pairs["owner"].max() + 1
        return joined | {"owner": torch.cat([pairs["owner"], owners])}


def attention(branch: Tensor) -> Tensor:
    """Who sees whom, (rows, 1, time, time), True where a query sees a key: itself, and earlier tokens of its own branch
    or of the shared one. What is behind the end is seen by nothing but itself.
    """
    time = branch.shape[1]
    earlier = torch.ones(time, time, dtype=torch.bool, device=branch.device).tril()
    query, key = branch.unsqueeze(2), branch.unsqueeze(1)  # (rows, time, 1), (rows, 1, time)
    seen = earlier & ((key == SHARED) | ((key == query) & (key != PAD)))
    return (seen | torch.eye(time, dtype=torch.bool, device=branch.device)).unsqueeze(1)


def _tensors(lines: Sequence[Line], owner: Sequence[int], pad: int) -> Batch:
    columns = {
        "input_ids": ([each.ids for each in lines], pad),
        "shift_labels": ([each.labels for each in lines], FILL["shift_labels"]),
        "part": ([each.part for each in lines], FILL["part"]),
        "position_ids": ([each.position for each in lines], FILL["position_ids"]),
        "branch": ([each.branch for each in lines], FILL["branch"]),
    }
    batch = {
        name: pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=fill)
        for name, (rows, fill) in columns.items()
    }
    return batch | {"owner": torch.tensor(owner)}
