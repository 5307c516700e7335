"""Asks models for verdicts, and counts the replies that are none. Knows an OpenAI-compatible server, and threads.

Refuses to know what is asked. A reply that cannot be read is asked for once more, then it is no verdict and is counted;
too many of them are an error. No reply is ever guessed at: one that was cut off is none, whatever it holds.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import openai
from openai.types.chat import ChatCompletionMessageParam

from midcourse.models.answer import AnswerJudgeError
from midcourse.models.parted import parted

KEY = "MIDCOURSE_JUDGE_API_KEY"
"""Not OPENAI_API_KEY: that one would go to whatever server is named."""
RETRIES = 5
"""Of the client, with growing pauses: for overload, time-outs and lost connections."""
SECONDS = 120.0
CONCURRENCY = 8
TRIES = 2
CUT = frozenset({"length", "content_filter"})
"""Finish reasons of replies that were not finished."""
LOST, LOST_SHARE = 3, 0.05
"""So many replies may be unreadable, or that share of all, whichever is more."""

Messages = Sequence[ChatCompletionMessageParam]
Question = TypeVar("Question")


class Server:
    """A model behind an OpenAI-compatible server, asked at temperature 0.

    Args:
        url: up to ``/v1``; the key is read from ``MIDCOURSE_JUDGE_API_KEY``.
        most: tokens of a reply.
    """

    def __init__(self, url: str, model: str, *, most: int, retries: int = RETRIES) -> None:
        self._url, self._model, self._most = url, model, most
        key = os.environ.get(KEY) or "none"
        self._client = openai.OpenAI(base_url=url, api_key=key, max_retries=retries, timeout=SECONDS)

    def chat(self, messages: Messages) -> str:
        """The reply to a chat, without what was thought before it; empty where it was cut off.

        Raises:
            AnswerJudgeError: the server does not answer, or not with a chat completion.
        """
        try:
            reply = self._client.chat.completions.create(
                model=self._model, messages=[*messages], temperature=0, max_tokens=self._most
            )
            (choice, *_) = reply.choices
            return "" if choice.finish_reason in CUT else parted(choice.message.content or "").said
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise self._error(error) from error

    def complete(self, prompt: str) -> str:
        """What follows a text; empty where it was cut off.

        Raises:
            AnswerJudgeError: as above.
        """
        try:
            reply = self._client.completions.create(
                model=self._model, prompt=prompt, temperature=0, max_tokens=self._most
            )
            (choice, *_) = reply.choices
            return "" if choice.finish_reason in CUT else choice.text or ""
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> AnswerJudgeError:
        said = " ".join(str(error).split())[:200]
        return AnswerJudgeError(f"judge {self._model} at {self._url}: {said}; is the server up, and {KEY} set?")


class Verdicts(Generic[Question]):
    """Replies as numbers.

    Args:
        name: of the judge, for errors.
        ask: a question's reply; called from ``concurrency`` threads.
        read: the number in a reply; None where there is none.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[Question], str],
        read: Callable[[str], float | None],
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.asked = self.unreadable = 0
        self._name, self._ask, self._read, self._concurrency = name, ask, read, concurrency
        self._lock = threading.Lock()

    def of(self, questions: Iterable[Question | None]) -> list[float | None]:
        """A number for each question, in order; None where there is no question, or no readable reply.

        Raises:
            AnswerJudgeError: the judge cannot be reached, or too many of its replies cannot be read.
        """
        with ThreadPoolExecutor(self._concurrency) as pool:
            waiting = [pool.submit(self._verdict, each) for each in questions]
            try:
                return [each.result() for each in waiting]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _verdict(self, question: Question | None) -> float | None:
        if question is None:
            return None
        found = next((value for _ in range(TRIES) if (value := self._read(self._ask(question))) is not None), None)
        with self._lock:
            self.asked += 1
            self.unreadable += found is None
            if self.unreadable > max(LOST, LOST_SHARE * self.asked):
                lost = f"{self.unreadable} of {self.asked} replies hold no verdict"
                raise AnswerJudgeError(
                    f"judge {self._name}: {lost}; take a model that keeps to the asked form, and does not think long"
                )
        return found
