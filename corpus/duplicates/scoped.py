"""The first pass over documents whose lines or words are compared: their texts, and the scope of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.inputs import Unit, read_documents
from corpus.core.quarantine import Skipped
from corpus.duplicates.exact import scope_keys


def read_scoped(unit: Unit, scope: str | None, columns: Sequence[str], strict: bool) -> Iterator[pl.DataFrame]:
    """A unit's documents, with the columns that are named and the scope's; broken records are left out.

    Raises ZeroToOneError where the scope's column is missing.
    """
    for frame in read_documents(unit, Skipped(strict), [*columns, *([scope] if scope else [])]):
        if scope is not None and scope not in frame.columns:
            raise ZeroToOneError(f"{unit.path}: no column `{scope}`; it has {', '.join(frame.columns)}")
        yield frame


def scopes(frame: pl.DataFrame, scope: str | None) -> npt.NDArray[np.uint64]:
    """A number for each document that tells scopes apart, for exclusive or with its keys; shape [documents]."""
    if scope is None:
        return np.zeros(frame.height, dtype=np.uint64)
    return scope_keys(frame[scope].cast(pl.String).to_list())
