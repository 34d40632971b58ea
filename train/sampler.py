"""The mixture sampler: which tokens a step trains on, as a pure function of the step.

A row is `row_length` tokens of one domain. The order of domains is Tijdeman's schedule: each domain's count of
rows stays within one row of its weight's share at every moment. Within a domain, an epoch cuts the domain's
tokens, seen as a ring, into rows from an offset of its own and takes them in the order of a keyed permutation.
Nothing is drawn from a stream of random numbers, so any step can be recomputed at any time.

A row may cover several documents. `document_positions` numbers its tokens from each end of text anew, which
keeps documents from attending to each other (see `train.models.check_isolation`).
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from corpus.core.errors import ZeroToOneError
from corpus.core.shards import DomainShard, Shards
from train.mixture import Mixture

_UNIT = 2**40  # weights are whole multiples of 1/_UNIT, so that accounts are exact
_MASK = 2**64 - 1


@dataclass(frozen=True)
class Row:
    """`row_length` tokens of a domain from position `start` of its token file, read as a ring."""

    domain: str
    epoch: int
    index: int
    start: int


@dataclass(frozen=True)
class Span:
    """A run of tokens that a row of a step was trained to predict, all of one document.

    `document` is the row in the domain's documents.parquet, `document_offset` the first token's place in the
    document and `row_offset` its place among the row's targets.
    """

    row: int
    domain: str
    document: int
    document_offset: int
    row_offset: int
    tokens: int


class Sampler:
    """Rows of fixed length from the domains of a shard directory, by weight.

    `history` holds (first step, mixture) from step 0 on: a mixture holds until the next one begins. The
    mixtures' unit is tokens. Steps are numbered from 0; each has `rows_per_step` rows.
    Raises ZeroToOneError when a weighted domain is missing from the shards or has no tokens.
    """

    def __init__(
        self,
        shards: Shards,
        history: Sequence[tuple[int, Mixture]],
        row_length: int,
        rows_per_step: int,
        seed: int = 0,
    ) -> None:
        _check_history(shards, history)
        self.shards, self.history = shards, list(history)
        self.row_length, self.rows_per_step, self.seed = row_length, rows_per_step, seed
        self.domains = sorted(
            {domain for _, mixture in history for domain, weight in mixture.weights.items() if weight}
        )
        starts = [first * rows_per_step for first, _ in history]
        self._schedule = _Schedule(starts, [_whole_weights(mixture, self.domains) for _, mixture in history])

    def rows_per_epoch(self, domain: str) -> int:
        """How many rows show each token of a domain once (the last one may overlap the first)."""
        return -(-len(self.shards.domains[domain].tokens) // self.row_length)

    def rows(self, step: int) -> list[Row]:
        """The rows of a step."""
        first = step * self.rows_per_step
        return [self._row(*self._schedule[first + i]) for i in range(self.rows_per_step)]

    def tokens(self, step: int) -> np.ndarray:
        """Token ids of a step: int64 [rows_per_step, row_length + 1]; targets are inputs moved by one."""
        length = self.row_length + 1
        return np.stack(
            [_ring(self.shards.domains[row.domain].tokens, row.start, length) for row in self.rows(step)]
        )

    def documents(self, step: int) -> list[Span]:
        """Which documents the targets of a step come from, in the order of rows and tokens."""
        spans: list[Span] = []
        for number, row in enumerate(self.rows(step)):
            spans += _spans(number, row, self.shards.domains[row.domain], self.row_length)
        return spans

    def counts(self, step: int) -> dict[str, int]:
        """How many rows of each domain lie before a step."""
        before = self._schedule.counts(step * self.rows_per_step)
        return dict(zip(self.domains, before, strict=True))

    def _row(self, number: int, k: int) -> Row:
        domain = self.domains[number]
        epoch, place = divmod(k, self.rows_per_epoch(domain))
        key = hashlib.blake2b(f"{self.seed}\x00{epoch}\x00{domain}".encode(), digest_size=16).digest()
        index = permuted(place, self.rows_per_epoch(domain), int.from_bytes(key[:8], "big"))
        size = len(self.shards.domains[domain].tokens)
        start = (int.from_bytes(key[8:], "big") + index * self.row_length) % size
        return Row(domain, epoch, index, start)


def document_positions(inputs: np.ndarray, end_of_text_id: int) -> np.ndarray:
    """Position ids [rows, length] that begin anew at each end of text.

    The end of text before a document is its first token: the document's own first token is predicted from it
    alone, and nothing is predicted from another document.
    """
    places = np.arange(inputs.shape[1])
    return places - np.maximum.accumulate(np.where(inputs == end_of_text_id, places, 0), axis=1)


def permuted(index: int, size: int, key: int) -> int:
    """The image of `index` under a permutation of range(size) that `key` picks.

    A balanced Feistel network over the next power of four, walked until it lands inside (Black and Rogaway,
    "Ciphers with Arbitrary Finite Domains", 2002, section 4).
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    while True:
        left, right = index >> half, index & low
        for turn in range(6):
            left, right = right, left ^ (_mix(right + (turn << 32) ^ key) & low)
        index = left << half | right
        if index < size:
            return index


