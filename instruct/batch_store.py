"""Which requests are under way in which batch, kept in the cache's file, so that a rerun finds them.

A batch is written down with all its requests before it is made at the endpoint, under a token that goes into its
metadata; its id follows. Killed in between, a rerun finds the batch by the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from instruct.cache import RequestCache, StoredReply, canonical_json

Place = tuple[str, int]  # a request's key and the limit on its reply's length


@dataclass(frozen=True)
class OpenBatch:
    """A batch that has not been collected; `batch` is the endpoint's id, empty until it is known."""

    token: str
    batch: str


class BatchStore:
    """The batches in a cache's file."""

    def __init__(self, cache: RequestCache) -> None:
        self._cache = cache

    def begin(self, token: str, base_url: str, requests: Mapping[Place, dict[str, Any]]) -> None:
        """Write a batch down before it is made; `requests` as the cache knows them."""
        rows = [(*place, token, canonical_json(request)) for place, request in requests.items()]
        with self._cache.transaction() as database:
            database.execute("INSERT INTO batches VALUES (?, ?, '', 0)", (token, base_url))
            database.executemany("INSERT INTO batch_requests VALUES (?, ?, ?, ?)", rows)

    def made(self, token: str, batch: str) -> None:
        """Keep the id that the endpoint gave."""
        with self._cache.transaction() as database:
            database.execute("UPDATE batches SET batch = ? WHERE token = ?", (batch, token))

    def close(self, token: str) -> None:
        """Forget a batch that was collected, or never came to be."""
        with self._cache.transaction() as database:
            database.execute("UPDATE batches SET closed = 1 WHERE token = ?", (token,))
            database.execute("DELETE FROM batch_requests WHERE token = ?", (token,))

    def open(self, base_url: str, places: Sequence[Place]) -> dict[OpenBatch, list[Place]]:
        """The open batches that hold some of the requests, and which; a request stands in one at most."""
        found: dict[OpenBatch, list[Place]] = {}
        with self._cache.transaction() as database:
            for key, limit in places:
                row = database.execute(
                    "SELECT token, batch FROM batch_requests JOIN batches USING (token) "
                    "WHERE key = ? AND max_tokens = ? AND base_url = ? AND NOT closed ORDER BY token LIMIT 1",
                    (key, limit, base_url),
                ).fetchone()
                if row:
                    found.setdefault(OpenBatch(*row), []).append((key, limit))
        return found

    def collect(self, token: str, replies: Mapping[Place, StoredReply]) -> None:
        """Put a batch's replies into the cache."""
        with self._cache.transaction() as database:
            for (key, limit), reply in replies.items():
                database.execute(
                    "INSERT OR IGNORE INTO replies SELECT key, max_tokens, request, ? FROM batch_requests "
                    "WHERE key = ? AND max_tokens = ? AND token = ?",
                    (canonical_json(asdict(reply)), key, limit, token),
                )
