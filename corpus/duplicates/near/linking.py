"""Candidate pairs from bands, verified by their sets and joined, within bounded memory.

Bands come one after the other, each in ranges of its keys. What lies in one range is read, sorted and linked
before the next; the order of the work is the same for any number of ranges, so the result is, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from corpus.duplicates.near.similarity import similarity_from
from corpus.duplicates.near.union_find import find, unite
from corpus.duplicates.runs import runs
from corpus.duplicates.whole.signed import Signed, part_of, rising

ALL_PAIRS = 64  # members of a bucket of which all pairs are compared
REPRESENTATIVES = 64  # with how many a member of a larger bucket is compared
_BYTES_A_CANDIDATE = 80  # row, key, order and what sorting needs besides


@dataclass(frozen=True)
class Links:
    """The verified pairs that joined sets, as rows, with their Jaccard similarity."""

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray


NO_LINKS = Links(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))


def link(signed: Signed, bands: int, parents: np.ndarray, threshold: float, memory: int) -> Links:
    """Join documents that share a band and whose sets have a Jaccard similarity of at least `threshold`.

    `parents` [rows]: disjoint sets (`union_find`) in which documents with equal sets are one already; joined
    further here. Of equal sets only the root is compared. The members of a bucket are compared in pairs; in a
    bucket of more than 64, each with up to 64 that no earlier one of them resembles, so that the work grows with
    the number of documents and not with its square. Pairs that are joined already are not compared. The order of
    the comparisons goes by keys of content alone.
    """
    roots = parents == np.arange(len(parents), dtype=parents.dtype)
    found = [NO_LINKS]
    parts = 1 + signed.rows * _BYTES_A_CANDIDATE // memory
    for band in range(bands):
        for part in range(parts):
            rows, starts = _not_joined(*_buckets(signed, f"band_{band}", roots, part, parts), parents)
            for first, last in _batches(signed.sizes, rows, starts, memory // 8):
                batch = rows[starts[first] : starts[last]], starts[first : last + 1] - starts[first]
                found += _link_batch(signed, *batch, parents, threshold, memory // 8)
    return Links(
        *(np.concatenate([getattr(one, name) for one in found]) for name in ("left", "right", "similarity"))
    )


def _buckets(signed: Signed, band: str, roots: np.ndarray, part: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that share their key with another, bucket by bucket, and where each bucket begins and the last ends."""
    rows: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
    keys: list[np.ndarray] = [np.empty(0, dtype=np.uint64)]
    ranks: list[np.ndarray] = [np.empty(0, dtype=np.uint64)]
    for first, frame in signed.pieces([band, "set_0"]):
        key, last = frame[band].to_numpy(), first + frame.height
        wanted = roots[first:last] & (signed.sizes[first:last] > 0) & (part_of(key, parts) == part)
        here = np.flatnonzero(wanted)
        rows.append(here + first)
        keys.append(key[here])
        ranks.append(frame["set_0"].to_numpy()[here])
    key = np.concatenate(keys)
    shared = np.flatnonzero(_repeated(key))
    key = key[shared]
    order = np.lexsort((np.concatenate(ranks)[shared], key))
    key = key[order]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
    return np.concatenate(rows)[shared][order], np.append(starts, len(key))


def _repeated(keys: np.ndarray) -> np.ndarray:
    """Whether another has the same key; most have not, and sorting keys alone is quick."""
    ordered = np.sort(keys)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.zeros(len(keys), dtype=bool)
    places = np.minimum(np.searchsorted(twice, keys), len(twice) - 1)
    return np.asarray(twice[places] == keys)


