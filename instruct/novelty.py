"""Novelty of instructions: ROUGE-L F1 against all that are already there, with exact decisions.

Self-Instruct (Wang et al. 2023, section 2.2) keeps an instruction only if its ROUGE-L with every earlier one
is not above 0.7, and stores the ten nearest. `RougeIndex` gives the ten nearest of all texts, exactly, without
comparing with most of them. Other measures are in `other_novelty.py`.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from corpus.core.errors import ZeroToOneError
from instruct.language import units
from instruct.rouge_kernels import LONGEST, nearest, post, room_needed

THRESHOLD = 0.7
NEIGHBOURS = 10
CHARACTERS, WORDS = CHINESE_TOKENS = ("characters", "words")
_ROUGE_WORD = re.compile(r"[a-z0-9]+")


def tokens(text: str, language: str, chinese_tokens: str = CHARACTERS) -> list[str]:
    """What texts are compared by.

    In English ROUGE's words: ASCII letters and digits, lower case, no stemming. The usual tokenizer leaves
    nothing of Chinese, so that all texts would be alike; in other languages all letters count, Chinese by
    characters or by jieba's words.
    """
    if language == "en":
        return _ROUGE_WORD.findall(text.lower())
    if language != "zh" or chinese_tokens == CHARACTERS:
        return units(text)
    import jieba

    jieba.setLogLevel(logging.ERROR)
    return [word for word in jieba.cut(text.lower()) if any(character.isalnum() for character in word)]


@dataclass(frozen=True)
class Neighbour:
    """An earlier text and how near it is, from 0 to 1."""

    id: str
    score: float


class RougeIndex:
    """Texts that new ones are compared with by ROUGE-L F1.

    Every word has a number, and so has each further occurrence of a word in a text: the tokens that two texts
    have in common, as multisets, are then the numbers that both hold, which postings count.
    """

    def __init__(self, language: str, chinese_tokens: str = CHARACTERS) -> None:
        self._language, self._chinese_tokens = language, chinese_tokens
        self._ids: list[str] = []
        self._numbers: dict[str | tuple[str, int], int] = {}
        self._words, self._word_count = np.zeros(1 << 16, np.int32), 0
        self._offsets, self._lengths = np.zeros(1 << 10, np.int64), np.zeros(1 << 10, np.int32)
        self._starts, self._sizes, self._capacities = (np.zeros(1 << 12, np.int64) for _ in range(3))
        self._local = np.zeros(1 << 12, np.int32)
        self._pool, self._used = np.zeros(1 << 16, np.int32), 0

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id: str, text: str) -> None:
        """Add a text."""
        words, keys = self._encode(text)
        place = len(self._ids)
        self._offsets, self._lengths = _grown(self._offsets, place + 2), _grown(self._lengths, place + 1)
        self._words = _grown(self._words, self._word_count + words.size)
        self._words[self._word_count : self._word_count + words.size] = words
        self._word_count += words.size
        self._offsets[place + 1], self._lengths[place] = self._word_count, words.size
        self._pool = _grown(self._pool, self._used + room_needed(keys, self._sizes, self._capacities))
        self._used = post(place, keys, self._starts, self._sizes, self._capacities, self._pool, self._used)
        self._ids.append(id)

    def nearest(self, text: str, count: int = NEIGHBOURS) -> list[Neighbour]:
        """The nearest texts with a score above 0: the highest first, of equals the one added first."""
        words, keys = self._encode(text)
        scores, found = np.zeros(count), np.full(count, -1, np.int64)
        postings = (self._starts, self._sizes, self._pool)
        lengths = self._lengths[: len(self._ids)]
        nearest(words, keys, postings, self._words, self._offsets, lengths, self._local, scores, found)
        pairs = zip(found.tolist(), scores.tolist(), strict=True)
        return [Neighbour(self._ids[place], score) for place, score in pairs if place >= 0]

    def _encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of a text's words, and of its words told apart by occurrence."""
        found = tokens(text, self._language, self._chinese_tokens)
        if len(found) > LONGEST:
            raise ZeroToOneError(f"an instruction of {len(found):,} tokens: at most {LONGEST:,} can be compared")
        numbers, seen = self._numbers, Counter[str]()
        words, keys = np.empty(len(found), np.int32), np.empty(len(found), np.int32)
        for place, word in enumerate(found):
            words[place] = keys[place] = numbers.setdefault(word, len(numbers))
            if seen[word]:
                keys[place] = numbers.setdefault((word, seen[word]), len(numbers))
            seen[word] += 1
        for name in ("_starts", "_sizes", "_capacities", "_local"):
            setattr(self, name, _grown(getattr(self, name), len(numbers)))
        return words, keys


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    """The array, or one at least twice as long with the same beginning where it is too short; zeros follow."""
    if size <= len(array):
        return array
    longer = np.zeros(max(size, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer
