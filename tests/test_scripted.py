import asyncio
import time

import pytest

from midcourse.guard.delta import Delta
from midcourse.server.engine import Engine, Generation, Sampling, TokenLogprob
from midcourse.server.errors import CallerError, EngineError
from midcourse.server.scripted import Script, ScriptedEngine


async def read_all(generation: Generation) -> list[Delta]:
    deltas: list[Delta] = []
    while not deltas or deltas[-1].finish_reason is None:
        deltas += await generation.read()
    return deltas


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


async def test_a_script_is_said_word_by_word_and_ends_with_its_reason() -> None:
    text = "Let me think.\n\nTwo  spaces</think>\n[THINK] A < B."
    engine: Engine = ScriptedEngine(Script(text, finish_reason="length"))
    deltas = await read_all(engine.start((), Sampling()))
    assert text_of(deltas) == text
    assert all(len(delta.token_ids) == 1 for delta in deltas)
    assert [delta.finish_reason for delta in deltas] == [None] * (len(deltas) - 1) + ["length"]
    assert "</think>" in [delta.text for delta in deltas]


async def test_ids_spell_the_text_again() -> None:
    engine = ScriptedEngine("x")
    ids = engine.tokenize("the cat and the dog")
    assert engine.detokenize(ids) == "the cat and the dog"
    assert ids[1] != ids[3]
    assert engine.tokenize(" the") == engine.spell(" the") == (ids[3],)
    with pytest.raises(CallerError, match="token id 999"):
        engine.detokenize([999])


async def test_a_resume_keeps_a_prefix_and_goes_on_with_the_next_continuation() -> None:
    engine = ScriptedEngine(Script("one two three", continuations=(" four five", " six")))
    generation = engine.start((), Sampling())
    kept = (await generation.read())[0].token_ids
    forced = await generation.resume(kept, " But wait.", 1)
    assert (forced.text, forced.forced, forced.generation, forced.finish_reason) == (" But wait.", True, 1, None)
    deltas = await read_all(generation)
    assert text_of(deltas) == " four five"
    assert {delta.generation for delta in deltas} == {1}
    assert engine.detokenize(generation.sent) == "one But wait. four five"
    for number in (2, 3):
        await generation.resume(kept, " No.", number)
        assert text_of(await read_all(generation)) == " six"
    with pytest.raises(EngineError, match="no prefix"):
        await generation.resume((*kept, 12345), "", 4)


async def test_a_resume_without_a_continuation_ends_at_once() -> None:
    generation = ScriptedEngine("one two").start((), Sampling())
    await generation.read()
    await generation.resume((), "No.", 1)
    assert await generation.read() == [Delta("", (), 1, finish_reason="stop")]


async def test_limits_stop_strings_and_the_context_end_a_run() -> None:
    engine = ScriptedEngine("one two three four", context_length=6)
    assert text_of(await read_all(engine.start((), Sampling(max_tokens=2)))) == "one two"
    cut = await read_all(engine.start((), Sampling(stop=("four", "o t"))))
    assert text_of(cut) == "one tw"
    assert cut[-1].finish_reason == "stop"
    full = await read_all(engine.start((0,) * 5, Sampling()))
    assert text_of(full) == "one"
    assert full[-1].finish_reason == "length"
    assert (await engine.start((), Sampling(max_tokens=2)).resume((), "a b c", 1)).finish_reason == "length"


async def test_log_probabilities_come_when_asked_for() -> None:
    engine = ScriptedEngine("one two")
    assert (await engine.start((), Sampling()).read())[0].logprobs is None
    generation = engine.start((), Sampling(logprobs=2))
    entry = (await generation.read())[0].logprobs
    assert isinstance(entry, TokenLogprob)
    assert entry.token == "one"
    assert len(entry.top) == 2
    forced = (await generation.resume((), "a b", 1)).logprobs
    assert isinstance(forced, tuple)
    assert [(one.token, one.top) for one in forced] == [("a", ()), (" b", ())]


async def test_bursts_carry_several_deltas() -> None:
    generation = ScriptedEngine("a b c d e", burst=3).start((), Sampling())
    assert [len(await generation.read()) for _ in range(2)] == [3, 2]


async def test_a_failing_script_fails_after_its_tokens() -> None:
    generation = ScriptedEngine(Script("a b c", fails_after=1)).start((), Sampling())
    await generation.read()
    with pytest.raises(EngineError, match="fails here"):
        await generation.read()


async def test_closing_stops_a_slow_read_and_a_resume_makes_it_start_over() -> None:
    engine = ScriptedEngine(Script("a b c", continuations=("d",)), delay=0.02)
    generation = engine.start((), Sampling())
    reading = asyncio.create_task(generation.read())
    await asyncio.sleep(0.005)
    await generation.resume((), "No.", 1)
    assert text_of(list(await reading)) == "d"
    begun = time.perf_counter()
    slow = engine.start((), Sampling())
    reading = asyncio.create_task(slow.read())
    await asyncio.sleep(0)
    assert engine.running == 2
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await reading
    assert engine.running == 0
    assert time.perf_counter() - begun >= 0.02
    with pytest.raises(EngineError, match="closed"):
        await slow.resume((), "", 1)


async def test_the_template_names_roles_and_opens_the_reasoning() -> None:
    engine = ScriptedEngine("x")
    ids = engine.render([{"role": "user", "content": "Hi there"}], enable_thinking=True)
    assert engine.detokenize(ids) == "<|user|>Hi there\n<|assistant|><think>\n"
    assert engine.rendered == [([{"role": "user", "content": "Hi there"}], {"enable_thinking": True})]
    with pytest.raises(ValueError, match="at least one"):
        ScriptedEngine()
