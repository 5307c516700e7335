"""Logits to a token, and logits to log-probabilities. Functions of tensors; knows no model and no tokenizer."""

import torch

GREEDY = 1e-5
"""Temperatures below are 0, as in vLLM (``_SAMPLING_EPS``): they give the same tokens, or overflow."""


def draw(logits: torch.Tensor, *, temperature: float, top_p: float, generator: torch.Generator | None) -> int:
    """One token id.

    Args:
        logits: (vocab,), any float type.
        temperature: below ``GREEDY`` takes the likeliest, the lowest id among equals, and touches no generator.
        top_p: in (0, 1]; see ``nucleus``.
        generator: where the randomness comes from; None is torch's own.
    """
    if temperature < GREEDY:
        return int(logits.argmax())
    below = logits.float() - logits.max()  # (vocab,), 0 at most: a quotient may reach -inf, which has probability 0
    probabilities = nucleus(torch.softmax(below / temperature, dim=-1), top_p)  # (vocab,)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """The smallest set of likeliest tokens that holds at least ``top_p``, renormalised; the rest is zero.

    Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.

    Args:
        probabilities: (vocab,), summing to 1.
    """
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(descending=True, stable=True)  # (vocab,), (vocab,)
    before = ordered.cumsum(0) - ordered  # mass of everything likelier
    ordered[before >= top_p] = 0
    ordered[0] = ordered[0].clamp_min(torch.finfo(ordered.dtype).tiny)  # the likeliest always stays
    return torch.zeros_like(probabilities).scatter_(0, order, ordered / ordered.sum())


def log_probabilities(
    logits: torch.Tensor, tokens: torch.Tensor, top: int
) -> list[tuple[float, list[tuple[int, float]]]]:
    """For each place: the log-probability of its token, and the ``top`` likeliest (id, log-probability).

    Natural logarithms of the model's own distribution: temperature 1, no nucleus, as vLLM's ``raw_logprobs``.

    Args:
        logits: (places, vocab).
        tokens: (places,), the token that stands at each place.
    """
    logprobs = torch.log_softmax(logits.float(), dim=-1)  # (places, vocab)
    chosen = logprobs.gather(1, tokens.unsqueeze(1)).squeeze(1)  # (places,)
    values, ids = logprobs.topk(top, dim=-1)  # (places, top)
    pairs = [list(zip(i, v, strict=True)) for i, v in zip(ids.tolist(), values.tolist(), strict=True)]
    return list(zip(chosen.tolist(), pairs, strict=True))
