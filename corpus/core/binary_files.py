"""Files and URLs as bytes: opened, decompressed by their names, told apart."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import fsspec
import zstandard

from corpus.core.compressed import Stream
from corpus.core.errors import ZeroToOneError

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)  # of compressed data


@contextmanager
def open_binary(path: str) -> Iterator[IO[bytes]]:
    """Open a local file or URL for reading, decompressed by its suffix (.gz, .zst).

    Raises ZeroToOneError where it cannot be opened, and where compressed data are damaged or cut unless the
    caller catches DAMAGE.
    """
    try:
        opened = fsspec.open(path, "rb").open()
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file") from None
    except OSError as error:
        raise ZeroToOneError(f"{path}: {error.strerror or error}") from None
    with opened as raw:
        try:
            if path.endswith(".gz"):
                with gzip.open(raw, "rb") as unzipped:
                    yield unzipped
            elif path.endswith(".zst"):
                yield io.BufferedReader(_ZstdFile(raw))
            else:
                yield raw
        except DAMAGE as error:
            raise ZeroToOneError(f"{path}: compressed data cut or broken: {error}") from None


class _ZstdFile(io.RawIOBase):
    """Decompressed bytes; EOFError where the file is cut, which zstandard's own reader takes for its end."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._stream = Stream(raw)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        if not data and self._stream.damage is not None:
            raise EOFError(self._stream.damage.detail)
        buffer[: len(data)] = data
        return len(data)


def fingerprint(path: str) -> str:
    """A hash of a file's name, size and both ends (64 KiB each): tells a changed input at little cost."""
    system, name = fsspec.core.url_to_fs(path)
    size = int(system.size(name) or 0)
    with system.open(name, "rb") as handle:
        head = handle.read(65536)
        handle.seek(max(0, size - 65536))
        tail = handle.read(65536)
    digest = hashlib.sha256(f"{os.path.basename(name)}\x00{size}\x00".encode("utf-8", "surrogateescape"))
    digest.update(head)
    digest.update(tail)
    return digest.hexdigest()


def file_size(path: str) -> int:
    """Size in bytes of a local file or an fsspec URL."""
    system, name = fsspec.core.url_to_fs(path)
    return int(system.size(name) or 0)
