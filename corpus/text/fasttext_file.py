"""The structure of fastText's model files, walked to their end: fastText itself takes a cut file for a whole one.

Layout as fastText 0.9.2 writes it (little endian): magic and version, arguments, dictionary, a flag and the input
matrix, a flag and the output matrix; a matrix is dense or a product quantizer's codes.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from corpus.core.errors import ZeroToOneError

_MAGIC, _VERSIONS = 793712314, (11, 12)
_ARGUMENTS = 12 * 4 + 8  # twelve integers and the double t
_SUPERVISED = 3
_CENTROIDS = 256
SOFTMAX = 3  # among the losses


@dataclass(frozen=True)
class Dense:
    """Where in a file a matrix of float32 is: offset in bytes, rows, columns."""

    at: int
    rows: int
    columns: int


@dataclass(frozen=True)
class Layout:
    """What a model file says of itself and where its parts are; a matrix is None where it is quantized.

    `entries_at` is the offset of the dictionary's `words` + `classes` entries, words first.
    """

    word_ngrams: int
    loss: int
    buckets: int
    subwords: bool
    words: int
    classes: int
    entries_at: int
    pruned: bool
    input: Dense | None
    output: Dense | None


class _BrokenError(Exception):
    """What is wrong with a file."""


class _Cursor:
    """A place in a file's bytes that only moves on; EOFError beyond the end."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def skip(self, size: int) -> None:
        if size < 0 or self.at + size > len(self.data):
            raise EOFError
        self.at += size

    def read(self, form: str) -> tuple[int, ...]:
        start = self.at
        self.skip(struct.calcsize("<" + form))
        return struct.unpack_from("<" + form, self.data, start)

    def skip_string(self) -> None:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise EOFError
        self.at = end + 1


def check_model_file(path: Path, more_arguments: int = 0) -> None:
    """As `read_layout`, for its errors alone."""
    read_layout(path, more_arguments)


def read_layout(path: Path, more_arguments: int = 0) -> Layout:
    """Where the parts of a model file are. Raises ZeroToOneError unless it is a whole fastText classifier.

    `more_arguments` is how many bytes of arguments a relative of fastText has beyond fastText's.
    """
    if not path.is_file():
        raise ZeroToOneError(f"{path}: no such file")
    if not path.stat().st_size:
        raise ZeroToOneError(f"{path}: empty file")
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _walk(_Cursor(data), more_arguments)
        except EOFError:
            problem = f"the file ends too early ({len(data):,} bytes)"
        except _BrokenError as error:
            problem = str(error)
    raise ZeroToOneError(f"{path}: not a fastText classifier: {problem}")


def _walk(cursor: _Cursor, more_arguments: int) -> Layout:
    """Go through all parts to the end of the file."""
    if len(cursor.data) < 8 or cursor.read("ii") not in {(_MAGIC, version) for version in _VERSIONS}:
        raise _BrokenError("it does not begin as one")
    version = struct.unpack_from("<i", cursor.data, 4)[0]
    arguments = cursor.read("12i")
    cursor.skip(_ARGUMENTS - 12 * 4 + more_arguments)
    if arguments[7] != _SUPERVISED:
        raise _BrokenError("a model of word vectors")
    entries, words, classes, _, pruned = cursor.read("iiiqq")
    if min(entries, words, classes) < 0 or words + classes != entries or not classes:
        raise _BrokenError("its dictionary is broken")
    entries_at = cursor.at
    for _ in range(entries):
        cursor.skip_string()
        cursor.skip(9)
    cursor.skip(8 * max(0, pruned))
    (quantized,) = cursor.read("?")
    inputs = _matrix(cursor, bool(quantized))
    (quantized_output,) = cursor.read("?")
    output = _matrix(cursor, bool(quantized and quantized_output))
    if cursor.at != len(cursor.data):
        raise _BrokenError("there is more in it than a model")
    return Layout(
        word_ngrams=arguments[5],
        loss=arguments[6],
        buckets=arguments[8],
        subwords=version > _VERSIONS[0] and arguments[10] > 0,  # the older version's classifiers have none
        words=words,
        classes=classes,
        entries_at=entries_at,
        pruned=pruned >= 0,
        input=inputs,
        output=output,
    )


def _matrix(cursor: _Cursor, quantized: bool) -> Dense | None:
    """Go over a matrix."""
    if not quantized:
        rows, columns = cursor.read("qq")
        found = Dense(cursor.at, rows, columns)
        cursor.skip(4 * rows * columns)
        return found
    norms, rows, _, size = cursor.read("?qqi")
    cursor.skip(size)
    _skip_quantizer(cursor)
    if norms:
        cursor.skip(rows)
        _skip_quantizer(cursor)
    return None


def _skip_quantizer(cursor: _Cursor) -> None:
    dimensions = cursor.read("4i")[0]
    cursor.skip(4 * dimensions * _CENTROIDS)
