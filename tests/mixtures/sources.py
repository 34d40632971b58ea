"""Synthetic domains of which it is known how well a small model can learn them, as shards in memory or on disk."""

from pathlib import Path

import numpy as np
import polars as pl

from corpus.core.files import write_json
from corpus.core.shards import DomainShard, Shards, write_domain, write_shards_manifest

VOCABULARY = 32


def known_sources(seed: int, tokens: int) -> dict[str, np.ndarray]:
    """Uniform noise, an easy cycle, and two second-order Markov sources, over the same 32 tokens."""
    rng = np.random.default_rng(seed)
    return {
        "cycle": np.arange(tokens) % VOCABULARY,
        "markov-a": markov(rng, tokens),
        "markov-b": markov(rng, tokens),
        "noise": rng.integers(VOCABULARY, size=tokens),
    }


def markov(rng: np.random.Generator, tokens: int) -> np.ndarray:
    """A source whose next token depends on the last two: for each pair, four likely successors."""
    successors = rng.integers(VOCABULARY, size=(VOCABULARY, VOCABULARY, 4))
    choices = rng.integers(4, size=tokens)
    sequence = rng.integers(VOCABULARY, size=tokens)
    for place in range(2, tokens):
        sequence[place] = successors[sequence[place - 2], sequence[place - 1], choices[place]]
    return sequence


def in_memory(sources: dict[str, np.ndarray]) -> Shards:
    """Each source as one document of a domain; two bytes to a token."""
    domains = {
        name: DomainShard(name, tokens, np.array([0, len(tokens)]), 2 * len(tokens), Path())
        for name, tokens in sources.items()
    }
    return Shards(Path("memory"), "train", "hash", "tokenizer", VOCABULARY, VOCABULARY - 1, domains)


def on_disk(path: Path, sources: dict[str, np.ndarray], bytes_per_token: dict[str, int]) -> Path:
    """Each source as one document of a domain in a token shard directory."""
    entries = {}
    for name, tokens in sources.items():
        size = len(tokens)
        document = {
            "id": [name],
            "url": [""],
            "origin": [""],
            "tokens": [size],
            "bytes": [size * bytes_per_token[name]],
        }
        entries[name] = write_domain(path, "train", name, VOCABULARY, [(tokens, pl.DataFrame(document))])
    tokenizer = {"hash": "tokenizer", "vocabulary_size": VOCABULARY, "end_of_text_id": VOCABULARY - 1}
    write_json(path / "tokenizer" / "tokenizer.json", {})
    write_shards_manifest(path, {"tokenizer": tokenizer, "dtype": "uint16", "splits": {"train": entries}})
    return path
