"""Corpora of any size for the benchmarks of dedup: words drawn at random, with planted near duplicates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.benchmarks.planted_duplicates import LEAST, changed_share

WORDS = 100_000  # of the vocabulary; how often one occurs falls with its rank (Zipf)
MEAN_LENGTH = 200  # words a document, log-normal
SHARE = 0.2  # of the documents that are changed copies of one before them in their file
IN_A_FILE = 50_000


def vocabulary(draw: np.random.Generator) -> pa.Array:
    """Made-up words of three to nine letters, all different."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    made = dict[str, None]()
    while len(made) < WORDS:
        made["".join(letters[draw.integers(0, 26, draw.integers(3, 10))])] = None
    return pa.array(list(made))


def write_synthetic(folder: Path, count: int, seed: int = 0) -> tuple[int, int]:
    """Write `count` documents to Parquet files in the folder; return the bytes of text, and the words.

    A file depends on its number and the seed alone, so that a smaller corpus is the beginning of a larger one.
    """
    folder.mkdir(parents=True)
    words = vocabulary(np.random.default_rng(seed))
    size = total = 0
    for number, first in enumerate(range(0, count, IN_A_FILE)):
        tokens, offsets = _tokens(IN_A_FILE, np.random.default_rng([seed, number]))
        own = min(IN_A_FILE, count - first)
        lists = pa.ListArray.from_arrays(
            pa.array(offsets[: own + 1]), words.take(pa.array(tokens[: offsets[own]]))
        )
        texts = pc.binary_join(lists, " ")
        ids = pa.array([f"s{place}" for place in range(first, first + own)])
        pq.write_table(
            pa.table({"id": ids, "text": texts}), folder / f"{number:05d}.parquet", row_group_size=10_000
        )
        size += pc.sum(pc.binary_length(texts)).as_py()
        total += int(offsets[own])
    return size, total


def _tokens(count: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of words of all documents one behind the other (int32), and where each begins and the last ends."""
    lengths = np.exp(draw.normal(np.log(MEAN_LENGTH) - 0.18, 0.6, count)).astype(np.int32) + 5  # mean of e^N
    sources = np.full(count, -1)
    copies = np.flatnonzero(draw.random(count) < SHARE)[1:]
    sources[copies] = (draw.random(len(copies)) * copies).astype(np.int64)
    for copy in copies.tolist():
        lengths[copy] = lengths[sources[copy]]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tokens = _drawn(int(offsets[-1]), draw)
    for copy, similarity in zip(copies.tolist(), draw.uniform(LEAST, 1, len(copies)).tolist(), strict=True):
        own = tokens[offsets[copy] : offsets[copy + 1]]
        stay = draw.random(len(own)) >= changed_share(similarity)
        own[stay] = tokens[offsets[sources[copy]] : offsets[sources[copy] + 1]][stay]
    return tokens, offsets


def _drawn(count: int, draw: np.random.Generator) -> np.ndarray:
    return np.minimum(np.exp(draw.random(count) * np.log(WORDS)).astype(np.int32), WORDS - 1)
