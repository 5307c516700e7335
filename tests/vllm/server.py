"""A vLLM server for tests, and how to ask it on each of its routes."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

ROOT = Path(__file__).resolve().parents[2]
NAME = "smol"
TAUGHT = (sys.executable, str(ROOT / "tests" / "vllm" / "serve.py"))
MIDCOURSE = (sys.executable, "-m", "midcourse.server.cli")
START_SECONDS = 600.0
FLAGS = (
    "--dtype float32 --max-model-len 2048 --max-num-seqs 16 --enforce-eager --enable-prompt-tokens-details"
    " --enable-scale-out --structured-outputs-config.backend xgrammar"
    " --structured-outputs-config.disable_any_whitespace true"  # a small model would go on with it for ever
)
PARSERS = "--reasoning-parser deepseek_r1 --enable-auto-tool-choice --tool-call-parser hermes"


@dataclass(frozen=True)
class Said:
    """An answer, whatever the route: reasoning and response, how it ended, and the completion's id."""

    reasoning: str
    response: str
    finish: str | None
    id: str
    tokens: int

    @property
    def text(self) -> str:
        return self.reasoning + self.response


class Server:
    """``vllm serve`` in a process of its own.

    Args:
        folder: for its settings, traces and log.
        plugin: with midcourse in it.
        flags: after those that every server gets.
        launcher: what stands before ``serve MODEL``; by default vLLM's command with the taught judge.
        settings: midcourse's own, beside those that every server gets.
    """

    def __init__(
        self,
        model: Path,
        folder: Path,
        *,
        plugin: bool,
        flags: str = PARSERS,
        launcher: Sequence[str] = TAUGHT,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "log"
        self._config = folder / "midcourse.yaml"
        self.store = f"sqlite:///{folder}/traces.db"
        self._folder = folder
        self._settings = settings or {}
        self._command = [*launcher, "serve", str(model)]
        self._command += [*f"--served-model-name {NAME} --host 127.0.0.1 --port {self.port}".split(), *FLAGS.split()]
        self._command += flags.split()
        self._env = {name: text for name, text in os.environ.items() if not name.startswith(("MIDCOURSE_", "VLLM_"))}
        self._env |= {"VLLM_CPU_KVCACHE_SPACE": "1"}
        if launcher is TAUGHT:
            self._env["VLLM_PLUGINS"] = "midcourse" if plugin else ""
        self._env |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "MIDCOURSE_CONFIG": str(self._config)}
        self.connect()

    def connect(self) -> None:
        """A new client, with new connections."""
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=300)

    def __enter__(self) -> Self:
        self.write({})
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._env, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not self._healthy():
            assert self._process.poll() is None and time.monotonic() < until, self.log.read_text()[-4000:]
            time.sleep(0.5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def post(self, path: str, **body: Any) -> Any:
        """The answer's JSON, which has to be a good one."""
        answer = self.http.post(path, json={"model": NAME, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def events(self, path: str, **body: Any) -> Generator[Any, None, None]:
        """The JSON of each event of a stream."""
        with self.http.stream("POST", path, json={"model": NAME, "stream": True, **body}) as answer:
            assert answer.status_code == 200, answer.read()
            for line in answer.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    event = json.loads(line[6:])
                    assert "error" not in event, event
                    yield event

    def policy(self, policy: dict[str, Any]) -> None:
        """Put a policy in force."""
        self.write(policy)
        answer = self.admin("POST", "/v1/midcourse/policy/reload")
        assert answer.status_code == 200, answer.text

    def admin(self, method: str, path: str) -> httpx2.Response:
        """As the administrator."""
        return self.http.request(method, path, headers={"Authorization": "Bearer admin"})

    def trace(self, id: str) -> Any:
        """The record of a completion."""
        answer = self.admin("GET", f"/v1/midcourse/traces/{id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric over its labels, or over those rows that have this one."""
        labels = rf"{{.*{re.escape(label)}.*}}" if label else "(?:{.*})?"
        lines = re.findall(rf"^{re.escape(name)}{labels} (\S+)$", self.http.get("/metrics/").text, re.MULTILINE)
        return sum(map(float, lines))

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def engine(self) -> int:
        """The process id of vLLM's engine."""
        listed = ("ps", "--ppid", str(self._process.pid), "-o", "pid=,args=")
        lines = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines()
        (pid,) = [line.split()[0] for line in lines if "EngineCore" in line]
        return int(pid)

    def ended(self, seconds: float) -> int:
        """Wait for the server to end of itself; its exit status."""
        return self._process.wait(seconds)

    def write(self, policy: dict[str, Any]) -> None:
        settings = {
            "admin_keys": ["admin"],
            "store": self.store,
            "spool_dir": str(self._folder / "spool"),
            "trace_sample_rate": 1,
            "policy": {"judge_deadline_seconds": 60, "refusal_finish_reason": "content_filter", **policy},
            **self._settings,
        }
        self._config.write_text(json.dumps(settings))  # which is YAML, too

    def _healthy(self) -> bool:
        try:
            return self.http.get("/health").status_code == 200
        except httpx2.TransportError:
            return False


def chat(server: Server, prompt: str, tokens: int) -> Said:
    body = server.post("/v1/chat/completions", messages=_messages(prompt), max_tokens=tokens, temperature=0)
    (choice,) = body["choices"]
    message = choice["message"]
    used = body["usage"]["completion_tokens"]
    return Said(message["reasoning"] or "", message["content"] or "", choice["finish_reason"], body["id"], used)


def chat_stream(server: Server, prompt: str, tokens: int) -> Said:
    options = {"include_usage": True}
    events = list(
        server.events(
            "/v1/chat/completions",
            messages=_messages(prompt),
            max_tokens=tokens,
            temperature=0,
            stream_options=options,
        )
    )
    choices = [choice for event in events for choice in event["choices"]]
    reasoning = "".join(choice["delta"].get("reasoning") or "" for choice in choices)
    content = "".join(choice["delta"].get("content") or "" for choice in choices)
    used = events[-1]["usage"]["completion_tokens"]
    return Said(reasoning, content, choices[-1]["finish_reason"], events[0]["id"], used)


def completions(server: Server, prompt: str, tokens: int) -> Said:
    body = server.post("/v1/completions", prompt=_raw(prompt), max_tokens=tokens, temperature=0)
    (choice,) = body["choices"]
    return Said(choice["text"], "", choice["finish_reason"], body["id"], body["usage"]["completion_tokens"])


def completions_stream(server: Server, prompt: str, tokens: int) -> Said:
    options = {"include_usage": True}
    asked = {"prompt": _raw(prompt), "max_tokens": tokens, "temperature": 0, "stream_options": options}
    events = list(server.events("/v1/completions", **asked))
    choices = [choice for event in events for choice in event["choices"]]
    text = "".join(choice["text"] for choice in choices)
    used = events[-1]["usage"]["completion_tokens"]
    return Said(text, "", choices[-1]["finish_reason"], events[0]["id"], used)


def responses(server: Server, prompt: str, tokens: int) -> Said:
    return _response(server.post("/v1/responses", input=prompt, max_output_tokens=tokens, temperature=0))


def responses_stream(server: Server, prompt: str, tokens: int) -> Said:
    events = list(server.events("/v1/responses", input=prompt, max_output_tokens=tokens, temperature=0))
    said = _response(events[-1]["response"])
    streamed = {"reasoning": "", "output": ""}
    for event in events:
        for kind in streamed:
            if event["type"] == f"response.{kind}_text.delta":
                streamed[kind] += event["delta"]
    assert (streamed["reasoning"], streamed["output"]) == (said.reasoning, said.response)
    return said


def messages(server: Server, prompt: str, tokens: int) -> Said:
    body = server.post("/v1/messages", messages=_messages(prompt), max_tokens=tokens, temperature=0)
    text = {"thinking": "", "text": ""}
    for block in body["content"]:
        text[block["type"]] += block[block["type"]]
    return Said(text["thinking"], text["text"], body.get("stop_reason"), body["id"], body["usage"]["output_tokens"])


def messages_stream(server: Server, prompt: str, tokens: int) -> Said:
    text, finish, number, used = {"thinking": "", "text": ""}, None, "", 0
    for event in server.events("/v1/messages", messages=_messages(prompt), max_tokens=tokens, temperature=0):
        delta = event.get("delta") or {}
        for kind in text:
            text[kind] += delta.get(kind) or ""
        finish = delta.get("stop_reason") or finish
        number = event.get("message", {}).get("id") or number
        used = (event.get("usage") or {}).get("output_tokens") or used
    return Said(text["thinking"], text["text"], finish, number, used)


Ask = Callable[[Server, str, int], Said]
ROUTES: list[Ask] = [
    chat,
    chat_stream,
    completions,
    completions_stream,
    responses,
    responses_stream,
    messages,
    messages_stream,
]


def _messages(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _raw(prompt: str) -> str:
    """As the model's template writes it."""
    return f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n<think>\n"


def _response(body: Any) -> Said:
    reasoning = [part["text"] for item in body["output"] if item["type"] == "reasoning" for part in item["content"]]
    text = [part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"]]
    used = body["usage"]["output_tokens"]
    return Said("".join(reasoning), "".join(text), body["status"], body["id"], used)
