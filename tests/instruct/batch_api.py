"""OpenAI's files and batches endpoints for the test server: what is uploaded, made, and asked for again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

Answer = Callable[[dict[str, Any]], "tuple[int, dict[str, Any]]"]
NOT_FOUND = 404, {"error": {"message": "no such thing"}}


@dataclass
class BatchApi:
    """Batches end after `polls` looks at them, or never while `held`; `lost` batches are made but never told.

    `ends` is the status that they end with: with `expired` every second request is without a result.
    """

    polls: int = 1
    held: bool = False
    lost: bool = False
    ends: str = "completed"
    files: dict[str, bytes] = field(default_factory=dict)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: int = 0
    supported: bool = True

    def post(self, path: str, content: bytes, headers: Mapping[str, str], answer: Answer) -> tuple[int, Any]:
        if not self.supported:
            return NOT_FOUND
        if path == "files":
            name = f"file-{len(self.files)}"
            self.files[name] = _uploaded(content, headers)
            return 200, _file(name, self.files[name])
        if path == "batches":
            return self._make(json.loads(content), answer)
        return NOT_FOUND

    def get(self, path: str) -> tuple[int, Any]:
        kind, _, rest = path.partition("/")
        if kind == "batches" and not rest:
            return 200, {"object": "list", "data": list(reversed(self.made.values())), "has_more": False}
        if kind == "batches" and rest in self.made:
            self._look(rest)
            return 200, self.made[rest]
        if kind == "files" and rest.endswith("/content"):
            return 200, self.files[rest.removesuffix("/content")]
        return NOT_FOUND

    def _make(self, wanted: dict[str, Any], answer: Answer) -> tuple[int, Any]:
        name = f"batch-{len(self.made)}"
        lines = [json.loads(line) for line in self.files[wanted["input_file_id"]].splitlines()]
        assert len({line["custom_id"] for line in lines}) == len(lines)
        assert {line["url"] for line in lines} == {wanted["endpoint"]} == {"/v1/chat/completions"}
        results: dict[bool, list[str]] = {True: [], False: []}
        for place, line in enumerate(lines):
            if self.ends == "expired" and place % 2:
                fault = {"code": "batch_expired", "message": "not done within the window"}
                results[False].append(json.dumps({"custom_id": line["custom_id"], "error": fault}))
                continue
            status, body = answer(line["body"])
            row = {"custom_id": line["custom_id"], "error": None}
            results[status == 200].append(json.dumps({**row, "response": {"status_code": status, "body": body}}))
        batch = {
            "id": name,
            "object": "batch",
            "endpoint": wanted["endpoint"],
            "input_file_id": wanted["input_file_id"],
            "completion_window": wanted["completion_window"],
            "created_at": len(self.made),
            "status": "in_progress",
            "metadata": wanted.get("metadata"),
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        for good, rows in results.items():
            if rows:
                file = f"file-{len(self.files)}"
                self.files[file] = ("\n".join(rows) + "\n").encode()
                batch["output_file_id" if good else "error_file_id"] = file
        self.made[name] = batch
        return (500, {"error": {"message": "lost"}}) if self.lost else (200, batch)

    def _look(self, name: str) -> None:
        self.looks += 1
        batch = self.made[name]
        batch["looks"] = batch.get("looks", 0) + 1
        if batch["looks"] > self.polls and not self.held:
            batch["status"] = self.ends
            if self.ends == "failed":
                batch["errors"] = {"object": "list", "data": [{"message": "a line is not valid", "line": 1}]}


def _uploaded(content: bytes, headers: Mapping[str, str]) -> bytes:
    """The file in a form (multipart/form-data)."""
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + content)
    parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    assert parts["purpose"].get_content().strip() == "batch"
    return bytes(parts["file"].get_payload(decode=True))


def _file(name: str, content: bytes) -> dict[str, Any]:
    about = {"id": name, "object": "file", "bytes": len(content), "created_at": 0, "filename": "requests.jsonl"}
    return {**about, "purpose": "batch", "status": "processed"}
