"""The picture of the curves, where matplotlib is installed."""

from pathlib import Path

import numpy as np
import pytest

from midcourse.models import curves

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra plots)")


def test_a_picture_is_drawn_with_one_curve_or_two(tmp_path: Path) -> None:
    plot = pytest.importorskip("midcourse.models.plot")
    own = curves.ranking(np.array([0.9, 0.5, 0.1]), np.array([True, False, True]), np.array([0, 0, 1]))
    pooled = curves.ranking(np.array([0.9, 0.5, 0.1, 0]), np.array([True, False, True, False]), np.array([0, 0, 1, 2]))
    for name, second in (("one.png", own), ("two.png", pooled)):
        plot.draw(tmp_path / name, own, second, "judge")
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
