"""`corpus dedup` of whole documents: `--method url`, and what `--normalise` makes of `--method exact`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpus.core.errors import UsageError
from corpus.duplicates.whole.dedup import dedup_documents
from corpus.duplicates.whole.document_keys import NORMALISATIONS
from corpus.reporting.explain import explain_document
from tests.corpus.test_dedup import files, table, write
from tests.programs import call

URLS = [
    "http://example.com/a?utm_source=x", None, "https://www.example.com/a/", "", None, " ", "https://example.com/b",
    "not a url", "not a url", "https://example.com/a#part",
]  # fmt: skip


def by_url(path: Path, output: Path, **options: Any) -> dict[str, Any]:
    return dedup_documents([path], output, **{"method": "url", "workers": 1, **options})


def test_one_document_of_each_url(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["the same text"] * len(URLS), url=URLS, date=list("0123456789"))
    manifest = by_url(path, tmp_path / "out")
    assert manifest["reasons"] == {"url_duplicate": 3}
    assert manifest["counts"]["documents_without_url"] == 4
    kept = table(tmp_path / "out", "documents")
    assert kept["id"].to_list() == [f"a-{row}" for row in (0, 1, 3, 4, 5, 6, 7)]
    assert kept["cluster_size"].to_list() == [3, 1, 1, 1, 1, 1, 2]
    clusters = table(tmp_path / "out", "clusters")
    assert clusters.select("id", "kept_id", "canonical_url").rows() == [
        ("a-0", "a-0", "example.com/a"), ("a-2", "a-0", "example.com/a"), ("a-7", "a-7", "not a url"),
        ("a-8", "a-7", "not a url"), ("a-9", "a-0", "example.com/a"),
    ]  # fmt: skip
    assert clusters["jaccard"].null_count() == clusters.height
    assert not (tmp_path / "out" / "edges").exists()
    by_url(path, tmp_path / "newest", keep="newest")
    assert "a-9" in table(tmp_path / "newest", "documents")["id"]
    assert "a-0" in table(tmp_path / "newest", "removed")["id"]


def test_urls_in_a_scope(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["x"] * 3, url=["http://a.com"] * 3, crawl=["1", "2", "1"])
    by_url(path, tmp_path / "out", scope="crawl")
    assert table(tmp_path / "out", "documents")["id"].to_list() == ["a-0", "a-1"]


def test_no_document_has_a_url(tmp_path: Path) -> None:
    manifest = by_url(write(tmp_path / "a.parquet", ["same"] * 3), tmp_path / "out")
    assert manifest["counts"]["documents_kept"] == manifest["counts"]["documents_without_url"] == 3
    assert manifest["counts"]["largest_cluster"] == 1


def test_same_bytes_for_any_workers(tmp_path: Path) -> None:
    for part in range(4):
        urls = [f"http://www.example{number % 7}.com/{part * number % 5}/" for number in range(50)]
        write(tmp_path / "in" / f"{part}.parquet", ["text"] * 50, url=[*urls[:-1], None])
    by_url(tmp_path / "in", tmp_path / "one")
    by_url(tmp_path / "in", tmp_path / "two", workers=2, memory=1 << 12)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert table(tmp_path / "one", "removed").height > 100


LEVELS = [
    ("One  two", "One two", "space"),
    ("One two\n", "One two", "space"),
    ("One two", "one two", "case"),
    ("ＯＮＥ", "one", "case"),
    ("One, two!", "one two", "letters"),
    ("中文。", "中 文", "letters"),
    ("One two", "One two", "none"),
]


@pytest.mark.parametrize(("left", "right", "least"), LEVELS)
def test_what_does_not_count_in_a_text(left: str, right: str, least: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [left, right])
    for place, level in enumerate(NORMALISATIONS):
        dedup_documents([path], tmp_path / level, method="exact", normalise=level, workers=1)
        same = place >= NORMALISATIONS.index(least)
        assert table(tmp_path / level, "documents").height == (1 if same else 2), level


def test_marks_are_letters_and_wordless_texts_are_not_all_one(tmp_path: Path) -> None:
    texts = ["कि", "का", "!!!", "???", "! ! !", "", " "]
    path = write(tmp_path / "a.parquet", texts)
    dedup_documents([path], tmp_path / "out", method="exact", normalise="letters", workers=1)
    assert pl.read_parquet(tmp_path / "out" / "documents")["text"].to_list() == texts[:-1]


def test_options_of_another_method(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["text"])
    for method, option in (
        ("url", ["--normalise", "case"]), ("minhash", ["--normalise", "case"]), ("url", ["--threshold", "0.8"]),
        ("exact", ["--ngram", "5"]),
    ):  # fmt: skip
        outcome = call("corpus", "dedup", path, "-o", tmp_path / "out", "--method", method, *option)
        assert outcome.status == 2
        assert f"{option[0]} is for --method" in outcome.message
        assert f"not {method}" in outcome.message
    with pytest.raises(UsageError, match="--normalise `x`"):
        dedup_documents([path], tmp_path / "out", method="exact", normalise="x")


def test_explain_and_report_of_urls(tmp_path: Path) -> None:
    urls = ["http://a.com/x", "https://www.a.com/x/", "http://b.com"]
    path = write(tmp_path / "a.parquet", ["one text", "another text", "third"], url=urls)
    by_url(path, tmp_path / "out")
    shown = call("corpus", "explain", "a-1", tmp_path / "out")
    assert shown.status == 0, shown.err
    assert "url_duplicate" in shown.out
    assert "another" in shown.out, "the two texts side by side"
    outcome = call("corpus", "report", tmp_path / "out", "-o", tmp_path / "report.html")
    assert outcome.status == 0, outcome.err
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "url_duplicate" in page
    assert "the same URL" in page
    by_url(path, tmp_path / "none", keep="none")
    beside = [explain_document(name, [tmp_path / "none"])[0].pair for name in ("a-0", "a-1")]
    assert [(pair.left.id, pair.right.id, pair.jaccard) for pair in beside if pair] == [
        ("a-0", "a-1", None), ("a-1", "a-0", None),
    ]  # fmt: skip
