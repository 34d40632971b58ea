"""Keys by which two texts count as the same."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np


def normalise(text: str) -> str:
    """Unicode NFKC (full-width letters become ordinary ones), then lower case."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()


def text_keys(normalised: Sequence[str]) -> np.ndarray:
    """128-bit keys (uint64, [texts, 2]): BLAKE2b of the text with every run of white space as one space."""
    keys = np.empty((len(normalised), 2), dtype=np.uint64)
    for row, text in enumerate(normalised):
        data = " ".join(text.split()).encode("utf-8", "surrogatepass")
        keys[row] = np.frombuffer(hashlib.blake2b(data, digest_size=16).digest(), dtype="<u8")
    return keys


def scope_keys(values: Sequence[str | None]) -> np.ndarray:
    """A 64-bit key (uint64) for the value that two documents must share to be compared; null is a value."""
    known: dict[str | None, int] = {}
    for value in values:
        if value not in known:
            data = b"null" if value is None else b"=" + value.encode("utf-8", "surrogatepass")
            known[value] = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    return np.array([known[value] for value in values], dtype=np.uint64)
