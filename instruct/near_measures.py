"""How near two instructions are: ROUGE-L by default, MinHash or sentence vectors on wish."""

from __future__ import annotations

import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.duplicates.near.minhash import Banding, band_keys, choose_banding, signatures
from instruct.novelty import CHARACTERS, CHINESE_TOKENS, NEIGHBOURS, Neighbour, RougeIndex, tokens

MEASURES = ("rouge-l", "minhash", "embedding")
_THRESHOLDS = {"rouge-l": 0.7, "minhash": 0.7, "embedding": 0.9}
_HASHES = 128


class Index(Protocol):
    """Texts that new ones are compared with."""

    def add(self, id: str, text: str) -> None:
        """Add a text."""

    def nearest(self, text: str, count: int = NEIGHBOURS) -> list[Neighbour]:
        """The nearest texts, the highest score first."""


@dataclass(frozen=True)
class NoveltyOptions:
    """How novelty is measured: a measure of MEASURES, the highest score that is still novel, and details."""

    measure: str = "rouge-l"
    threshold: float | None = None
    chinese_tokens: str = CHARACTERS
    embedding_model: str = ""

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise UsageError(f"--novelty {self.measure}: choose one of {', '.join(MEASURES)}")
        if self.chinese_tokens not in CHINESE_TOKENS:
            raise UsageError(f"--chinese-tokens {self.chinese_tokens}: choose one of {', '.join(CHINESE_TOKENS)}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise UsageError("--novelty-threshold must be above 0, at most 1")
        if (self.measure == "embedding") != bool(self.embedding_model):
            raise UsageError("--novelty embedding and --embedding-model belong together")


@dataclass(frozen=True)
class Measure:
    """An index, the score above which a text is not novel, and the name of the score in rows."""

    index: Index
    threshold: float
    name: str


def open_measure(options: NoveltyOptions, language: str) -> Measure:
    """An empty index by the options. Raises ZeroToOneError for a model that cannot be read."""
    threshold = _THRESHOLDS[options.measure] if options.threshold is None else options.threshold
    if options.measure == "minhash":
        return Measure(MinHashIndex(language, options.chinese_tokens, threshold), threshold, "jaccard")
    if options.measure == "embedding":
        return Measure(EmbeddingIndex(SentenceEncoder(options.embedding_model)), threshold, "cosine")
    return Measure(RougeIndex(language, options.chinese_tokens), threshold, "rouge_l")


class MinHashIndex:
    """Sets of tokens by MinHash: the estimated Jaccard similarity with those that share a band.

    At the threshold nine in ten pairs do; pairs far below it are not seen at all.
    """

    def __init__(self, language: str, chinese_tokens: str, threshold: float) -> None:
        self._language, self._chinese_tokens = language, chinese_tokens
        self._banding: Banding = choose_banding(threshold, _HASHES)
        self._hashes = self._banding.bands * self._banding.rows
        self._ids: list[str] = []
        self._signed: list[np.ndarray] = []
        self._bands: defaultdict[tuple[int, int], list[int]] = defaultdict(list)

    def add(self, id: str, text: str) -> None:
        """Add a text."""
        signed, bands = self._sign(text)
        for band in bands:
            self._bands[band].append(len(self._ids))
        self._ids.append(id)
        self._signed.append(signed)

    def nearest(self, text: str, count: int = NEIGHBOURS) -> list[Neighbour]:
        """The nearest of the texts that share a band."""
        signed, bands = self._sign(text)
        places = sorted({place for band in bands for place in self._bands.get(band, ())})
        found = [Neighbour(self._ids[place], float(np.mean(signed == self._signed[place]))) for place in places]
        return sorted(found, key=lambda one: -one.score)[:count]

    def _sign(self, text: str) -> tuple[np.ndarray, list[tuple[int, int]]]:
        words = sorted(set(tokens(text, self._language, self._chinese_tokens)))
        values = np.array([zlib.crc32(word.encode()) for word in words], np.uint32)
        signed = signatures(values, np.array([0, len(values)], np.int64), self._hashes)
        keys = band_keys(signed, self._banding)[0].tolist() if words else []
        return signed[0], list(enumerate(keys))


class EmbeddingIndex:
    """Sentence vectors compared by their cosine, with all texts."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._ids: list[str] = []
        self._vectors = np.zeros((0, 0), np.float32)

    def add(self, id: str, text: str) -> None:
        """Add a text."""
        vector = self._encoder.vector(text)
        if len(self._ids) == len(self._vectors):
            longer = np.zeros((max(1024, 2 * len(self._ids)), vector.size), np.float32)
            longer[: len(self._ids)] = self._vectors[:, : vector.size] if self._ids else 0
            self._vectors = longer
        self._vectors[len(self._ids)] = vector
        self._ids.append(id)

    def nearest(self, text: str, count: int = NEIGHBOURS) -> list[Neighbour]:
        """The nearest of all texts."""
        if not self._ids:
            return []
        scores = self._vectors[: len(self._ids)] @ self._encoder.vector(text)
        places = np.argsort(-scores, kind="stable")[:count].tolist()
        return [Neighbour(self._ids[place], float(scores[place])) for place in places]


class SentenceEncoder:
    """Sentence vectors of a local model (`embeddings.py`), of length 1."""

    def __init__(self, path: str) -> None:
        if not (Path(path) / "config.json").is_file():
            raise ZeroToOneError(f"{path}: no folder of a model (config.json is missing)")
        from instruct.embeddings import Encoder  # transformers takes seconds to import

        self._encoder = Encoder(Path(path))
        self._last: tuple[str, np.ndarray] = ("", np.zeros(0, np.float32))

    def vector(self, text: str) -> np.ndarray:
        """The vector of a text (float32). The last one is kept: a novel text is added right after its question."""
        if self._last[1].size and self._last[0] == text:
            return self._last[1]
        mean = self._encoder.embed([text])[0]
        self._last = (text, mean / max(float(np.linalg.norm(mean)), 1e-12))
        return self._last[1]
