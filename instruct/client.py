"""An asynchronous client for any OpenAI-compatible chat endpoint: cached, patient, and bounded.

`ask` never raises for what concerns one request alone: its `Reply` then carries a reason. It raises
`EndpointError` where no request can succeed: wrong key, unknown model, endpoint down.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import openai

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import storable
from instruct import retries
from instruct.budget import TokenBudget, largest_prompt
from instruct.cache import RequestCache, StoredReply, public_url, request_key
from instruct.retries import Action, BrokenReplyError, Failure

OPENAI_URL = "https://api.openai.com/v1"
REQUEST_FAILED = "request_failed"
REQUEST_REJECTED = "request_rejected"
BUDGET_SPENT = "budget_spent"
UNPAID = (REQUEST_FAILED, REQUEST_REJECTED, BUDGET_SPENT)  # a rerun asks these again
# Some servers leave a reasoning model's thoughts in front of its reply.
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)

Item = TypeVar("Item")
Result = TypeVar("Result")


class EndpointError(ZeroToOneError):
    """No request to the endpoint can succeed."""


@dataclass(frozen=True)
class Endpoint:
    """Where requests go, how many at a time, and how long one may take.

    `timeout` and `backoff` (the first delay before a retry) are in seconds; `budget_tokens` caps prompt and
    reply tokens together. Without a key, one that local servers ignore is sent.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    concurrency: int = 16
    timeout: float = 120.0
    budget_tokens: int | None = None
    backoff: float = 0.5

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(f"--base-url {public_url(self.base_url)}: not an http or https address")
        if self.concurrency < 1:
            raise UsageError("--concurrency must be at least 1")
        if not self.timeout > 0:
            raise UsageError("--timeout must be more than 0 seconds")

    @property
    def public_url(self) -> str:
        """The address without credentials."""
        return public_url(self.base_url)


