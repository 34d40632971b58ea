"""An asynchronous client for any OpenAI-compatible chat endpoint: cached, patient, and bounded.

`ask` never raises for what concerns one request alone: its `Reply` then carries a reason. It raises
`EndpointError` where no request can succeed: wrong key, unknown model, endpoint down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from operator import length_hint
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import openai

from instruct import retries
from instruct.batch import BatchQueue
from instruct.budget import Budget
from instruct.cache import RequestCache, StoredReply, request_key
from instruct.circuit import CircuitBreaker
from instruct.completions import (
    BUDGET_SPENT,
    REQUEST_FAILED,
    REQUEST_REJECTED,
    UNPAID,
    Reply,
    Request,
    body_of,
    content_of,
    parse_completion,
    reply_of,
)
from instruct.costs import Tally
from instruct.endpoint import OPENAI_URL, Endpoint, EndpointError, endpoint_from_environment
from instruct.rates import RateLimits
from instruct.retries import Action, BrokenReplyError, Failure

__all__ = [
    "BUDGET_SPENT",
    "OPENAI_URL",
    "REQUEST_FAILED",
    "REQUEST_REJECTED",
    "UNPAID",
    "ChatClient",
    "Endpoint",
    "EndpointError",
    "Reply",
    "Request",
    "Tally",
    "endpoint_from_environment",
    "map_in_order",
]

Item = TypeVar("Item")
Result = TypeVar("Result")


class ChatClient:
    """Sends requests to one endpoint; use it as an asynchronous context manager."""

    def __init__(self, endpoint: Endpoint, cache: RequestCache, beside: ChatClient | None = None) -> None:
        """With `beside`, the client of another model, both spend from that one's budget and count in its tally."""
        self.endpoint = endpoint
        self.cache = cache
        self.tally: Tally = beside.tally if beside else Tally(price=endpoint.effective_price)
        self.budget: Budget = (
            beside.budget if beside else Budget(endpoint.budget.amount if endpoint.budget else None)
        )
        self._openai = openai.AsyncOpenAI(
            api_key=endpoint.api_key or "none", base_url=endpoint.base_url, max_retries=0, timeout=endpoint.timeout
        )
        self._slots = asyncio.Semaphore(endpoint.concurrency)
        self._batch = BatchQueue(endpoint, self._openai, cache, self.tally) if endpoint.batch else None
        self._rates = RateLimits(endpoint.requests_per_minute, endpoint.tokens_per_minute)
        self._circuit = CircuitBreaker(endpoint.backoff)
        self._locks: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()
        self._schemas = True  # until the endpoint refuses one
        self._answered = False
        self._succeeded = False
        self._rejected_in_a_row = 0

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._batch:
            await self._batch.close()
        await self._openai.close()

    async def ask(self, request: Request) -> Reply:
        """The reply to a request, from the cache where it was completed before. Raises EndpointError."""
        if request.schema is not None:
            return await self._ask_with_schema(request, request.schema)
        return await self._ask(request)

    async def _ask(self, request: Request) -> Reply:
        content = content_of(self.endpoint, request)
        key = request_key(content)
        found = self._cached(key, request.max_tokens)
        if found is not None:
            return found
        # One lock per request: the same one asked twice at a time is sent once.
        lock = self._locks.setdefault((key, request.max_tokens), asyncio.Lock())
        async with lock:
            found = self._cached(key, request.max_tokens)
            if found is not None:
                return found
            async with self._slots:
                outcome = await self._send(key, request)
            if isinstance(outcome, Reply):
                self.tally.failed += 1
                return outcome
            self.cache.put(key, request.max_tokens, content, outcome)
            return reply_of(key, outcome)

    def _cached(self, key: str, max_tokens: int) -> Reply | None:
        stored = self.cache.get(key, max_tokens)
        return None if stored is None else self._found(key, stored)

    def _found(self, key: str, stored: StoredReply) -> Reply:
        self.tally.from_cache += 1
        self._succeeded = True
        return reply_of(key, stored)

    async def ask_all(self, requests: Sequence[Request]) -> list[Reply]:
        """The replies to requests that do not depend on each other, in their order.

        What is in the cache is looked up together, so that a rerun of many rows takes seconds.
        """
        keys = [request_key(content_of(self.endpoint, request)) for request in requests]
        limits = [request.max_tokens for request in requests]
        stored = self.cache.get_many(list(zip(keys, limits, strict=True)))
        missing = [place for place, reply in enumerate(stored) if reply is None]
        asked = await map_in_order(
            self.ask, [requests[place] for place in missing], min(self.endpoint.concurrency, len(missing))
        )
        new = dict(zip(missing, asked, strict=True))
        return [
            new[place] if reply is None else self._found(keys[place], reply) for place, reply in enumerate(stored)
        ]

    async def _ask_with_schema(self, request: Request, schema: Mapping[str, Any]) -> Reply:
        """Ask for a reply that holds to a schema, and without one where the endpoint refuses that."""
        plain = replace(request, schema=None)
        if not self._schemas:
            return await self._ask(plain)
        keys = [request_key(content_of(self.endpoint, one)) for one in (request, plain)]
        if self.cache.get(keys[0], request.max_tokens) is None:
            found = self._cached(keys[1], request.max_tokens)  # of a run in which the endpoint refused
            if found is not None:
                return found
        reply = await self._ask(request)
        if reply.reason == REQUEST_REJECTED and retries.refuses_schema(reply.detail):
            self._schemas = False
            return await self._ask(plain)
        return reply

    async def _send(self, key: str, request: Request) -> StoredReply | Reply:
        """Send until it succeeds, fails for good (a Reply with the reason), or the endpoint is given up."""
        most = (request.most_prompt_tokens, request.max_tokens)
        reserve = self.endpoint.amount(*most)
        attempts = waits = 0
        while True:
            if not await self.budget.reserve(reserve):
                return self._unaffordable(key)
            if self._batch:
                outcome = await self._attempt_in_batch(self._batch, key, request, reserve, sum(most))
            else:
                outcome = await self._attempt(key, request, reserve, sum(most))
            if isinstance(outcome, StoredReply):
                return outcome
            self._answered = self._answered or outcome.answered
            waits += outcome.action is Action.WAIT
            attempts += outcome.action is not Action.WAIT
            if not self._may_retry(outcome, attempts, waits):
                return self._failed(key, outcome)
            self.tally.retries += 1
            await asyncio.sleep(retries.delay(attempts + waits, self.endpoint.backoff, outcome.retry_after))

    async def _attempt(self, key: str, request: Request, reserve: Decimal, most: int) -> StoredReply | Failure:
        """One attempt within the limits of rate and money; a failure says what it may have cost."""
        used, tokens, entry = Decimal(0), 0, None
        try:
            async with self._circuit.passage() as probe:
                self._check_circuit()
                entry = await self._rates.enter(most)
                self.tally.requests_sent += 1
                used, tokens = reserve, most  # until it is known: what is interrupted may have been charged
                started = time.monotonic()
                try:
                    stored = await self._post(request)
                except (openai.OpenAIError, TimeoutError, BrokenReplyError) as error:
                    failure = retries.classify(error, self.endpoint.api_key)
                    used, tokens = (reserve, most) if failure.maybe_paid else (Decimal(0), 0)
                    self._note(key, failure, probe)
                    return failure
                self.tally.seconds_waited += time.monotonic() - started
                used, tokens = self._used(stored, reserve, most)
                return self._success(stored)
        finally:
            self._rates.settle(entry, tokens)
            await self.budget.settle(reserve, used)

    async def _attempt_in_batch(
        self, batch: BatchQueue, key: str, request: Request, reserve: Decimal, most: int
    ) -> StoredReply | Failure:
        """One attempt by the Batch API, which has no limit of rate."""
        used = reserve
        try:
            outcome = await batch.ask(key, request)
            if isinstance(outcome, Failure):
                used = reserve if outcome.maybe_paid else Decimal(0)
                return outcome
            used, _ = self._used(outcome, reserve, most)
            return self._success(outcome)
        finally:
            await self.budget.settle(reserve, used)

    async def _post(self, request: Request) -> StoredReply:
        # `chat.completions.create` walks through every message to check its types, a third of a request's time.
        async with asyncio.timeout(self.endpoint.timeout):
            response = await self._openai.post(
                "/chat/completions",
                cast_to=openai.HttpxBinaryResponseContent,
                body=body_of(self.endpoint, request),
            )
        self._rates.pause(retries.exhausted(response.response.headers))
        return parse_completion(response.content)

    def _used(self, stored: StoredReply, reserve: Decimal, most: int) -> tuple[Decimal, int]:
        """What a reply has cost in the budget's unit, and its tokens; the most of both where it does not tell."""
        prompt, completion = stored.prompt_tokens, stored.completion_tokens
        if prompt is None or completion is None:
            return reserve, most
        return self.endpoint.amount(prompt, completion, stored.cached_tokens), prompt + completion

    def _success(self, stored: StoredReply) -> StoredReply:
        self._answered = self._succeeded = True
        self._rejected_in_a_row = 0
        self._circuit.succeeded()
        self.tally.waiting = ""
        self.tally.add(stored, self.endpoint.effective_price)
        return stored

    def _note(self, key: str, failure: Failure, probe: bool) -> None:
        """Tell the limits and the circuit of a failed attempt."""
        self._rates.pause(failure.pause)
        if failure.action is not Action.RETRY:
            self._circuit.succeeded()  # it lives
            return
        if not (self._answered or failure.answered):
            return  # never reached: FIRST_CONTACT_ATTEMPTS decide
        self._circuit.failed(key, failure, probe)
        if self._circuit.open:
            self.tally.waiting = f"the endpoint fails ({failure.message}), trying one request at a time"

    def _unaffordable(self, key: str) -> Reply:
        limit = self.endpoint.budget
        unit = limit.unit if limit else ""
        return Reply(key, reason=BUDGET_SPENT, detail=f"{self.budget.spent:,} {unit} are spent")

    def _may_retry(self, failure: Failure, attempts: int, waits: int) -> bool:
        where = self.endpoint.public_url
        if failure.action is Action.STOP:
            raise EndpointError(f"{where}: {failure.message}")
        if not self._answered and attempts >= retries.FIRST_CONTACT_ATTEMPTS:
            raise EndpointError(
                f"{where}: no answer after {attempts} attempts ({failure.message}); is the endpoint running?"
            )
        self._check_circuit()
        return (
            failure.action is not Action.GIVE_UP
            and attempts < retries.ATTEMPTS
            and waits < retries.RATE_LIMIT_ATTEMPTS
        )

    def _check_circuit(self) -> None:
        if self._circuit.given_up:
            raise EndpointError(
                f"{self.endpoint.public_url}: {self._circuit.failures} attempts in a row failed, the last with "
                f"{self._circuit.last}; run the same command again to go on, nothing completed is sent twice"
            )

    def _failed(self, key: str, failure: Failure) -> Reply:
        if failure.action is not Action.GIVE_UP:
            return Reply(key, reason=REQUEST_FAILED, detail=failure.message)
        # Some rows may be too long for an endpoint that works; none that it takes shows a wrong parameter.
        self._rejected_in_a_row += 1
        if self._rejected_in_a_row >= retries.REJECTED_IN_A_ROW and not self._succeeded:
            raise EndpointError(
                f"{self.endpoint.public_url}: {self._rejected_in_a_row} requests were rejected and none was "
                f"completed, the last with {failure.message}"
            )
        return Reply(key, reason=REQUEST_REJECTED, detail=failure.message)


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

    tasks = [asyncio.create_task(work()) for _ in range(min(concurrency, length_hint(items, concurrency)))]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return [results[place] for place in range(len(results))]
