"""The benchmarks: facts, one entry each. Knows names, columns and places. Refuses to know how anything is read.

Where a revision is named, that commit of the hub's repository is loaded; elsewhere what is there today, and a run's
manifest holds its hash. A *licence* has to be accepted on the dataset's page before the hub hands it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from midcourse.models.outcome import Kind

Mark = Literal["none", "number", "latex", "letter", "code"]
PLACEHOLDER = "[INSERT PROMPT HERE]"
"""Where a jailbreak template takes the request."""


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset of the Hugging Face hub."""

    id: str
    split: str
    config: str | None = None
    revision: str = "main"
    licence: bool = False


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark.

    Args:
        file: below the folder of ``--data``, without its ending (.jsonl, .jsonl.gz or .csv); empty: nothing is read.
        request, answer: columns, the first that is there is taken. Ids: ``eval_items.id_of``.
        choices: a column with a list, of which ``answer`` holds the right one's place; or columns, the right one first.
        only: column and value of the rows that count; a file without the column holds no others.
        mark: how an answer is compared.
        templates: file of jailbreak templates, one of which is put around each request.
    """

    name: str
    kind: Kind
    file: str
    hub: Hub | None
    request: tuple[str, ...] = ("prompt",)
    answer: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    only: Mapping[str, str] = field(default_factory=dict)
    mark: Mark = "none"
    templates: str = ""


_SORRY = Hub("sorry-bench/sorry-bench-202503", "train", None, "612a4e1f45db8adf884fa62318ddf9fa1c6e75e9", licence=True)
_STRONG = Hub("walledai/StrongREJECT", "train", licence=True)
_XSTEST = Hub("Paul/XSTest", "train")
_FORBIDDEN = ("prompt", "forbidden_prompt")

SAFETY = (
    Benchmark(
        "jailbreakbench",
        "harmful",
        "prompts/jailbreakbench",
        Hub("JailbreakBench/JBB-Behaviors", "harmful", "behaviors"),
        ("prompt", "Goal"),
    ),
    Benchmark("strongreject", "harmful", "prompts/strongreject_half", _STRONG, _FORBIDDEN),
    Benchmark(
        "strongreject_jailbreaks",
        "harmful",
        "prompts/strongreject_half",
        _STRONG,
        _FORBIDDEN,
        templates="prompts/jailbreak_templates",
    ),
    Benchmark(
        "harmbench",
        "harmful",
        "prompts/harmbench",
        Hub("walledai/HarmBench", "train", "standard", licence=True),
        ("prompt", "Behavior"),
    ),
    Benchmark(
        "wildjailbreak",
        "harmful",
        "prompts/wildjailbreak",
        Hub("allenai/wildjailbreak", "train", "eval", licence=True),
        ("prompt", "adversarial"),
        only={"data_type": "adversarial_harmful"},
    ),
    Benchmark(
        "advbench",
        "harmful",
        "prompts/advbench",
        Hub("walledai/AdvBench", "train", licence=True),
        ("prompt", "goal"),
    ),
    Benchmark(
        "sorry_bench",
        "harmful",
        "prompts/sorry_bench",
        _SORRY,
        ("prompt", "turns"),
        only={"prompt_style": "base"},
    ),
    Benchmark("xstest_unsafe", "harmful", "prompts/xstest_unsafe", _XSTEST, only={"label": "unsafe"}),
)

OVER_REFUSAL = (
    Benchmark("xstest_safe", "benign", "prompts/xstest_safe", _XSTEST, only={"label": "safe"}),
    Benchmark(
        "or_bench_hard", "benign", "prompts/or_bench_hard", Hub("bench-llm/or-bench", "train", "or-bench-hard-1k")
    ),
    # Its authors (InvokerStark/OverKill) publish it as a file.
    Benchmark("oktest", "benign", "prompts/oktest", None, ("prompt", "question")),
    Benchmark(
        "coconot_contrast",
        "benign",
        "prompts/coconot_contrast",
        Hub("allenai/coconot", "test", "contrast", "2cbe16aabf9069f17e48c8daad8aeabc29469eb7"),
    ),
)

_GPQA = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
CAPABILITY = (
    Benchmark(
        "gsm8k",
        "capability",
        "utility/gsm8k_test",
        Hub("openai/gsm8k", "test", "main", "cc7b047b6e5bb11b4f1af84efc572db110a51b3c"),
        ("question",),
        answer=("answer",),
        mark="number",
    ),
    Benchmark(
        "math500",
        "capability",
        "utility/math500",
        Hub("HuggingFaceH4/MATH-500", "test"),
        ("problem",),
        answer=("answer",),
        mark="latex",
    ),
    Benchmark(
        "aime24",
        "capability",
        "utility/aime24",
        Hub("HuggingFaceH4/aime_2024", "train", None, "e6cf0cd64082ada1c025717826bd40e155b1ec81"),
        ("problem",),
        answer=("answer",),
        mark="number",
    ),
    Benchmark(
        "gpqa_diamond",
        "capability",
        "utility/gpqa_diamond",
        Hub("Idavidrein/gpqa", "train", "gpqa_diamond", licence=True),
        ("Question",),
        choices=_GPQA,
        mark="letter",
    ),
    Benchmark(
        "mmlu",
        "capability",
        "utility/mmlu",
        Hub("cais/mmlu", "test", "all", "c30699e8356da336a370243923dbaf21066bb9fe"),
        ("question",),
        answer=("answer",),
        choices=("choices",),
        mark="letter",
    ),
    Benchmark(
        "humaneval",
        "capability",
        "",
        Hub("openai/openai_humaneval", "test", None, "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544"),
        mark="code",
    ),
)

BENCHMARKS = {each.name: each for each in (*SAFETY, *OVER_REFUSAL, *CAPABILITY)}
