"""fastText classifiers asked where they lie on disk: the matrix is mapped, so that all workers share its memory.

fastText's own loader copies the matrix into each process (DCLM's classifier: 2.4 GB). What is computed is what
fastText 0.9.2 computes (dictionary.cc, `getLine` and `addWordNgrams`; model.cc and loss.cc): the mean of the
vectors of words and hashed word n-grams, a linear layer, softmax.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.text.fasttext_file import SOFTMAX, Dense, Layout, read_layout
from corpus.text.fasttext_model import file_state

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_LABEL = b"__label__"
_END_OF_LINE = b"</s>"
_ADDED = 1e-5  # fastText's predictions are exp(log(p + 1e-5))


@dataclass(frozen=True)
class MappedModel:
    """A dense softmax model: `data` are the file's bytes, `starts` and `slots` a hash table of its words."""

    pages: mmap.mmap
    data: Bytes
    starts: npt.NDArray[np.int64]  # of each word, in `data`
    slots: npt.NDArray[np.int32]  # word numbers by FNV hash, -1 where free
    end_of_line: int  # the number of the word that stands for it, -1 where the model has none
    labels: list[str]  # with `__label__`
    input: Floats  # words and buckets × dimensions
    output: Floats  # labels × dimensions
    word_ngrams: int
    buckets: int

    def probabilities(self, lines: Sequence[str]) -> npt.NDArray[np.float64]:
        """What fastText predicts: lines × labels, each 0 to 1; NaN for a line that has no known word or n-gram.

        A line has no line break in it; white space parts its words.
        """
        encoded = [line.encode("utf-8", "replace") for line in lines]
        offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
        np.cumsum([len(line) for line in encoded], out=offsets[1:])
        text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        found = np.empty((len(encoded), len(self.labels)), dtype=np.float64)
        words = self.data, self.starts, self.slots, self.end_of_line
        _predict(text, offsets, words, self.input, self.output, self.word_ngrams, self.buckets, found)
        # The pages stay in the system's cache; what is read next, a large document, shall not come on top of them.
        self.pages.madvise(mmap.MADV_DONTNEED)
        return np.minimum(found, 1.0)


def open_mapped(path: Path) -> MappedModel | None:
    """The model in a file, mapped once in a process; None for a kind that only fastText's own code reads here.

    These are quantized ones, which are small, and such with subwords or another loss than softmax.
    Raises ZeroToOneError for a file that is no fastText classifier.
    """
    return _open(path, file_state(path))


@lru_cache(maxsize=3)
def _open(path: Path, _: tuple[int, ...]) -> MappedModel | None:
    layout = read_layout(path)
    if layout.input is None or layout.output is None or layout.subwords or layout.pruned:
        return None
    if layout.loss != SOFTMAX or not _consistent(layout, layout.input, layout.output):
        return None
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = np.frombuffer(pages, dtype=np.uint8)
    starts, lengths, kinds = _entries(data, layout.entries_at, layout.words + layout.classes)
    if kinds[: layout.words].any() or not kinds[layout.words :].all():
        return None
    labels = [
        bytes(data[at : at + size]).decode("utf-8", "replace")
        for at, size in zip(starts[layout.words :], lengths[layout.words :], strict=True)
    ]
    starts = starts[: layout.words].copy()
    slots = _slots(data, starts)
    end = np.frombuffer(_END_OF_LINE, dtype=np.uint8)
    return MappedModel(
        pages=pages,
        data=data,
        starts=starts,
        slots=slots,
        end_of_line=int(_word(end, 0, end.size, _hash(end, 0, end.size), data, starts, slots)),
        labels=labels,
        input=_matrix(data, layout.input),
        output=_matrix(data, layout.output),
        word_ngrams=layout.word_ngrams,
        buckets=layout.buckets,
    )


def _consistent(layout: Layout, inputs: Dense, output: Dense) -> bool:
    """Whether the matrices have the rows that are looked up: the compiled code does not ask again."""
    buckets = layout.buckets if layout.word_ngrams > 1 else 0
    return (
        layout.buckets >= (layout.word_ngrams > 1)
        and inputs.rows >= layout.words + buckets
        and output.rows == layout.classes
        and inputs.columns == output.columns > 0
    )


def _matrix(data: Bytes, dense: Dense) -> Floats:
    size = 4 * dense.rows * dense.columns
    return data[dense.at : dense.at + size].view("<f4").reshape(dense.rows, dense.columns)


@numba.njit(cache=True)
def _entries(data: Bytes, at: int, count: int) -> Any:
    """Where the dictionary's entries begin, how long their words are, and their kinds (0 a word, 1 a label)."""
    starts, lengths = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    kinds = np.empty(count, dtype=np.int8)
    for entry in range(count):
        starts[entry] = at
        while data[at] != 0:
            at += 1
        lengths[entry] = at - starts[entry]
        kinds[entry] = data[at + 9]  # behind a zero byte and a count of 8 bytes
        at += 10
    return starts, lengths, kinds


