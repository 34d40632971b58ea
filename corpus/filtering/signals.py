"""The signals of Gopher, C4 and FineWeb: every one of them for every document, in one pass, as columns.

Definitions follow datatrove's code (version 0.10), the tool that made FineWeb, where it differs from the papers:
repeats count after the first occurrence, stop words are distinct and case-sensitive, punctuation counts as words
where a share of all words is meant. Where this module goes another way the description says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.filtering.signals_kernels import all_signals, hash_span
from corpus.text.characters import character_table
from corpus.text.words import chunks, code_points, find_words

STOP_WORDS_EN = ("the", "be", "to", "of", "and", "that", "have", "with")  # Rae et al. 2021, appendix A.1.1
STOP_WORDS_ZH = tuple("的年在月是和日了於·為有被人中为他與後也而由")  # FineWeb-2, Mandarin Chinese
# Of the definitions below: whoever changes what a signal counts raises it, and old ledgers are refused.
SIGNALS_VERSION = 1
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
LONGEST_MEASURED = 10_000_000  # characters of a text; bounds the memory
_MARKS = ("javascript", "lorem ipsum", *POLICY_PHRASES)
_POLICY = re.compile("|".join(POLICY_PHRASES))


class Signal(NamedTuple):
    """A measure of a document: its column, its unit and what it says."""

    name: str
    unit: str
    description: str


def _grams(first: int, last: int, name: str, description: str) -> list[Signal]:
    return [Signal(name.format(n=n), "fraction", description.format(n=n)) for n in range(first, last + 1)]


# What the array code writes, in its order.
COUNTED: tuple[Signal, ...] = (
    Signal("characters", "characters", "length of the text"),
    Signal("word_count", "words", "words, without those that are only punctuation or symbols"),
    Signal("token_count", "words", "words and runs of punctuation"),
    Signal("mean_word_length", "characters", "mean length of the words in word_count"),
    Signal("max_word_length", "characters", "length of the longest of the words in word_count"),
    Signal("alphabetic_word_fraction", "fraction", "words with a letter, of token_count"),
    Signal("stop_words_en", "words", "how many of the eight English stop words appear (case-sensitive)"),
    Signal("stop_words_zh", "words", "how many of the 22 Chinese stop words appear"),
    Signal("hash_per_word", "ratio", "`#` characters to token_count"),
    Signal("ellipsis_per_word", "ratio", "`...` and `…` to token_count"),
    Signal("newlines_per_word", "ratio", "line breaks to token_count"),
    Signal("curly_brackets", "characters", "number of `{`"),
    Signal("han_character_fraction", "fraction", "ideographs U+4E00 to U+9FD5, of the characters"),
    Signal("sentence_count", "sentences", "sentences; every line ends one, and `。！？` do without a space"),
    Signal("line_count", "lines", "lines, blank ones included"),
    Signal("bullet_line_fraction", "fraction", "lines that begin with `-` or `•`, of line_count"),
    Signal("ellipsis_line_fraction", "fraction", "lines that end in `...` or `…`, of line_count"),
    Signal(
        "terminal_line_fraction",
        "fraction",
        "lines whose last character is terminal punctuation of any script, of the lines that are not blank",
    ),
    Signal(
        "short_line_fraction",
        "fraction",
        "lines of at most 30 characters (space at both ends counts), of the lines that are not blank",
    ),
    Signal(
        "characters_in_duplicate_lines",
        "fraction",
        "characters of repeated lines that are not blank, of the characters without line breaks (FineWeb)",
    ),
    Signal("duplicate_line_fraction", "fraction", "repeated lines, of all between runs of line breaks (Gopher)"),
    Signal("duplicate_line_character_fraction", "fraction", "characters of these, of the characters (Gopher)"),
    Signal("duplicate_paragraph_fraction", "fraction", "repeated paragraphs, of all between blank lines"),
    Signal("duplicate_paragraph_character_fraction", "fraction", "characters of these, of the characters"),
    *_grams(2, 4, "top_{n}_gram_fraction", "characters that the most frequent {n}-gram of words takes"),
    *_grams(5, 10, "duplicate_{n}_gram_fraction", "characters in {n}-grams of words that stood before"),
)
SEARCHED: tuple[Signal, ...] = (
    Signal("lorem_ipsum", "occurrences", "`lorem ipsum` in any case"),
    Signal("javascript_lines", "lines", "lines with `javascript` in any case"),
    Signal("policy_lines", "lines", "lines with a phrase about terms of use, privacy or cookies (C4's six)"),
)
LANGUAGE_SCORE = Signal("lang_score", "probability", "of the language, as the identification gave it")
SIGNALS: dict[str, Signal] = {signal.name: signal for signal in (*COUNTED, *SEARCHED, LANGUAGE_SCORE)}
_WHOLE_UNITS = ("characters", "words", "sentences", "lines", "occurrences")


def compute_signals(texts: Sequence[str]) -> pl.DataFrame:
    """All signals of all texts but the language's: one row a text, a column a signal.

    Counts are Int64, the rest Float64. A share of nothing (an empty text) is 0. Of a text of more than
    LONGEST_MEASURED characters, all signals but `characters` are those of its beginning of that length.
    """
    sizes = pl.Series("characters", [len(text) for text in texts], dtype=pl.Int64)
    texts = [text[:LONGEST_MEASURED] for text in texts]
    parts = [np.zeros((0, len(COUNTED)))]
    hashes, bits = _stop_words()
    for part in chunks(texts):
        out = np.zeros((len(part), len(COUNTED)))
        all_signals(*find_words(part), character_table(), hashes, bits, out)
        parts.append(out)
    counted = np.concatenate(parts)
    columns = [pl.Series(signal.name, counted[:, k]) for k, signal in enumerate(COUNTED)]
    searched = [_search(text) for text in texts]
    columns += [
        pl.Series(signal.name, [found[k] for found in searched], dtype=pl.Int64)
        for k, signal in enumerate(SEARCHED)
    ]
    whole = [signal.name for signal in COUNTED if signal.unit in _WHOLE_UNITS and "mean" not in signal.name]
    return pl.DataFrame(columns).with_columns(pl.col(whole).cast(pl.Int64)).with_columns(sizes)


def _search(text: str) -> tuple[int, int, int]:
    """Lorem ipsum, JavaScript lines, policy lines."""
    lower = text.lower()
    if not any(mark in lower for mark in _MARKS):
        return 0, 0, 0
    lines = lower.splitlines()
    return (
        lower.count("lorem ipsum"),
        sum("javascript" in line for line in lines),
        sum(_POLICY.search(line) is not None for line in lines),
    )


@lru_cache(maxsize=1)
def _stop_words() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Sorted hashes of the stop words and the bit of each: English ones from bit 0, Chinese ones from bit 32."""
    numbered = [*enumerate(STOP_WORDS_EN), *enumerate(STOP_WORDS_ZH, start=32)]
    hashed = sorted((int(hash_span(code_points([word]), 0, len(word))), bit) for bit, word in numbered)
    return np.array([key for key, _ in hashed], np.uint64), np.array([bit for _, bit in hashed], np.uint64)
