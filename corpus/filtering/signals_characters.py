"""The array code of the signals of characters: RedPajama-V2's, ChineseWebText's, MAP-NEO's."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.filtering.signals_hashing import Slots, find_slot, mix, new_slots, share, slot_mask
from corpus.text.characters import CONTENT, DIGIT, PUNCTUATION, SPACE, UPPER, Codes, Positions, Table

Row = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]

RUN = 13  # characters (ChineseWebText)
_NEWLINE, _CURLY_OPEN, _CURLY_CLOSE, _BRACKET_OPEN, _BRACKET_CLOSE = 10, 0x7B, 0x7D, 0x3010, 0x3011
_BASE = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(cache=True)
def character_signals(
    codes: Codes, offsets: Positions, table: Table, lower: Codes, out: npt.NDArray[np.float64]
) -> None:
    """Fill `out` [texts, signals], in the order of `corpus.filtering.signals.CHARACTERS`.

    `lower` [code points]: the lower case of each.
    """
    longest = 1
    for text in range(offsets.size - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    greatest = np.uint32(0)
    for code in codes:
        greatest = max(greatest, code)
    counts, plain = np.zeros(greatest + 1, dtype=np.int64), np.empty(longest, dtype=np.uint32)
    size = 64
    while size < 8 * longest and size < 1 << 24:
        size *= 2
    flags = np.zeros(size, dtype=np.uint8)
    for text in range(offsets.size - 1):
        own = codes[offsets[text] : offsets[text + 1]]
        row = out[text]
        _distribution(own, table, counts, plain, row[0:7])
        row[7] = _repeated_runs(own, table, lower, plain, flags)


@numba.njit(cache=True)
def _distribution(codes: Codes, table: Table, counts: Counts, distinct: Codes, out: Row) -> None:
    """Kinds of characters, distinct ones to all, and their entropy in nats; `counts` is zero again after."""
    found = 0
    for at in range(codes.size):
        code = codes[at]
        if not counts[code]:
            distinct[found] = code
            found += 1
        counts[code] += 1
    upper, digits, written, punctuation, entropy = 0, 0, 0, 0, 0.0
    curly, inside = 0, 0
    for k in range(found):
        code = distinct[k]
        count, kind = counts[code], table[code]
        curly += count if code in (_CURLY_OPEN, _CURLY_CLOSE) else 0
        inside += _bracketed(codes) if code == _BRACKET_OPEN else 0
        upper += count if kind & UPPER else 0
        digits += count if kind & DIGIT else 0
        written += count if kind & (CONTENT | SPACE) else 0
        punctuation += count if kind & PUNCTUATION else 0
        entropy -= count / codes.size * np.log(count / codes.size)
        counts[code] = 0
    out[0] = share(curly, codes.size)
    out[1] = share(upper, codes.size)
    out[2] = share(digits, written)
    out[3] = share(punctuation, codes.size)
    out[4] = share(inside, codes.size)
    out[5] = share(found, codes.size)
    out[6] = max(entropy, 0.0)


@numba.njit(cache=True)
def _bracketed(codes: Codes) -> int:
    """How many characters stand between 【 and 】 of one line."""
    inside, opened = 0, -1
    for at in range(codes.size):
        code = codes[at]
        if code == _BRACKET_OPEN and opened < 0:
            opened = at
        elif code == _BRACKET_CLOSE and opened >= 0:
            inside += at - opened - 1
            opened = -1
        elif code == _NEWLINE:
            opened = -1
    return inside


@numba.njit(cache=True)
def _repeated_runs(codes: Codes, table: Table, lower: Codes, plain: Codes, flags: Flags) -> float:
    """Share of the runs of 13 characters that stand more than once, white space left out, in lower case.

    A first pass counts hashes in a small array, at most to two; only what may repeat is then told apart.
    """
    length = 0
    for at in range(codes.size):
        if not table[codes[at]] & SPACE:
            plain[length] = lower[codes[at]]
            length += 1
    runs = length - RUN + 1
    if runs < 2:
        return 0.0
    size, shift = 64, 58
    while size < 8 * runs and size < flags.size:
        size, shift = 2 * size, shift - 1
    flags[:size] = 0
    key = _first_run(plain)
    power = _power()
    candidates = 0
    for at in range(runs):
        place = key >> np.uint64(shift)  # the upper bits depend on all of the key
        candidates += flags[place] > 0
        flags[place] = 1 if flags[place] == 0 else 2
        if at + 1 < runs:
            key = key * _BASE + np.uint64(plain[at + RUN]) - np.uint64(plain[at]) * power
    if not candidates:
        return 0.0
    return share(_counted_runs(plain, runs, flags, np.uint64(shift), new_slots(2 * candidates)), runs)


@numba.njit(cache=True)
def _counted_runs(plain: Codes, runs: int, flags: Flags, shift: Any, used: Slots) -> int:
    keys, stamps, counts, _ = used
    slots = slot_mask(keys.size, used)
    key, power, stamp = _first_run(plain), _power(), np.uint64(1)
    repeated = 0
    for at in range(runs):
        if flags[key >> shift] > 1:
            mixed = mix(key)
            slot = find_slot(used, stamp, slots, mixed)
            if stamps[slot] != stamp:
                keys[slot], stamps[slot], counts[slot] = mixed, stamp, 0
            counts[slot] += 1
            repeated += 2 if counts[slot] == 2 else 1 if counts[slot] > 2 else 0
        if at + 1 < runs:
            key = key * _BASE + np.uint64(plain[at + RUN]) - np.uint64(plain[at]) * power
    return repeated


@numba.njit(cache=True)
def _first_run(plain: Codes) -> Any:
    key = np.uint64(0)
    for at in range(RUN):
        key = key * _BASE + np.uint64(plain[at])
    return key


@numba.njit(cache=True)
def _power() -> Any:
    power = np.uint64(1)
    for _ in range(RUN):
        power *= _BASE
    return power