@numba.njit(cache=True)
def _hash(text: Bytes, first: int, last: int) -> Any:
    """fastText's hash of a word: FNV-1a of 32 bits, its bytes taken as signed."""
    key = np.uint32(2166136261)
    for at in range(first, last):
        key = np.uint32(np.uint32(key ^ np.uint32(np.int8(text[at]))) * np.uint32(16777619))
    return key


@numba.njit(cache=True)
def _slots(data: Bytes, starts: Any) -> Any:
    """A hash table of the dictionary's words, with open addressing."""
    size = 16
    while size < 2 * starts.size:
        size *= 2
    slots = np.full(size, -1, dtype=np.int32)
    for word in range(starts.size):
        last = starts[word]
        while data[last] != 0:
            last += 1
        slot = np.int64(_hash(data, starts[word], last)) & (size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = word
    return slots


@numba.njit(cache=True)
def _word(text: Bytes, first: int, last: int, key: Any, data: Bytes, starts: Any, slots: Any) -> int:
    """The number of the word text[first:last], -1 for an unknown one."""
    slot = np.int64(key) & (slots.size - 1)
    while slots[slot] >= 0:
        at = starts[slots[slot]]
        same = data[at + last - first] == 0
        for place in range(last - first):
            if data[at + place] != text[first + place]:
                same = False
                break
        if same:
            return int(slots[slot])
        slot = (slot + 1) & (slots.size - 1)
    return -1


@numba.njit(cache=True)
def _is_space(byte: int) -> bool:
    return byte == 32 or 9 <= byte <= 13 or byte == 0


@numba.njit(cache=True)
def _starts_with(text: Bytes, first: int, last: int, beginning: bytes) -> bool:
    same = last - first >= len(beginning)
    place = 0
    while same and place < len(beginning):
        same = text[first + place] == beginning[place]
        place += 1
    return same


@numba.njit(cache=True)
def _predict(
    text: Bytes, offsets: Any, words: Any, inputs: Floats, output: Floats, ngrams: int, buckets: int, found: Any
) -> None:
    """Write the predictions of each line text[offsets[i]:offsets[i + 1]]."""
    data, starts, slots, end_of_line = words
    end_hash = np.int32(_hash(_END_OF_LINE, 0, len(_END_OF_LINE)))  # type: ignore[arg-type]  # bytes
    hidden = np.empty(inputs.shape[1], dtype=np.float32)
    longest = 0
    for line in range(offsets.size - 1):
        longest = max(longest, offsets[line + 1] - offsets[line])
    hashes = np.empty(longest // 2 + 2, dtype=np.int32)
    for line in range(offsets.size - 1):
        hidden[:] = 0
        rows = count = 0
        at, last = offsets[line], offsets[line + 1]
        while True:
            while at < last and _is_space(text[at]):
                at += 1
            if at >= last:
                break
            first = at
            while at < last and not _is_space(text[at]):
                at += 1
            key = _hash(text, first, at)
            word = _word(text, first, at, key, data, starts, slots)
            if word < 0 and _starts_with(text, first, at, _LABEL):
                continue
            if at - first == len(_END_OF_LINE) and _starts_with(text, first, at, _END_OF_LINE):
                break  # as fastText does; the mark itself is added below
            rows += _add(hidden, inputs, word)
            hashes[count] = np.int32(key)
            count += 1
        rows += _add(hidden, inputs, end_of_line)
        hashes[count] = end_hash
        count += 1
        for one in range(count):
            key64 = np.uint64(np.int64(hashes[one]))
            for other in range(one + 1, min(count, one + ngrams)):
                key64 = key64 * np.uint64(116049371) + np.uint64(np.int64(hashes[other]))
                rows += _add(hidden, inputs, starts.size + np.int64(key64 % np.uint64(buckets)))
        _softmax(hidden, rows, output, found[line])


@numba.njit(cache=True)
def _add(hidden: Floats, inputs: Floats, row: int) -> int:
    """Add a row to `hidden`; how many were added: none where it is negative."""
    if row < 0:
        return 0
    for column in range(hidden.size):
        hidden[column] += inputs[row, column]
    return 1


@numba.njit(cache=True)
def _softmax(hidden: Floats, rows: int, output: Floats, found: Any) -> None:
    """From the sum of `rows` vectors to the predictions for all labels."""
    if rows == 0:
        found[:] = np.nan
        return
    for label in range(output.shape[0]):
        total = 0.0
        for column in range(hidden.size):
            total += hidden[column] * output[label, column]
        found[label] = total / rows
    most = found.max()
    for label in range(found.size):
        found[label] = np.exp(found[label] - most)
    total = found.sum()
    for label in range(found.size):
        found[label] = found[label] / total + _ADDED
