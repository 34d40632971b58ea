"""Training steps with and without the C library giving freed memory back after each.

    python tests/benchmarks/training_memory.py

Pre-trains the `mini` model for a few steps on random tokens, in processes of their own, the two ways in turn, and
prints tokens per second of each pair and their ratio. Both ways must end in the same loss.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from corpus.core.shards import write_domain, write_shards_manifest
from corpus.tokens.tokenizer import save_tokenizer, tokenizer_hash, train_bpe

PAIRS = 3
TOKENS = 80_000
VOCABULARY = 8192

_RUN = """
import sys, time
import train.loop
if sys.argv[3] == "give back":
    train.loop.keep_freed_memory = lambda: None
from pathlib import Path
from train.pretrain import PretrainConfig, pretrain
started = time.perf_counter()
config = PretrainConfig("mini", int(sys.argv[4]), batch_rows=4)
print(pretrain(Path(sys.argv[1]), Path(sys.argv[2]), config)["loss"], time.perf_counter() - started)
"""


def make_shards(directory: Path) -> Path:
    """Shards of random tokens, with the smallest of tokenizers."""
    shards = directory / "shards"
    save_tokenizer(train_bpe(["nothing"], 300), shards / "tokenizer")
    tokens = np.random.default_rng(0).integers(4, VOCABULARY, 400_000)
    documents = pl.DataFrame({"id": ["a"], "url": [""], "origin": [""], "tokens": [len(tokens)], "bytes": [10**6]})
    entry = write_domain(shards, "train", "random", VOCABULARY, [(tokens, documents)])
    about = {"hash": tokenizer_hash(shards / "tokenizer"), "vocabulary_size": VOCABULARY, "end_of_text_id": 0}
    splits = {"train": {"random": entry}, "held_out": {}}
    write_shards_manifest(shards, {"tokenizer": about, "dtype": "uint16", "splits": splits})
    return shards


def measure(shards: Path, output: Path, way: str) -> tuple[str, float]:
    """Loss and seconds of one run."""
    command = [sys.executable, "-c", _RUN, str(shards), str(output), way, str(TOKENS)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return printed[-2], float(printed[-1])


def main() -> None:
    """Run the pairs and print the ratios."""
    with tempfile.TemporaryDirectory() as name:
        shards = make_shards(Path(name))
        ratios = []
        for pair in range(PAIRS):
            keep, back = (measure(shards, Path(name) / f"{way}-{pair}", way) for way in ("keep", "give back"))
            if keep[0] != back[0]:
                raise SystemExit(f"the losses differ: {keep[0]} and {back[0]}")
            ratios.append(back[1] / keep[1])
            print(json.dumps({"keep_seconds": keep[1], "give_back_seconds": back[1], "ratio": ratios[-1]}))
        print(f"median: {statistics.median(ratios):.2f} × as fast when freed memory is kept")


if __name__ == "__main__":
    main()
