"""Files that appear whole or not at all, text that they can hold, and hashes free of order and time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpus.core.errors import ZeroToOneError

_FULL = re.compile(r"No space left on device|disk is full|\d+ requested and \d+ written")


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk is full; Arrow, polars, safetensors, NumPy and SQLite each say it so."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or bool(_FULL.search(str(error)))


@contextmanager
def disk_full_named(path: Path) -> Iterator[None]:
    """Turn any library's error of a full disk into a ZeroToOneError that names `path`."""
    try:
        yield
    except ZeroToOneError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise ZeroToOneError(f"{path}: disk full; free some space and run the same command again") from None
        raise


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; rename it to `path` on success, remove it on failure.

    The content reaches the disk before the name does, so that a crash leaves the old file or the new one.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_full_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically. Names of files that are not UTF-8 survive."""
    with write_atomically(path) as temporary:
        text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")  # as JSON spells them


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON objects, one a line, atomically; returns how many. Their text is made `storable`."""
    count = 0
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(storable(json.dumps(row, ensure_ascii=False)) + "\n")
            count += 1
    return count


def storable(text: str) -> str:
    """The text with U+FFFD for each lone surrogate: JSON can spell them, UTF-8 cannot hold them."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or broken one is a ZeroToOneError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file") from None
    except OSError as error:
        raise ZeroToOneError(f"{path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ZeroToOneError(f"{path}: not valid JSON: {error}") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes (lone surrogates included), as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def stable_fraction(key: str, seed: int = 0) -> float:
    """A number in [0, 1) that depends on `key` and `seed` alone: for draws that no order can change."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, salt=seed.to_bytes(8, "big"))
    return int.from_bytes(digest.digest(), "big") / 2**64 * (1 - 2**-53)


def slug(name: str) -> str:
    """A file name for an untrusted name; different names have different slugs.

    Only letters, digits, `-`, `_` and inner dots stay; where anything else was replaced, cut or could clash
    on a file system that ignores case, eight digits of the name's hash follow.
    """
    safe = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip(".-")[:80]
    return safe if safe == name else f"{safe or 'name'}-{text_hash(name)[:8]}"
