"""Judges of answers by name, and what a name that is none is told."""

import pytest

from midcourse.models.answer_judges import JudgeSpecError, judge_of, judges_of


@pytest.mark.parametrize(("spec", "own"), [("refusal", False), ("ngram", False), ("lexical", True)])
def test_a_judge_says_what_it_is(spec: str, own: bool) -> None:
    judge = judge_of(spec)
    assert judge.name == spec and judge.version and judge.own is own


def test_judges_behind_a_server_are_named_after_rubric_and_model() -> None:
    graded, guarded = judges_of("llm:strongreject@http://127.0.0.1:9/v1#some/model, guard:wildguard@https://x/v1#w")
    assert (graded.name, guarded.name) == ("strongreject:some/model", "wildguard:w")
    assert not graded.own and not guarded.own and graded.version != guarded.version


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("nice", "judge 'nice': no such judge; there are refusal, ngram, lexical, cue, llm:"),
        ("llm:strongreject", "no such judge"),
        ("llm:nice@http://127.0.0.1/v1#m", "'nice' is none of strongreject, jailbreakbench, reasoning"),
        ("guard:nice@x", "'nice' is none of llama-guard, wildguard, qwen3guard"),
        (
            "llm:reasoning@http://127.0.0.1/v1",
            "give the server and its model, as in llm:reasoning@http://HOST/v1#MODEL",
        ),
        ("llm:reasoning@folder#m", "give the server and its model"),
        ("guard:llama-guard@http://127.0.0.1/v1", "give the server and its model"),
        ("llm:reasoning@http://me:secret@here/v1#m", "its URL holds a user, a password or a query; give its key in"),
        ("guard:wildguard@https://here/v1?api-key=secret#m", "its URL holds a user, a password or a query"),
        ("refusal,refusal", "refusal is named twice"),
        (" , ", "no judge is named"),
    ],
)
def test_a_name_that_is_none_is_told_what_there_is(spec: str, says: str) -> None:
    with pytest.raises(JudgeSpecError) as raised:
        judges_of(spec)
    assert says in str(raised.value) and "secret" not in str(raised.value)


def test_a_guard_model_that_does_not_load_is_named(tmp_path: object) -> None:
    with pytest.raises(JudgeSpecError, match=r"judge 'guard:llama-guard@.*neither smollm2"):
        judge_of(f"guard:llama-guard@{tmp_path}")
