from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from midcourse.server.config import load
from midcourse.server.errors import ConfigError
from midcourse.server.policy_box import PolicyBox


def reloads(result: str) -> float:
    return REGISTRY.get_sample_value("midcourse_policy_reloads_total", {"result": result}) or 0.0


def box_of(path: Path) -> PolicyBox:
    return PolicyBox(load(path, env={}), lambda: load(path, env={}))


def test_a_reload_puts_the_new_policy_in_force(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("policy: {mode: enforce}\n")
    box = box_of(path)
    before, counted = box.current, reloads("ok")
    path.write_text("policy: {mode: shadow}\nport: 9\n")
    result = box.reload()
    assert box.current.mode == "shadow"
    assert before.mode == "enforce"
    assert result == (before.hash, box.current.hash)
    assert reloads("ok") == counted + 1


def test_a_bad_file_keeps_the_old_policy_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("policy: {mode: enforce}\n")
    box = box_of(path)
    before, counted = box.current, reloads("error")
    path.write_text("policy: {mood: shadow}\n")
    with pytest.raises(ConfigError) as caught:
        box.reload()
    assert caught.value.param == "policy.mood"
    box.on_signal()
    assert box.current is before
    assert reloads("error") == counted + 2


def test_a_bad_value_in_the_file_is_an_error_even_where_a_flag_overrides_it(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("policy: {mode: enforced}\n")
    with pytest.raises(ConfigError, match=r"policy\.mode: is 'enforced'"):
        load(path, {"policy.mode": "shadow"}, env={})
