"""URL rules: what each blocks and what it does not, and both verbs that apply them."""

from pathlib import Path

import polars as pl
import pytest

from corpus.core.url_rules import read_lists, url_reasons
from corpus.pages.extract import ExtractOptions, extract
from tests.corpus.web import pages
from tests.programs import ONE, call, documents, write_jsonl


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "lists"
    (folder / "adult").mkdir(parents=True)
    (folder / "domains.txt").write_text("# comment\n\nExample.com\nwww.foo.co.uk\nxxx\n")
    (folder / "adult" / "domains").write_text("listed.net\n")
    (folder / "adult" / "urls").write_text("a.org/~bad\nhttps://b.org/\nc.org/x?id=3\n")
    (folder / "substrings.txt").write_text("bad-stuff\n")
    (folder / "hard_words.txt").write_text("casino\n")
    (folder / "soft_words.txt").write_text("sex\nhot\nweb cam\n")
    return folder


CASES = {
    "https://a.b.EXAMPLE.com:80/x": ["blocked_domain"],
    "http://notexample.com/": [],
    "http://good.org@example.com/": ["blocked_domain"],
    "http://example.com@good.org/": [],
    "http:\\\\example.com\\x": ["blocked_domain"],
    "http://x.xxx/": ["blocked_domain"],
    "//foo.co.uk/": ["blocked_domain"],
    "http://co.uk/": [],
    "http://sub.listed.net": ["blocked_domain"],
    "http://www.a.org/~bad/x/y?q=1": ["blocked_url"],
    "http://a.org/~badder": [],
    "http://b.org": ["blocked_url"],
    "http://b.org/x": [],
    "http://c.org/x?id=3#part": ["blocked_url"],
    "http://c.org/x": [],
    "http://q.org/ba/dst-uff.html": ["strict_substring"],
    "http://my-casino.org": ["hard_word"],
    "http://my-c%61sino.org": ["hard_word"],
    "http://mycasino.org": [],
    "http://sex.hot.org": ["soft_words"],
    "http://sex.sex.org": [],
    "http://sex.org/web_cam": ["soft_words"],
    "http://example.com/casino": ["blocked_domain", "hard_word"],
    "http://[broken/casino": ["hard_word"],
    "": [],
}


def test_every_level_on_both_sides(lists: Path) -> None:
    found = url_reasons(pl.Series([*CASES, None], dtype=pl.String), read_lists(str(lists))).to_list()
    assert dict(zip(CASES, found, strict=False)) == {
        url: [f"url:{reason}" for reason in reasons] for url, reasons in CASES.items()
    }
    assert found[-1] == []


def test_extract_does_not_parse_them_and_filter_names_all_reasons(lists: Path, tmp_path: Path) -> None:
    (lists / "domains.txt").write_text("example0.org\n")
    (tmp_path / "x.warc").write_bytes(b"".join(pages(6)))
    options = ExtractOptions(url_lists=str(lists))
    manifest = extract([tmp_path / "x.warc"], tmp_path / "out", options, workers=1)
    assert manifest["reasons"] == {"url:blocked_domain": 2}
    assert manifest["counts"]["documents_kept"] == 4
    rows = documents(6)
    rows[0]["url"] = "https://example0.org/casino"
    source = write_jsonl(tmp_path / "docs.jsonl", [*rows])
    command = ["corpus", "filter", source, "-o", tmp_path / "f", "--rules", "c4", "--url-lists", lists, *ONE]
    assert call(*map(str, command)).status == 0
    removed = pl.read_parquet(tmp_path / "f" / "removed" / "*.parquet").row(0, named=True)
    assert (removed["id"], removed["reason"]) == ("d0", "url:blocked_domain")
    assert removed["failed_rules"] == ["url:blocked_domain", "url:hard_word"]
    (lists / "hard_words.txt").write_text("other\n")
    again = call(*map(str, command))
    assert (again.status, "url_lists_sha256" in again.message) == (1, True)


def test_lists_that_are_not_there(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "docs.jsonl", [*documents(2)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank").mkdir()
    (tmp_path / "blank" / "domains.txt").write_text("# nothing\n")
    told = {"none": "no such directory", "empty": "no URL lists", "blank": "its lists are empty"}
    for name, words in told.items():
        outcome = call("corpus", "filter", source, "-o", tmp_path / "o", "--url-lists", tmp_path / name, *ONE)
        assert (outcome.status, words in outcome.message, name in outcome.message) == (1, True, True)
