"""A real HTTP server on the loopback address that speaks OpenAI's chat protocol, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.instruct.batch_api import BatchApi

KEY = "sk-test-very-secret-0123456789"
WORDS = [
    "amber", "basket", "copper", "dragon", "ember", "falcon", "garden", "harbor", "island", "jungle",
    "kettle", "lantern", "meadow", "needle", "orchard", "pepper", "quarry", "ribbon", "saddle", "timber",
    "umbrella", "velvet", "walnut", "yellow", "zephyr", "anchor", "bridge", "candle", "desert", "engine",
    "forest", "guitar",
]  # fmt: skip

Fault = Callable[[str, int], "dict[str, Any] | None"]


def digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def words(text: str, count: int) -> str:
    """Words that depend on `text` alone, other ones for other texts."""
    return " ".join(WORDS[digest(f"{text}/{place}") % len(WORDS)] for place in range(count))


def answer(messages: list[dict[str, str]]) -> str:
    """What the server's model says: tasks, verdicts, evolutions or answers, told by the prompt."""
    prompt = messages[-1]["content"]
    whole = json.dumps(messages)
    asked = re.search(r"Write (\d+) new tasks", prompt)
    if asked:
        blocks = [
            f"### {number}\nInstruction: {words(f'{whole}{number}', 8)}\nInput: <none>\nOutput: {words(whole, 5)}"
            for number in range(1, int(asked[1]) + 1)
        ]
        return "Here they are:\n\n" + "\n\n".join(blocks)
    if "Equal or Different" in prompt:
        return "Equal" if digest(prompt) % 10 == 0 else "Different"
    if "Task:\n" in prompt:
        return f"{prompt.rpartition('Task:')[2].strip()[:200]} {words(prompt, 12)}"
    return f"The answer is {words(prompt, 30)}."


@dataclass
class ChatServer:
    """Counts what it was asked; `fault(prompt, attempt)` may spoil an attempt (from 0) at a prompt."""

    reply: Callable[[list[dict[str, str]]], str] = answer
    fault: Fault | None = None
    key: str = ""
    delay: float = 0.0
    completed: list[str] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    tokens: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    batches: BatchApi = field(default_factory=BatchApi)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def requests(self) -> int:
        return sum(self.attempts.values())

    def attempt(self, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Count a request; its prompt and what is to go wrong with it."""
        prompt = json.dumps([body["model"], body["messages"], body.get("temperature")])
        with self.lock:
            attempt = self.attempts[prompt]
            self.attempts[prompt] += 1
            self.bodies.append(body)
        return prompt, (self.fault(prompt, attempt) if self.fault else None) or {}

    def in_batch(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to a request that came in a batch."""
        prompt, fault = self.attempt(body)
        if "status" in fault:
            return fault["status"], _error(fault)
        return 200, self.completion(body, prompt, fault)

    def completion(self, body: dict[str, Any], prompt: str, fault: dict[str, Any]) -> dict[str, Any]:
        text = fault.get("content", self.reply(body["messages"]))
        limit = body.get("max_tokens", body.get("max_completion_tokens"))
        finish = fault.get("finish_reason", "stop")
        pieces = text.split(" ")
        if len(pieces) > limit:
            text, finish = " ".join(pieces[:limit]), "length"
        usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
        message = {"role": "assistant", "content": text, "refusal": fault.get("refusal")}
        if not fault.get("cut"):
            with self.lock:
                self.completed.append(prompt)
                self.tokens += sum(usage.values())
        return {
            "id": "x",
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": finish, **fault.get("choice", {})}],
            "usage": {**usage, **fault.get("usage", {})},
        }


def _error(fault: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"message": fault.get("message", "injected"), "code": fault.get("code")}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._send(*self.server.state.batches.get(self.path.partition("?")[0].removeprefix("/v1/")))

    def do_POST(self) -> None:
        state = self.server.state
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if state.key and self.headers.get("Authorization") != f"Bearer {state.key}":
            with state.lock:
                state.attempts["wrong key"] += 1
            self._send(401, {"error": {"message": f"Incorrect API key: {self.headers['Authorization']}"}})
            return
        path = self.path.removeprefix("/v1/")
        if path != "chat/completions":
            self._send(*state.batches.post(path, content, self.headers, state.in_batch))
            return
        with state.lock:
            state.in_flight += 1
            state.most_in_flight = max(state.most_in_flight, state.in_flight)
        try:
            body = json.loads(content)
            prompt, fault = state.attempt(body)
            if state.delay:
                time.sleep(state.delay)
            self._answer(body, prompt, fault)
        finally:
            with state.lock:
                state.in_flight -= 1

    def _answer(self, body: dict[str, Any], prompt: str, fault: dict[str, Any]) -> None:
        if "stall" in fault:
            time.sleep(fault["stall"])
            self.close_connection = True
            return
        headers = fault.get("headers", {})
        if "status" in fault:
            self._send(fault["status"], _error(fault), headers)
            return
        self._send(200, self.server.state.completion(body, prompt, fault), headers, fault.get("cut"))

    def _send(
        self, status: int, value: Any, headers: dict[str, str] | None = None, cut: str | None = None
    ) -> None:
        with self.server.state.lock:
            self.server.state.statuses[status] += 1
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        length = len(content) // 2 if cut == "json" else len(content)
        self.send_header("Content-Length", str(length))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut == "socket":
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    state: ChatServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the tests."""


@contextmanager
def chat_server(**options: Any) -> Iterator[ChatServer]:
    state = ChatServer(**options)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.state = state
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
