"""Requests for chat completions and what comes of them, as values: nothing here is sent."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from corpus.core.files import storable
from instruct.budget import largest_prompt
from instruct.cache import StoredReply
from instruct.endpoint import Endpoint
from instruct.retries import BrokenReplyError

REQUEST_FAILED = "request_failed"
REQUEST_REJECTED = "request_rejected"
BUDGET_SPENT = "budget_spent"
UNPAID = (REQUEST_FAILED, REQUEST_REJECTED, BUDGET_SPENT)  # a rerun asks these again
# Some servers leave a reasoning model's thoughts in front of its reply.
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)


@dataclass(frozen=True)
class Request:
    """One chat request. `sample` tells apart requests that are equal in all else and wanted more than once.

    `schema` (see `structured.Schema.response_format`) is left out where the endpoint cannot hold to it.
    """

    messages: tuple[dict[str, str], ...]
    max_tokens: int
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)
    sample: int = 0
    schema: Mapping[str, Any] | None = None

    @property
    def most_prompt_tokens(self) -> int:
        """An upper bound on the prompt's tokens."""
        schema = len(json.dumps(self.schema)) if self.schema else 0
        return largest_prompt(self.messages) + schema


@dataclass(frozen=True)
class Reply:
    """The answer to a request. `reason` is empty for a usable one, else why it is none:

    cut_by_length, refused, empty_reply, request_failed (after all attempts), request_rejected (the endpoint
    found a fault in it), budget_spent. `detail` explains the last three. Of the prompt's tokens
    `cached_tokens` came from the endpoint's own cache; `logprobs` as in `StoredReply`.
    """

    key: str
    text: str = ""
    finish_reason: str = ""
    reason: str = ""
    detail: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    logprobs: Sequence[tuple[str, Mapping[str, float]]] = ()


def content_of(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    """All of a request that decides its reply, as the cache knows it; the limit on length stands beside it."""
    content = {
        "base_url": endpoint.public_url,
        "model": endpoint.model,
        "messages": list(request.messages),
        "parameters": dict(request.parameters),
        "sample": request.sample,
    }
    return {**content, "schema": request.schema} if request.schema else content


def body_of(endpoint: Endpoint, request: Request) -> dict[str, Any]:
    """The body to send."""
    limit = "max_completion_tokens" if endpoint.official else "max_tokens"
    body = {"model": endpoint.model, "messages": list(request.messages), **request.parameters}
    body[limit] = request.max_tokens
    return {**body, "response_format": request.schema} if request.schema else body


def parse_completion(body: bytes) -> StoredReply:
    """Read the body of a chat completion. Raises BrokenReplyError for anything else."""
    try:
        completion = json.loads(body)
    except (ValueError, RecursionError):
        raise BrokenReplyError("the reply is no chat completion") from None
    return stored_reply(completion)


def stored_reply(completion: Any) -> StoredReply:
    """What to keep of a chat completion. Raises BrokenReplyError for anything else."""
    try:
        choice = completion["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        usage = completion.get("usage") or {}
        prompt, completed = usage.get("prompt_tokens"), usage.get("completion_tokens")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    except (LookupError, TypeError, AttributeError):
        raise BrokenReplyError("the reply is no chat completion") from None
    return StoredReply(
        text=_valid(text),
        finish_reason=str(choice.get("finish_reason") or ""),
        refusal=_valid(refusal),
        prompt_tokens=prompt if isinstance(prompt, int) else None,
        completion_tokens=completed if isinstance(completed, int) else None,
        cached_tokens=min(cached, prompt) if isinstance(cached, int) and isinstance(prompt, int) else 0,
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _logprobs(value: Any) -> list[tuple[str, dict[str, float]]]:
    """The likeliest tokens at each place of a reply; none where the endpoint does not tell."""
    if not value:
        return []
    try:
        return [(_valid(entry["token"]), _finite(entry["top_logprobs"])) for entry in value["content"]]
    except (LookupError, TypeError, ValueError):
        return []


def _finite(likeliest: Any) -> dict[str, float]:
    pairs = [(_valid(one["token"]), float(one["logprob"])) for one in likeliest]
    return {token: value for token, value in pairs if math.isfinite(value)}


def _valid(text: Any) -> str:
    return storable(text) if isinstance(text, str) else ""


def reply_of(key: str, stored: StoredReply) -> Reply:
    """The reply that a stored one is, judged."""
    text = _THOUGHTS.sub("", stored.text, count=1) if "</think>" in stored.text else stored.text
    reason, detail = "", ""
    if stored.refusal or stored.finish_reason == "content_filter":
        reason, detail = "refused", stored.refusal
    elif stored.finish_reason == "length":
        reason = "cut_by_length"
    elif not text.strip():
        reason = "empty_reply"
    tokens = (stored.prompt_tokens or 0, stored.completion_tokens or 0, stored.cached_tokens)
    return Reply(key, text, stored.finish_reason, reason, detail, *tokens, stored.logprobs)
