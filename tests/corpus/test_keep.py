"""Which member of a cluster stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.options import memory_bytes
from corpus.duplicates.whole.dedup import dedup_documents
from corpus.duplicates.whole.keep import parse_keep, ranks

TEXT = "one two three four five six seven eight nine ten"


def kept(tmp_path: Path, keep: str, **columns: list[Any]) -> list[str]:
    height = len(next(iter(columns.values())))
    texts = columns.pop("text", [TEXT] * height)
    path = tmp_path / "in.parquet"
    pl.DataFrame({"id": [str(row) for row in range(height)], "text": texts, **columns}).write_parquet(path)
    output = tmp_path / "out"
    dedup_documents([path], output, keep=keep, workers=1, overwrite=True)
    files = list((output / "documents").glob("*.parquet"))
    return pl.read_parquet(files)["id"].to_list() if files else []


def test_newest_by_dates_as_they_are_written(tmp_path: Path) -> None:
    dates = ["2023", "2024-05-01", "2024-05-01T10:00:00Z", "2024-05-01 09:59:59", None, "no date"]
    assert kept(tmp_path, "newest", date=dates) == ["2"]
    assert kept(tmp_path, "newest", date=[None, None]) == ["0"], "the first, where no date tells"
    assert kept(tmp_path, "newest", date=["1999-12-31", "2000"]) == ["1"]


def test_best_by_a_column(tmp_path: Path) -> None:
    assert kept(tmp_path, "best:score", score=[0.5, float("nan"), 0.9, None, 0.9]) == ["2"]
    assert kept(tmp_path, "best:stars", stars=[-3, -2, -5]) == ["1"]
    with pytest.raises(ZeroToOneError, match=r"`name` holds String.*numbers"):
        kept(tmp_path, "best:name", name=["a", "b"])
    with pytest.raises(ZeroToOneError, match="no column `other`"):
        kept(tmp_path, "best:other", stars=[1, 2])


def test_priority_of_domains(tmp_path: Path) -> None:
    order = tmp_path / "order.txt"
    order.write_text("books\n\nwiki\n", "utf-8")
    domains = ["web", "wiki", "books", "wiki"]
    assert kept(tmp_path, f"priority:{order}", domain=domains) == ["2"]
    assert kept(tmp_path, f"priority:{order}", domain=["web", "news", "wiki"]) == ["2"]
    order.write_text("\n", "utf-8")
    with pytest.raises(ZeroToOneError, match=r"order\.txt: no domain in it"):
        parse_keep(f"priority:{order}")
    with pytest.raises(ZeroToOneError, match=r"nothing\.txt: "):
        parse_keep("priority:nothing.txt")


def test_none_keeps_no_member_and_all_others(tmp_path: Path) -> None:
    texts = [TEXT, "something else altogether that has no copy", TEXT]
    assert kept(tmp_path, "none", text=texts) == ["1"]
    removed = pl.read_parquet(tmp_path / "out" / "removed" / "*.parquet")
    assert removed["id"].to_list() == ["0", "2"]
    assert removed["kept_id"].null_count() == 2
    clusters = pl.read_parquet(tmp_path / "out" / "clusters" / "*.parquet")
    assert clusters["kept"].to_list() == [False, False]


@pytest.mark.parametrize("wrong", ["", "best", "best:", "newest:date", "priority:", "worst"])
def test_unknown_policies(wrong: str) -> None:
    with pytest.raises(UsageError, match="--keep"):
        parse_keep(wrong)


def test_ranks_of_no_documents() -> None:
    frame = pl.DataFrame(schema={"id": pl.String, "text": pl.String})
    assert frame.select(ranks(parse_keep("longest"))).height == 0


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 4 * 2**30), ("512M", 512 * 2**20), ("1.5 GiB", 3 * 2**29), ("64kb", 65536)]
)
def test_sizes(text: str, size: int) -> None:
    assert memory_bytes(text) == size


@pytest.mark.parametrize("wrong", ["", "4", "G", "-4G", "0M", "4X", "4 G 4"])
def test_what_is_no_size(wrong: str) -> None:
    with pytest.raises(UsageError, match="no size"):
        memory_bytes(wrong)
