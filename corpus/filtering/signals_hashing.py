"""Hashes and hash tables that the array code of the signals shares.

numba's cache does not see changes in another file: after a change here, delete the cached code of the files that
call it (`corpus/filtering/__pycache__`).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.text.characters import Codes, Positions

Hashes = npt.NDArray[np.uint64]
# A hash table without removal: keys, the stamp of the use that filled each slot, counts, first positions.
Slots = tuple[Hashes, npt.NDArray[np.uint64], Positions, Positions]

_SEED = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_ONE = np.uint64(1)


@numba.njit(cache=True)
def new_slots(items: int) -> Slots:
    """A table for so many items."""
    slots = 16
    while slots < 2 * items:
        slots *= 2
    keys, stamps = np.empty(slots, dtype=np.uint64), np.zeros(slots, dtype=np.uint64)
    return keys, stamps, np.empty(slots, dtype=np.int64), np.empty(slots, dtype=np.int64)


@numba.njit(cache=True)
def most_lines(firsts: Positions) -> int:
    """How many lines the text with the most of them has; text k has those from firsts[k] to firsts[k + 1]."""
    most = 1
    for text in range(firsts.size - 1):
        most = max(most, firsts[text + 1] - firsts[text])
    return most


@numba.njit(cache=True)
def hash_span(codes: Codes, first: int, last: int) -> Any:
    """A 64-bit hash of codes[first:last]."""
    key = _SEED
    for at in range(first, last):
        key = (key ^ np.uint64(codes[at])) * _PRIME
    return mix(key)


@numba.njit(cache=True)
def hash_line(codes: Codes, first: int, last: int) -> Any:
    """Another 64-bit hash of codes[first:last], for longer spans: two characters at a time."""
    one, other, at = _SEED, _PRIME, first
    while at + 1 < last:
        one = (one ^ np.uint64(codes[at])) * _PRIME
        other = (other ^ np.uint64(codes[at + 1])) * _PRIME
        at += 2
    if at < last:
        one = (one ^ np.uint64(codes[at])) * _PRIME
    return mix(one + mix(other + np.uint64(last - first)))


@numba.njit(cache=True)
def bits_of(keys: Hashes, bits: Hashes, key: Any) -> Any:
    """The bits of the key in a table as `table_of` makes it, 0 where it has none."""
    mask = np.uint64(keys.size - 1)
    slot = key & mask
    while keys[slot] != 0:
        if keys[slot] == key:
            return bits[slot]
        slot = (slot + _ONE) & mask
    return np.uint64(0)


def table_of(bits: dict[int, int]) -> tuple[Hashes, Hashes]:
    """A hash table for `bits_of`: keys and bits by slot; key 0 marks an empty one."""
    slots = 16
    while slots < 4 * len(bits):
        slots *= 2
    keys, values = np.zeros(slots, np.uint64), np.zeros(slots, np.uint64)
    for key, value in bits.items():
        slot = key % slots
        while keys[slot]:
            slot = (slot + 1) % slots
        keys[slot], values[slot] = key, value
    return keys, values


@numba.njit(cache=True)
def mix(key: Any) -> Any:
    """Spread a 64-bit number's information over all its bits (the finaliser of MurmurHash3)."""
    key = (key ^ (key >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    key = (key ^ (key >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return key ^ (key >> np.uint64(33))


@numba.njit(cache=True)
def find_slot(used: Slots, stamp: Any, mask: Any, key: Any) -> Any:
    """The slot that has the key, or the one where it belongs (its stamp is another)."""
    keys, stamps = used[0], used[1]
    slot = key & mask
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + _ONE) & mask
    return slot


@numba.njit(cache=True)
def slot_mask(items: int, used: Slots) -> Any:
    """Slots for so many items, as few as serve: a small table stays in the processor's cache."""
    size = 16
    while size < 2 * items:
        size *= 2
    return np.uint64(min(size, used[0].size) - 1)


@numba.njit(cache=True)
def seen(used: Slots, stamp: Any, mask: Any, key: Any) -> bool:
    """Whether the key was there; it is now."""
    slot = find_slot(used, stamp, mask, key)
    if used[1][slot] == stamp:
        return True
    used[0][slot], used[1][slot] = key, stamp
    return False


@numba.njit(cache=True)
def share(part: float, whole: float) -> float:
    """`part` of `whole`, 0 of nothing."""
    return part / whole if whole > 0 else 0.0
