"""Texts as the lines that fastText classifiers are trained on and asked with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from corpus.text.fasttext_model import LABEL, one_line
from corpus.text.words import chunks, find_words

_LONGEST_TEXT = 1_000_000  # characters: bounds the memory that one document takes


@dataclass(frozen=True)
class Normalisation:
    """How a text becomes a line. With `words` its words and punctuation marks stand apart (`find_words`, for
    Chinese as jieba has them), without it only white space is collapsed, as DCLM's classifier has it.
    """

    words: bool = True
    lower_case: bool = True

    def lines(self, texts: Sequence[str]) -> list[str]:
        """A line for each text, "" for one without words; nothing in it is taken for a label."""
        cut = [text[:_LONGEST_TEXT] for text in texts]
        lowered = [text.lower() for text in cut] if self.lower_case else cut
        return [_without_labels(one_line(text)) for text in (words_apart(lowered) if self.words else lowered)]


def words_apart(texts: Sequence[str]) -> Iterator[str]:
    """The texts with one blank between any two words."""
    for part in chunks(texts):
        found, text = find_words(part), "".join(part)
        words = [text[start:end] for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
        firsts = found.firsts.tolist()
        for first, last in pairwise(firsts):
            yield " ".join(words[first:last])


def _without_labels(line: str) -> str:
    return f" {line}".replace(f" {LABEL}", f" {LABEL.lstrip('_')}")[1:] if LABEL in line else line
