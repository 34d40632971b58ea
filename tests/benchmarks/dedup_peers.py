"""MinHash dedup from Parquet to Parquet by one tool; runs in the tool's own environment, not in ours.

    python dedup_peers.py NAME documents.parquet folder

Leaves in the folder what the tool keeps (`kept/*.parquet`) and `told.json`: seconds and processor seconds from the
first byte read to the last one written, without imports and after a run on a few documents, which compiles and
loads what is compiled and loaded on first use. 14 bands of 8, word 5-grams, one process.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

BANDS, ROWS, NGRAM, THRESHOLD = 14, 8, 5, 0.8
Work = Callable[[Path, Path], None]  # documents.parquet and an empty folder, in which it makes kept/


def ours() -> Work:
    """`corpus dedup`, every pair verified."""
    from corpus.duplicates.whole.dedup import dedup_documents

    def work(given: Path, folder: Path) -> None:
        banding = {"bands": BANDS, "rows": ROWS, "ngram": NGRAM, "threshold": THRESHOLD}
        dedup_documents([given], folder / "out", workers=1, **banding)
        (folder / "kept").symlink_to(folder / "out" / "documents")

    return work


def _table_work(kept: Callable[[list[str]], list[bool]]) -> Work:
    """Read, choose by the texts, write: for libraries that have no readers of their own."""
    import pyarrow.parquet as pq

    def work(given: Path, folder: Path) -> None:
        table = pq.read_table(given)
        chosen = table.filter(kept(table["text"].to_pylist()))
        (folder / "kept").mkdir()
        pq.write_table(chosen, folder / "kept" / "0.parquet", compression="zstd")

    return work


def _ngrams(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[at : at + NGRAM]) for at in range(max(1, len(words) - NGRAM + 1))]


def rensa() -> Work:
    """rensa's deduplicator: candidates by bands, compared by their signatures."""
    from rensa import RMinHashDeduplicator

    def kept(texts: list[str]) -> list[bool]:
        found = RMinHashDeduplicator(THRESHOLD, BANDS * ROWS, True, BANDS)
        pairs = ((str(number), _ngrams(text)) for number, text in enumerate(texts))
        return list(found.add_pairs(pairs))

    return _table_work(kept)


def datasketch() -> Work:
    """datasketch's signatures in bulk and its index: a document goes if one before it shares a band."""
    from datasketch import MinHash, MinHashLSH

    def kept(texts: list[str]) -> list[bool]:
        sets = ([gram.encode() for gram in _ngrams(text)] for text in texts)
        index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
        chosen = []
        for number, signature in enumerate(MinHash.generator(sets, num_perm=BANDS * ROWS)):
            chosen.append(not index.query(signature))
            index.insert(number, signature, check_duplication=False)
        return chosen

    return _table_work(kept)


def datatrove() -> Work:
    """datatrove's four stages, one task each."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    config = MinhashConfig(n_grams=NGRAM, num_buckets=BANDS, hashes_per_bucket=ROWS)

    def work(given: Path, folder: Path) -> None:
        signed, pairs, gone, kept = (str(folder / name) for name in ("signed", "pairs", "gone", "kept"))
        reader = ParquetReader(str(given.parent), glob_pattern=given.name)
        writer = ParquetWriter(kept, compression="zstd")
        stages = [
            ([reader, MinhashDedupSignature(signed, config)], 1),
            ([MinhashDedupBuckets(signed, pairs, config=config)], BANDS),
            ([MinhashDedupCluster(pairs, gone, config=config)], 1),
            ([reader, MinhashDedupFilter(gone), writer], 1),
        ]
        for number, (stage, tasks) in enumerate(stages):
            logs = str(folder / f"logs-{number}")
            LocalPipelineExecutor(stage, tasks=tasks, workers=1, logging_dir=logs).run()

    return work


def data_juicer() -> Work:
    """data-juicer's operator, its two halves one after the other, on the rows of a Parquet file."""
    import datasets
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import DocumentMinhashDeduplicator

    operator = DocumentMinhashDeduplicator(
        tokenization="space",
        window_size=NGRAM,
        num_permutations=BANDS * ROWS,
        jaccard_threshold=THRESHOLD,
        num_bands=BANDS,
        num_rows_per_band=ROWS,
    )

    def work(given: Path, folder: Path) -> None:
        read = datasets.load_dataset(
            "parquet", data_files=str(given), split="train", cache_dir=str(folder / "cache")
        )
        signed = NestedDataset(read).map(operator.compute_hash, num_proc=1, load_from_cache_file=False)
        chosen, _ = operator.process(signed)
        (folder / "kept").mkdir()
        chosen.select_columns(["id", "text"]).to_parquet(str(folder / "kept" / "0.parquet"))

    return work


def text_dedup() -> Work:
    """text-dedup's program, called in this process; it writes Arrow files, which are rewritten as Parquet."""
    import datasets
    from text_dedup.minhash import main as program

    options = f"--num_perm {BANDS * ROWS} --b {BANDS} --r {ROWS} --ngram {NGRAM} --min_length 0 --hash_func xxh3"

    def work(given: Path, folder: Path) -> None:
        places = f"--path parquet --data_files {given} --split train --cache_dir {folder / 'cache'}"
        line = f"{places} --output {folder / 'out'} --column text --num_proc 1 {options}"
        program(line.split(), standalone_mode=False)
        (folder / "kept").mkdir()
        datasets.load_from_disk(str(folder / "out")).to_parquet(str(folder / "kept" / "0.parquet"))

    return work


TOOLS: dict[str, tuple[Callable[[], Work], str]] = {
    "ours": (ours, "zero-to-one"),
    "rensa": (rensa, "rensa"),
    "datasketch": (datasketch, "datasketch"),
    "datatrove": (datatrove, "datatrove"),
    "text-dedup": (text_dedup, "text-dedup"),
    "data-juicer": (data_juicer, "py-data-juicer"),
}


def _processor_seconds() -> float:
    return sum(os.times()[:4])  # its own and those of processes that ended


def measured(work: Work, given: Path, folder: Path) -> dict[str, float]:
    """Run in an empty folder; return seconds and processor seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began, began_processor = time.perf_counter(), _processor_seconds()
    work(given, folder)
    return {"seconds": time.perf_counter() - began, "processor": _processor_seconds() - began_processor}


def few_documents(given: Path, folder: Path) -> Path:
    """The first hundred documents, and each again with one word more, in a file of their own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = pq.read_table(given, columns=["id", "text"]).slice(0, 100).to_pylist()
    again = [{"id": f"{row['id']}/again", "text": f"{row['text']} more"} for row in first]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(first + again), folder / "few.parquet")
    return folder / "few.parquet"


def main() -> None:
    """Warm up, measure, tell."""
    name, given, folder = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    load, package = TOOLS[name]
    work = load()
    measured(work, few_documents(given, folder), folder / "warm")
    told: dict[str, Any] = measured(work, given, folder / "run")
    told["version"] = "" if name == "ours" else version(package)
    (folder / "told.json").write_text(json.dumps(told), "utf-8")


if __name__ == "__main__":
    main()
