"""Web pages from WARC and WET files, with the place of every record and of every damage.

Records are framed here, so that a cut or broken file is noticed at the byte where it happens; their headers and
HTTP bodies (chunks, content encodings) are parsed by FastWARC. Format: ISO 28500:2017.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Literal

from fastwarc.warc import WarcRecord, WarcRecordType

from corpus.core.compressed import Stream

MAX_PAGE_BYTES = 20 * 2**20
# A range's reader starts so far before it: a member or page that holds a WARC file of its own would otherwise be
# taken for the records in it. Crawlers cut pages off well below that (Common Crawl at 5 MiB).
LOOK_BACK = 8 * 2**20
_MAX_HEADER_BYTES = 65536
_SEPARATOR = re.compile(rb"\r?\n\r?\n")
_VERSION = re.compile(rb"WARC/\d\.\d+\r?\n")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$", re.I | re.M)
_HTML_TYPES = {"text/html", "application/xhtml+xml"}
_LOOKS_LIKE_HTML = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|script)\b",
    re.I | re.S,
)
_BINARY = (b"%PDF-", b"\x89PNG", b"PK\x03\x04", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b")

SetAside = Callable[[str, str, str], None]  # place in the file, reason, record


@dataclass(frozen=True)
class Record:
    """A WARC record: its place in the file, its header, and its block (empty if longer than the limit)."""

    place: str
    header: bytes
    block: bytes
    too_large: bool


@dataclass(frozen=True)
class Page:
    """A page as it was fetched. `reason` says why its body cannot be a document, and is empty if it can."""

    place: str
    kind: Literal["html", "text"]
    url: str
    record_id: str
    date: str
    content_type: str
    charset: str | None
    body: bytes
    reason: str = ""


def read_pages(
    raw: IO[bytes], set_aside: SetAside, max_bytes: int = MAX_PAGE_BYTES, *, start: int = 0, stop: int = -1
) -> Iterator[Page | None]:
    """The pages of a WARC or WET file in their order; None for a record that is no page (a request, say).

    `start` and `stop` limit them to a range of the file (see `read_records`).

    Pages are HTTP responses, resources, and the plain texts of WET files. What cannot be read is given to
    `set_aside` (`truncated`, `corrupt`, `invalid_warc_record`); all that is whole before and after it is read.
    """
    for record in read_records(raw, set_aside, max_bytes, start=start, stop=stop):
        try:
            page = page_of(record, max_bytes)
        except (OSError, ValueError) as error:
            set_aside(record.place, "invalid_warc_record", str(error))
            continue
        yield page


def read_records(
    raw: IO[bytes], set_aside: SetAside, max_bytes: int = MAX_PAGE_BYTES, *, start: int = 0, stop: int = -1
) -> Iterator[Record]:
    """The whole records of a plain, gzip or zstd WARC file; see `read_pages` for the others.

    A range of a file, from byte `start` to `stop` (-1: its end), has the records from the first that begins a
    member (in a plain file: from the first) at or behind `start`, up to the first such at or behind `stop`; and
    the damage between them. So ranges that adjoin have all records and all damage of a file, each once.
    """
    begin = max(0, start - LOOK_BACK)
    stream = Stream(raw, begin)
    if begin:
        stream.skip_to(_VERSION, 16)
    ours = not start
    while True:
        while stream.peek(1) in (b"\r", b"\n"):
            stream.read(1)
        if stream.fill(1):
            if stop >= 0 and _record_begins_behind(stop, stream):
                return
            ours = ours or _record_begins_behind(start, stream)
            record = _next_record(stream, set_aside if ours else _of_another_range, max_bytes)
            if record is not None and ours:
                yield record
            continue
        if stream.damage is None:
            return
        # A cut inside a record was reported with the record; this one stands between records.
        if ours:
            set_aside(stream.place(), stream.damage.reason, stream.damage.detail)
        stream.resume()


def _record_begins_behind(place: int, stream: Stream) -> bool:
    offset, inner = stream.offset()
    return not inner and offset >= place and stream.peek(5) == b"WARC/"


def _of_another_range(place: str, reason: str, record: str) -> None:
    """Damage before a range, which is reported with the range before."""


def page_of(record: Record, max_bytes: int = MAX_PAGE_BYTES) -> Page | None:
    """The page in a record, or None."""
    parsed = _parse(record)
    kind = parsed.record_type
    if kind not in (WarcRecordType.response, WarcRecordType.resource, WarcRecordType.conversion):
        return None
    headers = parsed.headers
    identity = {
        "place": record.place,
        "url": (headers.get("WARC-Target-URI") or "").strip().removeprefix("<").removesuffix(">"),
        "record_id": (headers.get("WARC-Record-ID") or "").strip(),
        "date": headers.get("WARC-Date") or "",
    }
    if kind == WarcRecordType.response:
        return _response(record, parsed, identity, max_bytes)
    content_type = headers.get("Content-Type") or ""
    mime, _, _ = content_type.partition(";")
    reason = "too_large" if record.too_large else ""
    if kind == WarcRecordType.conversion:
        reason = reason or ("" if mime.strip().lower() in ("text/plain", "") else "not_text")
        return Page(
            **identity, kind="text", content_type=content_type, charset=None, body=record.block, reason=reason
        )
    reason = reason or _type_reason(mime.strip().lower(), record.block)
    charset = _charset(content_type)
    return Page(
        **identity, kind="html", content_type=content_type, charset=charset, body=record.block, reason=reason
    )


def _next_record(stream: Stream, set_aside: SetAside, max_bytes: int) -> Record | None:
    place = stream.place()
    end = stream.find(_SEPARATOR, _MAX_HEADER_BYTES)
    start = stream.peek(_MAX_HEADER_BYTES if end < 0 else end)
    length = _LENGTH.search(start)
    if end < 0 and len(start) < _MAX_HEADER_BYTES:
        stream.read(len(start))
        # The rest of a file of another kind is not a cut record.
        cut = stream.damage or start[:5] == b"WARC/"[: len(start)]
        _broken(stream, set_aside, place, "" if cut else "invalid_warc_record", _preview(start))
        return None
    if not _VERSION.match(start) or length is None or end < 0:
        stream.read(1)
        stream.skip_to(_VERSION, 16)
        _broken(None, set_aside, place, "invalid_warc_record", _preview(start))
        return None
    header, size = stream.read(end), int(length[1])
    too_large = size > max_bytes + _MAX_HEADER_BYTES
    block = stream.read(_MAX_HEADER_BYTES if too_large else size)
    arrived = len(block) + (stream.skip(size - len(block)) if too_large else 0)
    if arrived < size:
        _broken(stream, set_aside, place, "", f"{arrived} of {size} bytes: {_preview(header)}")
        return None
    # A bad check sum shows only behind the record, which is not to be trusted then.
    if stream.corrupt_within(len(b"\r\n\r\n")):
        _broken(stream, set_aside, place, "", _preview(header))
        return None
    return Record(place, header, block, too_large)


def _broken(stream: Stream | None, set_aside: SetAside, place: str, reason: str, detail: str) -> None:
    """Report a record that cannot be used, and go on behind what broke it."""
    damage = stream.damage if stream is not None else None
    set_aside(place, reason or (damage.reason if damage else "truncated"), detail)
    if stream is not None:
        stream.resume()


def _preview(data: bytes) -> str:
    return data[:1000].decode("utf-8", "replace")


def _parse(record: Record, decode: Literal["all", "none"] = "none") -> WarcRecord:
    parsed = WarcRecord.from_bytes(record.header + record.block)
    if parsed.record_type == WarcRecordType.response:
        parsed.parse_http(auto_decode=decode, quirks_mode=True)
    return parsed


def _response(record: Record, parsed: WarcRecord, identity: dict[str, str], max_bytes: int) -> Page:
    content_type = parsed.http_headers.get("Content-Type") or ""
    mime = content_type.partition(";")[0].strip().lower()
    status = parsed.http_headers.status_code
    body, reason = b"", ""
    if status is None:
        reason = "not_http"
    elif not 200 <= status <= 299:
        reason = "http_status"
    elif record.too_large:
        reason = "too_large"
    elif mime and mime not in _HTML_TYPES:
        reason = "not_html"
    else:
        body, reason = _http_body(record, parsed, max_bytes)
        reason = reason or _type_reason(mime, body)
    charset = _charset(content_type)
    return Page(**identity, kind="html", content_type=content_type, charset=charset, body=body, reason=reason)


def _http_body(record: Record, parsed: WarcRecord, max_bytes: int) -> tuple[bytes, str]:
    """The decoded body. Crawlers often store decoded bodies under the old headers, so that is tried second."""
    headers = parsed.http_headers
    if "Content-Encoding" not in headers and "Transfer-Encoding" not in headers:
        body = parsed.reader.read(max_bytes + 1)
    else:
        try:
            body = _parse(record, "all").reader.read(max_bytes + 1)
        except OSError:
            body = parsed.reader.read(max_bytes + 1)
            if b"<" not in body[:1024] or b"\0" in body[:1024]:
                return b"", "undecodable_body"
    return (b"", "too_large") if len(body) > max_bytes else (body, "")


def _type_reason(mime: str, body: bytes) -> str:
    """Why a body is not HTML, by its type and, where the type is missing or wrong, its first bytes."""
    if mime and mime not in _HTML_TYPES:
        return "not_html"
    if not mime and not _LOOKS_LIKE_HTML.match(body[:4096]):
        return "not_html"
    return "not_html" if body.startswith(_BINARY) else ""


def _charset(content_type: str) -> str | None:
    match = re.search(r"charset\s*=\s*[\"']?([^\s;\"']+)", content_type, re.I)
    return match[1] if match else None
