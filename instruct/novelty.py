"""Novelty of instructions: ROUGE-L F1 against all that are already there, with exact decisions.

Self-Instruct (Wang et al. 2023, section 2.2) keeps an instruction only if its ROUGE-L with every earlier one
is not above 0.7. The usual ROUGE tokenizer keeps ASCII letters and digits only, so that any two Chinese texts
would score 0; for Chinese each character is a token.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

THRESHOLD = 0.7
_WORD = re.compile(r"[a-z0-9]+")
_WORD_OR_HAN = re.compile(r"[a-z0-9]+|[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def tokens(text: str, language: str) -> list[str]:
    """ROUGE's words (ASCII letters and digits, lower case); for `zh` also each Chinese character."""
    return (_WORD_OR_HAN if language == "zh" else _WORD).findall(text.lower())


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bit-parallel rows (Hyyrö 2004)."""
    places: defaultdict[str, int] = defaultdict(int)
    for place, token in enumerate(first):
        places[token] |= 1 << place
    full = (1 << len(first)) - 1
    row = full
    for token in second:
        match = row & places.get(token, 0)
        row = ((row + match) | (row - match)) & full
    return len(first) - row.bit_count()


def rouge_l(first: Sequence[str], second: Sequence[str]) -> float:
    """ROUGE-L F1 of two token lists (Lin 2004), in the order of operations of the usual implementation."""
    common = longest_common_subsequence(first, second) if first and second else 0
    return _f1(common, len(first), len(second))


def _f1(common: int, first: int, second: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / first, common / second
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True)
class Neighbour:
    """A text that is too near: its name and the ROUGE-L F1 with it."""

    id: str
    score: float


class NoveltyIndex:
    """Texts that new ones are compared with.

    The F1 is 2·LCS/(m + n), and the LCS is at most the number of tokens in common (as multisets), which an
    inverted index counts. So only pairs that share enough tokens are compared, and every decision is that of
    the full comparison.
    """

    def __init__(self, language: str, threshold: float = THRESHOLD) -> None:
        self.language = language
        self.threshold = threshold
        self._ids: list[str] = []
        self._tokens: list[list[str]] = []
        self._holders: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id: str, text: str) -> None:
        """Add a text."""
        words = tokens(text, self.language)
        for word, count in Counter(words).items():
            self._holders[word].append((len(self._ids), count))
        self._ids.append(id)
        self._tokens.append(words)

    def too_near(self, text: str) -> Neighbour | None:
        """The nearest text (the first of equals) if its ROUGE-L F1 is above the threshold, else None."""
        words = tokens(text, self.language)
        best: Neighbour | None = None
        for place in sorted(self._candidates(words)):
            score = rouge_l(words, self._tokens[place])
            if score > self.threshold and (best is None or score > best.score):
                best = Neighbour(self._ids[place], score)
        return best

    def _candidates(self, words: list[str]) -> list[int]:
        shared: Counter[int] = Counter()
        for word, count in Counter(words).items():
            for place, theirs in self._holders.get(word, ()):
                shared[place] += min(count, theirs)
        # The margin keeps rounding on the safe side of the bound.
        least = self.threshold - 1e-9
        return [
            place
            for place, common in shared.items()
            if 2 * common >= least * (len(words) + len(self._tokens[place]))
        ]
