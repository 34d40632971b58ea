"""Texts as code points and words: what all signals share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from corpus.text.characters import COUNTS, Codes, Positions, character_table
from corpus.text.chinese_dictionary import Dictionary, chinese_dictionary, no_dictionary
from corpus.text.english_exceptions import english_exceptions
from corpus.text.segmentation import SpacedScripts, split_texts
from corpus.text.spaced_words import mark_table

_CHUNK_CHARACTERS = 500_000  # what array code makes of them stays in the processor's cache


class Words(NamedTuple):
    """The words of some texts.

    `codes` [characters]: all their code points; text k has those from offsets[k] to offsets[k + 1].
    `starts` [words] and `ends` [words]: where in `codes` each word lies; text k has those from firsts[k] to
    firsts[k + 1].
    """

    codes: Codes
    offsets: Positions
    starts: Positions
    ends: Positions
    firsts: Positions


def find_words(texts: Sequence[str]) -> Words:
    """Split texts into words, punctuation included.

    A Chinese text is cut whole as `jieba.cut` does, its URLs and code too, white space left out. What is Chinese
    is told from the text itself, so that it has the same words everywhere: at least one letter in a hundred is an
    ideograph (U+4E00 to U+9FD5), and at most one letter of other scripts, ASCII aside, comes on four of them.

    Other texts are cut as spaCy's English tokenizer, and datatrove with it, cuts them (`spaced_words.py`): at
    white space, then punctuation off both ends of what stands between, then inside, mostly between letters.
    Contractions are two words (`do` `n't`), titles and other abbreviations one (`Mr.`, `e.g.`), as are web
    addresses and what has no letters around its signs (`3=6>>6`, `|---|`, `-m`); units part from numbers
    (`4` `K`). Ideographs between other scripts go through jieba.
    """
    codes, offsets = code_points(texts), text_offsets(texts)
    starts, ends = np.empty(codes.size, dtype=np.int64), np.empty(codes.size, dtype=np.int64)
    firsts = np.empty(offsets.size, dtype=np.int64)
    spaced = SpacedScripts(mark_table(), english_exceptions())
    split_texts(codes, offsets, character_table(), spaced, dictionary_for(codes), starts, ends, firsts)
    return Words(codes, offsets, starts[: firsts[-1]], ends[: firsts[-1]], firsts)


def split_words(text: str) -> list[str]:
    """The words of one text, as `find_words` splits it."""
    words = find_words([text])
    return [text[start:end] for start, end in zip(words.starts, words.ends, strict=True)]


def count_words(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """The number of words of every text, those of punctuation only left out (`COUNTS`); shape [texts]."""
    counts = [np.zeros(0, dtype=np.int64)]
    for part in chunks(texts):
        words = find_words(part)
        counted = np.cumsum(np.append(0, (character_table()[words.codes] & COUNTS) != 0))
        plain = np.cumsum(np.append(0, counted[words.ends] > counted[words.starts]))
        counts.append(np.diff(plain[words.firsts]))
    return np.concatenate(counts)


def chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of texts of about half a million characters each: bounds the memory of array code."""
    first = size = 0
    for at, text in enumerate(texts):
        if size and size + len(text) > _CHUNK_CHARACTERS:
            yield texts[first:at]
            first, size = at, 0
        size += len(text)
    if first < len(texts):
        yield texts[first:]


def code_points(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    """All characters of the texts, one after the other; lone surrogates are allowed."""
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def text_offsets(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where each text begins in `code_points`, and the end of the last, shape [texts + 1]."""
    return np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)


def dictionary_for(codes: npt.NDArray[np.uint32]) -> Dictionary:
    """jieba's dictionary where there are ideographs, else an empty one (the full one takes time to load)."""
    has_ideographs = bool(((codes >= 0x4E00) & (codes <= 0x9FD5)).any())
    return chinese_dictionary() if has_ideographs else no_dictionary()
