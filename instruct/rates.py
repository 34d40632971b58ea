"""Requests and tokens per minute: when the next request may be sent."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

MINUTE = 60.0


@dataclass
class Entry:
    """An amount taken at a time; `counts` until it has left its window."""

    time: float
    amount: int
    counts: bool = True


class Window:
    """At most `capacity` in any `seconds` seconds; a pure account of times, which sleeps nowhere."""

    def __init__(self, capacity: int, seconds: float) -> None:
        self.capacity, self.seconds = capacity, seconds
        self._entries: deque[Entry] = deque()
        self._sum = 0

    def wait(self, amount: int, now: float) -> float:
        """Seconds until `amount` fits; one larger than the capacity fits when nothing else is there."""
        while self._entries and self._entries[0].time + self.seconds <= now:
            oldest = self._entries.popleft()
            oldest.counts = False
            self._sum -= oldest.amount
        over = self._sum + min(amount, self.capacity) - self.capacity
        for entry in self._entries:
            if over <= 0:
                break
            over -= entry.amount
            if over <= 0:
                return entry.time + self.seconds - now
        return 0.0

    def take(self, amount: int, now: float) -> Entry:
        """Take an amount that fits."""
        entry = Entry(now, min(amount, self.capacity))
        self._entries.append(entry)
        self._sum += entry.amount
        return entry

    def settle(self, entry: Entry, amount: int) -> None:
        """Correct what was taken, when the true amount is known."""
        if entry.counts:
            self._sum += amount - entry.amount
        entry.amount = amount


def request_window(per_minute: int) -> Window:
    """A window for requests: at most so many in any minute, and about a second's share at once."""
    capacity = max(1, per_minute // 60)
    return Window(capacity, MINUTE / (per_minute // capacity))


class RateLimits:
    """Holds requests back until both limits allow them, and while the endpoint has asked for a pause.

    Tokens are taken as the most that a request can use, and corrected by what it used.
    """

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests = request_window(requests_per_minute) if requests_per_minute else None
        self._tokens = Window(tokens_per_minute, MINUTE) if tokens_per_minute else None
        self._clock = clock
        self._turn = asyncio.Lock()  # first come, first served
        self._changed = asyncio.Event()
        self._paused_until = 0.0

    async def enter(self, tokens: int) -> Entry | None:
        """Wait until a request of so many tokens may be sent; what it took of the tokens, for `settle`."""
        if self._requests is None and self._tokens is None and self._paused_until <= self._clock():
            return None
        async with self._turn:
            while (seconds := self._wait(tokens, self._clock())) > 0:
                self._changed.clear()
                try:
                    async with asyncio.timeout(seconds):
                        await self._changed.wait()
                except TimeoutError:
                    continue
            now = self._clock()
            if self._requests:
                self._requests.take(1, now)
            return self._tokens.take(tokens, now) if self._tokens else None

    def _wait(self, tokens: int, now: float) -> float:
        waits = [self._paused_until - now]
        if self._requests:
            waits.append(self._requests.wait(1, now))
        if self._tokens:
            waits.append(self._tokens.wait(tokens, now))
        return max(waits)

    def settle(self, entry: Entry | None, tokens: int) -> None:
        """Correct the tokens of a request that has ended."""
        if entry is not None and self._tokens is not None:
            self._tokens.settle(entry, tokens)
            self._changed.set()

    def pause(self, seconds: float) -> None:
        """Send nothing for some seconds, as the endpoint asks."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)
