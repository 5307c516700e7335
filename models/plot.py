"""ROC and precision-recall curves as a picture. Needs matplotlib (the extra ``plots``); knows no judge."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from midcourse.models.curves import Ranking, sweep


def draw(path: Path, own: Ranking, pooled: Ranking, title: str) -> None:
    """Write both curves, side by side.

    Args:
        path: a PNG file.
        own: the sentences of labelled traces.
        pooled: those, and the sentences of benign traces, as more negatives.
        title: above both.

    Raises:
        OSError: the file cannot be written.
    """
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    roc, pr = figure.subplots(1, 2)
    for name, ranked in {"labelled traces": own, "with benign traces": pooled}.items():
        if name != "labelled traces" and pooled.trace.size == own.trace.size:
            continue
        tp, fp = (counts[0] for counts in sweep(ranked, np.ones((1, int(ranked.trace.max()) + 1))))
        roc.plot(np.append(0, fp / max(fp[-1], 1)), np.append(0, tp / max(tp[-1], 1)), label=name)
        pr.plot(tp / max(tp[-1], 1), tp / (tp + fp), label=name)
    roc.plot((0, 1), (0, 1), color="0.8", linewidth=0.8, zorder=0)
    roc.set(xlabel="false positive rate", ylabel="recall", title="ROC", xlim=(0, 1), ylim=(0, 1.02))
    pr.set(xlabel="recall", ylabel="precision", title="precision and recall", xlim=(0, 1), ylim=(0, 1.02))
    for axes in (roc, pr):
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right" if axes is roc else "lower left", frameon=False)
    figure.suptitle(title)
    figure.savefig(path, format="png", dpi=144)
