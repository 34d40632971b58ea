"""The documents that the benchmarks of filtering read, from the folder of real data (`--data`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from corpus.core.inputs import plan_units, read_documents

DATA = Path(__file__).parents[2].parent / "shared" / "data"
ENGLISH = ("wiki_en", "peps_en", "rfcs_en", "shakespeare_en", "math_en")
CHINESE = ("tech_zh", "weekly_zh", "docs_zh", "poetry_zh")


def domains(data: Path, names: Sequence[str], most: int) -> pl.DataFrame:
    """Columns `id`, `text`, `domain`: of every domain `most` documents at most, evenly from all of it."""
    frames = [
        pl.read_parquet(data / "text" / f"{name}.parquet", columns=["id", "text", "domain"]) for name in names
    ]
    return pl.concat([_thinned(frame, most) for frame in frames])


def pages(extracted: Path, most: int) -> pl.DataFrame:
    """The English documents of a dataset directory of `corpus extract`, as domain `pages`."""

    class Strict:
        def set_aside(self, place: str, reason: str, record: str = "") -> None:
            raise SystemExit(f"{place}: {reason}")

    frames = [frame for unit in plan_units([extracted]) for frame in read_documents(unit, Strict())]
    found = pl.concat(frames).filter(pl.col("lang") == "en")
    return _thinned(found.select("id", "text", domain=pl.lit("pages")), most)


def pieces(frame: pl.DataFrame, characters: int) -> pl.DataFrame:
    """The documents cut at line ends into pieces of about so many characters, short documents whole."""
    rows = [
        {"id": f"{identifier}/{number}", "text": piece}
        for identifier, text in frame.select("id", "text").iter_rows()
        for number, piece in enumerate(_cut(text, characters))
    ]
    return pl.DataFrame(rows)


def _cut(text: str, characters: int) -> Iterator[str]:
    lines: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        lines.append(line)
        size += len(line)
        if size >= characters:
            yield "".join(lines)
            lines, size = [], 0
    if lines:
        yield "".join(lines)


def _thinned(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    return frame if frame.height <= most else frame.gather_every(-(-frame.height // most))
