"""What ``midcourse pairs build --tries`` adds: the model that wrote the traces, opened, and asked to go on.

Knows models, adapters and the file that remembers. What is tried and what is kept, is ``tries``'.
"""

from collections.abc import Sequence
from pathlib import Path

from midcourse.guard.verdict import Judge
from midcourse.models.bar import bar_of
from midcourse.train.cuts import Open
from midcourse.train.drawn import Drawn, Writer, open_writer
from midcourse.train.pair import Pair
from midcourse.train.pairs import Again
from midcourse.train.tries import Trying, tried


def trying(out: Path, judge: Judge, how: Trying, model: str, *, registry: Path, batch_size: int, dtype: str) -> Again:
    """Looks for chosen sides with the weights ``model``, and the adapter that each trace names.

    Args:
        out: the folder that is to be; what is drawn is kept beside it.
        registry: where the adapters are.
    """

    def again(ends: Sequence[Open]) -> list[Pair | None]:
        found: dict[str, Pair | None] = {}
        for adapter in sorted({end.pair.adapter for end in ends}):
            those = [end for end in ends if end.pair.adapter == adapter]
            loaded = open_writer(model, registry, dtype, adapter, flag="--weights")
            drawn = Drawn(out, "tries", f"{model} {adapter}")
            with bar_of() as bar:
                writer = Writer(loaded, drawn, bar, batch_size)
                pairs = tried(those, loaded.tokenizer, writer.go_on, judge, how)
            found |= {end.pair.id: pair for end, pair in zip(those, pairs, strict=True)}
        return [found[end.pair.id] for end in ends]

    return again


def forget(out: Path) -> None:
    """The folder is written: what was drawn for it is in it."""
    Drawn(out, "tries", "").file.unlink(missing_ok=True)
