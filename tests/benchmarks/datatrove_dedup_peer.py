"""datatrove's exact, line and Bloom deduplication of Parquet files; runs in datatrove's own environment.

    python datatrove_dedup_peer.py exact|url|line|bloom FOLDER_OF_PARQUET OUTPUT N_GRAMS

`url` is `exact` of the column `url`; `line` is its sentence deduplication of single lines; `bloom` looks at whole
documents only. Texts are compared as datatrove normalises them.
"""

from __future__ import annotations

import sys
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
    SentDedupConfig,
    SentenceDedupFilter,
    SentenceDedupSignature,
    SentenceFindDedups,
    SingleBloomFilter,
)
from datatrove.pipeline.dedup.bloom_filter import BloomFilterConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.hashing import HashConfig


def text(document: Document) -> str:
    return str(document.text)


def url(document: Document) -> str:
    return str(document.metadata["url"])


def stages(method: str, source: str, output: str, ngrams: int) -> list[list[Any]]:
    """The pipelines of a method, one after the other."""
    reader, writer = ParquetReader(source), ParquetWriter(f"{output}/documents")
    if method == "bloom":
        # Places are hashes masked with `m_bytes`: only 2**n - 1 spreads them. Ten bits a key, seven probes: 0.01.
        size = (1 << (10 * ngrams).bit_length()) - 1
        config = BloomFilterConfig(m_bytes=size, k=7, hash_config=HashConfig(precision=32))
        return [[reader, SingleBloomFilter(f"{output}/filter", config), writer]]
    signatures, found = f"{output}/signatures", f"{output}/found"
    if method == "line":
        lines = SentDedupConfig(n_sentences=1, split_sentences=False, min_doc_words=0, min_num_sentences=0)
        return [
            [reader, SentenceDedupSignature(signatures, config=lines)],
            [SentenceFindDedups(signatures, found, config=lines)],
            [reader, SentenceDedupFilter(found, config=lines), writer],
        ]
    whole = ExactDedupConfig(content_getter=url if method == "url" else text)
    return [
        [reader, ExactDedupSignature(signatures, config=whole)],
        [ExactFindDedups(signatures, found, config=whole)],
        [reader, ExactDedupFilter(found, config=whole), writer],
    ]


if __name__ == "__main__":
    method, source, output, ngrams = sys.argv[1:]
    for number, pipeline in enumerate(stages(method, source, output, int(ngrams))):
        LocalPipelineExecutor(pipeline, tasks=1, workers=1, logging_dir=f"{output}/logs/{number}").run()
