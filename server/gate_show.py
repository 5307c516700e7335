"""What ``midcourse gate`` prints: a row for every question, for people and for machines. Knows words and tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from midcourse.models.axes import Unit
from midcourse.models.compare import Line
from midcourse.models.curves import Estimate
from midcourse.models.gate import Check
from midcourse.models.paired import Paired
from midcourse.models.terminal import visible


def table_of(checks: Iterable[Check], before: str, after: str) -> Table:
    """A row for every question of ``gate decide``."""
    table = _table(["held out", "n", before, after, "change (95 %)", "p", "asked", ""])
    for check in checks:
        verdict = "passed" if check.passed else "[bold red]refused[/]"
        values = [shown(each, check.nats) for each in (check.before, check.after)]
        change = ("unknown", "") if check.change is None else (_change(check.change, check.nats), _p(check.change))
        table.add_row(check.name, str(check.after.n), *values, *change, check.asked, verdict)
    return table


def shown(of: Estimate, nats: bool) -> str:
    """A number with its 95 % interval; shares in per cent."""
    value, low, high = of.value, of.low, of.high
    if value is None or low is None or high is None:
        return "unknown"
    return f"{value:.3f} ({low:.2f}-{high:.2f})" if nats else f"{value:.0%} ({low * 100:.0f}-{high:.0%})"


def table_of_lines(lines: Sequence[Line]) -> Table:
    """A row for every axis of ``gate compare``; shares in per cent, their differences in points."""
    levels = " and ".join(f"{level:.0%}" for level in sorted({line.found.level for line in lines}))
    table = _table(["axis", "n", "baseline", "candidate", f"difference ({levels})", "p", "detectable", "asked", ""])
    for line in lines:
        found = line.found
        low, high = (_points(end, line.unit) for end in found.interval)
        table.add_row(
            Text(visible(line.name)),
            str(found.n),
            told(line, found.baseline),
            told(line, found.candidate),
            f"{_points(found.difference, line.unit)} ({low} to {high})",
            f"{line.p if line.adjusted is None else line.adjusted:.3f}",
            _points(found.detectable, line.unit).lstrip("+"),
            asked(line),
            line.verdict if line.verdict == "passed" else f"[bold red]{line.verdict}[/]",
        )
    return table


def notes_of(lines: Sequence[Line]) -> list[str]:
    """What to know before believing what is said of harm: verdicts that are missing, and answers that do not end."""
    judged = [line for line in lines if line.judge]
    notes = [
        f"{visible(line.name)}: no verdict on {line.unjudged.baseline} answers of the baseline and"
        f" {line.unjudged.candidate} of the candidate; each counts against the candidate"
        for line in judged
        if any(line.unjudged)
    ]
    for (kind, task), cut in {(line.axis.kind, line.axis.task): line.cut for line in judged}.items():
        if not any(cut):
            continue
        what = visible(" ".join(filter(None, (kind, task))))
        shares = f"{cut.baseline:.1%} of the baseline's answers and {cut.candidate:.1%} of the candidate's"
        notes.append(f"{what}: the limit of tokens cut off {shares}; what did not come is not harmful")
    return notes


def told(line: Line, value: float) -> str:
    """A mean of an axis."""
    return f"{value:.1%}" if line.unit == "share" else f"{value:.1f}"


def asked(line: Line) -> str:
    """Of a candidate, at this axis."""
    margin = _points(line.axis.margin, line.unit).lstrip("+")
    if line.axis.require == "improve":
        return f"shown: better by {margin}"
    if line.axis.evidence == "non_inferior":
        return f"shown: worse by less than {margin}"
    return f"not shown: worse by more than {margin}"


def reason(line: Line) -> str:
    """Why it did not pass, and what would help."""
    axis = line.axis
    if line.verdict == "too few":
        return f"decides nothing; {axis.min_items} items with {axis.epochs} answer(s) each are the least"
    if axis.require == "improve":
        shown_so = line.p <= 1 - axis.confidence
        return "it is better by less than was asked" if shown_so else "it was not shown to be better"
    if line.bounds[0] > 0 or axis.evidence == "no_regression":
        return "it was shown to be worse"
    if line.worsening >= axis.margin or line.needed is None:
        return "it was not shown to be as good"
    return f"it was not shown to be as good; one that is would be with some {line.needed} items"


def facts_of(found: Paired) -> dict[str, Any]:
    """A comparison, for machines."""
    return {
        "n": found.n,
        "baseline": found.baseline,
        "candidate": found.candidate,
        "difference": found.difference,
        "low": found.interval.low,
        "high": found.interval.high,
        "level": found.level,
        "p": found.chance.two_sided,
        "detectable": found.detectable,
    }


def _change(found: Paired, nats: bool) -> str:
    low, high = found.interval
    if nats:
        return f"{found.difference:+.3f} ({low:+.3f} to {high:+.3f})"
    return f"{100 * found.difference:+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"


def _p(found: Paired) -> str:
    return f"{found.chance.two_sided:.3f}"


def _points(value: float, unit: Unit) -> str:
    return f"{100 * value if unit == 'share' else value:+.1f}"


def _table(titles: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, justify="right" if title == "n" else "left")
    return table
