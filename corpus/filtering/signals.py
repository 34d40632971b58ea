"""The signals: every one of them for every document, in one pass, as columns.

Gopher's, C4's and FineWeb's follow datatrove's code (version 0.10), the tool that made FineWeb, where it differs
from the papers: repeats count after the first occurrence, stop words are distinct and case-sensitive, punctuation
counts as words where a share of all words is meant. RedPajama-V2's follow its code on normalized words. Where this
module goes another way the description says so.

What RedPajama-V2's signals (`rps_doc_` left out) are called here: curly_bracket, unigram_entropy and
symbol_to_word_ratio are curly_bracket_fraction, word_entropy and symbol_per_word; frac_all_caps_words,
frac_unique_words and frac_lines_end_with_ellipsis are all_caps_word_fraction, unique_word_fraction and
ellipsis_line_fraction;
frac_no_alph_words is 1 - alphabetic_word_fraction; num_sentences is sentence_count; frac_chars_dupe_Ngrams and
frac_chars_top_Ngram are normalized_duplicate_N_gram_fraction and normalized_top_N_gram_fraction; ldnoobw_words is
words.NAME of a list that the user names. Its signals of single lines stand here for all lines of a document:
terminal_mark_line_fraction, bullet_point_line_fraction, javascript_lines, mean_line_words,
mean_line_number_fraction, mean_line_uppercase_fraction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.filtering.signals_characters import character_signals
from corpus.filtering.signals_hashing import hash_span, table_of
from corpus.filtering.signals_kernels import all_signals
from corpus.filtering.signals_lines import TEASERS, line_signals
from corpus.filtering.signals_ngrams import FUNCTION_WORD, GOPHER_STOP_WORD, ngram_signals
from corpus.filtering.signals_spans import find_lines, word_facts
from corpus.text.characters import character_table, lower_table
from corpus.text.words import chunks, code_points, find_words, text_offsets

# Goes up when a signal counts something else than before: ledgers of two versions do not compare.
SIGNALS_VERSION = 4
LONGEST_MEASURED = 10_000_000  # characters of a text; bounds the memory
STOP_WORDS_EN = ("the", "be", "to", "of", "and", "that", "have", "with")  # Rae et al. 2021, appendix A.1.1
STOP_WORDS_ZH = tuple("的年在月是和日了於·為有被人中为他與後也而由")  # FineWeb-2, Mandarin Chinese
# The commonest English words that carry grammar: articles, pronouns, prepositions, conjunctions, auxiliaries.
_FUNCTION_WORDS = (
    "a about above across after against all along also although am among an and any are around as at be because "
    "been before behind being below between both but by can could did do does done down during each either else "
    "for from had has have having he her here hers herself him himself his how i if in into is it its itself just "
    "may me might mine must my myself neither no nor not of off on once one only onto or other our ours ourselves "
    "out over per shall she should since so some such than that the their theirs them themselves then there these "
    "they this those though through to too toward towards under until up upon us very was we were what when where "
    "whether which while who whom whose why will with within without would yet you your yours yourself"
)
FUNCTION_WORDS_EN = tuple(_FUNCTION_WORDS.split())
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_MARKS = ("javascript", "lorem ipsum", "terms of use", "policy", "cookies")  # no phrase is without one
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
    Signal(
        "word_count",
        "words",
        "words, without those that are only what datatrove takes for punctuation (ASCII symbols too)",
    ),
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
    Signal("han_character_fraction", "fraction", "ideographs from 一 to 龥 (U+4E00 to U+9FA5), of the characters"),
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
)
NGRAMS: tuple[Signal, ...] = (
    *_grams(2, 4, "top_{n}_gram_fraction", "characters that the most frequent {n}-gram of words takes"),
    *_grams(5, 10, "duplicate_{n}_gram_fraction", "characters in {n}-grams of words that stood before"),
    Signal(
        "all_caps_word_fraction", "fraction", "words with upper-case letters only, of token_count (RedPajama-V2)"
    ),
    Signal("unique_word_fraction", "fraction", "different normalized words, of all of these (RedPajama-V2)"),
    Signal("word_entropy", "nats", "entropy of the distribution of the normalized words (RedPajama-V2)"),
    Signal(
        "stop_word_fraction",
        "fraction",
        "English function words and the 22 Chinese ones in any case, of token_count",
    ),
    Signal("stop_word_occurrences_en", "words", "occurrences of Gopher's eight stop words in any case (DCLM)"),
    *_grams(
        2,
        4,
        "normalized_top_{n}_gram_fraction",
        "characters that the most frequent {n}-gram of normalized words takes, if it stands twice, of those of "
        "all these words (lower case, no punctuation; RedPajama-V2)",
    ),
    *_grams(
        5,
        10,
        "normalized_duplicate_{n}_gram_fraction",
        "characters in {n}-grams of normalized words that stand more than once, each character counted once, the "
        "first occurrence too, of those of all of these words (RedPajama-V2)",
    ),
)
LINES: tuple[Signal, ...] = (
    Signal("text_line_count", "lines", "lines that are not blank"),
    Signal(
        "terminal_mark_line_fraction",
        "fraction",
        "lines that end in one of `.!?”`, of text_line_count (RedPajama-V2)",
    ),
    Signal(
        "bullet_point_line_fraction",
        "fraction",
        "lines that begin with one of `•‣▶◀◦■□▪▫–`, of text_line_count (RedPajama-V2)",
    ),
    Signal(
        "list_marker_line_fraction", "fraction", "lines that begin with one of `●•*-`, of text_line_count (DCLM)"
    ),
    Signal(
        "teaser_line_fraction",
        "fraction",
        "lines that end in one of TEASERS, of text_line_count (MAP-NEO)",
    ),
    Signal(
        "mean_line_uppercase_fraction",
        "fraction",
        "upper-case letters of a line's characters, mean over text_line_count (RedPajama-V2)",
    ),
    Signal(
        "mean_line_number_fraction",
        "fraction",
        "numeric characters of a line's characters without ASCII punctuation, mean over text_line_count "
        "(RedPajama-V2)",
    ),
    Signal(
        "mean_line_length",
        "characters",
        "characters to lines, blank ones and line breaks included (ChineseWebText)",
    ),
    Signal(
        "repeated_line_fraction",
        "fraction",
        "lines that stand more than once, all occurrences, of text_line_count (DCLM)",
    ),
    Signal(
        "repeated_line_character_fraction",
        "fraction",
        "characters of these, of those of the lines that are not blank (DCLM)",
    ),
    Signal(
        "repeated_paragraph_fraction",
        "fraction",
        "paragraphs that stand more than once, all occurrences, of all that are not blank (DCLM)",
    ),
    Signal(
        "repeated_paragraph_character_fraction",
        "fraction",
        "characters of these, of those of the paragraphs that are not blank (DCLM)",
    ),
)
CHARACTERS: tuple[Signal, ...] = (
    Signal("curly_bracket_fraction", "fraction", "`{` and `}`, of the characters (RedPajama-V2)"),
    Signal("uppercase_fraction", "fraction", "upper-case letters, of the characters"),
    Signal("digit_fraction", "fraction", "digits, of letters, marks, numbers and white space (MAP-NEO)"),
    Signal("punctuation_fraction", "fraction", "punctuation and ASCII symbols, of the characters (MAP-NEO)"),
    Signal(
        "bracketed_fraction", "fraction", "characters between 【 and 】 of one line, of the characters (MAP-NEO)"
    ),
    Signal("unique_character_fraction", "fraction", "different characters, of the characters (MAP-NEO)"),
    Signal("character_entropy", "nats", "entropy of the distribution of the characters (MAP-NEO)"),
    Signal(
        "repeated_13_character_fraction",
        "fraction",
        "runs of 13 characters that stand more than once, of all such runs, in lower case and without white space "
        "(ChineseWebText)",
    ),
)
DERIVED: tuple[Signal, ...] = (
    Signal("symbol_per_word", "ratio", "`#`, `...` and `…` to token_count (RedPajama-V2)"),
    Signal("mean_line_words", "words", "word_count to text_line_count (RedPajama-V2)"),
)
SEARCHED: tuple[Signal, ...] = (
    Signal("lorem_ipsum", "occurrences", "`lorem ipsum` in any case"),
    Signal("javascript_lines", "lines", "lines with `javascript` in any case"),
    Signal("policy_lines", "lines", "lines with a phrase about terms of use, privacy or cookies (C4's six)"),
)
LANGUAGE_SCORE = Signal("lang_score", "probability", "of the language, as the identification gave it")
EDITED_WORDS = Signal(
    "edited_word_fraction",
    "fraction",
    "words of word_count that the edits of the rule's set took out (RefinedWeb)",
)
COMPUTED: tuple[Signal, ...] = (*COUNTED, *NGRAMS, *LINES, *CHARACTERS, *DERIVED, *SEARCHED)
SIGNALS: dict[str, Signal] = {signal.name: signal for signal in (*COMPUTED, LANGUAGE_SCORE, EDITED_WORDS)}
_WHOLE_UNITS = ("characters", "words", "sentences", "lines", "occurrences")


def compute_signals(texts: Sequence[str]) -> pl.DataFrame:
    """All signals that come from the text alone (COMPUTED): one row a text, a column a signal.

    Counts are Int64, the rest Float64. A share of nothing (an empty text) is 0. Of a text of more than
    LONGEST_MEASURED characters, all signals but `characters` are those of its beginning of that length.
    """
    counted = (*COUNTED, *NGRAMS, *LINES, *CHARACTERS)
    short = [text[:LONGEST_MEASURED] for text in texts]
    parts = [np.zeros((0, len(counted))), *(_counted(part) for part in chunks(short))]
    values = np.concatenate(parts)
    frame = pl.DataFrame([pl.Series(signal.name, values[:, k]) for k, signal in enumerate(counted)])
    searched = [_search(text) for text in short]
    whole = [signal.name for signal in counted if signal.unit in _WHOLE_UNITS and "mean" not in signal.name]
    return frame.with_columns(
        pl.col([name for name in whole if name != "characters"]).cast(pl.Int64),
        pl.Series("characters", [len(text) for text in texts], dtype=pl.Int64),
        (pl.col("hash_per_word") + pl.col("ellipsis_per_word")).alias("symbol_per_word"),
        (pl.col("word_count") / pl.col("text_line_count")).fill_nan(0.0).alias("mean_line_words"),
        *(
            pl.Series(signal.name, [found[k] for found in searched], dtype=pl.Int64)
            for k, signal in enumerate(SEARCHED)
        ),
    )


def _counted(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """What array code counts, shape [texts, signals]: words and lines are found once for all of it."""
    words, table, lower = find_words(texts), character_table(), lower_table()
    facts, lines = word_facts(words, table), find_lines(words.codes, words.offsets, table)
    parts = [np.zeros((len(texts), len(group))) for group in (COUNTED, NGRAMS, LINES, CHARACTERS)]
    all_signals(words, facts, lines, table, *_stop_words(), parts[0])
    ngram_signals(words, facts, table, lower, *_function_words(), parts[1])
    line_signals(words.codes, words.offsets, lines, table, lower, *_teasers(), parts[2])
    character_signals(words.codes, words.offsets, table, lower, parts[3])
    return np.concatenate(parts, axis=1)


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
    """A table of the stop words, each with a bit of its own: English ones from bit 0, Chinese ones from bit 32."""
    numbered = (*enumerate(STOP_WORDS_EN), *enumerate(STOP_WORDS_ZH, start=32))
    return _by_hash({word: 1 << number for number, word in numbered})


@lru_cache(maxsize=1)
def _function_words() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    bits = dict.fromkeys((*FUNCTION_WORDS_EN, *STOP_WORDS_ZH), FUNCTION_WORD)
    return _by_hash(bits | {word: bits.get(word, 0) | GOPHER_STOP_WORD for word in STOP_WORDS_EN})


def _by_hash(bits: dict[str, int]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    return table_of({int(hash_span(code_points([word]), 0, len(word))): value for word, value in bits.items()})


@lru_cache(maxsize=1)
def _teasers() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    return code_points(TEASERS), text_offsets(TEASERS)
