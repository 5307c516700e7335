"""What is trained on, as rows of token ids: pairs, whose ids are those that were generated, and benign reasoning.

Knows which tokens are learned. No tensors here. Pairs are never tokenised: ``read_pairs`` has checked their hashes, and
``rows_of`` checks that the tokenizer of the model spells them as their text says.

    prompt    the request, and the shared reasoning     learned by full-sequence DPO only
    chosen    trigger | its continuation [| end]        the trigger is learned, or is context
    rejected  cue and its continuation [| end]          learned

The end-of-text token is added where the model ended by itself, and nowhere else: a side that was broken off must not
learn to stop there.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from transformers import PreTrainedTokenizerBase

from midcourse.guard.dialect import DIALECTS, Dialect
from midcourse.models.ended import bare
from midcourse.models.likelihood import spelled
from midcourse.models.rows import DataError, Row, only_train, read
from midcourse.train.pair import Ids, Pair

Trigger = Literal["learn", "context"]

DROPPED = {
    "too long": "the prompt leaves no room for both sides within max_length",
    "nothing to learn": "a side has no token of its own",
}


@dataclass(frozen=True, slots=True)
class PairRow:
    """A pair, ready for a batch.

    Args:
        chosen_skipped: the first so many chosen tokens are context, and not learned.
        learned_prefix: so many of the prompt's last tokens are learned, too.
    """

    prompt_ids: Ids
    chosen_ids: Ids
    rejected_ids: Ids
    chosen_skipped: int
    learned_prefix: int


class Rows(NamedTuple):
    """Rows, and why there are no others, by ``DROPPED``."""

    rows: list[PairRow]
    dropped: Counter[str]


@dataclass(frozen=True, slots=True)
class Cutting:
    """How pairs become rows.

    Args:
        max_length: of the prompt with one side, in tokens; a longer side loses its end. None is no limit.
        min_side: a pair is dropped if less than this is left of a side.
        trigger: *learn* it, as the paper does (the model is to turn by itself), or take it for *context*.
        whole: the shared reasoning is learned as well: full-sequence DPO.
    """

    max_length: int | None = 1024
    min_side: int = 4
    trigger: Trigger = "learn"
    whole: bool = False


def rows_of(pairs: Iterable[Pair], tokenizer: PreTrainedTokenizerBase, cutting: Cutting = Cutting()) -> Rows:
    """Rows of pairs.

    Raises:
        DataError: the tokenizer spells a pair otherwise.
    """
    found = Rows([], Counter())
    end = int(tokenizer.eos_token_id)
    for pair in pairs:
        check(pair, tokenizer)
        room = len(pair.prompt_ids) + len(pair.chosen_ids) + len(pair.rejected_ids) + 1
        if cutting.max_length is not None:
            room = cutting.max_length - len(pair.prompt_ids)
        chosen = _ended(pair.chosen_ids, pair.chosen_finished, pair.chosen_end, end)
        rejected = _ended(pair.rejected_ids, pair.rejected_finished, pair.rejected_end, end)
        row = PairRow(
            pair.prompt_ids,
            chosen[: max(0, room)],
            rejected[: max(0, room)],
            chosen_skipped=pair.forced_tokens if cutting.trigger == "context" else 0,
            learned_prefix=pair.prefix_tokens if cutting.whole else 0,
        )
        reason = _unfit(row, cutting, min(len(chosen) - row.chosen_skipped, len(rejected)))
        if reason:
            found.dropped[reason] += 1
        else:
            found.rows.append(row)
    return found


def check(pair: Pair, tokenizer: PreTrainedTokenizerBase) -> None:
    """That this tokenizer reads the ids as the text of the pair.

    Raises:
        DataError: it does not.
    """
    for side, ids in ((pair.chosen, pair.chosen_ids), (pair.rejected, pair.rejected_ids)):
        every = [*pair.prompt_ids, *ids]
        known = min(every) >= 0 and max(every) < len(tokenizer)
        spelled = (
            tokenizer.decode(every, skip_special_tokens=False, clean_up_tokenization_spaces=False) if known else ""
        )
        if bare(str(spelled)) != bare(pair.prompt + side):
            raise DataError(f"{pair.id}: its ids are another text by this tokenizer; train the model that wrote them")


def _ended(ids: Ids, finished: bool, told: Ids, end: int) -> Ids:
    return (*ids, *(told or (end,))) if finished else ids


def _unfit(row: PairRow, cutting: Cutting, shorter: int) -> str | None:
    """Why a row is no use, if it is not; ``shorter``: learnable tokens of the shorter side before anything was cut."""
    if not row.prompt_ids or shorter < 1:
        return "nothing to learn"
    left = min(len(row.chosen_ids) - row.chosen_skipped, len(row.rejected_ids))
    return "too long" if left < min(cutting.min_side, shorter) else None


def mixed(harmful: Sequence[Pair], benign: Sequence[Pair], ratio: float, seed: int) -> list[Pair]:
    """Stage 2: pairs against over-refusal with pairs of stage 1, ``ratio`` harmful ones to a benign one.

    As many as there are: one of the two kinds is complete, and a draw decides which of the other are taken; at least
    one benign pair, where there are harmful ones.
    """
    few = min(len(benign), max(1, int(len(harmful) / ratio)) if harmful else 0) if ratio else len(benign)
    draw = random.Random(seed)
    return [*draw.sample(harmful, min(len(harmful), round(few * ratio))), *draw.sample(benign, few)]


def retained(
    files: Iterable[Path], tokenizer: PreTrainedTokenizerBase, dialect: str, max_tokens: int
) -> list[dict[str, list[int]]]:
    """Benign reasoning, as prompt and completion ids: the prompt as the model's chat template opens it.

    Args:
        files: JSONL of ``models.rows``: prompt, reasoning, and a response where there is one.
        dialect: of the think tags, where the template does not open them.
        max_tokens: of the completion; what is behind is left out.

    Raises:
        DataError: a file is wrong, or a row is not benign, or says that it is of another split than *train*.
    """
    found = []
    for file in files:
        only_train(file)
        for row in read(file):
            if row.benign in ("no", "undecided"):
                said = "false" if row.benign == "no" else "null"
                raise DataError(f"{row.where}: benign: is {said}; what is retained is learned, so it must be harmless")
            found.append(_retained(row, tokenizer, DIALECTS[dialect], max_tokens))
    return found


def _retained(row: Row, tokenizer: PreTrainedTokenizerBase, dialect: Dialect, max_tokens: int) -> dict[str, list[int]]:
    prompt, completion = spelled(tokenizer, row, dialect)
    if row.response:
        completion.append(int(tokenizer.eos_token_id))
    return {"prompt_ids": prompt, "completion_ids": completion[:max_tokens]}


def plain(rows: Iterable[PairRow]) -> list[dict[str, Any]]:
    """For ``datasets``."""
    return [{key: list(v) if isinstance(v, tuple) else v for key, v in asdict(row).items()} for row in rows]
