"""One completion, token by token: prompt, KV cache, sampler, detokenizer, stop strings. The model thread's half.

Knows one model and one completion. Refuses to know of threads, of other completions and of guarding.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import DynamicCache

from midcourse.guard.delta import Delta, FinishReason
from midcourse.server.detokenize import Detokenizer, decode
from midcourse.server.engine import Sampling, TokenLogprob
from midcourse.server.sampling import draw, log_probabilities
from midcourse.server.stop import StopStrings
from midcourse.server.weights import Weights


class Turn(NamedTuple):
    """What one turn gave: deltas to send (none while a stop string is in doubt), and what the forced text scored."""

    deltas: tuple[Delta, ...] = ()
    forced: tuple[TokenLogprob, ...] | None = None


class Decoding:
    """A completion that can be turned back.

    Args:
        weights: model and tokenizer.
        prompt: at least one token.
        sampling: as asked for.
        limit: completion tokens at most, the context length included.

    ``forwarded`` counts the tokens that went through the model; ``over`` says that ``turn`` has nothing to do.
    """

    def __init__(self, weights: Weights, prompt: tuple[int, ...], sampling: Sampling, limit: int) -> None:
        self.forwarded = 0
        self.over = False
        self._weights = weights
        self._sampling = sampling
        self._end = len(prompt) + limit  # tokens at most, the prompt's included
        self._ids = list(prompt)  # prompt and completion
        self._prompt = len(prompt)
        self._cache = DynamicCache()
        self._cached = 0  # ids in the cache: ``_ids[:_cached]``
        self._forced = 0  # the last so many ids were put there and wait for their scores
        self._random = torch.Generator()
        self._begin_run(0)

    @torch.inference_mode()
    def rewind(self, kept: int, forced: Sequence[int], number: int) -> None:
        """Go back to ``kept`` completion tokens, append ``forced``, and go on as run ``number``.

        The next turn forwards at most ``len(forced) + 1`` tokens: the one more is the last kept token, where it was
        sampled but never fed, or where its logits must score the first forced one.
        """
        keep = self._prompt + kept
        self._ids = [*self._ids[:keep], *forced]
        self._forced = len(forced) if self._sampling.logprobs is not None else 0
        self._crop(min(keep - 1 if self._forced else keep, len(self._ids) - 1))
        self.over = len(self._ids) >= self._end and not self._forced
        self._begin_run(number)

    @torch.inference_mode()
    def turn(self) -> Turn:
        """Feed what the cache lacks, score what was forced, draw one token."""
        logits = self._forward()  # (forced + 1, vocab)
        forced = self._score(self._ids[len(self._ids) - self._forced :], logits[:-1], top=0) if self._forced else None
        self._forced = 0
        if len(self._ids) >= self._end:
            self.over = True
            return Turn((), forced)
        sampling = self._sampling
        token = draw(logits[-1], temperature=sampling.temperature, top_p=sampling.top_p, generator=self._random)
        deltas = self._stop.feed(self._delta(token, logits[-1:]))
        self.over = any(delta.finish_reason is not None for delta in deltas)
        return Turn(deltas, forced)

    def _begin_run(self, number: int) -> None:
        """Everything that a run does not share with the one before."""
        self._number = number
        self._text = Detokenizer(self._weights.tokenizer, self._ids)
        self._stop = StopStrings(self._sampling.stop)
        if self._sampling.seed is not None:
            self._random.manual_seed(self._sampling.seed + number)
        elif number == 0:
            self._random.seed()

    def _crop(self, length: int) -> None:
        if length < self._cached:
            self._cache.crop(length - self._cached)  # a negative number: how many to drop
            self._cached = length

    def _forward(self) -> torch.Tensor:
        """Feed the ids that the cache lacks: the logits of the last ``forced + 1`` of them, (forced + 1, vocab)."""
        fed = torch.tensor([self._ids[self._cached :]])  # (1, time)
        out = self._weights.model(
            input_ids=fed, past_key_values=self._cache, use_cache=True, logits_to_keep=self._forced + 1
        )
        self.forwarded += fed.shape[1]
        self._cached = len(self._ids)
        logits: torch.Tensor = out.logits[0]
        return logits

    def _delta(self, token: int, logits: torch.Tensor) -> Delta:
        """The delta of a drawn token. The end of text has no text and no ids."""
        if token in self._weights.eos:
            return Delta(self._text.flush(), (), self._number, finish_reason="stop")
        self._ids.append(token)
        text = self._text.feed(token)
        reason: FinishReason | None = None
        if len(self._ids) >= self._end:
            text, reason = text + self._text.flush(), "length"
        logprobs = (
            None if self._sampling.logprobs is None else self._score([token], logits, top=self._sampling.logprobs)[0]
        )
        return Delta(text, (token,), self._number, finish_reason=reason, logprobs=logprobs)

    def _score(self, tokens: Sequence[int], logits: torch.Tensor, *, top: int) -> tuple[TokenLogprob, ...]:
        """``tokens`` under the logits, (len(tokens), vocab), that stood before each."""

        def text(token: int) -> str:
            return decode(self._weights.tokenizer, [token])

        scores = log_probabilities(logits, torch.tensor(tokens), top)
        return tuple(
            TokenLogprob(text(token), token, logprob, tuple((text(other), other, value) for other, value in likeliest))
            for token, (logprob, likeliest) in zip(tokens, scores, strict=True)
        )
