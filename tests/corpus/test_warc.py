"""Reading WARC files: against warcio, and cut or broken at every byte."""

import gzip
import io
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from corpus.pages.warc import Page, read_pages
from tests.corpus.web import FORMS, WORDS, html, http, pack, pages, record

RECORDS = pages(5)


def read(data: bytes, max_bytes: int = 10**6) -> tuple[list[Page], list[tuple[str, str, str]]]:
    aside: list[tuple[str, str, str]] = []
    found = list(read_pages(io.BytesIO(data), lambda *what: aside.append(what), max_bytes))
    return [page for page in found if page is not None], aside


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_hold_the_same_pages(form: str) -> None:
    found, aside = read(pack(RECORDS, form))
    assert not aside
    assert [page.body for page in found] == [html(f"Page {number}").encode() for number in range(5)]
    assert found[3].url == "http://www.example0.org/page/3"
    assert (found[0].charset, found[0].date) == ("utf-8", "2024-01-02T03:04:05Z")


@pytest.mark.parametrize("form", ["plain", "gzip"])
def test_places_are_those_of_warcio(form: str) -> None:
    data = pack(RECORDS, form)
    places = []
    iterator = ArchiveIterator(io.BytesIO(data))
    for _ in iterator:
        places.append(str(iterator.get_record_offset()))
    assert [page.place for page in read(data)[0]] == places


def test_places_inside_one_member_count_uncompressed_bytes() -> None:
    places = [page.place for page in read(pack(RECORDS, "gzip-whole"))[0]]
    assert places == ["0", *(f"0+{sum(map(len, RECORDS[:number]))}" for number in range(1, 5))]


@pytest.mark.parametrize("form", FORMS)
def test_cut_at_any_byte_keeps_what_is_whole_and_tells(form: str) -> None:
    data = pack(RECORDS, form)
    whole, _ = read(data)
    ends = [0]
    for number in range(1, 6):
        ends.append(len(pack(RECORDS[:number], form)) if not form.endswith("-whole") else -1)
    for cut in range(1, len(data)):
        found, aside = read(data[:cut])
        assert found == whole[: len(found)], cut
        if cut in ends:
            assert not aside, cut
        elif form == "plain" and any(0 < end - cut <= 4 for end in ends):
            assert not aside, "only the empty lines behind a record are missing"
        else:
            assert len(aside) == 1, cut
            assert aside[0][1] == "truncated" or cut < 4, aside
        if not form.endswith("-whole"):
            assert len(found) >= sum(end <= cut for end in ends[1:]), "a whole record was lost"
            assert len(found) <= sum(end - 12 <= cut for end in ends[1:]), "a cut record was taken for whole"


def test_most_of_a_file_in_one_gzip_member_survives_a_cut() -> None:
    data = pack(pages(400), "gzip-whole")
    found, aside = read(data[: len(data) // 2])
    assert 100 < len(found) < 300
    assert [what[1] for what in aside] == ["truncated"]


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_a_broken_member_costs_one_record(form: str) -> None:
    members = [pack([item], form) for item in RECORDS]
    # From the tenth byte on: in the magic and flags a flip can make it another kind of file.
    for at in range(12, len(members[2]), 7):
        broken = bytearray(members[2])
        broken[at] ^= 0xFF
        found, aside = read(b"".join([*members[:2], bytes(broken), *members[3:]]))
        urls = [page.url[-1] for page in found]
        assert urls == ["0", "1", "3", "4"], at
        assert [(place, reason) for place, reason, _ in aside] == [(str(sum(map(len, members[:2]))), "corrupt")], (
            at
        )


def test_garbage_between_records_is_set_aside_and_passed_over() -> None:
    found, aside = read(b"".join([RECORDS[0], b"garbage " * 20_000, RECORDS[1], RECORDS[2]]))
    assert [page.url[-1] for page in found] == ["0", "1", "2"]
    assert [(place, reason) for place, reason, _ in aside] == [(str(len(RECORDS[0])), "invalid_warc_record")]


def test_a_file_of_another_kind_is_set_aside() -> None:
    for data in (b"<html><body>no WARC</body></html>", b"PK\x03\x04" + b"x" * 100_000, gzip.compress(b"text")):
        found, aside = read(data)
        assert not found
        assert [reason for _, reason, _ in aside] == ["invalid_warc_record"]


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise(data: bytes) -> None:
    read(data)
    read(b"WARC/1.0\r\n" + data)
    read(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + data)
    read(RECORDS[0] + data + RECORDS[1])


def test_what_is_no_page_and_what_is_no_document() -> None:
    text = html("x").encode()
    blocks = {
        "": http(text),
        "not_html": http(b"%PDF-1.4 ...", "application/pdf"),
        "http_status": http(text, status="404 Not Found"),
        "not_http": b"",
        "undecodable_body": http(b"\x00\x01\x02", extra="Content-Encoding: gzip\r\n"),
        "too_large": http(b"<html>" + b"x" * 300_000),
    }
    records = [
        record(0, b"software: test", "warcinfo", "application/warc-fields"),
        record(1, b"GET / HTTP/1.1\r\n\r\n", "request"),
    ]
    records += [record(number, block) for number, block in enumerate(blocks.values())]
    found = list(read_pages(io.BytesIO(pack(records, "gzip")), lambda *what: pytest.fail(str(what)), 200_000))
    assert [page and page.reason for page in found] == [None, None, *blocks]


def test_a_page_far_over_the_limit_is_passed_over() -> None:
    found, aside = read(pack([record(0, http(b"<html>" + b"x" * 500_000)), RECORDS[1]], "gzip"), 10_000)
    assert [(page.reason, page.body == b"") for page in found] == [("too_large", True), ("", False)]
    assert not aside


def test_a_compressed_bomb_is_too_large() -> None:
    bomb = http(gzip.compress(b"<html>" + bytes(5_000_000)), extra="Content-Encoding: gzip\r\n")
    assert read(record(0, bomb), 100_000)[0][0].reason == "too_large"


@pytest.mark.parametrize(
    ("extra", "encode"),
    [
        ("Content-Encoding: gzip\r\n", gzip.compress),
        ("Content-Encoding: deflate\r\n", zlib.compress),
        ("Content-Encoding: zstd\r\n", zstandard.ZstdCompressor().compress),
        ("Transfer-Encoding: chunked\r\n", lambda data: b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)),
        ("Content-Encoding: gzip\r\n", bytes),  # stored decoded under the old header
        ("Transfer-Encoding: chunked\r\n", bytes),
    ],
)
def test_http_encodings(extra: str, encode: object) -> None:
    text = html("encoded").encode()
    assert read(record(0, http(encode(text), extra=extra)))[0][0].body == text  # type: ignore[operator]


def test_types_missing_or_wrong() -> None:
    text = html("x").encode()
    cases = [
        http(text, ""),
        http(b"just text", ""),
        http(b"%PDF-1.7", "text/html"),
        http(text, "application/xhtml+xml"),
    ]
    found, _ = read(b"".join(record(number, block) for number, block in enumerate(cases)))
    assert [page.reason for page in found] == ["", "not_html", "not_html", ""]


def test_wet_records_are_plain_texts() -> None:
    found, _ = read(pack([record(0, WORDS.encode(), "conversion", "text/plain")], "gzip"))
    assert [(page.kind, page.body.decode()) for page in found] == [("text", WORDS)]


def test_resources_are_pages() -> None:
    found, _ = read(record(0, html("x").encode(), "resource", "text/html; charset=utf-8"))
    assert (found[0].kind, found[0].reason, found[0].charset) == ("html", "", "utf-8")
