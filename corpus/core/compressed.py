"""A compressed file as a stream of bytes that knows where each came from and where the file is damaged.

WARC files are usually one gzip or zstd member per record, so that a record can be read alone: its place is
the member's offset in the file, and where a member holds several records `OFFSET+N`, N bytes into it.
"""

from __future__ import annotations

import io
import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

import zstandard

_ZSTD_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_READ = 65536
_FIRST_MEMBERS = 2**20
_RESCAN = 2**20  # bytes that a broken member's decoder may have read of the members behind it
_BROKEN = (zlib.error, zstandard.ZstdError)


@dataclass(frozen=True)
class _Codec:
    """A compression: the first bytes of its members, their decoder, how many bytes that is given at once, and
    after how many at most it begins to give something."""

    magic: bytes
    decoder: Callable[[], Any]
    bite: int
    silent: int


_GZIP = _Codec(b"\x1f\x8b\x08", lambda: zlib.decompressobj(31), _READ // 4, 1024)
# Small bites: one kilobyte of zstd can hold 32 MB, one of gzip a megabyte. A block has up to 128 KiB.
_ZSTD = _Codec(b"\x28\xb5\x2f\xfd", lambda: zstandard.ZstdDecompressor().decompressobj(), 1024, 2**17 + 1024)


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

    After damage `resume` goes on at the next whole member, if there is one. With a `start` above 0 it begins at
    the first member at or behind that byte that begins a WARC record, in a plain file at that byte.
    """

    def __init__(self, raw: IO[bytes], start: int = 0) -> None:
        self.damage: Damage | None = None
        source = _Source(raw)
        codec = _codec(source.peek(4))
        self._plain_start = start if codec is None else None
        if start:
            source.seek(start)
        self._pieces = _plain(source) if codec is None else _members(source, codec, seek=start > 0)
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

    def offset(self) -> tuple[int, int]:
        """Where the next byte stands: its member's offset in the file and its own in the member.

        A plain file is taken for one of members of one byte.
        """
        if self._plain_start is not None:
            return self._plain_start + self._position, 0
        index = bisect_right(self._starts, self._position) - 1
        return self._offsets[index], self._position - self._starts[index]

    def place(self) -> str:
        """Where the next byte stands, in words: `OFFSET` or `OFFSET+N`."""
        offset, inner = self.offset()
        return f"{offset}+{inner}" if inner else str(offset)

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


def can_be_split(raw: IO[bytes]) -> bool:
    """Whether a file of WARC records can be read from its middle: it is plain, or compressed record by record.

    That is told by the first megabyte: whether the first members are whole there, and another one behind them
    begins a record too.
    """
    head = raw.read(_FIRST_MEMBERS)
    codec = _codec(head[:4])
    if codec is None:
        return head.startswith(b"WARC/")
    for piece in _members(_Source(io.BytesIO(head)), codec, seek=False):
        if isinstance(piece, Damage):
            return False
        if isinstance(piece, _Member) and piece.offset:
            return _begins_record(head[piece.offset : piece.offset + codec.silent], codec)
    return False


class _Source:
    """Raw bytes that can be put back, with their offset."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._kept, self.offset = raw, b"", 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end: where a decoder fails must not depend on reads before."""
        data = self.peek(size)
        self._kept = self._kept[len(data) :]
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

    def seek(self, offset: int) -> None:
        self._raw.seek(offset)
        self._kept, self.offset = b"", offset


def _codec(head: bytes) -> _Codec | None:
    if head.startswith(_GZIP.magic):
        return _GZIP
    return _ZSTD if head == _ZSTD.magic or _ZSTD_SKIPPABLE.match(head) else None


def _plain(source: _Source) -> Iterator[_Member | Damage | bytes]:
    while data := source.take(_READ):
        yield data


def _members(source: _Source, codec: _Codec, seek: bool) -> Iterator[_Member | Damage | bytes]:
    if seek and not _seek_member(source, codec):
        return
    while window := source.peek(codec.bite):
        padding = len(window) - len(window.lstrip(b"\0"))
        if padding:
            source.take(padding)
            continue
        yield _Member(source.offset)
        yield from _member(source, codec)


def _member(source: _Source, codec: _Codec) -> Iterator[Damage | bytes]:
    """The content of the member that begins here, up to its end or the bite in which it breaks."""
    start = source.offset
    decoder = codec.decoder()
    while not decoder.eof:
        data = source.take(codec.bite)
        if not data:  # or damage that the decoder took for data, which ran on over the members behind it
            yield _damage(source, codec, start, 0, "the file ends inside compressed data")
            return
        try:
            piece = decoder.decompress(data)
        except _BROKEN as error:
            yield _damage(source, codec, start, len(data), f"broken compressed data: {error}")
            return
        if piece:
            yield piece
    source.put_back(decoder.unused_data)


def _damage(source: _Source, codec: _Codec, start: int, taken: int, detail: str) -> Damage:
    """Move on to the next member behind the broken one's `start`; a truncation where there is none.

    `taken` bytes were given to the decoder last; those that it may have read of the members behind come before.
    """
    source.seek(max(start + 1, source.offset - taken - _RESCAN))
    return Damage("corrupt" if _seek_member(source, codec) else "truncated", detail)


def _seek_member(source: _Source, codec: _Codec) -> bool:
    """Move on to the next member, from here on, that begins a WARC record; the magic alone proves nothing."""
    while window := source.peek(_READ):
        at = window.find(codec.magic)
        if at < 0:
            source.take(max(1, len(window) - len(codec.magic) + 1) if len(window) == _READ else len(window))
            continue
        source.take(at)
        if _begins_record(source.peek(codec.silent), codec):
            return True
        source.take(1)
    return False


def _begins_record(data: bytes, codec: _Codec) -> bool:
    decoder, found = codec.decoder(), b""
    with suppress(*_BROKEN):
        for start in range(0, len(data), 1024):
            found += decoder.decompress(data[start : start + 1024])
            if decoder.eof or len(found) >= len(b"WARC/"):
                break
    return found.startswith(b"WARC/")