@njit(cache=True)
def _not_joined(rows: np.ndarray, starts: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The buckets whose members are not all one already; an earlier band has joined most of the others."""
    kept, bounds = np.empty(len(rows), dtype=rows.dtype), np.zeros(len(starts), dtype=starts.dtype)
    count = buckets = 0
    for bucket in range(len(starts) - 1):
        first, last = starts[bucket], starts[bucket + 1]
        root = find(parents, rows[first])
        for place in range(first + 1, last):
            if find(parents, rows[place]) != root:
                kept[count : count + last - first] = rows[first:last]
                count += last - first
                buckets += 1
                bounds[buckets] = count
                break
    return kept[:count].copy(), bounds[: buckets + 1].copy()


def _batches(sizes: np.ndarray, rows: np.ndarray, starts: np.ndarray, memory: int) -> Iterator[tuple[int, int]]:
    """Runs of buckets, first and last, whose sets fit the memory together; a larger bucket is a run of its own."""
    ends = np.concatenate([[0], np.cumsum(sizes[rows], dtype=np.int64)])[starts] * 4
    return runs(np.diff(ends), memory)


def _link_batch(
    signed: Signed, rows: np.ndarray, starts: np.ndarray, parents: np.ndarray, threshold: float, memory: int
) -> Iterator[Links]:
    if len(starts) > 2 or int(signed.sizes[rows].sum(dtype=np.int64)) * 4 <= memory or len(rows) <= ALL_PAIRS:
        distinct = rising(rows)
        items = np.searchsorted(distinct, rows)
        sets = signed.sets(distinct)
        yield _linked(_link_buckets, items, starts, distinct, parents, *sets, threshold, signed.by_signature)
        return
    yield from _link_large(signed, rows, parents, threshold, memory)


def _link_large(
    signed: Signed, rows: np.ndarray, parents: np.ndarray, threshold: float, memory: int
) -> Iterator[Links]:
    """One bucket too large for the memory: piece by piece, with the representatives that it has so far."""
    representatives = np.empty(0, dtype=np.int64)
    for first, last in runs(4 * signed.sizes[rows].astype(np.int64), memory):
        distinct = rising(representatives, rows[first:last])
        compared = np.zeros(REPRESENTATIVES, dtype=np.int64)
        compared[: len(representatives)] = np.searchsorted(distinct, representatives)
        state = np.array([len(representatives)])
        items = np.searchsorted(distinct, rows[first:last])
        given = distinct, parents, *signed.sets(distinct), threshold, signed.by_signature
        yield _linked(_link_piece, items, compared, state, *given)
        representatives = distinct[compared[: state[0]]]


def _linked(work: Callable[..., int], items: np.ndarray, *given: object) -> Links:
    """Run compiled code that writes the edges it finds, at most one an item, and return them."""
    left, right = np.empty(len(items), dtype=np.int64), np.empty(len(items), dtype=np.int64)
    similarity = np.empty(len(items))
    edges = work(items, *given, left, right, similarity)
    return Links(left[:edges].copy(), right[:edges].copy(), similarity[:edges].copy())


@njit(cache=True)
def _link_buckets(
    items: np.ndarray,
    starts: np.ndarray,
    rows: np.ndarray,
    parents: np.ndarray,
    values: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    by_signature: bool,
    left: np.ndarray,
    right: np.ndarray,
    similarity: np.ndarray,
) -> int:
    """Link the members of every bucket; an item is the place of its row in `rows` and of its set in `offsets`."""
    compared = np.empty(max(ALL_PAIRS, REPRESENTATIVES), dtype=np.int64)
    edges = 0
    for bucket in range(len(starts) - 1):
        own = items[starts[bucket] : starts[bucket + 1]]
        edges, _ = _link_run(
            own,
            len(own) <= ALL_PAIRS,
            compared,
            0,
            rows,
            parents,
            values,
            offsets,
            threshold,
            by_signature,
            left,
            right,
            similarity,
            edges,
        )
    return edges


@njit(cache=True)
def _link_piece(
    items: np.ndarray,
    compared: np.ndarray,
    used: np.ndarray,
    rows: np.ndarray,
    parents: np.ndarray,
    values: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    by_signature: bool,
    left: np.ndarray,
    right: np.ndarray,
    similarity: np.ndarray,
) -> int:
    """Link a piece of a large bucket; used[0] of `compared` are its representatives, more may join them."""
    edges, used[0] = _link_run(
        items, False, compared, used[0], rows, parents, values, offsets, threshold, by_signature,
        left, right, similarity, 0,
    )  # fmt: skip
    return edges


@njit(cache=True)
def _link_run(
    items: np.ndarray,
    all_pairs: bool,
    compared: np.ndarray,
    used: int,
    rows: np.ndarray,
    parents: np.ndarray,
    values: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    by_signature: bool,
    left: np.ndarray,
    right: np.ndarray,
    similarity: np.ndarray,
    edges: int,
) -> tuple[int, int]:
    for item in items:
        joined = False
        for index in range(used):
            other = compared[index]
            if find(parents, rows[item]) == find(parents, rows[other]):
                joined = True
            elif all_pairs or not joined:
                score = similarity_from(values, offsets, item, other, threshold, by_signature)
                if score >= threshold and unite(parents, rows[item], rows[other]):
                    left[edges], right[edges], similarity[edges] = rows[other], rows[item], score
                    edges += 1
                    joined = True
        if all_pairs or (not joined and used < REPRESENTATIVES):
            compared[used] = item
            used += 1
    return edges, used
