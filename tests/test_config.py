from pathlib import Path

import pytest

from midcourse.server.config import Settings, load, overrides_of
from midcourse.server.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "midcourse.yaml"
    path.write_text(text)
    return path


def problem(config: Path | None = None, env: dict[str, str] | None = None, **flags: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(config, {key.replace("__", "."): value for key, value in flags.items()}, env or {})
    return caught.value


def test_without_anything_the_defaults_hold() -> None:
    settings = load(env={})
    assert settings == Settings()
    assert settings.policy.mode == "enforce"
    assert settings.caller_keys == ()


def test_flags_become_dotted_keys() -> None:
    flags = ["--port", "9", "--policy.mode=shadow", "--log-level", "debug"]
    assert overrides_of(flags) == {"port": "9", "policy.mode": "shadow", "log_level": "debug"}
    with pytest.raises(ConfigError, match="--port: needs a value"):
        overrides_of(["--port", "--host"])


def test_flags_win_over_the_environment_over_the_file_over_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "port: 1\nhost: a\nmodel: m\npolicy: {seed: 1, loop_limit: 4, max_step_chars: 100}\n")
    env = {"MIDCOURSE_PORT": "2", "MIDCOURSE_HOST": "b", "MIDCOURSE_POLICY__LOOP_LIMIT": "5", "OTHER": "x"}
    settings = load(path, {"port": 3, "policy.seed": "3", "host": None}, env)
    assert (settings.port, settings.host, settings.model) == (3, "b", "m")
    policy = settings.policy
    assert (policy.seed, policy.loop_limit, policy.max_step_chars) == (3, 5, 100)


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "port: 99\n")
    assert load(env={"MIDCOURSE_CONFIG": str(path)}).port == 99
    assert load(write(tmp_path, ""), env={}) == Settings()


@pytest.mark.parametrize("word", ["off", "'off'", "shadow"])
def test_a_mode_is_a_word_even_where_yaml_would_read_a_boolean(tmp_path: Path, word: str) -> None:
    assert load(write(tmp_path, f"policy:\n  mode: {word}\n"), env={}).policy.mode == word.strip("'")
    assert load(env={"MIDCOURSE_POLICY__MODE": word.strip("'")}).policy.mode == word.strip("'")
    assert load(None, {"policy.mode": word.strip("'")}, {}).policy.mode == word.strip("'")


def test_nested_sections_and_prose_come_from_every_source(tmp_path: Path) -> None:
    path = write(tmp_path, "policy:\n  reasoning:\n    threshold: 0.25\n    max_interventions: 1\n")
    env = {"MIDCOURSE_POLICY__REASONING__MAX_INTERVENTIONS": "2", "MIDCOURSE_POLICY__REFUSAL": "No: not this."}
    policy = load(path, {"policy.triggers": '["Hm, wait."]'}, env).policy
    assert (policy.reasoning.threshold, policy.reasoning.max_interventions) == (0.25, 2)
    assert (policy.refusal, policy.triggers) == ("No: not this.", ("Hm, wait.",))


def test_unknown_keys_are_named_with_their_place_and_a_guess(tmp_path: Path) -> None:
    error = problem(write(tmp_path, "prot: 1\n"))
    assert error.param == "prot"
    assert "prot: unknown key; did you mean port?" in str(error)
    assert "midcourse.yaml" in str(error)
    assert "MIDCOURSE_ZZZ" in str(problem(env={"MIDCOURSE_ZZZ": "1"}))
    assert "known are" in str(problem(env={"MIDCOURSE_ZZZ": "1"}))
    error = problem(env={"MIDCOURSE_POLICY__MOOD": "1"})
    assert error.param == "policy.mood"
    assert "(in MIDCOURSE_POLICY__MOOD)" in str(error)
    assert problem(write(tmp_path, "policy: {reasoning: {treshold: 1}}\n")).param == "policy.reasoning.treshold"
    assert problem(port__x=1).param == "port.x"
    assert problem(write(tmp_path, "1: 2\n")).param == "1"


@pytest.mark.parametrize(
    ("text", "param", "says"),
    [
        ("policy: {mode: on}", "policy.mode", "choose one of off, shadow, enforce"),
        ("policy: {reasoning: {threshold: high}}", "policy.reasoning.threshold", "expected a number"),
        ("policy: {reasoning: 3}", "policy.reasoning", "expected a mapping"),
        ("policy: 3", "policy", "expected a section"),
        ("port: none", "port", "valid integer"),
        ("port: 70000", "port", "65535"),
        ("dialect: klingon", None, "dialect: is 'klingon'; choose one of r1"),
        ("judge: oracle", "judge", "'cue', 'lexical' or 'random'"),
        ("random_rate: 0", "random_rate", "greater than 0"),
        ("{judge: random, judge_model: x}", None, "judge_model: the random judge has no folder"),
        ("judge_threads: 0", "judge_threads", "greater than or equal to 1"),
        ("{judge: lexical, judge_model: x}", None, "judge_model: the lexical judge has no folder"),
        ("reasoning_field: think", "reasoning_field", "both"),
        ("api_keys: [1]", "api_keys.0", "valid string"),
        ("- a", "config", "expected keys and values"),
        ("a: [", "config", "is not YAML"),
        ("port: 1\nport: 2", "config", "'port' is written twice"),
        ("api_keys_file: /does/not/exist", "api_keys_file", "cannot read it"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, text: str, param: str | None, says: str) -> None:
    error = problem(write(tmp_path, text))
    assert error.param == param
    assert says in str(error)
    assert "\n" not in str(error)


def test_a_section_cannot_be_a_value_at_the_same_time() -> None:
    assert problem(policy__reasoning=3, policy__reasoning__threshold=1).param == "policy.reasoning"


def test_a_missing_or_unreadable_file_is_an_error(tmp_path: Path) -> None:
    assert "cannot read" in str(problem(tmp_path / "nothing.yaml"))
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    assert problem(tmp_path / "bytes.yaml").param == "config"


def test_keys_come_from_lists_variables_and_files_and_are_never_shown(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# ours\nfirst-secret  # Ann\n\nsecond-secret\n")
    path = write(tmp_path, f"api_keys: [zeroth-secret]\napi_keys_file: {keys}\n")
    settings = load(path, env={"MIDCOURSE_ADMIN_KEYS": "root-secret, other-secret"})
    expected = ("zeroth-secret", "first-secret", "second-secret", "root-secret", "other-secret")
    assert settings.caller_keys == expected
    assert "secret" not in repr(settings.model_copy(update={"api_keys_file": None}))
    assert load(env={"MIDCOURSE_ADMIN_KEYS": "root-secret"}).caller_keys == ()
    keys.write_text("# nobody\n")
    assert "has no key" in str(problem(path))


def test_variables_that_kubernetes_writes_are_not_ours() -> None:
    env = {
        "MIDCOURSE_PORT": "tcp://10.0.0.1:80",
        "MIDCOURSE_SERVICE_HOST": "10.0.0.1",
        "MIDCOURSE_SERVICE_PORT_HTTP": "80",
        "MIDCOURSE_PORT_80_TCP_ADDR": "10.0.0.1",
        "MIDCOURSE_METRICS_SERVICE_PORT": "80",
        "MIDCOURSE_METRICS_PORT": "tcp://10.0.0.1:80",
    }
    assert load(env=env) == Settings()
    assert problem(env={"MIDCOURSE_PORT": "eighty"}).param == "port"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1
