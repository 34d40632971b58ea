"""jieba's dictionary and hidden Markov model (https://github.com/fxsjy/jieba) as arrays, with look-up."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from corpus.core.errors import ZeroToOneError

FIRST_HAN = 0x4E00
LAST_HAN = 0x9FD5
HAN_COUNT = LAST_HAN - FIRST_HAN + 1
SEED = np.uint64(0xCBF29CE484222325)  # of the key of an empty word
_NEVER = -3.14e100  # jieba's log probability of what its model has not seen
_STATES = "BMES"
_PREFIX = np.inf  # marks a prefix that is no word
_PRIME = np.uint64(0x100000001B3)


class Dictionary(NamedTuple):
    """jieba's dictionary and model as arrays.

    `keys` [slots] uint64: hashes of words and of their prefixes, open addressing, 0 = empty slot.
    `values` [slots] float64: log probability of a word, infinity for a mere prefix.
    `rare` float64: log probability given to a character that is no word.
    `start` [4], `transition` [4, 4] (from, to), `emission` [4, characters]: the model's log probabilities.
    """

    keys: npt.NDArray[np.uint64]
    values: npt.NDArray[np.float64]
    rare: float
    start: npt.NDArray[np.float64]
    transition: npt.NDArray[np.float64]
    emission: npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def chinese_dictionary() -> Dictionary:
    """Read jieba's dictionary and model from the installed package (no cache file, no pickle).

    Raises ZeroToOneError when jieba is not installed.
    """
    spec = find_spec("jieba")
    if spec is None or spec.origin is None:
        raise ZeroToOneError("Chinese text needs the package jieba: pip install jieba")
    folder = Path(spec.origin).parent
    data = np.fromfile(folder / "dict.txt", dtype=np.uint8)
    keys, values = np.zeros(1 << 20, dtype=np.uint64), np.full(1 << 20, _PREFIX)
    total = _read_dictionary(data, keys, values)
    return Dictionary(keys, values, -float(np.log(total)), *_model(folder))


@lru_cache(maxsize=1)
def no_dictionary() -> Dictionary:
    """An empty dictionary of the same types, for texts without ideographs."""
    return Dictionary(
        np.zeros(2, dtype=np.uint64), np.full(2, _PREFIX), 0.0, np.zeros(4), np.zeros((4, 4)), np.zeros((4, 1))
    )


def _model(folder: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    started, moved, emitted = (
        _table(folder / "finalseg" / f"prob_{name}.py") for name in ("start", "trans", "emit")
    )
    start = np.array([started[state] for state in _STATES])
    transition = np.array([[_given(moved[a], b) for b in _STATES] for a in _STATES])
    emission = np.full((4, HAN_COUNT), _NEVER)
    for row, state in zip(emission, _STATES, strict=True):
        for character, value in emitted[state].items():
            if 0 <= ord(character) - FIRST_HAN < HAN_COUNT:
                row[ord(character) - FIRST_HAN] = value
    return start, transition, emission


def _table(path: Path) -> dict[str, Any]:
    """The table of one of jieba's modules, loaded alone: importing jieba itself warns and sets up logging."""
    spec = spec_from_file_location(f"_jieba_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ZeroToOneError(f"{path}: cannot be loaded; install jieba again")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.P)


def _given(table: dict[str, Any], key: str) -> float:
    return float(table.get(key, _NEVER))


@numba.njit(cache=True)
def extend_key(key: Any, code: Any) -> Any:
    """The key of a word from that of the word without its last character, `code`."""
    mixed = (key ^ np.uint64(code)) * _PRIME
    return mixed ^ (mixed >> np.uint64(29))


@numba.njit(cache=True)
def find_slot(keys: npt.NDArray[np.uint64], key: Any) -> Any:
    """Where a key lies in the table, or the empty slot where it would."""
    mask = np.uint64(keys.size - 1)
    slot = key & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@numba.njit(cache=True)
def _read_dictionary(
    data: npt.NDArray[np.uint8], keys: npt.NDArray[np.uint64], values: npt.NDArray[np.float64]
) -> int:
    """Fill the table from lines of `word frequency tag`; return the sum of frequencies."""
    total, at = 0, 0
    while at < data.size:
        key = SEED
        slot: Any = np.uint64(0)
        while data[at] != 32:
            lead = data[at]
            width = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            code = int(lead) if width == 1 else int(lead) & (0x7F >> width)
            for k in range(1, width):
                code = (code << 6) | (int(data[at + k]) & 0x3F)
            at += width
            key = extend_key(key, code)
            slot = find_slot(keys, key)
            keys[slot] = key
        at += 1
        frequency = 0
        while 48 <= data[at] <= 57:
            frequency = frequency * 10 + int(data[at]) - 48
            at += 1
        if frequency:
            values[slot] = float(frequency)
        total += frequency
        while at < data.size and data[at] != 10:
            at += 1
        at += 1
    for k in range(keys.size):
        if keys[k] != 0 and values[k] != _PREFIX:
            values[k] = np.log(values[k]) - np.log(total)
    return total
