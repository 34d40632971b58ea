"""Keys by which two texts count as the same."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np


def normalise(text: str) -> str:
    """Unicode NFKC (full-width letters become ordinary ones), then lower case."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


def text_keys(normalised: Sequence[str]) -> np.ndarray:
    """128-bit keys (uint64, [texts, 2]): BLAKE2b of the text with every run of white space as one space."""
    return byte_keys(" ".join(text.split()).encode("utf-8", "surrogatepass") for text in normalised)


def byte_keys(texts: Iterable[bytes | memoryview]) -> np.ndarray:
    """128-bit keys (uint64, [texts, 2]): BLAKE2b of the bytes."""
    digests = b"".join(hashlib.blake2b(text, digest_size=16).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64).reshape(-1, 2)


def scope_keys(values: Sequence[str | None]) -> np.ndarray:
    """A 64-bit key (uint64) for the value that two documents must share to be compared; null is a value."""
    known: dict[str | None, int] = {}
    for value in values:
        if value not in known:
            data = b"null" if value is None else b"=" + value.encode("utf-8", "surrogatepass")
            known[value] = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    return np.array([known[value] for value in values], dtype=np.uint64)
