"""What a training run leaves, and what PEFT leaves."""

from pathlib import Path

import pytest

from midcourse.models.lora import AdapterError
from midcourse.models.run_folder import read_run
from tests.adapters import RUN, peft_folder, run_folder


def test_a_run_says_how_its_adapter_was_made(tmp_path: Path) -> None:
    folder, run, *_ = read_run(run_folder(tmp_path / "run"))
    assert folder == tmp_path / "run" / "adapter"
    assert (run.base_model, run.method, run.config) == (RUN["base_model"], RUN["method"], RUN["config"])
    assert (run.data, run.metrics) == (RUN["data"], RUN["metrics"])


def test_a_peft_folder_names_its_base_model_or_is_told_it(tmp_path: Path) -> None:
    folder = peft_folder(tmp_path / "a")
    assert read_run(folder).adapter == folder
    assert read_run(folder).run.base_model == "tiny"
    assert read_run(folder, "other").run.base_model == "other"
    with pytest.raises(AdapterError, match="give --base MODEL"):
        read_run(peft_folder(tmp_path / "b", base_model_name_or_path=None))


def test_a_run_that_says_too_little_is_refused(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    with pytest.raises(AdapterError, match=r"--base: .* names the base model already"):
        read_run(folder, "tiny")
    (folder / "run.json").write_text('{"base_model": "x", "method": "sft", "config": {}, "data": {}}')
    with pytest.raises(AdapterError, match=r"run\.json: metrics: is missing; give the folder of a run"):
        read_run(folder)
    for text in ("{", "5"):
        (folder / "run.json").write_text(text)
        with pytest.raises(AdapterError, match=r"run\.json: "):
            read_run(folder)


@pytest.mark.parametrize(("field", "value"), [("base_model", 5), ("metrics", [1]), ("config", None), ("data", "x")])
def test_a_field_of_another_type_is_named(field: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=rf"run\.json: {field}: Input should be"):
        read_run(run_folder(tmp_path / "run", **{field: value}))
