"""The tables in the terminal, and in a file where no terminal is."""

import io
from dataclasses import replace

from rich.console import Console

from midcourse.models.safety_table import lines
from midcourse.server.eval_show import show
from tests.told_runs import benign, harmful


def test_a_judge_that_gave_fewer_verdicts_is_shown_with_their_number() -> None:
    outcomes = harmful("off", {"sharp": [(1.0, 0.0), (0.0, 0.0)]})
    file = io.StringIO()
    show(Console(file=file), lines([outcomes[0], replace(outcomes[1], harm={})]))
    row = next(line for line in file.getvalue().splitlines() if "sharp" in line)
    assert row.split()[:7] == ["jail", "off", "sharp", "1", "of", "2", "100%"]


def test_a_file_gets_rows_that_are_not_folded() -> None:
    outcomes = harmful("random insertion", {"a judge of some length": [(1.0, 0.0), (0.0, 0.0)]})
    file = io.StringIO()
    show(Console(file=file), lines([*outcomes, *benign("random insertion", [True, False])]))
    told = file.getvalue().splitlines()
    row = next(line for line in told if "a judge of some length" in line)
    assert row.split()[:3] == ["jail", "random", "insertion"] and row.split()[-4:] == ["1", "1", "0", "0"]
    assert next(line for line in told if line.startswith("calm")).split()[4:6] == ["50%", "(9-91%)"]
