"""Cutting what is processed in turn into pieces that fit a bound."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def runs(sizes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Runs of items (the first, and behind the last) whose sizes sum to at most `most`; a larger item is one."""
    ends = np.cumsum(sizes, dtype=np.int64)
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield first, last
        first = last
