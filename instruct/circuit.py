"""A circuit breaker: an endpoint that fails again and again is tried with one request at a time, then given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from instruct import retries
from instruct.retries import Failure

FAILURES = 10  # attempts in a row that failed, over all requests, open the circuit
REQUESTS = 5  # that many requests must be among them: one that always fails shows nothing about the others
PROBES = 7  # failed probes in a row, each after a longer wait, end the run


class CircuitBreaker:
    """Counts failed attempts between two successes; `passage` stands around each attempt."""

    def __init__(self, backoff: float) -> None:
        self._backoff = backoff
        self._failures = 0
        self._requests: set[str] = set()
        self._probes = 0
        self._open = False
        self.last = ""
        self._turn = asyncio.Lock()

    @property
    def given_up(self) -> bool:
        """Whether the endpoint has failed all probes."""
        return self._open and self._probes >= PROBES

    @property
    def open(self) -> bool:
        """Whether the endpoint is tried with one request at a time."""
        return self._open

    @property
    def failures(self) -> int:
        """Failed attempts since the last success."""
        return self._failures

    @asynccontextmanager
    async def passage(self) -> AsyncIterator[bool]:
        """Pass at once while the endpoint works; else one at a time, after a wait that grows: True, a probe."""
        if not self._open:
            yield False
            return
        async with self._turn:
            if self._open and not self.given_up:
                await asyncio.sleep(retries.delay(self._probes + 1, self._backoff, None))
            yield self._open

    def succeeded(self) -> None:
        """An attempt was answered: all may pass."""
        self._failures = self._probes = 0
        self._requests.clear()
        self._open = False

    def failed(self, request: str, failure: Failure, probe: bool) -> None:
        """An attempt of a request (its key) failed in a way that may lie with the endpoint."""
        self._failures += 1
        self.last = failure.message
        self._requests.add(request)
        if self._open:
            self._probes += probe  # others were on their way when the circuit opened
        elif self._failures >= FAILURES and (failure.unsent or len(self._requests) >= REQUESTS):
            self._open = True
