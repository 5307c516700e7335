from typing import Any

import pytest
import torch

from midcourse.guard.delta import Delta
from midcourse.server.decoding import Decoding
from midcourse.server.embedded import EmbeddedEngine
from midcourse.server.engine import Sampling, TokenLogprob
from midcourse.server.errors import CallerError, EngineError
from midcourse.server.weights import Weights
from tests.reading import complete, ids_of, opened, read_all, read_some, text_of
from tests.tiny import tiny_weights

GREEDY = Sampling(max_tokens=24, temperature=0)
QUESTION = "The three largest cities of France are"


async def test_greedy_is_what_transformers_own_loop_generates(engine: EmbeddedEngine, weights: Weights) -> None:
    prompt = engine.render([{"role": "user", "content": "How do I bake bread?"}])
    deltas = await complete(engine, prompt, GREEDY)
    model: Any = weights.model  # generate is typed too narrowly to be called
    with torch.inference_mode():
        theirs = model.generate(torch.tensor([prompt]), max_new_tokens=24, do_sample=False)
    assert ids_of(deltas) == tuple(theirs[0, len(prompt) :].tolist())
    assert all(len(delta.token_ids) == 1 for delta in deltas)
    assert text_of(deltas) == engine.detokenize(ids_of(deltas))
    assert text_of(deltas).startswith("Okay, the user wants to know how to bake bread.")
    assert deltas[-1].finish_reason == "length"


async def test_a_resume_goes_on_exactly_as_a_fresh_run_of_the_same_prefix(engine: EmbeddedEngine) -> None:
    prompt = engine.tokenize(QUESTION)
    generation = engine.start(prompt, GREEDY)
    kept = ids_of(await read_some(generation, 8))[:5]
    forced = await generation.resume(kept, " But wait: what about rivers?", 1)
    after = await read_all(generation)
    await generation.close()
    assert forced.text == engine.detokenize(forced.token_ids) == " But wait: what about rivers?"
    assert (forced.forced, forced.generation, forced.finish_reason) == (True, 1, None)
    assert {delta.generation for delta in after} == {1}
    assert len(kept + forced.token_ids + ids_of(after)) == GREEDY.max_tokens
    prefix = (*prompt, *kept, *forced.token_ids)
    fresh = await complete(engine, prefix, Sampling(max_tokens=len(ids_of(after)), temperature=0))
    assert (ids_of(fresh), text_of(fresh)) == (ids_of(after), text_of(after))


async def test_log_probabilities_are_those_of_one_pass_over_the_whole(engine: EmbeddedEngine, weights: Weights) -> None:
    prompt = engine.tokenize(QUESTION)
    generation = engine.start(prompt, Sampling(max_tokens=12, temperature=0.7, seed=4, logprobs=2))
    sampled = (await read_some(generation, 4))[:3]
    kept = ids_of(sampled)
    forced = await generation.resume(kept, " But wait.", 1)
    after = await read_all(generation)
    await generation.close()
    assert isinstance(forced.logprobs, tuple)
    scores = [delta.logprobs for delta in sampled] + list(forced.logprobs) + [delta.logprobs for delta in after]
    ids = kept + forced.token_ids + ids_of(after)
    with torch.inference_mode():
        whole = torch.log_softmax(weights.model(torch.tensor([[*prompt, *ids]])).logits[0].float(), dim=-1)
    for place, (token, score) in enumerate(zip(ids, scores, strict=True), start=len(prompt) - 1):
        assert isinstance(score, TokenLogprob)
        assert (score.token_id, score.token) == (token, engine.detokenize([token]))
        assert score.logprob == pytest.approx(whole[place, token].item(), abs=2e-3)
        likeliest = whole[place].topk(2).indices.tolist()
        assert [other for _, other, _ in score.top] == ([] if score in forced.logprobs else likeliest)


async def test_no_alternatives_is_still_a_log_probability(tiny: Weights) -> None:
    async with opened(tiny) as engine:
        deltas = await complete(engine, (5, 6), Sampling(max_tokens=1, logprobs=0))
    assert isinstance(deltas[0].logprobs, TokenLogprob)
    assert deltas[0].logprobs.top == ()


