"""The structure of fastText's model files, walked to their end: fastText itself takes a cut file for a whole one.

Layout as fastText 0.9.2 writes it (little endian): magic and version, arguments, dictionary, a flag and the input
matrix, a flag and the output matrix; a matrix is dense or a product quantizer's codes.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from corpus.core.errors import ZeroToOneError

_MAGIC, _VERSIONS = 793712314, (11, 12)
_ARGUMENTS = 12 * 4 + 8  # twelve integers and the double t
_SUPERVISED = 3
_CENTROIDS = 256


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
    """Raise ZeroToOneError unless a file is a whole fastText classifier.

    `more_arguments` is how many bytes of arguments a relative of fastText has beyond fastText's.
    """
    if not path.is_file():
        raise ZeroToOneError(f"{path}: no such file")
    if not path.stat().st_size:
        raise ZeroToOneError(f"{path}: empty file")
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor = _Cursor(data)
        try:
            problem = _walk(cursor, more_arguments)
        except EOFError:
            problem = f"the file ends too early ({len(data):,} bytes)"
    if problem:
        raise ZeroToOneError(f"{path}: not a fastText classifier: {problem}")


def _walk(cursor: _Cursor, more_arguments: int) -> str:
    """Go through all parts; what is wrong, "" where nothing is."""
    if len(cursor.data) < 8 or cursor.read("ii") not in {(_MAGIC, version) for version in _VERSIONS}:
        return "it does not begin as one"
    arguments = cursor.read("12i")
    cursor.skip(_ARGUMENTS - 12 * 4 + more_arguments)
    if arguments[7] != _SUPERVISED:
        return "a model of word vectors"
    entries, words, classes, _, pruned = cursor.read("iiiqq")
    if min(entries, words, classes) < 0 or words + classes != entries or not classes:
        return "its dictionary is broken"
    for _ in range(entries):
        cursor.skip_string()
        cursor.skip(9)
    cursor.skip(8 * max(0, pruned))
    (quantized,) = cursor.read("?")
    _skip_matrix(cursor, bool(quantized))
    (quantized_output,) = cursor.read("?")
    _skip_matrix(cursor, bool(quantized and quantized_output))
    return "" if cursor.at == len(cursor.data) else "there is more in it than a model"


def _skip_matrix(cursor: _Cursor, quantized: bool) -> None:
    if not quantized:
        rows, columns = cursor.read("qq")
        cursor.skip(4 * rows * columns)
        return
    norms, rows, _, size = cursor.read("?qqi")
    cursor.skip(size)
    _skip_quantizer(cursor)
    if norms:
        cursor.skip(rows)
        _skip_quantizer(cursor)


def _skip_quantizer(cursor: _Cursor) -> None:
    dimensions = cursor.read("4i")[0]
    cursor.skip(4 * dimensions * _CENTROIDS)