def endpoint_from_environment(base_url: str, model: str, **options: Any) -> Endpoint:
    """An endpoint with the key of `OPENAI_API_KEY`, which only OpenAI's own address cannot do without."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and (urlsplit(base_url).hostname or "").endswith("openai.com"):
        raise UsageError("no key: set OPENAI_API_KEY, or name another endpoint with --base-url")
    return Endpoint(base_url, model, api_key=key, **options)


@dataclass(frozen=True)
class Request:
    """One chat request. `sample` tells apart requests that are equal in all else and wanted more than once."""

    messages: tuple[dict[str, str], ...]
    max_tokens: int
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)
    sample: int = 0


@dataclass(frozen=True)
class Reply:
    """The answer to a request. `reason` is empty for a usable one, else why it is none:

    cut_by_length, refused, empty_reply, request_failed (after all attempts), request_rejected (the endpoint
    found a fault in it), budget_spent. `detail` explains the last three.
    """

    key: str
    text: str = ""
    finish_reason: str = ""
    reason: str = ""
    detail: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Tally:
    """What a run has sent and received."""

    requests_sent: int = 0
    retries: int = 0
    from_cache: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failed: int = 0

    def text(self) -> str:
        """A line for the progress display."""
        parts = [f"{self.requests_sent:,} requests", f"{self.from_cache:,} cached"]
        if self.retries:
            parts.append(f"{self.retries:,} retries")
        return ", ".join([*parts, f"{self.prompt_tokens + self.completion_tokens:,} tokens"])


class ChatClient:
    """Sends requests to one endpoint; use it as an asynchronous context manager."""

    def __init__(self, endpoint: Endpoint, cache: RequestCache) -> None:
        self.endpoint = endpoint
        self.cache = cache
        self.tally = Tally()
        self.budget = TokenBudget(endpoint.budget_tokens)
        self._openai = openai.AsyncOpenAI(
            api_key=endpoint.api_key or "none", base_url=endpoint.base_url, max_retries=0, timeout=endpoint.timeout
        )
        official = (urlsplit(endpoint.base_url).hostname or "").endswith("openai.com")
        self._limit_name = "max_completion_tokens" if official else "max_tokens"
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._locks: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()
        self._answered = False
        self._succeeded = False
        self._failures_in_a_row = 0

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._openai.close()

    async def ask(self, request: Request) -> Reply:
        """The reply to a request, from the cache where it was completed before. Raises EndpointError."""
        content = self._content(request)
        key = request_key(content)
        # One lock per request: the same one asked twice at a time is sent once.
        lock = self._locks.setdefault((key, request.max_tokens), asyncio.Lock())
        async with lock:
            stored = self.cache.get(key, request.max_tokens)
            if stored is not None:
                self.tally.from_cache += 1
                self._succeeded = True
                return _reply(key, stored)
            async with self._slots:
                outcome = await self._send(request)
            if isinstance(outcome, Reply):
                self.tally.failed += 1
                return Reply(key, reason=outcome.reason, detail=outcome.detail)
            self.cache.put(key, request.max_tokens, content, outcome)
            return _reply(key, outcome)

    def _content(self, request: Request) -> dict[str, Any]:
        return {
            "base_url": self.endpoint.public_url,
            "model": self.endpoint.model,
            "messages": list(request.messages),
            "parameters": dict(request.parameters),
            "sample": request.sample,
        }

    async def _send(self, request: Request) -> StoredReply | Reply:
        """Send until it succeeds, fails for good (a Reply with the reason), or the endpoint is given up."""
        reserve = largest_prompt(request.messages) + request.max_tokens
        attempts = waits = 0
        while True:
            if not await self.budget.reserve(reserve):
                return Reply("", reason=BUDGET_SPENT, detail=f"{self.budget.spent:,} tokens are spent")
            used = 0
            try:
                self.tally.requests_sent += 1
                stored = await self._attempt(request)
                used = _tokens(stored, reserve)
                return self._success(stored)
            except (openai.OpenAIError, TimeoutError, BrokenReplyError) as error:
                failure = retries.classify(error, self.endpoint.api_key)
                used = reserve if failure.maybe_paid else 0
            finally:
                await self.budget.settle(reserve, used)
            self._answered = self._answered or failure.answered
            waits += failure.action is Action.WAIT
            attempts += failure.action is not Action.WAIT
            if not self._may_retry(failure, attempts, waits):
                return self._failure(failure)
            self.tally.retries += 1
            await asyncio.sleep(retries.delay(attempts + waits, self.endpoint.backoff, failure.retry_after))

    async def _attempt(self, request: Request) -> StoredReply:
        parameters = {**request.parameters, self._limit_name: request.max_tokens}
        async with asyncio.timeout(self.endpoint.timeout):
            response = await self._openai.chat.completions.with_raw_response.create(  # type: ignore[call-overload]
                model=self.endpoint.model, messages=list(request.messages), **parameters
            )
        return parse_completion(response.http_response.content)

    def _success(self, stored: StoredReply) -> StoredReply:
        self._answered = self._succeeded = True
        self._failures_in_a_row = 0
        self.tally.prompt_tokens += stored.prompt_tokens or 0
        self.tally.completion_tokens += stored.completion_tokens or 0
        return stored

    def _may_retry(self, failure: Failure, attempts: int, waits: int) -> bool:
        if failure.action is Action.STOP:
            raise EndpointError(f"{self.endpoint.public_url}: {failure.message}")
        if not self._answered and attempts >= retries.FIRST_CONTACT_ATTEMPTS:
            raise EndpointError(
                f"{self.endpoint.public_url}: no answer after {attempts} attempts ({failure.message}); "
                "is the endpoint running?"
            )
        return (
            failure.action is not Action.GIVE_UP
            and attempts < retries.ATTEMPTS
            and waits < retries.RATE_LIMIT_ATTEMPTS
        )

    def _failure(self, failure: Failure) -> Reply:
        self._failures_in_a_row += 1
        rejected = failure.action is Action.GIVE_UP
        # Long rows may be rejected in a row by an endpoint that works; failing ones may not.
        if self._failures_in_a_row >= retries.FAILURES_IN_A_ROW and not (rejected and self._succeeded):
            raise EndpointError(
                f"{self.endpoint.public_url}: {self._failures_in_a_row} requests in a row failed, the last with "
                f"{failure.message}; run the same command again to go on, nothing completed is sent twice"
            )
        return Reply("", reason=REQUEST_REJECTED if rejected else REQUEST_FAILED, detail=failure.message)


def parse_completion(body: bytes) -> StoredReply:
    """Read the body of a chat completion. Raises BrokenReplyError for anything else."""
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        usage = completion.get("usage") or {}
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise BrokenReplyError("the reply is no chat completion") from None
    return StoredReply(
        text=_valid(text),
        finish_reason=str(choice.get("finish_reason") or ""),
        refusal=_valid(refusal),
        prompt_tokens=counts[0] if isinstance(counts[0], int) else None,
        completion_tokens=counts[1] if isinstance(counts[1], int) else None,
    )


def _valid(text: Any) -> str:
    return storable(text) if isinstance(text, str) else ""


def _reply(key: str, stored: StoredReply) -> Reply:
    text = _THOUGHTS.sub("", stored.text, count=1)
    reason, detail = "", ""
    if stored.refusal or stored.finish_reason == "content_filter":
        reason, detail = "refused", stored.refusal
    elif stored.finish_reason == "length":
        reason = "cut_by_length"
    elif not text.strip():
        reason = "empty_reply"
    tokens = (stored.prompt_tokens or 0, stored.completion_tokens or 0)
    return Reply(key, text, stored.finish_reason, reason, detail, *tokens)


def _tokens(stored: StoredReply, reserve: int) -> int:
    if stored.prompt_tokens is None or stored.completion_tokens is None:
        return reserve
    return stored.prompt_tokens + stored.completion_tokens


async def map_in_order(
    function: Callable[[Item], Awaitable[Result]],
    items: Iterable[Item],
    concurrency: int,
) -> list[Result]:
    """Apply an asynchronous function to all items, `concurrency` at a time; results in the items' order.

    The first exception stops the rest and is raised.
    """
    waiting = enumerate(items)
    results: dict[int, Result] = {}

    async def work() -> None:
        for place, item in waiting:
            results[place] = await function(item)

    tasks = [asyncio.create_task(work()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return [results[place] for place in range(len(results))]
