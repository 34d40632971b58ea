"""WARC files for the tests, written byte by byte from the format's definition."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial

import zstandard

WORDS = (
    "The committee met on Tuesday to talk about the harvest, and everybody agreed that the rain had been kind. "
)


def html(title: str, text: str = "", head: str = "") -> str:
    body = "".join(f"<p>{paragraph}</p>" for paragraph in (text or WORDS * 4, f"This paragraph is about {title}."))
    article = f"<article><h1>{title}</h1>{body}</article>"
    return f'<html lang="en"><head>{head}<title>{title}</title></head><body>{article}</body></html>'


def http(
    body: bytes, content_type: str = "text/html; charset=utf-8", status: str = "200 OK", extra: str = ""
) -> bytes:
    header = f"HTTP/1.1 {status}\r\n" + (f"Content-Type: {content_type}\r\n" if content_type else "") + extra
    return header.encode() + b"\r\n" + body


def record(
    number: int, block: bytes, kind: str = "response", content_type: str = "application/http; msgtype=response"
) -> bytes:
    header = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://www.example{number % 3}.org/page/{number}\r\n"
        f"WARC-Date: 2024-01-02T03:04:05Z\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012d}>\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return header.encode() + block + b"\r\n\r\n"


def pages(count: int) -> list[bytes]:
    return [record(number, http(html(f"Page {number}").encode())) for number in range(count)]


def pack(records: list[bytes], form: str) -> bytes:
    """As `plain`, `gzip` or `zstd` with a member per record, or `gzip-whole`, `zstd-whole` with one."""
    if form == "plain":
        return b"".join(records)
    compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(write_checksum=True).compress
    if form.startswith("gzip"):
        compress = partial(gzip.compress, mtime=0)
    return compress(b"".join(records)) if form.endswith("-whole") else b"".join(map(compress, records))


FORMS = ("plain", "gzip", "zstd", "gzip-whole", "zstd-whole")
