"""What a deduplication says that it will need, against what it needs."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from corpus.core.errors import ZeroToOneError
from corpus.duplicates.whole import estimate
from corpus.duplicates.whole.dedup import dedup_documents


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def texts(number: int) -> list[str]:
    draw = random.Random(0)
    vocabulary = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 10))) for _ in range(5000)]
    return [" ".join(draw.choices(vocabulary, k=draw.randint(50, 350))) for _ in range(number)]


@pytest.fixture
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "LEAST", 10**5)


@pytest.mark.usefixtures("small_samples")
@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_documents_and_disk_are_about_right(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({"text": texts(3000)}).with_row_index("id").cast({"id": pl.String})
    if kind == "parquet":
        for part in range(3):
            frame.slice(part * 1000, 1000).write_parquet(tmp_path / f"{part}.parquet")
    else:
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in frame.iter_rows(named=True)))
    sizes: list[int] = []

    def measure(folder: Path, *_: str) -> None:
        sizes.append(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))

    monkeypatch.setattr("corpus.duplicates.whole.dedup.remove_stages", measure)
    files = sorted(tmp_path.glob("*.*"))
    dedup_documents(files, tmp_path / "out", workers=1)
    said = re.search(r"about ([\d,]+) documents; needs some ([\d,]+) MB of disk", capsys.readouterr().err)
    assert said is not None
    documents, disk = (int(number.replace(",", "")) for number in said.groups())
    assert documents == pytest.approx(3000, rel=0.15)
    assert disk * 10**6 == pytest.approx(sizes[-1], rel=0.4, abs=10**6)


@pytest.mark.usefixtures("small_samples")
def test_a_disk_that_cannot_hold_it_is_refused_before_anything_is_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl.DataFrame({"text": texts(1000)}).write_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12 - 1000, 1000))
    with pytest.raises(ZeroToOneError, match=r"needs some \d+ MB of disk, and 0 MB are free"):
        dedup_documents([tmp_path / "a.parquet"], tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / ".state" / "signed").exists()
