"""Documents compared with those of earlier corpora, from their texts or from stored signatures."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import read_json
from corpus.duplicates.whole.dedup import dedup_documents
from tests.programs import call


def words(seed: int, number: int = 120) -> list[str]:
    draw = random.Random(seed)
    return [f"word{draw.randrange(10**6)}" for _ in range(number)]


def edited(text: list[str], places: int, seed: int) -> str:
    changed = list(text)
    for place in random.Random(seed).sample(range(len(text)), places):
        changed[place] = f"other{seed}{place}"
    return " ".join(changed)


def write(path: Path, texts: dict[str, str]) -> Path:
    pl.DataFrame({"id": list(texts), "text": list(texts.values())}).write_parquet(path)
    return path


def table(directory: Path, name: str) -> list[dict[str, Any]]:
    parts = sorted((directory / name).glob("part-*.parquet"))
    return [row for part in parts for row in pl.read_parquet(part).iter_rows(named=True)]


@pytest.fixture
def crawls(tmp_path: Path) -> tuple[Path, Path]:
    """An old crawl and a new one: n1 and n2 resemble o1, n3 is o2, n4 and n5 each other, n6 nothing."""
    a, b, c, d = (words(seed) for seed in range(4))
    old = {"o1": " ".join(a), "o2": " ".join(b), "o3": " ".join(b)}
    new = {
        "n1": edited(a, 1, 1),
        "n2": edited(a, 1, 2),
        "n3": " ".join(b),
        "n4": " ".join(c),
        "n5": edited(c, 1, 3),
        "n6": " ".join(d),
    }
    return write(tmp_path / "old.parquet", old), write(tmp_path / "new.parquet", new)


@pytest.mark.parametrize("stored", [False, True])
def test_what_the_earlier_corpus_has_goes(crawls: tuple[Path, Path], tmp_path: Path, stored: bool) -> None:
    old, new = crawls
    dedup_documents([old], tmp_path / "old", keep_signatures=True, workers=1)
    if stored:  # no text of it is left to read
        for part in (tmp_path / "old" / "documents").iterdir():
            part.unlink()
    against = tmp_path / "old" if stored else old
    manifest = dedup_documents([new], tmp_path / "out", against=[against], workers=1)
    assert [row["id"] for row in table(tmp_path / "out", "documents")] == ["n4", "n6"]
    removed = {row["id"]: (row["kept_id"], row["reason"]) for row in table(tmp_path / "out", "removed")}
    assert removed == {
        "n1": ("o1", "near_duplicate"),
        "n2": ("o1", "near_duplicate"),
        "n3": ("o2", "exact_duplicate"),
        "n5": ("n4", "near_duplicate"),
    }
    assert manifest["counts"]["removed_against"] == 3
    assert manifest["counts"]["clusters"] == 3
    assert {row["id"] for row in table(tmp_path / "out", "clusters")} == {"n1", "n2", "n3", "n4", "n5"}
    for row in table(tmp_path / "out", "edges"):
        assert row["id"].startswith("n") or row["other_id"].startswith("n")


@pytest.mark.parametrize("method", ["exact", "url", "minhash"])
@pytest.mark.parametrize("keep", ["longest", "none"])
def test_same_from_texts_and_from_signatures(
    crawls: tuple[Path, Path], tmp_path: Path, method: str, keep: str
) -> None:
    old, new = crawls
    dedup_documents([old], tmp_path / "old", method=method, keep_signatures=True, workers=1)
    for name, against in (("texts", tmp_path / "old" / "documents"), ("stored", tmp_path / "old")):
        dedup_documents([new], tmp_path / name, method=method, keep=keep, against=[against], workers=1)
    for name in ("documents", "removed", "clusters", "edges"):
        assert table(tmp_path / "texts", name) == table(tmp_path / "stored", name)


def test_documents_without_a_url_stay(crawls: tuple[Path, Path], tmp_path: Path) -> None:
    dedup_documents([crawls[1]], tmp_path / "old", method="url", keep_signatures=True, workers=1)
    again = dedup_documents([crawls[1]], tmp_path / "out", method="url", against=[tmp_path / "old"], workers=1)
    assert again["counts"]["documents_kept"] == 6


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_exact_is_a_difference_of_sets(
    tmp_path_factory: pytest.TempPathFactory, before: list[int], after: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("sets")
    old = write(folder / "old.parquet", {f"o{place}": f"text {value}" for place, value in enumerate(before)})
    new = write(folder / "new.parquet", {f"n{place}": f"text {value}" for place, value in enumerate(after)})
    dedup_documents([new], folder / "out", method="exact", against=[old], workers=1)
    kept = [row["text"] for row in table(folder / "out", "documents")]
    assert kept == [f"text {value}" for value in dict.fromkeys(after) if value not in before]


def test_signatures_made_otherwise_are_not_used(
    crawls: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = crawls
    dedup_documents([old], tmp_path / "old", ngram=4, keep_signatures=True, workers=1)
    dedup_documents([new], tmp_path / "out", against=[tmp_path / "old"], workers=1)
    assert "signatures made otherwise (ngram was 4, is 5)" in capsys.readouterr().err
    assert [row["id"] for row in table(tmp_path / "out", "documents")] == ["n4", "n6"]


def test_a_chain_of_crawls(crawls: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = crawls
    dedup_documents([old], tmp_path / "first", keep_signatures=True, workers=1)
    dedup_documents([new], tmp_path / "second", against=[tmp_path / "first"], keep_signatures=True, workers=1)
    both = [tmp_path / "first", tmp_path / "second"]
    manifest = dedup_documents([new], tmp_path / "third", against=both, workers=1)
    assert manifest["counts"]["documents_kept"] == 0
    assert manifest["counts"]["removed_against"] == 6


def test_an_earlier_corpus_that_changed_is_noticed(crawls: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = crawls
    dedup_documents([new], tmp_path / "out", against=[old], workers=1)
    write(old, {"o1": "another text"})
    with pytest.raises(ZeroToOneError, match="its input has changed"):
        dedup_documents([new], tmp_path / "out", against=[old], workers=1)


def test_by_the_command_line(crawls: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = crawls
    outcome = call("corpus", "dedup", new, "-o", tmp_path / "out", "--against", old, "--workers", 1)
    assert outcome.status == 0, outcome.err
    assert "for an earlier corpus" in outcome.out
    entry = read_json(tmp_path / "out" / "manifest.json")["against"][0]
    assert (tmp_path / "out" / entry["path"]).resolve() == old.resolve()
    again = call("corpus", "dedup", new, "-o", tmp_path / "out", "--against", tmp_path / "out")
    assert again.status == 2
    with pytest.raises(UsageError):
        dedup_documents([new], tmp_path / "out", against=[tmp_path / "out"])
