"""A guard model in this process. Knows transformers; what is asked, and what the reply means, is ``judge_guard``'s."""

import json
from pathlib import Path
from typing import Any

import jinja2
import torch

from midcourse.models.answer import AnswerJudgeError
from midcourse.models.chat_template import control_tokens
from midcourse.models.files import fingerprint
from midcourse.models.judge_guard import MOST, GuardJudge, Turn
from midcourse.models.language import LanguageModel, load


class LocalGuard:
    """Greedy replies of a loaded model, one at a time.

    Args:
        kind: WildGuard is given its own text; the others' chat templates hold theirs.
    """

    def __init__(self, kind: str, model: LanguageModel) -> None:
        self._kind, self._model = kind, model
        self._control = control_tokens(model.tokenizer)

    @property
    def version(self) -> str:
        """Of the chat template and the configuration; weights of gigabytes are not hashed."""
        config = json.loads(self._model.network.config.to_json_string())
        return fingerprint([str(self._model.tokenizer.chat_template), config])

    def ask(self, turn: Turn) -> str:
        """The reply; empty where it did not come to an end.

        Raises:
            AnswerJudgeError: the turn is longer than the model's context.
        """
        network, tokenizer = self._model
        text = self.rendered(Turn(self._harmless(turn.request), self._harmless(turn.text)))
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=self._kind == "wildguard")["input_ids"]
        room = network.config.max_position_embeddings - MOST
        if ids.shape[1] > room:
            raise AnswerJudgeError(f"{self._kind}: an answer has {ids.shape[1]} tokens, and the model room for {room}")
        generate: Any = network.generate
        with torch.inference_mode():
            found = generate(
                input_ids=ids.to(network.device),
                attention_mask=torch.ones_like(ids).to(network.device),
                max_new_tokens=MOST,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id or 0,
            )
        reply = found[0, ids.shape[1] :]
        return str(tokenizer.decode(reply, skip_special_tokens=True)) if len(reply) < MOST else ""

    def rendered(self, turn: Turn) -> str:
        """What the model reads. Templates of the small Llama Guards want contents as lists.

        Raises:
            AnswerJudgeError: there is no chat template, or it does not show the response.
        """
        if self._kind == "wildguard":
            return turn.prompt
        if self._model.tokenizer.chat_template is None:
            raise AnswerJudgeError(f"{self._kind}: the model has no chat template; give a guard model of that kind")
        plain: list[dict[str, Any]] = [{**each} for each in turn.chat]
        parts = [{**each, "content": [{"type": "text", "text": each["content"]}]} for each in plain]
        for chat in (plain, parts):
            try:
                text = str(self._model.tokenizer.apply_chat_template(chat, tokenize=False))
            except (jinja2.TemplateError, TypeError):
                continue
            if turn.text.strip() in text and "'type': 'text'" not in text:
                return text
        raise AnswerJudgeError(f"{self._kind}: the chat template does not show the response; give a guard model")

    def _harmless(self, text: str) -> str:
        """Nothing that was judged becomes a control token of the judge."""
        for token in self._control:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


def local(kind: str, where: str) -> GuardJudge:
    """The judge ``guard:KIND@FOLDER_OR_ID``, on a GPU where there is one.

    Raises:
        NoSuchModel: it does not load.
    """
    gpu = torch.cuda.is_available()
    model = load(where, torch.bfloat16 if gpu else torch.float32)
    network: Any = model.network
    network.to("cuda" if gpu else "cpu")
    guard = LocalGuard(kind, model)
    return GuardJudge(kind, Path(where).name, guard.ask, guard.version, concurrency=1)
