"""A cache of single model requests, addressed by their content, in one SQLite file.

A request's key is the SHA-256 of the canonical JSON of all that is sent, except the limit on the reply's
length: a reply that ended by itself under a limit is also the reply under any higher one, while a reply that
was cut is asked again. Keys and headers never come here.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from corpus.core.errors import ZeroToOneError
from corpus.core.files import text_hash

FORMAT = 1  # of the file; kept in SQLite's user_version
_APPLICATION = 0x5A324F31  # "Z2O1", kept in SQLite's application_id
_WAIT_SECONDS = 60.0
_TOGETHER = 500  # keys in one look-up


@dataclass(frozen=True)
class StoredReply:
    """What an endpoint answered: text, how it ended, a refusal if it gave one, and its token counts.

    Of the prompt's tokens the endpoint had `cached_tokens` in a cache of its own. `logprobs`, where a request
    asked for them, has for each token of the reply its text and the log-probabilities of the likeliest ones.
    """

    text: str
    finish_reason: str
    refusal: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    logprobs: list[tuple[str, dict[str, float]]] = field(default_factory=list)


@lru_cache(maxsize=64)
def public_url(base_url: str) -> str:
    """An endpoint's URL without user name, password, query and fragment, where keys may stand."""
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal texts."""
    return _CANONICAL.encode(value)


def request_key(request: dict[str, Any]) -> str:
    """The SHA-256 of a request's canonical JSON, as 64 hexadecimal digits."""
    return text_hash(canonical_json(request))


def default_cache_path() -> Path:
    """`requests.sqlite` in the user's cache directory (XDG_CACHE_HOME)."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "zero-to-one" / "requests.sqlite"


def _fitting(rows: Sequence[tuple[int, str]], max_tokens: int) -> StoredReply | None:
    """Of the replies to one request, with their limits, the one to use under a limit."""
    for limit, text in sorted(rows, key=lambda row: (row[0] != max_tokens, row[0])) if len(rows) > 1 else rows:
        if limit > max_tokens:
            continue
        reply = StoredReply(**json.loads(text))
        if limit == max_tokens or reply.finish_reason != "length":
            return reply
    return None


class RequestCache:
    """The replies of completed requests; several processes may use one file at a time.

    Raises ZeroToOneError that names the file when it is no cache, was made by another version, or cannot be
    written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
        try:
            with self._errors():
                self._open()
        except ZeroToOneError:
            self._database.close()
            raise

    def _open(self) -> None:
        execute = self._database.execute
        execute("PRAGMA busy_timeout = 60000")
        if execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._check_format()
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute("PRAGMA mmap_size = 1073741824")  # look-ups of a large file without a call for each page
        execute("BEGIN IMMEDIATE")
        execute(
            "CREATE TABLE IF NOT EXISTS replies (key TEXT, max_tokens INTEGER, request TEXT, reply TEXT, "
            "PRIMARY KEY (key, max_tokens))"
        )
        execute(
            "CREATE TABLE IF NOT EXISTS batches (token TEXT PRIMARY KEY, base_url TEXT, batch TEXT, "
            "closed INTEGER)"
        )
        execute(
            "CREATE TABLE IF NOT EXISTS batch_requests (key TEXT, max_tokens INTEGER, token TEXT, request TEXT, "
            "PRIMARY KEY (key, max_tokens, token)) WITHOUT ROWID"
        )
        execute(f"PRAGMA application_id = {_APPLICATION}")
        execute(f"PRAGMA user_version = {FORMAT}")
        execute("COMMIT")

    def _check_format(self) -> None:
        application = self._database.execute("PRAGMA application_id").fetchone()[0]
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if application != _APPLICATION:
            raise ZeroToOneError(f"{self.path}: not a cache of requests; name another file with --cache")
        if version != FORMAT:
            raise ZeroToOneError(
                f"{self.path}: a cache of another version (format {version}, this program uses {FORMAT}); "
                "name another file with --cache"
            )

    def get(self, key: str, max_tokens: int) -> StoredReply | None:
        """The reply to a request under a limit: the one made under it, else one that ended below it."""
        with self._errors():
            rows = self._database.execute("SELECT max_tokens, reply FROM replies WHERE key = ?", (key,)).fetchall()
        return _fitting(rows, max_tokens)

    def get_many(self, wanted: Sequence[tuple[str, int]]) -> list[StoredReply | None]:
        """The replies to many requests (key and limit), as `get` finds each, looked up together."""
        found: dict[str, list[tuple[int, str]]] = {}
        keys = sorted({key for key, _ in wanted})
        for start in range(0, len(keys), _TOGETHER):
            some = keys[start : start + _TOGETHER]
            places = ",".join("?" * len(some))
            with self._errors():
                rows = self._database.execute(
                    f"SELECT key, max_tokens, reply FROM replies WHERE key IN ({places})",  # noqa: S608
                    some,
                ).fetchall()
            for key, limit, text in rows:
                found.setdefault(key, []).append((limit, text))
        none: list[tuple[int, str]] = []
        return [_fitting(found.get(key, none), limit) for key, limit in wanted]

    def put(self, key: str, max_tokens: int, request: dict[str, Any], reply: StoredReply) -> None:
        """Keep a reply; the first one stays where two processes asked the same."""
        values = (key, max_tokens, canonical_json(request), canonical_json(asdict(reply)))
        with self._errors():
            self._database.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?)", values)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The database for several statements that all hold or none."""
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def request(self, key: str) -> dict[str, Any] | None:
        """What was sent under a key, or None."""
        with self._errors():
            row = self._database.execute("SELECT request FROM replies WHERE key = ?", (key,)).fetchone()
        return dict(json.loads(row[0])) if row else None

    def exchange(self, key: str) -> tuple[dict[str, Any], StoredReply] | None:
        """What was sent under a key and the reply with the highest limit on its length, or None."""
        with self._errors():
            row = self._database.execute(
                "SELECT request, reply FROM replies WHERE key = ? ORDER BY max_tokens DESC", (key,)
            ).fetchone()
        return (dict(json.loads(row[0])), StoredReply(**json.loads(row[1]))) if row else None

    def __len__(self) -> int:
        with self._errors():
            return int(self._database.execute("SELECT count(*) FROM replies").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> RequestCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise ZeroToOneError(
                    f"{self.path}: disk full; free some space and run the same command again"
                ) from None
            raise ZeroToOneError(f"{self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            raise ZeroToOneError(
                f"{self.path}: not a readable cache ({error}); name another file with --cache"
            ) from None
        except (NotADirectoryError, FileExistsError):
            raise ZeroToOneError(f"{self.path}: its directory is a file") from None
