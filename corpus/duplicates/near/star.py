"""Star linkage: every document of a cluster resembles the one that is kept, so that no chain forms.

The documents of a connected component are taken from the best to the worst. Each belongs to the best centre that
it resembles; where there is none it becomes a centre itself (the greedy star cover of Aslam, Pelekhov and Rus
2004, by rank in place of degree). A component has few centres as a rule. Beyond the first 64, a document is
compared only with centres that share a band with it, and with so many of them at most, so that the work grows with
the number of documents; all that a missed centre costs is that one more document is kept.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from corpus.duplicates.near.linking import Links
from corpus.duplicates.near.matching import Matching
from corpus.duplicates.near.similarity import similarity_from
from corpus.duplicates.runs import runs
from corpus.duplicates.whole.clusters import find_members
from corpus.duplicates.whole.signed import Signed, rising

ALWAYS = 64  # so many of a component's first centres are compared with every document
SHARING = 1024  # with so many others that share a band at most
_BYTES_A_BAND = 128  # key, slot and link of a band in the index of centres


def star_linkage(
    signed: Signed,
    links: Links,
    roots: np.ndarray,
    equal_sets: np.ndarray,
    matching: Matching,
    first: bool,
    memory: int,
) -> tuple[np.ndarray, Links]:
    """Cut joined documents into stars: the centre of each document's star, [rows], and the pairs with the centres.

    `links`: the pairs that joined them, `roots` [rows] a name for what is joined, `equal_sets` [rows] the first
    row of the same set. Documents go by rank; of equal ranks, where `first`, by row, else by a hash of their
    shingles, so that the order of the input does not matter.
    """
    heads = rising(links.left, links.right)
    rows = find_members(roots)
    of_heads = np.searchsorted(heads, equal_sets[rows])
    in_heads = np.isin(equal_sets[rows], heads)
    ranks = np.full(len(heads), np.inf)
    np.minimum.at(ranks, of_heads[in_heads], signed.gather(rows, ["rank"])["rank"].to_numpy()[in_heads])
    ties = heads if first else signed.gather(heads, ["set_0"])["set_0"].to_numpy()
    order = np.lexsort((ties, ranks, roots[heads]))
    heads = heads[order]
    found = link_stars(signed, heads, roots[heads], matching.banding.bands, matching.threshold, memory)
    centres, similarity = found
    others = centres != heads
    centre_of = np.arange(signed.rows, dtype=signed.row_type)
    centre_of[heads] = centres
    return centre_of[equal_sets], Links(centres[others], heads[others], similarity[others])


def link_stars(
    signed: Signed, heads: np.ndarray, components: np.ndarray, bands: int, threshold: float, memory: int
) -> tuple[np.ndarray, np.ndarray]:
    """The centre of each document (its row), and its similarity with it (1 for a centre); shapes [heads].

    `heads`: rows, component by component (`components`, equal within one), in each from the best to the worst.
    Holds about `memory` bytes of what is compared, whatever the size of a component; the result is the same.
    """
    starts = np.flatnonzero(np.append(True, components[1:] != components[:-1])[: len(heads)])
    starts = np.append(starts, len(heads))
    centres, similarity = heads.copy(), np.ones(len(heads))
    counts = np.diff(starts)
    small = np.flatnonzero(counts <= ALWAYS)
    sizes = np.add.reduceat(4 * signed.sizes[heads].astype(np.int64), starts[:-1]) if len(heads) else counts
    all_places = np.flatnonzero(np.repeat(counts <= ALWAYS, counts))
    ends = np.concatenate([[0], np.cumsum(counts[small])])
    for first, last in runs(sizes[small], memory):
        places, offsets = all_places[ends[first] : ends[last]], ends[first : last + 1] - ends[first]
        distinct, items = _distinct(heads[places])
        found = _small(items, offsets, *signed.sets(distinct), threshold, signed.by_signature)
        centres[places], similarity[places] = distinct[found[0]], found[1]
    for one in np.flatnonzero(counts > ALWAYS):
        own = slice(starts[one], starts[one + 1])
        centres[own], similarity[own] = _large(signed, heads[own], bands, threshold, memory)
    return centres, similarity


def _distinct(*rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """All rows rising, each once; and the place there of each of the given ones."""
    distinct = rising(*rows)
    return distinct, *(np.searchsorted(distinct, given) for given in rows)


@njit(cache=True)
def _small(
    items: np.ndarray,
    starts: np.ndarray,
    values: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    by_signature: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """The centre of each item, as an item, and the similarity; components of 64 at most begin at `starts`."""
    centres, similarity = items.copy(), np.ones(len(items), dtype=np.float64)
    known = np.empty(ALWAYS, dtype=np.int64)
    for component in range(len(starts) - 1):
        used = 0
        for place in range(starts[component], starts[component + 1]):
            alone = True
            for centre in known[:used]:
                score = similarity_from(values, offsets, centre, items[place], threshold, by_signature)
                if score >= threshold:
                    centres[place], similarity[place] = centre, score
                    alone = False
                    break
            if alone:
                known[used] = items[place]
                used += 1
    return centres, similarity


def _large(
    signed: Signed, rows: np.ndarray, bands: int, threshold: float, memory: int
) -> tuple[np.ndarray, np.ndarray]:
    """`link_stars` for one component: piece by piece, each against the centres before it, then within itself."""
    centres, similarity = rows.copy(), np.ones(len(rows))
    names = [f"band_{band}" for band in range(bands)]
    known = np.empty(0, dtype=rows.dtype)
    cost = 4 * signed.sizes[rows].astype(np.int64) + bands * _BYTES_A_BAND
    for first, last in runs(cost, memory // 2):
        piece = rows[first:last]
        found = np.full(len(piece), -1, dtype=np.int64)
        scores, compared = np.zeros(len(piece)), np.zeros(len(piece), dtype=np.int64)
        state = piece, found, scores, compared
        known_cost = 4 * signed.sizes[known].astype(np.int64) + bands * _BYTES_A_BAND
        for low, high in runs(known_cost, memory // 2):
            if (found >= 0).all():
                break
            _scan(signed, names, state, known[low:high], low, threshold)
        new = _scan(signed, names, state, known[:0], len(known), threshold, grow=True)
        known = np.concatenate([known, new])
        centres[first:last], similarity[first:last] = found, scores
    return centres, similarity


def _scan(
    signed: Signed,
    names: list[str],
    state: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    block: np.ndarray,
    before: int,
    threshold: float,
    grow: bool = False,
) -> np.ndarray:
    """Compare a piece's documents with a block of centres, behind `before` others, and note what is found.

    `grow`: what finds no centre becomes one. Returns the rows of the block's centres, the new ones with it.
    """
    piece, found, scores, compared = state
    distinct, items, centres = _distinct(piece, block)
    keys = signed.gather(distinct, names).to_numpy()
    capacity = len(block) + (len(piece) if grow else 0)
    known = np.empty(capacity, dtype=np.int64)
    known[: len(block)] = centres
    open_ = found < 0
    places = np.where(open_, -1, 0)  # what has its centre needs no scan
    used = _scan_items(
        items, places, scores, compared, known, len(block), max(0, ALWAYS - before), grow, keys,
        *signed.sets(distinct), threshold, signed.by_signature,
    )  # fmt: skip
    new = open_ & (places >= 0)
    found[new] = distinct[places[new]]
    return distinct[known[:used]]


@njit(cache=True)
def _scan_items(
    items: np.ndarray,
    found: np.ndarray,
    scores: np.ndarray,
    compared: np.ndarray,
    known: np.ndarray,
    used: int,
    always: int,
    grow: bool,
    keys: np.ndarray,
    values: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    by_signature: bool,
) -> int:
    """Find each open item's first centre among known[:used], in their order; returns how many are known then.

    The first `always` are compared in any case, the others where a band agrees. `keys` [items, bands].
    """
    bands = keys.shape[1]
    slots = 1
    while slots < 2 * len(known) * bands + 2:
        slots *= 2
    names = np.empty(slots, dtype=np.uint64)
    heads, tails = np.full(slots, -1, dtype=np.int64), np.empty(slots, dtype=np.int64)
    following = np.full(len(known) * bands + 1, -1, dtype=np.int64)
    for centre in range(used):
        _index(centre, keys[known[centre]], names, heads, tails, following)
    nodes = np.empty(bands, dtype=np.int64)
    for place in range(len(items)):
        if found[place] >= 0:
            continue
        item = items[place]
        for centre in known[: min(used, always)]:
            score = similarity_from(values, offsets, centre, item, threshold, by_signature)
            if score >= threshold:
                found[place], scores[place] = centre, score
                break
        if found[place] < 0:
            for band in range(bands):
                nodes[band] = heads[_slot(keys[item, band], names, heads)]
            while compared[place] < SHARING:
                centre = _next(nodes, following, bands)
                if centre < 0:
                    break
                if centre < always:
                    continue
                compared[place] += 1
                score = similarity_from(values, offsets, known[centre], item, threshold, by_signature)
                if score >= threshold:
                    found[place], scores[place] = known[centre], score
                    break
        if found[place] < 0 and grow:
            known[used] = item
            found[place], scores[place] = item, 1.0
            _index(used, keys[item], names, heads, tails, following)
            used += 1
    return used


@njit(cache=True)
def _slot(key: np.uint64, names: np.ndarray, heads: np.ndarray) -> int:
    """Where a key is in the table, or the empty slot where it would be. Keys are hashes already."""
    mask = np.uint64(len(names) - 1)
    slot = np.int64(key & mask)
    while heads[slot] >= 0 and names[slot] != key:
        slot = np.int64(np.uint64(slot + 1) & mask)
    return int(slot)


@njit(cache=True)
def _index(
    centre: int, keys: np.ndarray, names: np.ndarray, heads: np.ndarray, tails: np.ndarray, following: np.ndarray
) -> None:
    """Put a centre at the end of the list of each of its bands; a node is centre × bands + band."""
    for band in range(len(keys)):
        node = centre * len(keys) + band
        slot = _slot(keys[band], names, heads)
        if heads[slot] < 0:
            names[slot], heads[slot] = keys[band], node
        else:
            following[tails[slot]] = node
        tails[slot] = node


@njit(cache=True)
def _next(nodes: np.ndarray, following: np.ndarray, bands: int) -> int:
    """The first centre at which the bands' lists stand, which all then leave; -1 at the end of all lists."""
    first = -1
    for node in nodes:
        if node >= 0 and (first < 0 or node // bands < first):
            first = node // bands
    if first >= 0:
        for band in range(bands):
            if nodes[band] >= 0 and nodes[band] // bands == first:
                nodes[band] = following[nodes[band]]
    return first
