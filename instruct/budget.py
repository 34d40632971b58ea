"""A hard cap on what a run may spend, in tokens or in money."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from corpus.core.errors import UsageError

TOKENS = "tokens"
_TOKENS_PER_MESSAGE = 16  # role and marks around a message, generously
_LIMIT = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]{3,6})", re.ASCII)


@dataclass(frozen=True)
class Limit:
    """The most that may be spent: an amount of `tokens` or of a currency (`USD`)."""

    amount: Decimal
    unit: str

    def __str__(self) -> str:
        return f"{self.amount:,} {self.unit}"


def read_limit(text: str) -> Limit:
    """A limit such as `5USD`, `2.50 EUR` or `200000tokens`. Raises UsageError."""
    found = _LIMIT.fullmatch(text.strip().replace(",", ""))
    if not found or not (found[2].lower() == TOKENS or len(found[2]) == 3):
        raise UsageError(f"--budget `{text}`: write an amount of money or tokens, such as 5USD or 200000tokens")
    limit = Limit(Decimal(found[1]), TOKENS if found[2].lower() == TOKENS else found[2].upper())
    if not limit.amount or (limit.unit == TOKENS and limit.amount != int(limit.amount)):
        raise UsageError(f"--budget `{text}`: must be more than 0, and tokens are whole")
    return limit


def largest_prompt(messages: Sequence[dict[str, str]]) -> int:
    """An upper bound on a prompt's tokens: a byte-level tokenizer makes at most one token of a byte."""
    return sum(len(message["content"].encode("utf-8", "replace")) + _TOKENS_PER_MESSAGE for message in messages)


class Budget:
    """Reserves the most that a request can cost before it is sent, so that the cap holds with many in flight.

    Amounts are whole tokens or decimal money, as the limit is; sums of both are exact.
    """

    def __init__(self, limit: Decimal | None) -> None:
        self.limit = limit
        self.spent = Decimal(0)
        self._reserved = Decimal(0)
        self._changed = asyncio.Condition()

    async def reserve(self, amount: Decimal) -> bool:
        """Set an amount aside; waits while others in flight may give some back. False: it does not fit."""
        if self.limit is None:
            return True
        async with self._changed:
            while self.spent + self._reserved + amount > self.limit:
                if not self._reserved:
                    return False
                await self._changed.wait()
            self._reserved += amount
            return True

    async def settle(self, reserved: Decimal, spent: Decimal) -> None:
        """Give a reservation back and book what was spent of it."""
        if self.limit is None:
            self.spent += spent
            return
        async with self._changed:
            self._reserved -= reserved
            self.spent += spent
            self._changed.notify_all()
