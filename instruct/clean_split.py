"""Long conversations cut on whole rounds, by the count of a tokenizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from corpus.tokens.tokenizer import load_tokenizer

Count = Callable[[str], int]

_CONTROL_TOKENS = 2  # what begins and ends a turn
_PIECES = re.compile(r"[A-Za-z]{1,5}|[0-9]{1,3}|\n+|[^\S\n]{2,8}|[^\sA-Za-z0-9]")


def count_estimate(text: str) -> int:
    """About how many tokens a text has, without a tokenizer: rather more than less.

    A started five letters, three digits, any other character, or a run of white space is one.
    """
    return sum(1 for _ in _PIECES.finditer(text))


@lru_cache(maxsize=1)
def counter(tokenizer: str | None) -> Count:
    """The count of a folder's tokenizer.json (ZeroToOneError where it is none), or `count_estimate`."""
    if tokenizer is None:
        return count_estimate
    loaded = load_tokenizer(Path(tokenizer))

    def count(text: str) -> int:
        return len(loaded.encode(text, add_special_tokens=False).ids)

    return count


def turn_tokens(role: str, content: str, count: Count) -> int:
    """The tokens of a turn with what a chat template (ChatML) puts around it: marks, role, ends of line."""
    return count(content) + _around(role, count)


@lru_cache(maxsize=16)
def _around(role: str, count: Count) -> int:
    return _CONTROL_TOKENS + count(f"{role}\n") + count("\n")


def split_rounds(sizes: Sequence[int], shared: int, most: int) -> list[tuple[int, int]]:
    """Cut rounds of `sizes` tokens into runs, each as long as fits `most` with `shared`, the system turn's tokens.

    Returns the first round of each run and the one behind its last. A round that does not fit is a run of its own.
    """
    runs: list[tuple[int, int]] = []
    first, size = 0, shared
    for place, tokens in enumerate(sizes):
        if place > first and size + tokens > most:
            runs.append((first, place))
            first, size = place, shared
        size += tokens
    return [*runs, (first, len(sizes))] if sizes else runs
