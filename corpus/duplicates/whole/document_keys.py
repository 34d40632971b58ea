"""What two whole documents must share to be duplicates, as keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from corpus.duplicates.exact import byte_keys, normalise, text_keys
from corpus.duplicates.normalised import normalise_texts
from corpus.duplicates.whole.canonical_url import canonical_urls

URL, NONE, SPACE, CASE, LETTERS = "url", "none", "space", "case", "letters"
NORMALISATIONS = (NONE, SPACE, CASE, LETTERS)
COMPARED = (*NORMALISATIONS, URL)
_NO_LETTERS = r"[^\p{L}\p{M}\p{N}]+"


def document_keys(frame: pl.DataFrame, compare: str, unit: int, row: int) -> np.ndarray:
    """128-bit keys of documents (uint64, [documents, 2]): equal where what is compared is.

    `none`: the text to the character. `space`: with runs of white space as one space. `case`: so, in lower case
    and ordinary width (`normalise`). `letters`: of that the letters, marks and digits alone; where there is none,
    as `case`. `url`: the canonical URL; a document without one has a key of its own, made of `unit` and its place
    there, `row` being the first one's.
    """
    if compare == URL:
        return _own_where_empty(canonical_urls(frame["url"].to_list()), unit, row)
    texts = frame["text"]
    if compare == NONE:
        return _hashes("=", texts.to_list())
    if compare == SPACE:
        return text_keys(texts.to_list())
    if compare == CASE:
        return byte_keys(normalise_texts(texts).views())
    normalised = pl.Series([normalise(text) for text in texts], dtype=pl.String)
    bare = normalised.str.replace_all(_NO_LETTERS, "")
    wordless = (bare == "").to_numpy()
    return np.where(wordless[:, None], text_keys(normalised.to_list()), _hashes("=", bare.to_list()))


def without_url(frame: pl.DataFrame) -> np.ndarray:
    """The rows of the documents that `url` gives a key of their own (int64)."""
    return np.flatnonzero([not url for url in canonical_urls(frame["url"].to_list())])


def _own_where_empty(values: Sequence[str], unit: int, row: int) -> np.ndarray:
    own = [f"#{unit}#{row + place}" for place in range(len(values))]
    return _hashes("", [f"={value}" if value else name for value, name in zip(values, own, strict=True)])


def _hashes(prefix: str, values: Sequence[str]) -> np.ndarray:
    return byte_keys(f"{prefix}{value}".encode("utf-8", "surrogatepass") for value in values)
