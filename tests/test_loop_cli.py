"""The command line of ``midcourse loop``: what is left behind by one that fails. Its order is in test_loop_run.py."""

import json
import subprocess
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "midcourse.server.cli", "loop")


def test_a_loop_that_fails_says_why_and_tells_what_it_has_done(tmp_path: Path) -> None:
    wish = ("--model", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    done = subprocess.run([*COMMAND, *wish], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode and "nowhere" in done.stderr and "Traceback" not in done.stderr
    told = json.loads((tmp_path / "out" / "loop.json").read_text())
    assert told["passed"] is None and told["asked"] == [] and told["seconds"] > 0


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "--out", str(tmp_path)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode and "is there already" in done.stderr
    assert not list(tmp_path.iterdir())
