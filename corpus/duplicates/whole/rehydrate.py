"""How often a document of a cluster is to be seen, by the size of its cluster: FineWeb-2's rehydration.

FineWeb-2 (Penedo et al. 2025) removes duplicates and then repeats what is left by how many copies there were: text
that many thought worth copying is better than the average, until the very largest clusters, which are boilerplate.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from corpus.core.errors import UsageError, ZeroToOneError

REPEAT = "repeat"
FINEWEB2 = "1:1,2:2,3:3,5:5,100:8,1000:1"
PRESETS = {"fineweb2": FINEWEB2}
_MOST_BYTES = 1 << 16

Table = tuple[tuple[int, int], ...]


def parse_table(given: str) -> Table:
    """(least cluster size, times) of a preset's name, a text such as `1:1,2:2,5:4`, or a file with one a line.

    Raises UsageError for a text, and ZeroToOneError for a file, that is no such table.
    """
    if given in PRESETS:
        return _parse(PRESETS[given], given)
    if ":" in given and not Path(given).is_file():
        return _parse(given, f"--rehydrate `{given}`")
    try:
        with Path(given).open(encoding="utf-8-sig") as file:
            lines = file.read(_MOST_BYTES).splitlines()
    except OSError as error:
        choices = f"{', '.join(PRESETS)}, SIZE:TIMES,... or a file"
        raise UsageError(f"--rehydrate `{given}`: {error.strerror or error}; give {choices}") from None
    except UnicodeDecodeError:
        raise ZeroToOneError(f"{given}: not UTF-8 text") from None
    try:
        return _parse(",".join(line for line in lines if line.strip()), given)
    except UsageError as error:
        raise ZeroToOneError(str(error)) from None


def times(sizes: pl.Series, table: Sequence[Sequence[int]]) -> pl.Series:
    """How often each document is to be seen, by the size of its cluster (Int64)."""
    least = np.array([size for size, _ in table])
    found = np.array([count for _, count in table])[np.searchsorted(least, sizes.to_numpy(), side="right") - 1]
    return pl.Series(REPEAT, found, dtype=pl.Int64)


def _parse(text: str, named: str) -> Table:
    try:
        table = tuple((int(size), int(count)) for size, count in (part.split(":") for part in text.split(",")))
    except ValueError:
        raise UsageError(f"{named}: not a table of SIZE:TIMES, such as {FINEWEB2}") from None
    if not table or table[0][0] != 1 or any(left[0] >= right[0] for left, right in pairwise(table)):
        raise UsageError(f"{named}: its sizes must begin at 1 and rise")
    if any(not 1 <= count <= 1000 for _, count in table):
        raise UsageError(f"{named}: a document is seen 1 to 1,000 times")
    return table