async def test_a_seed_repeats_and_what_was_thrown_away_leaves_no_trace(tiny: Weights) -> None:
    async def run(engine: EmbeddedEngine, read: int, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        generation = engine.start((5, 6, 7), Sampling(max_tokens=30, top_p=0.95, seed=seed))
        before = ids_of(await read_some(generation, read))
        await generation.resume(before[:3], " no", 1)
        return before[:3], ids_of(await read_all(generation))

    async with opened(tiny) as engine:
        assert await run(engine, 4, 11) == await run(engine, 17, 11) != await run(engine, 4, 12)
        unseeded = [ids_of(await complete(engine, (5, 6, 7), Sampling(max_tokens=8))) for _ in range(2)]
        assert unseeded[0] != unseeded[1]


@pytest.mark.parametrize("logprobs", [None, 2])
def test_a_rewind_recomputes_at_most_the_forced_text_and_one_token(tiny: Weights, logprobs: int | None) -> None:
    prompt, forced = tuple(range(20, 60)), [7, 8, 9]
    for made in range(1, 8):
        for kept in range(made + 1):
            decoding = Decoding(tiny, prompt, Sampling(temperature=0, logprobs=logprobs), limit=50)
            ids = [decoding.turn().deltas[0].token_ids[0] for _ in range(made)]
            assert decoding.forwarded == len(prompt) + made - 1
            decoding.rewind(kept, forced, 1)
            before = decoding.forwarded
            turn = decoding.turn()
            assert decoding.forwarded - before <= len(forced) + 1
            assert (None if turn.forced is None else [score.token_id for score in turn.forced]) == (logprobs and forced)
            fresh = Decoding(tiny, (*prompt, *ids[:kept], *forced), Sampling(temperature=0), limit=50)
            after = [turn.deltas[0].token_ids, decoding.turn().deltas[0].token_ids]
            assert after == [fresh.turn().deltas[0].token_ids, fresh.turn().deltas[0].token_ids]


async def test_the_bound_holds_through_the_engine_even_after_the_end(engine: EmbeddedEngine) -> None:
    prompt = engine.tokenize(QUESTION)
    generation = engine.start(prompt, Sampling(max_tokens=6, temperature=0))
    kept = ids_of(await read_all(generation))[:4]
    before = generation.forwarded
    assert before == len(prompt) + 5
    forced = await generation.resume(kept, " But", 1)
    after = await read_all(generation)
    await generation.close()
    assert len(after) == 1
    assert generation.forwarded - before <= len(forced.token_ids) + 1


async def test_a_resume_may_follow_a_resume_before_the_model_has_turned(tiny: Weights) -> None:
    async with opened(tiny) as engine:
        generation = engine.start((5, 6, 7), Sampling(max_tokens=20, temperature=0))
        kept = ids_of(await read_some(generation, 3))[:2]
        first = await generation.resume(kept, " one two", 1)
        second = await generation.resume(kept + first.token_ids[:1], "", 2)
        after = await read_all(generation)
        fresh = await complete(engine, (5, 6, 7, *kept, *first.token_ids[:1]), Sampling(max_tokens=17, temperature=0))
    assert (second.text, second.token_ids) == ("", ())
    assert ids_of(after) == ids_of(fresh)


async def test_a_resume_before_anything_was_read_keeps_nothing(tiny: Weights) -> None:
    async with opened(tiny) as engine:
        generation = engine.start((5, 6, 7), Sampling(max_tokens=10, temperature=0))
        forced = await generation.resume((), " no", 1)
        after = await read_all(generation)
        fresh = await complete(engine, (5, 6, 7, *forced.token_ids), Sampling(max_tokens=9, temperature=0))
    assert ids_of(after) == ids_of(fresh)


async def test_only_what_was_sent_can_be_kept(tiny: Weights) -> None:
    async with opened(tiny) as engine:
        generation = engine.start((5, 6, 7), Sampling(max_tokens=5, temperature=0))
        sent = ids_of(await read_all(generation))
        for kept in [(sent[0] + 1,), (*sent, 9)]:
            with pytest.raises(EngineError, match="no prefix of the 5 sent"):
                await generation.resume(kept, " no", 1)


async def test_max_tokens_counts_what_was_kept_and_forced(tiny: Weights) -> None:
    async with opened(tiny) as engine:
        generation = engine.start((5, 6, 7), Sampling(max_tokens=8, logprobs=0))
        kept = ids_of(await read_all(generation))
        assert len(kept) == 8
        before = generation.forwarded
        full = await generation.resume(kept[:7], " no", 1)
        assert (full.finish_reason, len(full.token_ids)) == ("length", 1)
        assert isinstance(full.logprobs, tuple)
        assert len(full.logprobs) == 1
        assert generation.forwarded - before <= 2
        again = await generation.resume(kept[:5], " no", 2)
        assert again.finish_reason is None
        assert len(await read_all(generation)) == 2


async def test_without_max_tokens_the_context_is_the_limit(tiny: Weights) -> None:
    async with opened(tiny) as engine:
        deltas = await complete(engine, tuple(range(10, 250)), Sampling(temperature=0))
    assert (len(ids_of(deltas)), deltas[-1].finish_reason) == (256 - 240, "length")


async def test_the_end_of_text_has_neither_text_nor_ids(weights: Weights) -> None:
    async with opened(tiny_weights(weights.tokenizer, eos=frozenset(range(49152)))) as engine:
        assert await complete(engine, (5,), Sampling(logprobs=1)) == [Delta("", (), 0, finish_reason="stop")]


async def test_a_stop_string_ends_the_text_before_it(engine: EmbeddedEngine) -> None:
    prompt = engine.tokenize(QUESTION)
    whole = text_of(await complete(engine, prompt, GREEDY))
    stop = whole[20:29]
    deltas = await complete(engine, prompt, Sampling(max_tokens=24, temperature=0, stop=(stop, "never")))
    assert text_of(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"


async def test_a_stop_string_in_forced_text_stops_nothing(tiny: Weights) -> None:
    async with opened(tiny) as engine:
        generation = engine.start((5, 6, 7), Sampling(max_tokens=12, seed=1, stop=("STOP",)))
        kept = ids_of(await read_all(generation))[:2]
        forced = await generation.resume(kept, " STOP here.", 1)
        after = await read_all(generation)
    assert forced.text == " STOP here."
    assert len(kept + forced.token_ids + ids_of(after)) == 12


@pytest.mark.parametrize(
    ("prompt", "sampling", "param", "says"),
    [
        (tuple(range(256)), Sampling(), "messages", "256 tokens; 255 are allowed"),
        ((), Sampling(), "prompt", "one or more token ids"),
        ((5, 49152), Sampling(), "prompt", "from 0 to 49151"),
        ((5, -1), Sampling(), "prompt", "from 0 to 49151"),
        ((5,), Sampling(max_tokens=0), "max_tokens", "at least 1"),
    ],
)
async def test_what_cannot_be_started_is_the_callers_fault(
    tiny: Weights, prompt: tuple[int, ...], sampling: Sampling, param: str, says: str
) -> None:
    async with opened(tiny) as engine:
        with pytest.raises(CallerError, match=says) as caught:
            engine.start(prompt, sampling)
        assert caught.value.param == param
        assert engine.running == 0


def test_raw_text_becomes_ids_and_text_again(engine: EmbeddedEngine) -> None:
    text = "<|im_start|>user\n日本 👩‍👩‍👧 </think>"
    ids = engine.tokenize(text)
    assert ids[0] == 1
    assert engine.detokenize(ids) == text


async def test_a_model_without_a_chat_template_says_so(weights: Weights, tiny: Weights) -> None:
    template, weights.tokenizer.chat_template = weights.tokenizer.chat_template, None
    async with opened(tiny) as engine:
        with pytest.raises(CallerError, match="tiny has no chat template: use /v1/completions"):
            engine.render([{"role": "user", "content": "Hi"}])
    weights.tokenizer.chat_template = template
