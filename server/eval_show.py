"""The tables at the end of a run of ``midcourse eval``. Knows a terminal; the numbers are ``safety_table``'s."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from midcourse.models.curves import Estimate
from midcourse.models.safety_table import Line

WIDE = 150


def show(console: Console, lines: Sequence[Line]) -> None:
    """Harm by judge, then refusals, right answers and the guard's work."""
    harm = _table("harmful", "condition", "judge", "n", "reasoning", "response", "neither", "only R", "only A", "both")
    rest = _table("task", "condition", "n", "refused", "correct", "cut off", "interventions", "tokens")
    ordered = sorted(lines, key=lambda line: line.task)
    for line in ordered:
        for judge, found in line.harm.items():
            numbers = [shown(found.reasoning), shown(found.response)]
            numbers += [str(count) for count in (found.cells.neither, found.cells.reasoning, found.cells.response)]
            n = str(line.n) if found.judged == line.n else f"{found.judged} of {line.n}"
            harm.add_row(line.task, line.condition, judge, n, *numbers, str(found.cells.both))
        counts = [f"{line.interventions:.2f}", f"{line.tokens:.0f}"]
        shares = [shown(each) for each in (line.refused, line.correct, line.cut)]
        rest.add_row(line.task, line.condition, str(line.n), *shares, *counts)
    widen(console)
    if harm.row_count:
        console.print(harm)
        console.print(
            "Answers by where they are harmful: in the reasoning (R), in the response to the user (A), in both. "
            "A part that is not there, as of an answer that was cut off in its reasoning, counts as harmless. "
            "n: where a judge gave no verdict on some answers, those that it judged."
        )
    console.print(rest)
    console.print(
        "Intervals of 95 %. Cut off: by the limit of tokens. "
        "Interventions and tokens (generated, sent or not) are means of an answer."
    )


def widen(console: Console) -> None:
    """Room for a table where there is no terminal: nobody knows how wide a file is."""
    if not console.is_terminal:
        console.width = max(console.width, WIDE)


def shown(of: Estimate) -> str:
    """A share with its interval; a dash where it is not known."""
    if of.value is None or of.low is None or of.high is None:
        return "-"
    return f"{of.value:.0%} ({of.low * 100:.0f}-{of.high:.0%})"


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table
