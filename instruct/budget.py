"""A hard cap on the tokens that a run may spend."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from corpus.core.errors import UsageError

_TOKENS_PER_MESSAGE = 16  # role and marks around a message, generously


def largest_prompt(messages: Sequence[dict[str, str]]) -> int:
    """An upper bound on a prompt's tokens: a byte-level tokenizer makes at most one token of a byte."""
    return sum(len(message["content"].encode("utf-8", "replace")) + _TOKENS_PER_MESSAGE for message in messages)


class TokenBudget:
    """Reserves the most that a request can cost before it is sent, so that the cap holds with many in flight."""

    def __init__(self, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise UsageError("--budget-tokens must be at least 1")
        self.limit = limit
        self.spent = 0
        self._reserved = 0
        self._changed = asyncio.Condition()

    async def reserve(self, tokens: int) -> bool:
        """Set `tokens` aside; waits while others in flight may give some back. False: they do not fit."""
        async with self._changed:
            while self.limit is not None and self.spent + self._reserved + tokens > self.limit:
                if not self._reserved:
                    return False
                await self._changed.wait()
            self._reserved += tokens
            return True

    async def settle(self, reserved: int, spent: int) -> None:
        """Give a reservation back and book what was spent of it."""
        async with self._changed:
            self._reserved -= reserved
            self.spent += spent
            self._changed.notify_all()
