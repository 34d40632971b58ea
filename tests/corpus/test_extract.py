"""The step: every page accounted for, the same bytes for any number of workers."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from corpus.cli import app
from corpus.core.documents import DOCUMENT_SCHEMA
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.pages.extract import ExtractOptions, extract, host
from tests.corpus.web import WORDS, html, http, pack, pages, record

CHINESE = "委员会星期二开会讨论今年的收成，大家都认为朱镕基提到的雨水很好，粮食会比去年多。" * 6
GERMAN = "Der Ausschuss traf sich am Dienstag, um über die Ernte zu sprechen, und alle waren sich einig. " * 6
SHARED = Path(__file__).parents[2].parent / "shared"


def mixed_records() -> list[bytes]:
    """Good pages in three languages, and one of each kind that is no document."""
    chinese = html("收成", CHINESE).encode("gb18030")
    return [
        record(0, b"software: test", "warcinfo", "application/warc-fields"),
        *(record(number, http(html(f"Page {number}").encode())) for number in (1, 2)),
        record(3, http(chinese, "text/html; charset=gb2312")),
        record(4, http(html("Ernte", GERMAN).encode())),
        record(5, http(b"%PDF-1.4", "application/pdf")),
        record(6, http(html("gone").encode(), status="404 Not Found")),
        record(7, http(b"<html><body></body></html>")),
        record(8, WORDS.encode(), "conversion", "text/plain"),
        record(9, b"GET / HTTP/1.1\r\n\r\n", "request"),
    ]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "crawl.warc.gz"
    path.write_bytes(pack(mixed_records(), "gzip"))
    return path


def table(output: Path, name: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(part) for part in sorted((output / name).glob("*.parquet")))


def content(output: Path) -> dict[str, bytes]:
    return {str(part.relative_to(output)): part.read_bytes() for part in sorted(output.rglob("*.parquet"))}


def test_every_page_is_accounted_for(mixed: Path, tmp_path: Path) -> None:
    manifest = extract([mixed], tmp_path / "out", workers=1)
    documents, removed = table(tmp_path / "out", "documents"), table(tmp_path / "out", "removed")
    counts = manifest["counts"]
    assert (counts["pages_in"], counts["documents_kept"], counts["documents_removed"]) == (8, 5, 3)
    assert (documents.height, removed.height, counts["other_records"]) == (5, 3, 2)
    assert manifest["reasons"] == {"empty": 1, "http_status": 1, "not_html": 1}
    assert dict(documents.schema) == dict(DOCUMENT_SCHEMA)
    assert removed["reason"].to_list() == ["not_html", "http_status", "empty"]
    assert counts["not_html: pdf"] == 1
    assert json.loads(removed["metadata"][0])["type"] == "pdf"
    assert documents["lang"].to_list() == ["en", "en", "zh", "de", "en"]


def test_a_document_says_where_it_comes_from(mixed: Path, tmp_path: Path) -> None:
    extract([mixed], tmp_path / "out", workers=1)
    row = table(tmp_path / "out", "documents").row(2, named=True)
    assert "朱镕基" in row["text"]
    assert (row["url"], row["domain"]) == ("http://www.example0.org/page/3", "example0.org")
    assert (row["source"], row["date"]) == ("crawl.warc.gz", "2024-01-02T03:04:05Z")
    metadata = json.loads(row["metadata"])
    assert (metadata["charset"], metadata["charset_from"], metadata["title"]) == ("gb18030", "http", "收成")
    place = int(row["origin"].removeprefix("crawl.warc.gz:"))
    # The place is the offset of a gzip member that can be read alone.
    assert gzip.decompress(mixed.read_bytes()[place:]).split(b"\r\n")[2].endswith(b"/page/3")


def test_languages_are_chosen_and_the_others_keep_their_text(mixed: Path, tmp_path: Path) -> None:
    options = ExtractOptions(languages=("en", "zh"), domain="news")
    manifest = extract([mixed], tmp_path / "out", options, workers=1)
    assert manifest["reasons"]["other_language"] == 1
    removed = table(tmp_path / "out", "removed").filter(pl.col("reason") == "other_language")
    assert (removed["text"][0], removed["lang"][0]) == ("", "de")
    assert json.loads(removed["metadata"][0])["language_from"] == "bare text"
    assert set(table(tmp_path / "out", "documents")["domain"]) == {"news"}


def test_low_scores_are_removed_only_where_languages_are_chosen(mixed: Path, tmp_path: Path) -> None:
    options = ExtractOptions(languages=("de", "en", "zh"), minimum_language_score=1.0)
    with pytest.raises(ZeroToOneError, match=r"no documents left; .*low_language_score took 5"):
        extract([mixed], tmp_path / "strict", options, workers=1)
    anything = ExtractOptions(minimum_language_score=1.0)
    assert extract([mixed], tmp_path / "loose", anything, workers=1)["counts"]["documents_kept"] == 5


def test_same_bytes_for_any_number_of_workers_and_after_a_rerun(tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    for number in range(3):
        (crawl / f"part-{number}.warc.gz").write_bytes(pack([*mixed_records(), *pages(number)], "gzip"))
    extract([crawl], tmp_path / "one", workers=1)
    extract([crawl], tmp_path / "two", workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    before = content(tmp_path / "one")
    (tmp_path / "one" / "manifest.json").unlink()
    (tmp_path / "one" / ".state" / "unit-00001.json").unlink()
    (tmp_path / "one" / "documents" / "part-00001.parquet").unlink()
    extract([crawl], tmp_path / "one", workers=1)
    assert content(tmp_path / "one") == before


def test_ids_are_unique_even_where_a_crawl_repeats_a_record(tmp_path: Path) -> None:
    for name in ("a.warc", "b.warc"):
        (tmp_path / name).write_bytes(pack(pages(3) + pages(3), "plain"))
    manifest = extract([tmp_path / "a.warc", tmp_path / "b.warc"], tmp_path / "out", workers=1)
    documents, removed = table(tmp_path / "out", "documents"), table(tmp_path / "out", "removed")
    assert pl.concat([documents["id"], removed["id"]]).n_unique() == 12
    assert manifest["reasons"] == {"duplicate_body": 6}
    firsts = [json.loads(about)["duplicate_of"] for about in removed["metadata"]]
    assert firsts == documents["id"].to_list()


def test_a_body_under_another_charset_is_no_duplicate(tmp_path: Path) -> None:
    body = html("x", CHINESE).encode("gb18030")
    records = [record(n, http(body, f"text/html; charset={charset}")) for n, charset in enumerate(("gbk", "big5"))]
    (tmp_path / "x.warc").write_bytes(pack(records, "plain"))
    assert extract([tmp_path / "x.warc"], tmp_path / "out", workers=1)["reasons"] == {}


def test_duplicate_files_name_the_first(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        (tmp_path / name).write_bytes(html("x").encode())
    extract([tmp_path], tmp_path / "out", workers=1)
    removed = table(tmp_path / "out", "removed").row(0, named=True)
    assert json.loads(removed["metadata"])["duplicate_of"] == table(tmp_path / "out", "documents")["id"][0]


def test_hostile_pages_are_recorded_with_their_measure(tmp_path: Path) -> None:
    bodies = {
        "depth": "<div>" * 100_000,
        "attributes": "<p " + " ".join(f"a{n}=1" for n in range(1_000_000)) + ">",
        "": "<" * 1_000_000,
        " ": f"<p>{WORDS * 100_000}",
    }
    records = [record(n, http(f"<html><body>{body}{WORDS}".encode())) for n, body in enumerate(bodies.values())]
    (tmp_path / "x.warc").write_bytes(pack([*records, *pages(1)], "plain"))
    manifest = extract([tmp_path / "x.warc"], tmp_path / "out", workers=1)
    assert manifest["counts"]["pages_in"] == 5
    assert sum(manifest["reasons"].values()) + manifest["counts"]["documents_kept"] == 5
    over = [json.loads(about).get("over", "") for about in table(tmp_path / "out", "removed")["metadata"]]
    assert [measure.split()[0] for measure in over[:2]] == ["depth", "attributes"]
    assert manifest["reasons"]["too_complex"] == 2


def test_pages_in_many_charsets_are_read_right(tmp_path: Path) -> None:
    japanese = "委員会は火曜日に集まり、今年の収穫について話し合った。みんなが雨に感謝した。" * 8
    traditional = "委員會星期二開會討論今年的收成，大家都認為雨水很好，糧食會比去年多。" * 8
    bodies = [
        (html("收成", CHINESE).encode("gb18030"), "text/html; charset=gb2312", "朱镕基"),
        (html("收成", traditional).encode("big5"), "text/html; charset=big5", "糧食會比去年多"),
        (html("収穫", japanese).encode("shift_jis"), "text/html", "収穫について話し合った"),
        (b"\xff\xfe" + html("Ernte", GERMAN).encode("utf-16-le"), "text/html", "über die Ernte"),
    ]
    records = [record(n, http(body, content_type)) for n, (body, content_type, _) in enumerate(bodies)]
    (tmp_path / "x.warc.gz").write_bytes(pack(records, "gzip"))
    extract([tmp_path / "x.warc.gz"], tmp_path / "out", workers=1)
    documents = table(tmp_path / "out", "documents")
    assert documents["lang"].to_list() == ["zh", "zh", "ja", "de"]
    for text, (_, _, expected) in zip(documents["text"], bodies, strict=True):
        assert expected in text
        assert "\ufffd" not in text


def test_a_cut_file_keeps_what_is_whole(tmp_path: Path) -> None:
    data = pack(pages(5), "gzip")
    path = tmp_path / "cut.warc.gz"
    path.write_bytes(data[:-100])
    counts = extract([path], tmp_path / "out", workers=1)["counts"]
    assert (counts["pages_in"], counts["set_aside"]) == (4, 1)
    aside = table(tmp_path / "out", "set_aside").row(0, named=True)
    assert aside["reason"] == "truncated"
    assert aside["place"] == f"{path}:{len(pack(pages(4), 'gzip'))}"
    with pytest.raises(ZeroToOneError, match=r"cut\.warc\.gz:\d+: truncated"):
        extract([path], tmp_path / "strict", workers=1, strict=True)


def test_html_files_are_pages(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    link = '<link rel="canonical" href="https://docs.example.org/a">'
    (site / "a.html").write_bytes(html("A", head=link).encode())
    (site / "b.htm").write_bytes(html("B", CHINESE, '<meta charset="gb2312">').encode("gb18030"))
    extract([site], tmp_path / "out", workers=1)
    documents = table(tmp_path / "out", "documents")
    assert documents["url"].to_list() == ["https://docs.example.org/a", ""]
    assert documents["domain"].to_list() == ["docs.example.org", "site"]
    assert documents["origin"].to_list() == ["site/a.html", "site/b.htm"]
    assert "朱镕基" in documents["text"][1]


def test_replaced_characters_are_counted(tmp_path: Path) -> None:
    body = html("x", "Grüße aus Köln. " * 20).encode().replace(b"<p>This", b"<p>\xff\xfe This")
    (tmp_path / "x.warc").write_bytes(record(1, http(body)))
    assert extract([tmp_path / "x.warc"], tmp_path / "out", workers=1)["counts"]["characters_replaced"] == 2


def test_wrong_usage_is_told(mixed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="eng"):
        extract([mixed], tmp_path / "out", ExtractOptions(languages=("eng",)))
    with pytest.raises(UsageError, match="between 0 and 1"):
        extract([mixed], tmp_path / "out", ExtractOptions(minimum_language_score=65))
    with pytest.raises(UsageError, match="resiliparse"):
        extract([mixed], tmp_path / "out", ExtractOptions(extractor="other"))
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(ZeroToOneError, match=r"x\.jsonl"):
        extract([tmp_path / "x.jsonl"], tmp_path / "out")
    with pytest.raises(ZeroToOneError, match="language-model"):
        extract([mixed], tmp_path / "out", ExtractOptions(language_model=str(tmp_path / "none.ftz")))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://WWW.Example.org:8080/a", "example.org"),
        ("http://user@docs.example.co.uk/", "docs.example.co.uk"),
        ("http://[broken/", ""),
        ("", ""),
        ("urn:x", ""),
    ],
)
def test_hosts(url: str, name: str) -> None:
    assert host(url) == name


def test_the_verb_prints_one_json_object_and_warns(tmp_path: Path) -> None:
    (tmp_path / "cut.warc.gz").write_bytes(pack(pages(3), "gzip")[:-50])
    command = ["extract", str(tmp_path / "cut.warc.gz"), "-o", str(tmp_path / "out"), "--json", "--workers", "1"]
    run = subprocess.run(
        [sys.executable, "-m", "corpus.cli", *command], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(run.stdout)["counts"]["documents_kept"] == 2
    assert [line for line in run.stderr.splitlines() if "cut.warc.gz" in line and "truncated" in line]


def test_help_has_an_example() -> None:
    assert "Example: corpus extract" in CliRunner().invoke(app(), ["extract", "--help"]).output


@pytest.mark.skipif(not (SHARED / "data" / "web").is_dir(), reason="needs ../shared/data")
def test_chinese_pages_of_a_real_crawl_are_readable(tmp_path: Path) -> None:
    manifest = extract([SHARED / "data" / "web" / "chinese.warc.gz"], tmp_path / "out", workers=1)
    assert manifest["counts"]["documents_kept"] == 38
    documents = table(tmp_path / "out", "documents")
    assert set(documents["lang"]) == {"zh"}
    assert not documents["text"].str.contains("\ufffd").any()
