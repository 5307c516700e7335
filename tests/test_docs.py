"""The documents describe what is there: settings, policy keys, metrics, commands, verbs, links."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

from midcourse.guard.policy import PhasePolicy, Policy
from midcourse.server import metrics
from midcourse.server.cli import app
from midcourse.server.config import Settings, load

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "RESULTS.md"])


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def keys(section: str) -> set[str]:
    """Names in backticks in the first column of the tables of a section."""
    cells = re.findall(r"^\|([^|]*)\|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_setting_and_no_other_is_documented() -> None:
    server, policy = text("docs/configuration.md").split("## Policy")
    assert keys(server) == set(Settings.model_fields)
    assert keys(policy) == {f.name for kind in (Policy, PhasePolicy) for f in fields(kind)}


def test_the_example_configuration_is_accepted(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", text("docs/configuration.md"), re.DOTALL)
    assert yaml.safe_load(example)
    file = tmp_path / "midcourse.yaml"
    file.write_text(example)
    assert load(file, {}, {}).policy == Policy()


def test_every_metric_and_no_other_is_documented() -> None:
    assert metrics.__doc__  # importing it registers them
    ours = {family.name for family in REGISTRY.collect() if family.name.startswith("midcourse_")}
    told = {name.removesuffix("_total") for name in keys(text("docs/metrics.md")) if name.startswith("midcourse_")}
    assert told == ours


def test_the_readme_names_commands_and_verbs_that_exist() -> None:
    readme, makefile = text("README.md"), text("Makefile")
    for verb in re.findall(r"^ {4}make (\w+)", readme, re.MULTILINE):
        assert re.search(rf"^{verb}:", makefile, re.MULTILINE)
    commands = {c.name or (c.callback.__name__ if c.callback else "") for c in app.registered_commands} | {"traces"}
    assert set(re.findall(r"\.venv/bin/midcourse (\w+)", readme)) <= commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