def _mix(value: int) -> int:
    """The finaliser of splitmix64 (Steele, Lea and Flood, 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31


class _Schedule:
    """The sequence of domains: item g is (domain number, how many rows of that domain come before g).

    Tijdeman, "The chairman assignment problem" (1980): among the domains whose account is at least
    1 / (2n - 2) of a row, take the one that would first run 1 - 1 / (2n - 2) behind. With constant weights no
    account is then ever further than 1 - 1 / (2n - 2) from zero. Accounts are carried over when weights change.
    """

    def __init__(self, starts: list[int], weights: list[list[int]]) -> None:
        self._starts, self._weights = starts, weights
        self._accounts = [0] * len(weights[0])
        self._counts = [0] * len(weights[0])
        self._numbers, self._places = array("l"), array("q")

    def __getitem__(self, g: int) -> tuple[int, int]:
        while len(self._numbers) <= g:
            self._extend()
        return self._numbers[g], self._places[g]

    def counts(self, g: int) -> list[int]:
        """How many of the first g items each domain has."""
        if g:
            self[g - 1]
        counted = Counter(self._numbers[:g])
        return [counted[number] for number in range(len(self._counts))]

    def _extend(self) -> None:
        weights = self._weights[bisect_right(self._starts, len(self._numbers)) - 1]
        slack = _UNIT // max(1, 2 * len(weights) - 2)
        accounts = self._accounts
        chosen, best = -1, (0, 0)
        for i, weight in enumerate(weights):
            accounts[i] += weight
            if weight and accounts[i] >= slack:
                urgency = (-(-(_UNIT - slack - accounts[i]) // weight), i)
                if chosen < 0 or urgency < best:
                    chosen, best = i, urgency
        if chosen < 0:  # only after a change of weights, when a domain that left the mixture was owed rows
            chosen = max((i for i, weight in enumerate(weights) if weight), key=lambda i: accounts[i])
        accounts[chosen] -= _UNIT
        self._numbers.append(chosen)
        self._places.append(self._counts[chosen])
        self._counts[chosen] += 1


def _check_history(shards: Shards, history: Sequence[tuple[int, Mixture]]) -> None:
    if not history or history[0][0] != 0:
        raise ZeroToOneError("the history of weights must begin at step 0")
    for (first, _), (second, _) in pairwise(history):
        if second <= first:
            raise ZeroToOneError(f"the history of weights is not in order at step {second}")
    for _, mixture in history:
        if mixture.unit != "tokens":
            raise ZeroToOneError(f"the sampler needs weights of tokens, not of {mixture.unit}")
        for domain, weight in mixture.weights.items():
            if domain not in shards.domains:
                has = ", ".join(shards.domains) or "no domains"
                raise ZeroToOneError(f"{shards.path}: no domain `{domain}` as the mixture wants; it has {has}")
            if weight and not len(shards.domains[domain].tokens):
                raise ZeroToOneError(f"{shards.path}: domain `{domain}` of the mixture has no tokens")


def _whole_weights(mixture: Mixture, domains: list[str]) -> list[int]:
    """Weights as whole numbers that sum to _UNIT; the largest takes what rounding leaves."""
    whole = [int(mixture.weights.get(domain, 0.0) * _UNIT) for domain in domains]
    whole[whole.index(max(whole))] += _UNIT - sum(whole)
    return whole


def _ring(tokens: np.ndarray, start: int, length: int) -> np.ndarray:
    if start + length <= len(tokens):
        return tokens[start : start + length].astype(np.int64)
    return tokens[np.arange(start, start + length) % len(tokens)].astype(np.int64)


def _spans(number: int, row: Row, shard: DomainShard, row_length: int) -> list[Span]:
    size, spans, done = len(shard.tokens), [], 0
    while done < row_length:
        place = (row.start + 1 + done) % size
        document = int(np.searchsorted(shard.offsets, place, side="right")) - 1
        taken = min(int(shard.offsets[document + 1]) - place, row_length - done)
        spans.append(Span(number, row.domain, document, place - int(shard.offsets[document]), done, taken))
        done += taken
    return spans
