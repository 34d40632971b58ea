"""Novelty by rouge-score and by rapidfuzz; runs in an environment of its own with these two packages.

    python novelty_peer.py decisions|pairs|brute-force|bounds < JSON > JSON

`decisions`: Self-Instruct's loop, {"seeds", "texts"} to which texts are kept. The others compare
{"queries": [[tokens, number of the pool's first texts]], "pool": [tokens]} and give seconds, pairs and which
queries are novel: `pairs` by rouge-score (its queries and pool are texts), `brute-force` by one call of
rapidfuzz for each query and its part of the pool, `bounds` with the pairs ruled out by shared tokens first.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from rapidfuzz import process
from rapidfuzz.distance import LCSseq
from rouge_score.rouge_scorer import RougeScorer

SCORER = RougeScorer(["rougeL"], use_stemmer=False)
Query = tuple[Sequence[Any], int]


def score(first: str, second: str) -> float:
    return float(SCORER.score(first, second)["rougeL"].fmeasure)


def decisions(seeds: list[str], texts: list[str]) -> list[bool]:
    kept, found = list(seeds), []
    for text in texts:
        found.append(max(score(other, text) for other in kept) <= 0.7)
        if found[-1]:
            kept.append(text)
    return found


def f1(common: int, first: int, second: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / first, common / second
    return 2 * precision * recall / (precision + recall)


def by_rouge_score(query: Query, pool: list[Any]) -> bool:
    text, size = query
    return max((score(other, text) for other in pool[:size]), default=0.0) <= 0.7


def by_brute_force(query: Query, pool: list[Any]) -> bool:
    tokens, size = query
    common = process.cdist([tokens], pool[:size], scorer=LCSseq.similarity, workers=1)[0]
    lengths = map(len, pool[:size])
    return all(f1(int(one), len(tokens), length) <= 0.7 for one, length in zip(common, lengths, strict=True))


class WithBounds:
    """An inverted index in plain Python: the pairs left over go to rapidfuzz."""

    def __init__(self, pool: list[Any]) -> None:
        self.holders: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for place, tokens in enumerate(pool):
            for token, count in Counter(tokens).items():
                self.holders[token].append((place, count))

    def __call__(self, query: Query, pool: list[Any]) -> bool:
        tokens, size = query
        shared: Counter[int] = Counter()
        for token, count in Counter(tokens).items():
            for place, theirs in self.holders.get(token, ()):
                if place >= size:
                    break
                shared[place] += min(count, theirs)
        for place, common in shared.items():
            length = len(tokens) + len(pool[place])
            near = 2 * common >= (0.7 - 1e-9) * length
            if near and f1(LCSseq.similarity(tokens, pool[place]), len(tokens), len(pool[place])) > 0.7:
                return False
        return True


def timed(novel: Callable[[Query, list[Any]], bool], queries: list[Query], pool: list[Any]) -> dict[str, Any]:
    started = time.process_time()
    found = [novel(query, pool) for query in queries]
    return {
        "seconds": time.process_time() - started,
        "pairs": sum(size for _, size in queries),
        "novel": found,
    }


def main() -> None:
    given = json.load(sys.stdin)
    if sys.argv[1] == "decisions":
        result: Any = decisions(given["seeds"], given["texts"])
    else:
        pool = given["pool"]
        ways = {"pairs": by_rouge_score, "brute-force": by_brute_force}
        novel = ways[sys.argv[1]] if sys.argv[1] in ways else WithBounds(pool)
        result = timed(novel, [tuple(query) for query in given["queries"]], pool)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
