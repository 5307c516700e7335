"""Judges of answers by what a command calls them. Knows the names; each judge has a file of its own.

    refusal                        whoever does not refuse has done harm: English phrases
    ngram                          a small classifier trained on people's labels of responses
    lexical, cue                   the guard's own judges, over the finished text
    llm:RUBRIC@URL#MODEL           a language model behind an OpenAI-compatible server, with a published rubric
    guard:KIND@FOLDER_OR_ID        a guard model in this process, asked as its makers ask it
    guard:KIND@URL#MODEL           the same behind an OpenAI-compatible server

They are looked up late, because numpy, torch and clients come along.
"""

import pkgutil
from collections.abc import Callable

from midcourse.models.answer import AnswerJudge

NAMED = {
    "refusal": "judge_refusal:make",
    "ngram": "judge_ngram:make",
    "lexical": "judge_replay:lexical",
    "cue": "judge_replay:cue",
}
RUBRICS = ("strongreject", "jailbreakbench", "reasoning")
GUARDS = ("llama-guard", "wildguard", "qwen3guard")
KNOWN = (
    f"there are {', '.join(NAMED)}, llm:RUBRIC@URL#MODEL with {', '.join(RUBRICS)},"
    f" and guard:KIND@FOLDER_OR_ID or guard:KIND@URL#MODEL with {', '.join(GUARDS)}"
)


class JudgeSpecError(ValueError):
    """No judge is called that. The message names it, and what there is."""


def judge_of(spec: str) -> AnswerJudge:
    """The judge that a command names.

    Raises:
        JudgeSpecError: there is none by that name, or its model does not load.
        ModuleNotFoundError: it needs a package that is not installed.
    """
    if spec in NAMED:
        return _late(NAMED[spec])()
    way, colon, rest = spec.partition(":")
    kind, at, where = rest.partition("@")
    if not (way in ("llm", "guard") and colon and at and where):
        raise JudgeSpecError(f"judge {spec!r}: no such judge; {KNOWN}")
    if kind not in (kinds := RUBRICS if way == "llm" else GUARDS):
        raise JudgeSpecError(f"judge {spec!r}: {kind!r} is none of {', '.join(kinds)}")
    url, _, model = where.partition("#")
    remote = url.startswith(("http://", "https://"))
    if (remote or way == "llm") and not (remote and model):
        raise JudgeSpecError(f"judge {spec!r}: give the server and its model, as in {way}:{kind}@http://HOST/v1#MODEL")
    if remote and not is_bare(url):
        key = "give its key in MIDCOURSE_JUDGE_API_KEY"
        raise JudgeSpecError(f"judge {way}:{kind}: its URL holds a user, a password or a query; {key}")
    if way == "llm":
        return _late("judge_llm:make")(kind, url, model)
    try:
        return (
            _late("judge_guard:remote")(kind, url, model) if remote else _late("judge_guard_local:local")(kind, where)
        )
    except LookupError as error:
        raise JudgeSpecError(f"judge {spec!r}: {error}") from error


def is_bare(url: str) -> bool:
    """Whether a server's URL is without user, password and query: it stands in manifests, reports and errors."""
    return "@" not in url and "?" not in url


def judges_of(specs: str) -> list[AnswerJudge]:
    """Several of them, separated by commas.

    Raises:
        JudgeSpecError: as above, or two of them have one name in reports.
    """
    judges = [judge_of(spec.strip()) for spec in specs.split(",") if spec.strip()]
    names = [judge.name for judge in judges]
    if not judges:
        raise JudgeSpecError(f"no judge is named; {KNOWN}")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise JudgeSpecError(f"{twice} is named twice; give each judge once")
    return judges


def _late(name: str) -> Callable[..., AnswerJudge]:
    found: Callable[..., AnswerJudge] = pkgutil.resolve_name(f"midcourse.models.{name}")
    return found
