"""``midcourse traces``, in process and as a process of its own."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from midcourse.guard.trace import Intervention, Origin, Trace, TracePiece, Usage, from_json
from midcourse.server.rows import Filters
from midcourse.server.store import open_store
from midcourse.server.traces_cli import app

CUT = Intervention(1, 0, "reasoning", "cue", "trigger", 2, 3, "withheld", (7,), "", (), "pause", "Wait.")
Run = Callable[..., Result]


def a_trace(name: str, created: float, *, cut: bool = False, prompt: str = "How so?") -> Trace:
    pieces = (
        TracePiece("reasoning", "Hm. "),
        TracePiece("reasoning", "Wait.", forced=True),
        TracePiece("response", "No."),
    )
    cuts, outcome = ((CUT,), "intervened") if cut else ((), "untouched")
    origin = Origin(created=created, model="small", messages=({"role": "user", "content": prompt},))
    return Trace(name, "r1", "enforce", prompt, pieces, (), cuts, outcome, "stop", Usage(), origin)  # type: ignore[arg-type]


TRACES = [
    a_trace("chatcmpl-aaaa1111bbbb2222", 1.0e9),
    a_trace("chatcmpl-aaaa1111cccc3333", 1.1e9, cut=True, prompt="long " * 100),
    a_trace("cmpl-odd", 1.2e9, prompt="lone \ud83d and \x1b[31m"),
]


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/traces.db"
    store = open_store(url)
    store.put(TRACES)
    store.close()
    return url


@pytest.fixture
def run(url: str) -> Run:
    runner = CliRunner(env={"MIDCOURSE_STORE": url, "COLUMNS": "80", "NO_COLOR": "1"})

    def run(*args: str) -> Result:
        result = runner.invoke(app, args)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


def ids(url: str) -> list[str]:
    store = open_store(url)
    found = [row.id for row in store.page()]
    store.close()
    return found


def test_the_list_runs_from_the_newest_and_fits_80_columns(run: Run) -> None:
    result = run("list")
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [line.split()[0] for line in lines] == ["id", "cmpl-odd", "chatcmpl-aaaa1111c", "chatcmpl-aaaa1111b"]
    assert lines[3] == "chatcmpl-aaaa1111b  2001-09-09 01:46  untouched      0  How so?"
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in result.stdout


def test_the_store_is_the_flags_or_the_environments_or_the_settings(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("MIDCOURSE_")]:
        monkeypatch.delenv(name)
    settings, nowhere = tmp_path / "midcourse.yaml", f"sqlite:///{tmp_path}/nowhere.db"
    settings.write_text(f"store: {url}\n")

    def listed(*flags: str, command: tuple[str, ...] = ("list", "--json"), **env: str | None) -> Result:
        return CliRunner(env=env).invoke(app, [*command, *flags])

    assert len(json.loads(listed("--config", str(settings)).stdout)) == 3
    assert len(json.loads(listed(MIDCOURSE_CONFIG=str(settings)).stdout)) == 3
    assert listed("--store", nowhere, "--config", str(settings)).exit_code == 2
    assert listed("--config", str(settings), MIDCOURSE_STORE=nowhere).exit_code == 2
    assert listed("cmpl-odd", command=("approve",), MIDCOURSE_CONFIG=str(settings)).exit_code == 0
    settings.write_text("stor: x\n")
    wrong = listed("--config", str(settings))
    assert wrong.exit_code == 2 and "did you mean store?" in wrong.stderr and wrong.stderr.count("\n") == 1
    assert listed("--store", url, "--config", str(settings)).exit_code == 0


def test_the_list_can_be_narrowed(run: Run) -> None:
    assert len(run("list", "--limit", "2").stdout.splitlines()) == 3
    assert "long long" in run("list", "--outcome", "intervened").stdout
    assert "How so?" not in run("list", "--min-interventions", "1").stdout
    found = json.loads(run("list", "--json", "--since", "2001-01-01", "--before", "2002-01-01T00:00+01:00").stdout)
    assert [row["id"] for row in found] == ["chatcmpl-aaaa1111bbbb2222"]
    assert found[0]["prompt"] == "How so?"
    assert run("list", "--model", "other").stdout == "no trace matches; the store holds 3\n"
    assert json.loads(run("list", "--model", "other", "--json").stdout) == []


def test_show_takes_an_id_its_beginning_or_the_last(run: Run) -> None:
    assert "chatcmpl-aaaa1111cccc3333" in run("show", "chatcmpl-aaaa1111c").stdout
    assert "+ Wait." in run("show", "chatcmpl-aaaa1111c", "--scores").stdout
    assert "[withheld: cue]\n- withheld\n" in run("show", "chatcmpl-aaaa1111c").stdout
    assert from_json(run("show", "last", "--json").stdout) == TRACES[2]
    assert "\x1b" not in run("show", "last").stdout


def test_what_is_exported_can_be_put_into_another_store(run: Run, tmp_path: Path) -> None:
    result = run("export", "--output", str(tmp_path / "out.jsonl"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "exported 3 traces" in result.stderr
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600
    traces = [from_json(text) for text in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert traces == TRACES
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    other.put(traces)
    assert list(other.iterate()) == TRACES
    other.close()


def test_export_to_stdout_takes_filters(run: Run) -> None:
    assert from_json(run("export", "--min-interventions", "1").stdout) == TRACES[1]
    assert run("export", "--purpose", "eval").stdout == ""


def test_an_export_that_fails_leaves_the_old_file_and_no_litter(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("old")
    with sqlite3.connect(tmp_path / "traces.db") as other:
        other.execute("UPDATE traces SET record = '{' WHERE id = 'cmpl-odd'")
    other.close()
    result = run("export", "--output", str(tmp_path / "out.jsonl"))
    assert result.exit_code == 2
    assert "trace 'cmpl-odd' in the store is unreadable" in result.stderr
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".out")]


def test_delete_by_id_or_date_or_all(run: Run, url: str) -> None:
    assert run("delete", "chatcmpl-aaaa1111c", "--vacuum").stdout == "deleted 1 trace\n"
    assert ids(url) == ["cmpl-odd", "chatcmpl-aaaa1111bbbb2222"]
    assert run("delete", "--before", "2002-01-01").stdout == "deleted 1 trace\n"
    assert ids(url) == ["cmpl-odd"]
    assert run("delete", "--all", "--yes").stdout == "deleted 1 trace\n"
    assert ids(url) == []
    assert run("show", "last").exit_code == 2


def test_delete_does_nothing_if_one_of_the_ids_is_unknown(run: Run, url: str) -> None:
    assert run("delete", "cmpl-odd", "unknown-id").exit_code == 2
    assert len(ids(url)) == 3


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["show", "nothing-like-it"], "no trace 'nothing-like-it'"),
        (["show", "chat"], "give at least 8 characters"),
        (["show", "chatcmpl-aaaa"], "several traces begin with"),
        (["list", "--since", "yesterday"], "'yesterday' is not a date"),
        (["list", "--store", "nonsense"], "is not a store URL"),
        (["list", "--store", "sqlite:///none/traces.db"], "no trace store at none/traces.db"),
        (["export", "--output", "/proc/none/x"], "--output /proc/none/x: No such file"),
        (["delete"], "say what to delete"),
        (["delete", "--all"], "add --yes"),
        (["delete", "--all", "--yes", "--before", "2001-01-01"], "say what to delete"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(run: Run, url: str, args: list[str], says: str) -> None:
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("midcourse: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert len(ids(url)) == 3


def test_a_newer_store_is_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "traces.db") as other:
        other.execute("UPDATE midcourse_meta SET value = '99'")
    other.close()
    result = run("list")
    assert result.exit_code == 2
    assert result.stderr == "midcourse: the store was written by a newer midcourse (schema 99; this one knows 2)\n"


def piped(url: str, *args: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "error", "-c", "from midcourse.server.traces_cli import app; app()", *args]
    environment = {**os.environ, "MIDCOURSE_STORE": url}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_real_process_pipes_without_colour(url: str) -> None:
    with piped(url, "show", "last") as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"\x1b" not in out
    assert out.decode().startswith("trace    cmpl-odd")


def test_a_reader_that_leaves_early_gets_no_traceback(url: str) -> None:
    store = open_store(url)
    store.put([a_trace(f"more-{i}", 1.3e9, prompt="p" * 2000) for i in range(300)])
    assert store.counts().total == 303
    store.delete(Filters(before=1.15e9))
    store.close()
    with piped(url, "export") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
