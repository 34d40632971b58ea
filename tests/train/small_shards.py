"""Small token shards with a real tokenizer folder, for the tests of training."""

from pathlib import Path

import numpy as np
import polars as pl
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from corpus.core.shards import Shards, open_shards, write_domain, write_shards_manifest

VOCABULARY = 64
END = 0
CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def make_shards(path: Path, documents: dict[str, int], seed: int = 0, longest: int = 40) -> Shards:
    """Shards with as many documents per domain as wanted; tokens follow a repeating pattern with some noise."""
    generator = np.random.default_rng(seed)
    entries = {}
    for domain, count in documents.items():
        parts = []
        for number in range(count):
            length = int(generator.integers(1, longest))
            tokens = (np.arange(length) * 3 + generator.integers(4)) % (VOCABULARY - 1) + 1
            noisy = np.where(generator.random(length) < 0.1, generator.integers(1, VOCABULARY, length), tokens)
            row = {"id": f"{domain}-{number}", "url": f"https://{domain}/{number}", "origin": "made#0"}
            frame = pl.DataFrame([{**row, "tokens": length + 1, "bytes": 3 * length}])
            parts.append((np.append(noisy, END), frame))
        entries[domain] = write_domain(path, "train", domain, VOCABULARY, parts)
    make_tokenizer(path / "tokenizer")
    write_shards_manifest(
        path,
        {
            "tokenizer": {"hash": "made", "vocabulary_size": VOCABULARY, "end_of_text_id": END},
            "dtype": "uint16",
            "splits": {"train": entries, "held_out": {}},
        },
    )
    return open_shards(path)


def make_tokenizer(folder: Path) -> None:
    """A word-level tokenizer whose token n is the word `w<n>`."""
    words = {"<|endoftext|>": END} | {f"w{n}": n for n in range(1, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
