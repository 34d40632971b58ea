"""Simplified and Traditional Chinese told apart, by characters that only one of the two writes.

The standards say which those are: GB 2312 (1980) holds the simplified characters of the mainland, Big5 (1984)
the traditional ones of Taiwan. What only one of them can encode is evidence; what both can, as 的, is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from corpus.text.words import chunks, code_points, text_offsets

SIMPLIFIED, TRADITIONAL = "Hans", "Hant"  # ISO 15924
_IDEOGRAPHS = range(0x4E00, 0xA000)


def chinese_scripts(texts: Sequence[str]) -> list[str]:
    """`Hans` or `Hant` for every text: the one of whose own characters there are more, "" where as many.

    Says nothing about whether a text is Chinese: Japanese has characters of both.
    """
    balances = [_balances(part) for part in chunks(texts)]
    return [
        SIMPLIFIED if balance > 0 else TRADITIONAL if balance < 0 else ""
        for part in balances
        for balance in part.tolist()
    ]


def _balances(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Characters that are simplified only less those that are traditional only, shape [texts]."""
    evidence = _evidence()[code_points(texts)]
    return np.diff(np.concatenate([[0], np.cumsum(evidence, dtype=np.int64)])[text_offsets(texts)])


@lru_cache(maxsize=1)
def _evidence() -> npt.NDArray[np.int8]:
    """1 for every code point that is simplified only, -1 for traditional only, else 0; shape [0x110000]."""
    table = np.zeros(0x110000, dtype=np.int8)
    table[_IDEOGRAPHS.start : _IDEOGRAPHS.stop] = [
        _encodes(chr(code), "gb2312") - _encodes(chr(code), "big5") for code in _IDEOGRAPHS
    ]
    return table


def _encodes(character: str, charset: str) -> int:
    return int(bool(character.encode(charset, "ignore")))
