"""An OpenAI-compatible server on this machine that says one thing, for whoever asks models."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMON = {"id": "1", "object": "x", "created": 0, "model": "m"}


@contextmanager
def serving(
    *statuses: int, chat: str = "Hm.</think>0", text: str = "safe", finish: str = "stop"
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An OpenAI-compatible server that gives those statuses first, and what it was sent."""
    told: dict[str, Any] = {"chat": {"message": {"role": "assistant", "content": chat}}, "text": {"text": text}}
    first, seen = list(statuses), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({**sent, "path": self.path, "key": self.headers["Authorization"]})
            said = told["chat" if "chat" in self.path else "text"]
            body = json.dumps(COMMON | {"choices": [{"index": 0, "finish_reason": finish, **said}]}).encode()
            self.send_response(first.pop(0) if first else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
