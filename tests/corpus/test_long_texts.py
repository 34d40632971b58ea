from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from corpus.core.inputs import plan_units, read_documents


class Aside:
    """Remembers what was set aside."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def set_aside(self, place: str, reason: str, record: str = "") -> None:
        self.found.append((place, reason))


TEXTS = ["short", "x" * 101, "y" * 60, "é" * 51]


def read(path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    aside = Aside()
    texts = [
        text for unit in plan_units([path]) for frame in read_documents(unit, aside) for text in frame["text"]
    ]
    return texts, aside.found


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.core.parquet_files.LONGEST_TEXT", 100)
    monkeypatch.setattr("corpus.core.jsonl_files.LONGEST_TEXT", 100)
    monkeypatch.setattr("corpus.core.inputs.LONGEST_TEXT", 100)


def test_long_texts_of_a_parquet_file_are_set_aside_by_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": TEXTS}).write_parquet(path)
    texts, aside = read(path)
    assert texts == ["short", "y" * 60]
    assert aside == [(f"{path}#1", "text_too_long"), (f"{path}#3", "text_too_long")]


def test_long_lines_and_long_files_are_set_aside(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS[:3]), "utf-8")
    assert read(lines) == (["short", "y" * 60], [(f"{lines}:2", "text_too_long")])
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_text(text, "utf-8")
    aside = Aside()
    units = plan_units(sorted(tmp_path.glob("*.txt")))
    texts = [text for unit in units for frame in read_documents(unit, aside) for text in frame["text"]]
    assert texts == ["short", "y" * 60]
    assert [reason for _, reason in aside.found] == ["text_too_long"] * 2


def test_long_documents_come_in_batches_of_some_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpus.core.parquet_files._BATCH_BYTES", 1000)
    path = tmp_path / "a.parquet"
    texts = [f"{number:090}" for number in range(100)]
    pl.DataFrame({"text": texts}).write_parquet(path, use_pyarrow=True)
    aside = Aside()
    frames = [frame for unit in plan_units([path]) for frame in read_documents(unit, aside)]
    assert [text for frame in frames for text in frame["text"]] == texts
    assert [origin for frame in frames for origin in frame["origin"]] == [f"a.parquet#{row}" for row in range(100)]
    assert max(frame.height for frame in frames) <= 20
