"""Listings of files, beside them, from elsewhere, over HTTP; and ranges read over HTTP."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpus.core.errors import ZeroToOneError
from corpus.core.locations import list_files
from corpus.pages.extract import ExtractOptions, extract
from tests.corpus.web import pack, pages
from tests.programs import ONE, call


class Handler(SimpleHTTPRequestHandler):
    """Serves files and their ranges, and counts the bytes."""

    sent = 0

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        part = data[int(asked[1]) : int(asked[2]) + 1] if asked else data
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        type(self).sent += len(part)
        self.wfile.write(part)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("aiohttp")
    (tmp_path / "served").mkdir()
    Handler.sent = 0
    service = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "served")))
    threading.Thread(target=service.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()


def bucket(root: Path) -> list[str]:
    """A crawl as Common Crawl lays it out; the lines of its listing."""
    lines = [f"crawl-data/CC-1/segments/{number}/warc/{number}.warc.gz" for number in range(2)]
    for number, line in enumerate(lines):
        (root / line).parent.mkdir(parents=True)
        (root / line).write_bytes(pack(pages(3 + number), "gzip"))
    listing = root / "crawl-data" / "CC-1" / "warc.paths.gz"
    listing.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return lines


def test_lines_begin_at_the_root_of_a_bucket(tmp_path: Path) -> None:
    lines = bucket(tmp_path)
    found = list_files([tmp_path / "crawl-data" / "CC-1" / "warc.paths.gz"])
    assert [name for _, name in found] == lines
    assert [path for path, _ in found] == [str(tmp_path / line) for line in lines]


def test_lines_begin_beside_the_listing_or_at_the_base(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.warc").write_bytes(pack(pages(1), "plain"))
    (tmp_path / "here.paths").write_text("# two lines\n\na/x.warc\r\n")
    assert list_files([tmp_path / "here.paths"]) == [(str(tmp_path / "a" / "x.warc"), "a/x.warc")]
    (tmp_path / "list.txt").write_text(f"x.warc\n{tmp_path}/a/x.warc\n")
    assert list_files([f"paths:{tmp_path}/list.txt"], str(tmp_path / "a"))[0] == (
        f"{tmp_path}/a/x.warc",
        "x.warc",
    )


def test_a_listing_over_http_and_one_that_was_downloaded(server: str, tmp_path: Path) -> None:
    bucket(tmp_path / "served")
    listing = "crawl-data/CC-1/warc.paths.gz"
    extract([f"{server}/{listing}"], tmp_path / "remote", workers=1)
    (tmp_path / "warc.paths.gz").write_bytes((tmp_path / "served" / listing).read_bytes())
    options = ExtractOptions(paths_base=f"{server}/")
    extract([tmp_path / "warc.paths.gz"], tmp_path / "downloaded", options, workers=1)
    extract([tmp_path / "served" / listing], tmp_path / "local", workers=1)
    frames = [
        pl.read_parquet(tmp_path / name / "documents" / "*.parquet") for name in ("remote", "downloaded", "local")
    ]
    assert frames[0].height == 7
    assert frames[0].equals(frames[1])
    assert frames[0].equals(frames[2])
    assert frames[0]["source"].unique().sort().to_list()[0] == "crawl-data/CC-1/segments/0/warc/0.warc.gz"


def test_lists_that_cannot_be_read(server: str, tmp_path: Path) -> None:
    (tmp_path / "x.warc").write_bytes(pack(pages(1), "plain"))
    (tmp_path / "empty.warc").write_bytes(b"")
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    cases: dict[str, tuple[bytes, str]] = {
        "none.paths": (b"", "lists no files"),
        "comments.paths": (b"# nothing\n", "lists no files"),
        "missing.paths": (b"x.warc\ny.warc\n", "missing.paths:2: .*y.warc: no such file"),
        "hole.paths": (b"empty.warc\n", "hole.paths:1: .*empty.warc: empty file"),
        "kind.paths": (b"x.pdf\n", "x.pdf: unknown format"),
        "bytes.paths": (b"x.warc\n\xff\n", "bytes.paths:2: not UTF-8"),
        "cut.paths.gz": (gzip.compress(b"x.warc\n" * 99)[:-9], "cut or broken"),
        "scheme.paths": (b"nope://x/x.warc\n", "nope"),
        "web.paths": (f"{server}/none.warc\n".encode(), "web.paths:1: .*none.warc: no such file"),
    }
    for name, (content, told) in cases.items():
        (tmp_path / name).write_bytes(content)
        outcome = call("corpus", "extract", tmp_path / name, "-o", tmp_path / "out", *ONE)
        assert outcome.status == 1, (name, outcome)
        assert re.search(told, outcome.message), outcome.message
        assert name in outcome.message
    with pytest.raises(ZeroToOneError, match=r"gone\.paths: no such file"):
        list_files([tmp_path / "gone.paths"])


@pytest.mark.parametrize("line", ["/etc/x.warc", "file:///etc/x.warc", "simplecache::file:///etc/x.warc"])
def test_a_listing_from_elsewhere_names_no_files_here(line: str, server: str, tmp_path: Path) -> None:
    (tmp_path / "served" / "evil.paths").write_text(f"{line}\n")
    with pytest.raises(ZeroToOneError, match="may not name files here"):
        list_files([f"{server}/evil.paths"])


def test_a_range_over_http_reads_no_more_than_it_needs(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corpus.core.engine import UnitOutput
    from corpus.core.inputs import plan_units
    from corpus.pages.extract import _rows
    from tests.corpus.test_byte_ranges import bodies

    data = pack([*pages(2), *bodies(1, 20_000)], "gzip")
    (tmp_path / "served" / "x.warc.gz").write_bytes(data)
    monkeypatch.setattr("corpus.core.inputs.UNIT_BYTES", 2**20)
    units = plan_units([f"{server}/x.warc.gz"])
    assert len(units) > 20
    Handler.sent = 0
    parameters = {"domain": "x", "extractor": "resiliparse", "output_format": "text"}
    parameters |= {"languages": [], "language_model": None}
    list(_rows(units[-2], parameters, UnitOutput(tmp_path / "out", 0)))
    assert 2**20 < Handler.sent < len(data) * 0.8
