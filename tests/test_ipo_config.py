"""Settings: flags over YAML, defaults by what follows from what, and one line for whatever is wrong."""

import os
from pathlib import Path

import pytest

from midcourse.models.rows import DataError
from midcourse.train.ipo_config import IGNORED, METHODS, Method, Theirs, parse, settings

NEEDED = ["--pairs", "data/pairs", "--output_dir", "runs/one"]


def test_flags_stand_above_the_file_and_the_file_above_defaults(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("beta: 0.05\nlora_r: 8\nlearning_rate: 2e-5\nretain: [a.jsonl, b.jsonl]\nbf16: false\nadapter:\n")
    wish = parse("ipo", ["--config", str(file), *NEEDED, "--lora-r=4"])
    assert (wish.theirs.beta, wish.ours.lora_r, wish.theirs.learning_rate) == (0.05, 4, 2e-5)
    assert wish.ours.retain == ["a.jsonl", "b.jsonl"] and wish.theirs.bf16 is False and wish.ours.adapter is None


def test_a_file_sets_variables_as_trls_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDCOURSE_TEST", "before")
    (tmp_path / "x.yaml").write_text("env: {MIDCOURSE_TEST: 7}\npairs: p\noutput_dir: o\n")
    assert parse("ipo", [f"--config={tmp_path / 'x.yaml'}"]).ours.pairs == "p"
    assert os.environ["MIDCOURSE_TEST"] == "7"


def test_what_is_not_said_follows_from_the_method_and_from_what_is_trained() -> None:
    methods: tuple[Method, ...] = ("ipo", "dpo", "random", "sft")
    weights = {method: parse(method, NEEDED).ours.nll_weight for method in methods}
    assert weights == {"ipo": 0.2, "dpo": 0.2, "random": 0.2, "sft": 1.0}
    assert parse("ipo", NEEDED).theirs.learning_rate == 1e-4
    assert parse("ipo", [*NEEDED, "--use_peft", "false"]).theirs.learning_rate == 5e-6
    assert parse("ipo", [*NEEDED, "--nll_weight", "0", "--learning_rate", "1e-3"]).ours.nll_weight == 0.0
    assert not parse("sft", NEEDED).theirs.precompute_ref_log_probs
    assert parse("ipo", [*NEEDED, "--model", "x"]).ours.model_name_or_path == "x"


@pytest.mark.parametrize("method", METHODS)
def test_the_word_ipo_never_reaches_trls_loss_type(method: Method) -> None:
    assert parse(method, NEEDED).theirs.loss_type == ["sigmoid"]
    for word in ("ipo", "sigmoid"):
        with pytest.raises(DataError, match="--loss_type: has no effect on midcourse train"):
            parse(method, [*NEEDED, "--loss_type", word])


@pytest.mark.parametrize("name", IGNORED)
def test_a_setting_of_trls_that_would_be_ignored_is_refused_and_exists(name: str) -> None:
    assert name in Theirs.__dataclass_fields__
    with pytest.raises(DataError, match=f"--{name}: has no effect"):
        parse("ipo", [*NEEDED, f"--{name}", "1"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--bogus", "3", *NEEDED], "--bogus: there is no such setting"),
        (["stray", *NEEDED], "stray: there is no such setting"),
        (["--output_dir", "o"], "the following arguments are required: --pairs"),
        (["--pairs", "p"], "--output_dir: name a new folder"),
        ([*NEEDED, "--beta"], "argument --beta: expected one argument"),
        ([*NEEDED, "--lora_r", "many"], "invalid int value: 'many'"),
        ([*NEEDED, "--lora_r", "0"], "--lora_r is 0: must be above 0"),
        ([*NEEDED, "--trigger", "maybe"], "invalid choice: 'maybe'"),
        ([*NEEDED, "--use_peft", "false", "--adapter", "a"], "--adapter: goes on from a LoRA adapter"),
        ([*NEEDED, "--retain_weight", "-1"], "--retain_weight is -1.0: must not be below 0"),
        ([*NEEDED, "--nll_weight", "-1"], "--nll_weight is -1.0: must not be below 0"),
        ([*NEEDED, "--lora_dropout", "1"], "--lora_dropout is 1.0: must be from 0 to below 1"),
        ([*NEEDED, "--beta", "0"], "--beta is 0.0: must be above 0"),
        ([*NEEDED, "--per_device_train_batch_size", "0"], "--per_device_train_batch_size is 0: must be above 0"),
        ([*NEEDED, "--gradient_accumulation_steps", "0"], "--gradient_accumulation_steps is 0: must be above 0"),
        ([*NEEDED, "--seed", "-1"], "--seed is -1: must be from 0"),
        ([*NEEDED, "--report_to", "nobody"], "--report_to: nobody is not supported"),
        (["--config"], "--config: needs a YAML file"),
        (["--config", "nowhere.yaml"], "cannot read it: No such file"),
    ],
)
def test_whatever_is_wrong_is_one_line(given: list[str], says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        parse("ipo", given)
    assert "\n" not in str(caught.value)


def test_how_much_of_a_side_is_compared_is_a_number_and_nothing_to_sft() -> None:
    assert parse("ipo", NEEDED).ours.preference_tokens is None
    assert parse("random", [*NEEDED, "--preference_tokens", "6"]).ours.preference_tokens == 6
    with pytest.raises(DataError, match="--preference_tokens is 0: must be above 0"):
        parse("ipo", [*NEEDED, "--preference_tokens", "0"])
    with pytest.raises(DataError, match="--preference_tokens: has no effect on midcourse train sft"):
        parse("sft", [*NEEDED, "--preference_tokens", "6"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bogus: 1", "bogus: there is no such setting"),
        ("- a", "expected settings"),
        ("env: HOME", "env: expected variables"),
        ("beta: [", "is no YAML"),
        ("beta: {a: 1}", "--beta: is a table; write one value"),
        ("beta: much", "invalid float value: 'much'"),
        ("loss_type: ipo", "--loss_type: has no effect"),
    ],
)
def test_whatever_is_wrong_with_the_file_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(DataError, match=says) as caught:
        parse("ipo", ["--config", str(tmp_path / "x.yaml"), *NEEDED])
    assert "\n" not in str(caught.value)


def test_the_settings_of_a_run_are_all_that_it_hangs_on_and_no_secret() -> None:
    found = settings(parse("ipo", NEEDED))
    assert found["lora_r"] == 16 and found["beta"] == 0.1 and found["nll_weight"] == 0.2 and found["seed"] == 42
    assert not any(name in IGNORED or name.startswith("hub_") for name in found)
