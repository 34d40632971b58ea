"""Line edits: what C4 takes out of a page before it judges it, as functions on columns of texts.

Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.2, with the thresholds of the released
code. Chinese sentence ends count as ends of lines; words of lines with ideographs are counted by segmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from corpus.filtering.signals import POLICY_PHRASES
from corpus.text.words import chunks, count_words

_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
_END = r"""(?:[.?!"'。！？．｡”’」』]|[。！？][）】》〉]+)$"""
_HAN = "[\u4e00-\u9fd5]"
_PIECE_CHARACTERS = 2_000_000  # longer texts are edited piece by piece, which bounds the memory
# Scripts written without spaces have no words of a thousand characters, only lines.
_SPACED = r"[^\s\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"


@dataclass(frozen=True)
class Edit:
    """An edit of a rule set: its name in EDITS and its threshold (0 for those that need none)."""

    name: str
    threshold: int = 0


class EditKind(NamedTuple):
    """What an edit does, and the threshold that it has unless a rule set says otherwise."""

    description: str
    threshold: int
    keeps: Callable[[pl.Series, int], pl.Series] | None  # None: rewrites lines instead of dropping them


def apply_edits(texts: Sequence[str], edits: Sequence[Edit]) -> tuple[list[str], pl.DataFrame]:
    """Apply the edits in their order to every text.

    Returns the texts (lines stripped; without blank lines if an edit drops lines) and what was removed: one row
    a text, one Int64 column an edit: lines dropped, or marks cut.
    """
    if not edits:
        return list(texts), pl.DataFrame()
    parts: list[list[str]] = [[] for _ in texts]
    removed = {edit.name: np.zeros(len(texts), dtype=np.int64) for edit in edits}
    for owners, pieces in _batches(texts):
        edited, counts = _edit_lines(pieces, edits)
        for owner, piece in zip(owners, edited, strict=True):
            if piece is not None:
                parts[owner].append(piece)
        for name, values in counts.items():
            np.add.at(removed[name], owners, values.astype(np.int64))
    columns = [pl.Series(name, values) for name, values in removed.items()]
    return ["\n".join(part).strip() for part in parts], pl.DataFrame(columns)


def _batches(texts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
    """Pieces of texts, cut after a line's end, and the text of each: some million characters at a time."""
    pieces = [(owner, piece) for owner, text in enumerate(texts) for piece in _pieces(text)]
    at = 0
    for batch in chunks([piece for _, piece in pieces]):
        yield [owner for owner, _ in pieces[at : at + len(batch)]], list(batch)
        at += len(batch)


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _PIECE_CHARACTERS:
        stop = text.find("\n", start + _PIECE_CHARACTERS) + 1
        if not stop:
            break
        yield text[start:stop]
        start = stop
    yield text[start:] if start else text


def _edit_lines(texts: Sequence[str], edits: Sequence[Edit]) -> tuple[list[str | None], dict[str, np.ndarray]]:
    """The texts with their lines edited, None where none is left, and what each edit removed from each."""
    split = [text.splitlines() for text in texts]
    owner = np.repeat(np.arange(len(texts)), [len(lines) for lines in split])
    lines = pl.Series("line", [line.strip() for lines in split for line in lines], dtype=pl.String)
    if any(EDITS[edit.name].keeps for edit in edits):
        lines, owner = _filter(lines, owner, lines != "")
    removed: dict[str, np.ndarray] = {}
    for edit in edits:
        keeps = EDITS[edit.name].keeps
        if keeps is None:
            marks = lines.str.count_matches(_CITATION).to_numpy()
            removed[edit.name] = np.bincount(owner, weights=marks, minlength=len(texts))
            lines = lines.str.replace_all(_CITATION, "").str.strip_chars_end()
        else:
            kept = keeps(lines, edit.threshold)
            removed[edit.name] = np.bincount(owner[~kept.to_numpy()], minlength=len(texts))
            lines, owner = _filter(lines, owner, kept)
    return _join(lines, owner, len(texts)), removed


def _filter(lines: pl.Series, owner: np.ndarray, kept: pl.Series) -> tuple[pl.Series, np.ndarray]:
    return lines.filter(kept), owner[kept.to_numpy()]


def _join(lines: pl.Series, owner: np.ndarray, count: int) -> list[str | None]:
    bounds = np.searchsorted(owner, np.arange(count + 1))
    every = lines.to_list()
    return ["\n".join(every[a:b]) if b > a else None for a, b in pairwise(bounds)]


def _short_enough_words(lines: pl.Series, longest: int) -> pl.Series:
    kept = pl.Series(lines.str.len_bytes() <= longest)
    doubtful = lines.filter(~kept)
    if doubtful.len():
        # Counted repetitions make slow patterns; the longest unbroken piece is found by splitting.
        pieces = doubtful.str.extract_all(f"{_SPACED}+").list.eval(pl.element().str.len_chars()).list.max()
        kept = kept.scatter(np.flatnonzero(~kept.to_numpy()), pieces.fill_null(0) <= longest)
    return kept


def _ends_a_sentence(lines: pl.Series, _: int) -> pl.Series:
    return lines.str.contains(_END) & ~lines.str.ends_with("...")


def _enough_words(lines: pl.Series, least: int) -> pl.Series:
    counts = lines.str.count_matches(r"\S+").to_numpy().copy()
    chinese = np.flatnonzero(lines.str.contains(_HAN).to_numpy())
    if chinese.size:
        counts[chinese] = count_words(lines.gather(chinese).to_list())
    return pl.Series(counts >= least)


def _no_javascript(lines: pl.Series, _: int) -> pl.Series:
    return ~lines.str.contains("(?i)javascript")


def _no_policy(lines: pl.Series, _: int) -> pl.Series:
    return ~lines.str.contains("(?i)" + "|".join(POLICY_PHRASES))


EDITS: dict[str, EditKind] = {
    "remove_citations": EditKind("cuts `[1]`, `[edit]` and `[citation needed]`", 0, None),
    "drop_lines_with_long_words": EditKind(
        "drops lines with a word of more characters", 1000, _short_enough_words
    ),
    "drop_lines_without_end_punctuation": EditKind(
        "drops lines that end in none of `. ? ! \" '` and `。！？`, or in `...`", 0, _ends_a_sentence
    ),
    "drop_lines_with_few_words": EditKind("drops lines of fewer words", 3, _enough_words),
    "drop_javascript_lines": EditKind("drops lines with `javascript`", 0, _no_javascript),
    "drop_policy_lines": EditKind("drops lines with one of C4's policy phrases", 0, _no_policy),
}
