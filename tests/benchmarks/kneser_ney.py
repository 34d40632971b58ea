"""Interpolated Kneser-Ney language models as ARPA text, for benchmarks without KenLM's trainer.

One discount for all counts (Kneser and Ney 1995; interpolated as in Chen and Goodman 1999); all in memory.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

_DISCOUNT = 0.75
_NOTHING = -99.0  # log10 of the probability of <s>, which is never predicted
Ngram = tuple[str, ...]


def write_kneser_ney(path: Path, lines: Iterable[str], order: int) -> None:
    """Train on lines of tokens with a blank between, and write the model."""
    counts = _counts(lines, order)
    probabilities: dict[Ngram, float] = {}
    back_offs: dict[Ngram, float] = {}
    for length in range(1, order + 1):
        _add(counts[length], probabilities, back_offs)
    levels = [[ngram for ngram in probabilities if len(ngram) == length] for length in range(1, order + 1)]
    with path.open("w", encoding="utf-8") as handle:
        handle.write("\\data\\\n" + "".join(f"ngram {n}={len(level)}\n" for n, level in enumerate(levels, 1)))
        for length, level in enumerate(levels, 1):
            handle.write(f"\n\\{length}-grams:\n")
            for ngram in sorted(level):
                back_off = f"\t{_log(back_offs.get(ngram, 1.0))}" if length < order else ""
                handle.write(f"{_log(probabilities[ngram])}\t{' '.join(ngram)}{back_off}\n")
        handle.write("\n\\end\\\n")


def _counts(lines: Iterable[str], order: int) -> dict[int, Counter[Ngram]]:
    """How often n-grams of the highest order stand there; of shorter ones (but at a line's start), after how many
    different tokens they do."""
    raw: dict[int, Counter[Ngram]] = {length: Counter() for length in range(1, order + 1)}
    for line in lines:
        tokens = ("<s>", *line.split(), "</s>")
        for end in range(2, len(tokens) + 1):
            for length in range(1, min(order, end) + 1):
                raw[length][tokens[end - length : end]] += 1
    found = {order: raw[order]}
    for length in range(order - 1, 0, -1):
        after = Counter(ngram[1:] for ngram in raw[length + 1])
        starts = {ngram: count for ngram, count in raw[length].items() if ngram[0] == "<s>"}
        found[length] = Counter({ngram: starts.get(ngram, after[ngram]) for ngram in raw[length]})
    return found


def _add(counts: Counter[Ngram], probabilities: dict[Ngram, float], back_offs: dict[Ngram, float]) -> None:
    """The n-grams of one length, given those of the lengths below."""
    contexts: dict[Ngram, list[int]] = defaultdict(list)
    for ngram, count in counts.items():
        contexts[ngram[:-1]].append(count)
    totals = {context: sum(found) for context, found in contexts.items()}
    weights = {context: _DISCOUNT * len(contexts[context]) / totals[context] for context in contexts}
    uniform = 1 / (len(counts) + 1)  # <unk> has a share as every word
    for ngram, count in counts.items():
        context = ngram[:-1]
        lower = probabilities[ngram[1:]] if context else uniform
        probabilities[ngram] = (count - _DISCOUNT) / totals[context] + weights[context] * lower
    if () in contexts:
        probabilities |= {("<unk>",): weights[()] * uniform, ("<s>",): 0.0}
    else:
        back_offs |= weights


def _log(value: float) -> str:
    return f"{math.log10(value):.6f}" if value else str(_NOTHING)
