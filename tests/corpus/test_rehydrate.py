"""Documents repeated by the size of their cluster: the table, the column, and the shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.shards import open_shards
from corpus.duplicates.whole.dedup import dedup_documents
from corpus.duplicates.whole.rehydrate import parse_table, times
from corpus.reporting.explain import explain_document
from corpus.tokens.tokenize import tokenize_documents
from corpus.tokens.tokenizer import save_tokenizer, train_bpe
from tests.corpus.test_dedup import files, table, write

# FineWeb-2: clusters of 1 once, 2 twice, 3 to 4 three times, 5 to 99 five, 100 to 999 eight, from 1,000 on once.
FINEWEB2 = {1: 1, 2: 2, 3: 3, 4: 3, 5: 5, 99: 5, 100: 8, 999: 8, 1000: 1, 10**9: 1}


def test_fineweb2() -> None:
    found = times(pl.Series(list(FINEWEB2), dtype=pl.Int64), parse_table("fineweb2"))
    assert dict(zip(FINEWEB2, found, strict=True)) == FINEWEB2


def test_tables_as_text_and_as_file(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("1:1\n\n4:2\n")
    assert parse_table("1:1,4:2") == parse_table(str(tmp_path / "table")) == ((1, 1), (4, 2))


@pytest.mark.parametrize(
    "wrong", ["", "x", "1", "2:1", "1:1,1:2", "1:1,5:2,3:3", "1:0", "1:1,2:x", "1:1001", "1:1:1"]
)
def test_what_is_no_table(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--rehydrate"):
        parse_table(wrong)
    (tmp_path / "table").write_text(wrong)
    with pytest.raises(ZeroToOneError, match=str(tmp_path / "table")):
        parse_table(str(tmp_path / "table"))
    source = write(tmp_path / "a.parquet", ["a"])
    with pytest.raises(UsageError):
        dedup_documents([source], tmp_path / "out", rehydrate=wrong)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def deduped(tmp_path: Path) -> Path:
    """Clusters of 1 to 7 documents, in three files."""
    texts = [f"text number {number}" for number in range(7) for _ in range(number + 1)]
    for part in range(3):
        write(tmp_path / "in" / f"{part}.parquet", texts[part::3])
    how: dict[str, Any] = {"method": "exact", "rehydrate": "fineweb2", "workers": 1}
    manifest = dedup_documents([tmp_path / "in"], tmp_path / "deduped", **how)
    assert manifest["counts"]["documents_repeated"] == 1 + 2 + 3 + 3 + 5 + 5 + 5
    assert manifest["parameters"]["rehydrate"][0] == [1, 1]
    return tmp_path / "deduped"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(["some text with a number"] * 3, 300), directory)
    return directory


def test_the_column(deduped: Path) -> None:
    kept = table(deduped, "documents")
    assert kept["id"].is_unique().all()
    assert sorted(kept.select("cluster_size", "repeat").rows()) == list(
        zip(range(1, 8), [1, 2, 3, 3, 5, 5, 5], strict=True)
    )


def test_shards_with_repeated_documents(deduped: Path, tokenizer: Path, tmp_path: Path) -> None:
    plain = tokenize_documents([deduped], tmp_path / "plain", tokenizer, held_out=0.3, workers=1)
    often = tokenize_documents([deduped], tmp_path / "often", tokenizer, held_out=0.3, repeat="repeat", workers=1)
    tokenize_documents([deduped], tmp_path / "two", tokenizer, held_out=0.3, repeat="repeat", workers=2)
    assert files(tmp_path / "often") == files(tmp_path / "two")
    repeat = dict(table(deduped, "documents").select("id", "repeat").iter_rows())
    once, shard = (open_shards(tmp_path / name).domains["default"] for name in ("plain", "often"))
    documents = shard.documents()
    assert dict(documents.group_by("id").len().iter_rows()) == {
        name: repeat[name] for name in once.documents()["id"]
    }
    tokens = {name: once.tokens[once.offsets[row] :][:size] for row, (name, size) in _rows(once.documents())}
    for row, (name, _) in _rows(documents):
        assert np.array_equal(shard.tokens[shard.offsets[row] : shard.offsets[row + 1]], tokens[name])
    assert often["splits"]["held_out"] == plain["splits"]["held_out"], "what is held out is not repeated"
    name = max(once.documents()["id"], key=lambda key: repeat[key])
    places = [finding for finding in explain_document(name, [tmp_path / "often"]) if finding.tokens]
    assert len(places) == repeat[name], "every copy leads back to the document"


def _rows(documents: pl.DataFrame) -> list[tuple[int, tuple[str, int]]]:
    return list(enumerate(documents.select("id", "tokens").iter_rows()))


@pytest.mark.parametrize("counts", [[0], [-1], [1.5], ["2"], [1001]])
def test_columns_that_do_not_say_how_often(counts: list[Any], tokenizer: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.parquet", ["some text"], often=counts)
    with pytest.raises(ZeroToOneError, match=r"a\.parquet: column `often` must hold whole numbers"):
        tokenize_documents([source], tmp_path / "out", tokenizer, repeat="often", workers=1)
    with pytest.raises(ZeroToOneError, match=r"a\.parquet: no column `never`"):
        tokenize_documents([source], tmp_path / "out", tokenizer, repeat="never", workers=1)
    assert not (tmp_path / "out").exists()
