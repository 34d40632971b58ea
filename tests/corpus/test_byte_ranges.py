"""Ranges of a file: together they hold what the whole file holds, each record and each damage once."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.core.compressed import can_be_split
from corpus.core.engine import UnitOutput
from corpus.core.inputs import plan_units, read_documents
from corpus.pages import warc
from corpus.pages.extract import extract
from corpus.pages.warc import read_records
from tests.corpus.web import FORMS, http, pack, pages, record

LARGEST = 10**6
Damaged = tuple[str, str, str]


def read(data: bytes, start: int = 0, stop: int = -1) -> tuple[list[warc.Record], list[Damaged]]:
    aside: list[Damaged] = []
    records = list(
        read_records(io.BytesIO(data), lambda *what: aside.append(what), LARGEST, start=start, stop=stop)
    )
    return records, aside


def read_in_ranges(data: bytes, size: int) -> tuple[list[warc.Record], list[Damaged]]:
    records: list[warc.Record] = []
    aside: list[Damaged] = []
    starts = range(0, len(data), size) if can_be_split(io.BytesIO(data)) else [0]
    for start, stop in zip(starts, [*starts[1:], -1], strict=True):
        found, broken = read(data, start, stop)
        records += found
        aside += broken
    return records, aside


def bodies(seed: int, count: int) -> list[bytes]:
    """Records of random length, some compressible, some not, some with WARC records in their body."""
    draw = random.Random(seed)
    inner = [b"", b"", pack(pages(2), "plain"), pack(pages(2), "gzip"), pack(pages(2), "zstd")]
    blocks = [
        draw.choice([draw.randbytes, lambda size: b"word " * (size // 5)])(draw.randrange(3000))
        + draw.choice(inner)
        for _ in range(count)
    ]
    return [record(number, http(block)) for number, block in enumerate(blocks)]


def damaged(data: bytes, seed: int, kind: str) -> bytes:
    draw = random.Random(seed)
    broken = bytearray(data)
    at = draw.randrange(12, len(data))
    if kind == "flipped":
        broken[at] ^= 1 << draw.randrange(8)
    elif kind == "zeroed":
        broken[at : at + 500] = bytes(len(broken[at : at + 500]))
    elif kind == "cut out":
        del broken[at : at + draw.randrange(1, 2000)]
    elif kind == "put in":
        broken[at:at] = draw.randbytes(draw.randrange(1, 2000))
    elif kind == "cut off":
        del broken[at:]
    return bytes(broken)


KINDS = ("whole", "flipped", "zeroed", "cut out", "put in", "cut off")


@pytest.mark.parametrize("form", FORMS)
@given(
    seed=st.integers(0, 10**9), count=st.integers(1, 40), size=st.integers(50, 9000), kind=st.sampled_from(KINDS)
)
@example(seed=196, count=17, size=50, kind="zeroed")  # which gzip decodes as data to the end of the file
@settings(max_examples=40, deadline=None)
def test_ranges_hold_what_the_file_holds(form: str, seed: int, count: int, size: int, kind: str) -> None:
    data = damaged(pack(bodies(seed, count), form), seed, kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warc, "LOOK_BACK", 6000)  # longer than the longest record
        assert read_in_ranges(data, size) == read(data)


@pytest.mark.parametrize("form", FORMS)
def test_one_member_for_all_is_not_split(form: str) -> None:
    assert can_be_split(io.BytesIO(pack(bodies(1, 20), form))) == (not form.endswith("-whole"))
    assert not can_be_split(io.BytesIO(pack(bodies(1, 1), "gzip")))
    assert not can_be_split(io.BytesIO(b"<html>"))


@pytest.mark.parametrize("form", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("inner", ["plain", "gzip", "zstd"])
def test_a_page_that_holds_a_crawl_is_one_page(form: str, inner: str) -> None:
    crawl = pack([record(number, http(random.Random(number).randbytes(500))) for number in range(20)], inner)
    records = [*pages(3), record(9, http(crawl)), *pages(3)]
    data = pack(records, form)
    assert [len(found.block) for (found,) in zip(read_in_ranges(data, 3000)[0])] == [
        len(item.partition(b"\r\n\r\n")[2]) - 4 for item in records
    ]


def test_frames_whose_first_block_is_long_are_found() -> None:
    """A zstd decoder gives nothing before a block is whole."""
    records = [record(number, http(random.Random(number).randbytes(300_000))) for number in range(4)]
    data = pack(records, "zstd")
    assert read_in_ranges(data, 250_000) == read(data)
    broken = bytearray(data)
    broken[len(pack(records[:1], "zstd")) + 1000] ^= 1
    found, aside = read(bytes(broken))
    assert ([item.place for item in found], len(aside)) == (
        [str(len(pack(records[:number], "zstd"))) for number in (0, 2, 3)],
        1,
    )


LINES = st.lists(
    st.one_of(
        st.text(max_size=30).map(lambda text: json.dumps({"text": text}).encode()),
        st.sampled_from([b"", b"nope", b"[1]", b'{"text": "\xff"}', b'{"text": "\xe6\x94\xb6\xe6\x88\x90"}']),
    ),
    min_size=1,
)


@given(lines=LINES, size=st.integers(1, 200), end=st.sampled_from([b"", b"\n"]))
@settings(max_examples=150, deadline=None)
def test_ranges_of_lines_hold_the_rows_and_numbers_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int, end: bytes
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    path = folder / "rows.jsonl"
    path.write_bytes(b'{"text": "first"}\n' + b"\n".join(lines) + end)

    def rows_and_damage(unit_bytes: int) -> tuple[list[tuple], list]:
        out = UnitOutput(folder / "out", 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("corpus.core.inputs.UNIT_BYTES", unit_bytes)
            units = plan_units([path])
        frames = [frame for unit in units for frame in read_documents(unit, out)]
        return pl.concat(frames).select("id", "text", "origin", "source").rows(), out._set_aside

    assert rows_and_damage(size) == rows_and_damage(10**9)


@pytest.mark.parametrize("form", ["plain", "gzip", "zstd"])
def test_ranges_of_a_crawl_give_the_documents_of_the_file(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffix = {"plain": "", "gzip": ".gz", "zstd": ".zst"}[form]
    source = tmp_path / f"crawl.warc{suffix}"
    source.write_bytes(pack(pages(12), form)[:-20])

    def rows(name: str) -> list[tuple]:
        extract([source], tmp_path / name, workers=1)
        tables = [pl.read_parquet(tmp_path / name / table / "*.parquet") for table in ("documents", "set_aside")]
        return [row for table in tables for row in table.rows()]

    whole = rows("whole")
    monkeypatch.setattr("corpus.core.inputs.UNIT_BYTES", 900)
    assert len(plan_units([source])) > 4
    assert rows("ranges") == whole
    assert len(whole) == 12  # eleven documents, and the cut record
