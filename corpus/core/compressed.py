"""A compressed file as a stream of bytes that knows where each came from and where the file is damaged.

WARC files are usually one gzip or zstd member per record, so that a record can be read alone: its place is
the member's offset in the file, and where a member holds several records `OFFSET+N`, N bytes into it.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

import zstandard

_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_READ = 65536


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class Damage:
    """The stream breaks off: `reason` is `truncated` (nothing follows) or `corrupt` (what follows is readable)."""

    reason: str
    detail: str


@dataclass(frozen=True)
class _Member:
    offset: int


class Stream:
    """The decompressed bytes of a plain, gzip or zstd file up to its end or the first damage.

    After damage `resume` goes on at the next whole member, if there is one.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self.damage: Damage | None = None
        self._pieces = _pieces(_Source(raw))
        self._buffer = bytearray()
        self._position = 0  # of the buffer's first byte in the decompressed stream
        self._starts: list[int] = [0]
        self._offsets: list[int] = [0]
        self._ended = False

    def fill(self, size: int) -> bool:
        """Buffer at least `size` bytes; False if there are not so many before the end or the damage."""
        while len(self._buffer) < size and self.damage is None and not self._ended:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
            elif isinstance(piece, Damage):
                self.damage = piece
            elif isinstance(piece, _Member):
                self._starts.append(self._position + len(self._buffer))
                self._offsets.append(piece.offset)
            else:
                self._buffer += piece
        return len(self._buffer) >= size

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end, without moving on."""
        self.fill(size)
        return bytes(self._buffer[:size])

    def read(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        data = self.peek(size)
        self._drop(len(data))
        return data

    def skip(self, size: int) -> int:
        """Move on by `size` bytes in bounded memory; returns by how many it could."""
        left = size
        while left and self.fill(1):
            step = min(left, len(self._buffer))
            self._drop(step)
            left -= step
        return size - left

    def corrupt_within(self, size: int) -> bool:
        """Whether the member that the last byte read came from turns out corrupt within the next `size` bytes."""
        self.fill(size + 1)
        corrupt = self.damage is not None and self.damage.reason == "corrupt" and len(self._buffer) <= size
        return corrupt and self._starts[-1] < self._position

    def find(self, pattern: re.Pattern[bytes], limit: int) -> int:
        """Index behind the first match within the next `limit` bytes, or -1."""
        size = min(4096, limit)
        while True:
            enough = self.fill(size)
            match = pattern.search(self._buffer, 0, limit)
            if match:
                return match.end()
            if not enough or size >= limit:
                return -1
            size = min(2 * size, limit)

    def skip_to(self, pattern: re.Pattern[bytes], longest: int) -> None:
        """Move on to the next match (of at most `longest` bytes), or to the end."""
        while self.fill(1):
            self.fill(_READ)
            match = pattern.search(self._buffer)
            if match:
                self._drop(match.start())
                return
            at_end = not self.fill(len(self._buffer) + 1)
            self._drop(len(self._buffer) if at_end else max(0, len(self._buffer) - _READ // 2 - longest))

    def place(self) -> str:
        """Where the next byte stands in the file: `OFFSET` or `OFFSET+N`."""
        index = bisect_right(self._starts, self._position) - 1
        inner = self._position - self._starts[index]
        if self._offsets[index] < 0:
            return str(inner)
        return f"{self._offsets[index]}+{inner}" if inner else str(self._offsets[index])

    def resume(self) -> None:
        """Forget the damage and what came before it."""
        self._drop(len(self._buffer))
        self.damage = None

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._position += size
        passed = bisect_right(self._starts, self._position) - 1
        if passed > 0:
            del self._starts[:passed], self._offsets[:passed]


class _Source:
    """Raw bytes that can be put back, with their offset."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._kept, self.offset = raw, b"", 0

    def take(self, size: int = _READ) -> bytes:
        data = self._kept[:size] or self._raw.read(size)
        self._kept = self._kept[len(data) :] if self._kept else b""
        self.offset += len(data)
        return data

    def put_back(self, data: bytes) -> None:
        self._kept = data + self._kept
        self.offset -= len(data)

    def peek(self, size: int) -> bytes:
        while len(self._kept) < size:
            more = self._raw.read(_READ)
            if not more:
                break
            self._kept += more
        return self._kept[:size]


def _pieces(source: _Source) -> Iterator[_Member | Damage | bytes]:
    head = source.peek(4)
    if head.startswith(_GZIP):
        return _members(source, _GZIP, lambda: zlib.decompressobj(31), _READ // 4)
    if head == _ZSTD or _ZSTD_SKIPPABLE.match(head):
        # Small bites: one kilobyte of zstd can hold 32 MB, one of gzip a megabyte.
        return _members(source, _ZSTD, lambda: zstandard.ZstdDecompressor().decompressobj(), 1024)
    return _plain(source)


def _plain(source: _Source) -> Iterator[_Member | Damage | bytes]:
    yield _Member(-1)
    while data := source.take():
        yield data


def _members(
    source: _Source, magic: bytes, new_decoder: Callable[[], _Decoder], bite: int
) -> Iterator[_Member | Damage | bytes]:
    while source.peek(1):
        start = source.offset
        if not source.peek(bite).strip(b"\0"):  # padding
            source.take(bite)
            continue
        yield _Member(start)
        decoder = new_decoder()
        while not decoder.eof:
            data = source.take(bite)
            if not data:
                yield Damage("truncated", "the file ends inside compressed data")
                return
            try:
                piece = decoder.decompress(data)
            except (zlib.error, zstandard.ZstdError) as error:
                source.put_back(data)
                readable = _seek_member(source, start + 1, magic, new_decoder)
                yield Damage("corrupt" if readable else "truncated", f"broken compressed data: {error}")
                break
            if piece:
                yield piece
        else:
            source.put_back(decoder.unused_data)


def _seek_member(source: _Source, earliest: int, magic: bytes, new_decoder: Callable[[], _Decoder]) -> bool:
    """Move on to the next member that begins a WARC record."""
    while window := source.peek(_READ):
        at = window.find(magic, max(0, earliest - source.offset))
        if at < 0:
            source.take(max(1, len(window) - len(magic) + 1) if len(window) == _READ else len(window))
            continue
        source.take(at)
        try:
            if new_decoder().decompress(source.peek(1024)).startswith(b"WARC/"):
                return True
        except (zlib.error, zstandard.ZstdError):
            pass
        source.take(1)
        earliest = source.offset
    return False
