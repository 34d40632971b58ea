"""Requests by OpenAI's Batch API: a file of them is uploaded, waited for, and its replies go into the cache.

Requests that are asked at about the same time share a batch. What a killed run had sent is waited for by the next
one, not sent again.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import openai

from instruct import retries
from instruct.batch_store import BatchStore, OpenBatch, Place
from instruct.cache import RequestCache, StoredReply
from instruct.completions import Request, body_of, content_of, stored_reply
from instruct.costs import Tally
from instruct.endpoint import Endpoint, EndpointError
from instruct.retries import Action, BrokenReplyError, Failure

MOST_REQUESTS = 50_000  # the API's limits on one batch
MOST_BYTES = 190_000_000
_QUIET = 0.2  # seconds without a further request close a batch
_LONGEST_POLL = 60.0
_PATH = "/chat/completions"
_METADATA = "zero_to_one"
_ENDED = ("completed", "expired", "cancelled", "failed")


@dataclass
class _Waiting:
    """A request and who waits for it."""

    request: Request
    outcome: asyncio.Future[StoredReply | Failure]


class BatchQueue:
    """Gathers requests into batches; use `close` at the end."""

    def __init__(self, endpoint: Endpoint, client: openai.AsyncOpenAI, cache: RequestCache, tally: Tally) -> None:
        self._endpoint = endpoint
        self._client = client.with_options(max_retries=retries.ATTEMPTS)
        self._store = BatchStore(cache)
        self._tally = tally
        self._waiting: dict[Place, _Waiting] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: str, request: Request) -> StoredReply | Failure:
        """What a request came to in a batch. Raises EndpointError where a whole batch is refused."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, loop.create_future())
        self._waiting[key, request.max_tokens] = waiting
        if self._timer:
            self._timer.cancel()
        if len(self._waiting) >= MOST_REQUESTS:
            self._flush()
        else:
            self._timer = loop.call_later(_QUIET, self._flush)
        return await waiting.outcome

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        task = asyncio.create_task(self._send(waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop waiting; the batches go on at the endpoint."""
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, waiting: dict[Place, _Waiting]) -> None:
        try:
            rest = dict(waiting)
            under_way = []
            for batch, places in self._store.open(self._endpoint.public_url, list(waiting)).items():
                if found := await self._found(batch):
                    under_way.append((found, {place: rest.pop(place) for place in places}))
            for some in _portions(rest, lambda one: len(self._line(*one))):
                under_way.append((await self._make(some), some))
            await asyncio.gather(*(self._collect(batch, some) for batch, some in under_way))
        except openai.OpenAIError as error:
            failure = retries.classify(error, self._endpoint.api_key)
            _fail(waiting, EndpointError(f"{self._endpoint.public_url}: --batch: {failure.message}"))
        except Exception as error:  # noqa: BLE001 - those who wait raise it
            _fail(waiting, error)

    async def _found(self, batch: OpenBatch) -> OpenBatch | None:
        """A batch of an earlier run with its id; None, and forgotten, where it never came to be."""
        if batch.batch:
            return batch
        async for one in self._client.batches.list(limit=100):
            if (one.metadata or {}).get(_METADATA) == batch.token:
                self._store.made(batch.token, one.id)
                return OpenBatch(batch.token, one.id)
        self._store.close(batch.token)
        return None

    async def _make(self, waiting: Mapping[Place, _Waiting]) -> OpenBatch:
        token = uuid.uuid4().hex
        lines = [self._line(place, one) for place, one in waiting.items()]
        contents = {place: content_of(self._endpoint, one.request) for place, one in waiting.items()}
        self._store.begin(token, self._endpoint.public_url, contents)
        file = await self._client.files.create(file=("requests.jsonl", b"".join(lines)), purpose="batch")
        batch = await self._client.with_options(max_retries=0).batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={_METADATA: token},
        )
        self._store.made(token, batch.id)
        self._tally.requests_sent += len(waiting)
        return OpenBatch(token, batch.id)

    def _line(self, place: Place, waiting: _Waiting) -> bytes:
        """A request's line in the file; its name there is its key and limit."""
        body = body_of(self._endpoint, waiting.request)
        line = {"custom_id": f"{place[0]}-{place[1]}", "method": "POST", "url": f"/v1{_PATH}", "body": body}
        return json.dumps(line).encode() + b"\n"

    async def _collect(self, batch: OpenBatch, waiting: Mapping[Place, _Waiting]) -> None:
        """Wait for a batch, store its replies, and tell those who wait."""
        ended = await self._ended(batch.batch)
        if ended.status in ("failed", "cancelled"):
            self._store.close(batch.token)
            faults = [error.message or "" for error in (ended.errors.data or [])] if ended.errors else []
            why = retries.one_line("; ".join(faults), self._endpoint.api_key)
            raise EndpointError(
                f"{self._endpoint.public_url}: batch {batch.batch} {ended.status}{f': {why}' if why else ''}"
            )
        outcomes: dict[Place, StoredReply | Failure] = {}
        for name in (ended.error_file_id, ended.output_file_id):
            if name:
                content = await self._client.files.content(name)
                outcomes.update(read_outcomes(content.content, self._endpoint.api_key))
        replies = {place: one for place, one in outcomes.items() if isinstance(one, StoredReply)}
        self._store.collect(batch.token, replies)
        self._store.close(batch.token)
        self._tally.waiting = ""
        missing = Failure(Action.RETRY, f"not among the results of the batch ({ended.status})")
        for place, one in waiting.items():
            if not one.outcome.done():
                one.outcome.set_result(outcomes.get(place, missing))

    async def _ended(self, name: str) -> Any:
        delay = self._endpoint.backoff
        while (batch := await self._client.batches.retrieve(name)).status not in _ENDED:
            counts = batch.request_counts
            done = f", {counts.completed:,} of {counts.total:,} done" if counts else ""
            self._tally.waiting = f"batch {name}: {batch.status}{done}"
            await asyncio.sleep(delay)
            delay = min(_LONGEST_POLL, 1.5 * delay)
        return batch


def read_outcomes(content: bytes, api_key: str) -> dict[Place, StoredReply | Failure]:
    """The outcomes in a batch's file of results or errors; lines that are none are left out."""
    outcomes: dict[Place, StoredReply | Failure] = {}
    for line in content.splitlines():
        try:
            row = json.loads(line)
            key, _, limit = row["custom_id"].rpartition("-")
            outcomes[key, int(limit)] = _outcome(row, api_key)
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
    return outcomes


def _outcome(row: dict[str, Any], api_key: str) -> StoredReply | Failure:
    response = row.get("response") or {}
    body = response.get("body")
    if response.get("status_code") == 200:
        try:
            return stored_reply(body)
        except BrokenReplyError as error:
            return Failure(Action.RETRY, str(error), maybe_paid=True)
    fault = (body or {}).get("error") or row.get("error") or {}
    message = retries.one_line(str(fault.get("message") or "no message"), api_key)
    status = response.get("status_code")
    if not isinstance(status, int):
        return Failure(Action.RETRY, f"{fault.get('code') or 'error'}: {message}")
    return retries.judge_status(status, message, fault.get("code"), {})


def _portions(
    waiting: dict[Place, _Waiting], size: Callable[[tuple[Place, _Waiting]], int]
) -> Iterator[dict[Place, _Waiting]]:
    """Parts that keep within the API's limits, in order."""
    part: dict[Place, _Waiting] = {}
    used = 0
    for place, one in waiting.items():
        more = size((place, one))
        if part and (len(part) >= MOST_REQUESTS or used + more > MOST_BYTES):
            yield part
            part, used = {}, 0
        part[place] = one
        used += more
    if part:
        yield part


def _fail(waiting: Mapping[Place, _Waiting], error: BaseException) -> None:
    for one in waiting.values():
        if not one.outcome.done():
            one.outcome.set_exception(error)
