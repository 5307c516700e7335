"""What the network starts from: SmolLM2's own first layers, for the tokens that are kept."""

import pytest
import torch
from tokenizers import Tokenizer

from midcourse.server.weights import Weights
from midcourse.train.cue_base import STEP, base
from midcourse.train.cue_net import CueNet, Shape
from tests.tiny_judge import TEXTS

Base = tuple[CueNet, Tokenizer, str]


@pytest.fixture(scope="module")
def started(weights: Weights) -> Base:
    """With ``weights``, which skips where the package is not installed."""
    assert weights.model.config.num_hidden_layers == 30
    return base(TEXTS * 2, layers=2, vocabulary=400)


def test_its_shape_is_that_of_smollm2_but_for_layers_and_vocabulary(started: Base) -> None:
    net, tokenizer, text = started
    assert net.shape == Shape(layers=2, vocabulary=tokenizer.get_vocab_size())
    assert net.shape.vocabulary <= 400
    assert Tokenizer.from_str(text).get_vocab() == tokenizer.get_vocab()


def test_its_layers_make_of_kept_tokens_what_transformers_makes_of_them(started: Base, weights: Weights) -> None:
    net, tokenizer, _ = started
    tokens = [tokenizer.encode(text, add_special_tokens=False).tokens for text in TEXTS]
    for words in tokens:
        new = torch.tensor([[tokenizer.token_to_id(word) for word in words]])
        with torch.no_grad():
            rounded = net.embedding(new)
            wanted = weights.model(inputs_embeds=rounded, output_hidden_states=True).hidden_states[2]
            found = net.lower(new, 2)
        assert float(wanted.std()) > 0.05
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_texts_that_it_was_chosen_by_are_read_as_before(started: Base, weights: Weights) -> None:
    _, tokenizer, _ = started
    assert tokenizer.encode(TEXTS[0]).tokens == weights.tokenizer.tokenize(TEXTS[0])
    for text in ("Ein ganz anderer Satz, 2026!", "日本語 😀"):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_the_embedding_lies_on_its_grid_and_the_heads_say_nothing_yet(weights: Weights) -> None:
    net, tokenizer, _ = base(TEXTS, layers=1, vocabulary=400)
    rows = net.embedding.weight.abs()
    step = rows.masked_fill(rows == 0, torch.inf).amin(1, keepdim=True)
    torch.testing.assert_close((rows / step).round() * step, rows)
    word = weights.tokenizer.convert_tokens_to_ids("e")
    table = weights.model.get_input_embeddings().weight
    assert isinstance(table, torch.Tensor)
    row, wanted = net.embedding.weight[tokenizer.token_to_id("e")], table[word]
    step = STEP * wanted.detach().square().mean().sqrt()
    assert float((row - wanted).detach().abs().max()) <= float(step) / 2 + 1e-6
    assert not net.head.weight.any() and not net.head.bias.any()


def test_a_vocabulary_that_is_too_small_is_refused(weights: Weights) -> None:
    assert weights.name
    with pytest.raises(ValueError, match=r"^vocabulary: 100 tokens cannot hold the alphabet; give at least \d+"):
        base(TEXTS, layers=1, vocabulary=100)
