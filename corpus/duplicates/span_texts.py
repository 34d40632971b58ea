"""What remains of a unit's text for verification: the stretches that windows which may come again cover.

Windows of consecutive units make a stretch. They have consecutive ordinals in their segment, in blocks of 64; a
stretch begins a new block, and a block knows where its first window is. So a window is found by its ordinal.
"""

from __future__ import annotations

from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.duplicates.normalised import Bytes
from corpus.duplicates.span_tokens import Classes, next_unit
from corpus.duplicates.span_windows import Keys, Positions, Windows

BLOCK_WINDOWS = 64
BLOCK = np.dtype(
    [("at", "<i8"), ("text", "<i8"), ("characters", "<i8"), ("units", "<i8"), ("scope", "<u8")]
)  # where its first window begins: in the stored text, which document, characters and units of it before


class Stored(NamedTuple):
    """The stored text of a unit, the blocks of one of its segments."""

    data: Bytes
    blocks: npt.NDArray[np.void]


class StretchWriter:
    """Writes stretches to an open file; `written` bytes so far. A space behind each ends its last unit."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.written = 0

    def write(
        self, data: Bytes, windows: Windows, scopes: Keys, first_text: int, first_block: int
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.void]]:
        """Store the text of some windows: their ordinals, and the blocks.

        `first_text` is the number of the texts' first in the unit; `first_block` that of the first block in the
        segment. `scopes` [texts].
        """
        count = len(windows.keys)
        new = np.ones(count, dtype=bool)
        new[1:] = (np.diff(windows.texts) != 0) | (np.diff(windows.units) != 1)
        heads = np.flatnonzero(new)
        inside = np.arange(count) - np.repeat(heads, np.diff(np.append(heads, count)))
        begins = inside % BLOCK_WINDOWS == 0
        ordinals = (first_block + np.cumsum(begins) - 1) * BLOCK_WINDOWS + inside % BLOCK_WINDOWS
        stops = windows.ends[np.append(heads[1:], count) - 1] if count else heads
        sizes = stops - windows.starts[heads] + 1
        places = self.written + np.concatenate([[0], np.cumsum(sizes)])
        stored = np.empty(places[-1] - self.written, dtype=np.uint8)
        _copy(data, windows.starts[heads], stops, stored)
        self._file.write(stored.tobytes())
        self.written = int(places[-1])
        moved = np.repeat(places[:-1] - windows.starts[heads], np.diff(np.append(heads, count)))
        blocks = np.empty(int(begins.sum()), dtype=BLOCK)
        blocks["at"] = (windows.starts + moved)[begins]
        blocks["text"] = windows.texts[begins] + first_text
        blocks["characters"], blocks["units"] = windows.characters[begins], windows.units[begins]
        blocks["scope"] = scopes[windows.texts[begins]]
        return ordinals.astype(np.uint32), blocks


class Pieces(NamedTuple):
    """Runs of windows that equal windows elsewhere: `windows` from ordinal `own` on, and those from `other` on."""

    own: Positions
    windows: Positions
    other: Positions


class Found(NamedTuple):
    """What pieces are: document and characters of it before, here and there; length in characters; whether equal.

    `apart`: units from the other beginning to this one, where both are in one document.
    """

    text: Positions
    offset: Positions
    length: Positions
    other_text: Positions
    other_offset: Positions
    apart: Positions
    equal: npt.NDArray[np.bool_]


def compare(here: Stored, there: Stored, pieces: Pieces, size: int, classes: Classes, by_character: bool) -> Found:
    """Compare pieces, whose windows have `size` units, with their texts; `there` may be another unit's."""
    number = len(pieces.own)
    found = Found._make([*(np.empty(number, dtype=np.int64) for _ in range(6)), np.empty(number, dtype=np.bool_)])
    _compare(here, there, pieces, size, classes, by_character, found)
    return found


def window_text(
    stored: Stored, ordinal: int, size: int, classes: Classes, by_character: bool
) -> tuple[int, bytes]:
    """The scope and the text of one window."""
    block = stored.blocks[ordinal // BLOCK_WINDOWS]
    begin, _ = _window(stored.data, block, ordinal % BLOCK_WINDOWS, classes, by_character)
    at = begin
    for _ in range(size):
        _, at, *_ = next_unit(stored.data, at, len(stored.data), classes, by_character)
    return int(block["scope"]), stored.data[begin:at].tobytes()


@njit(cache=True)
def _copy(data: Bytes, starts: Positions, ends: Positions, stored: Bytes) -> None:
    at = 0
    for stretch in range(len(starts)):
        for place in range(starts[stretch], ends[stretch]):
            stored[at] = data[place]
            at += 1
        stored[at] = 0x20
        at += 1


@njit(cache=True)
def _window(data: Bytes, block: np.void, skip: int, classes: Classes, by_character: bool) -> tuple[int, int]:
    """Where the window of a block begins before which `skip` are: in the data, and in characters of its text."""
    at, characters, length = int(block["at"]), int(block["characters"]), 0
    begin = at
    for _ in range(skip + 1):
        begin, at, before, length, _, _ = next_unit(data, at, len(data), classes, by_character)
        characters += before + length
    return begin, characters - length


@njit(cache=True)
def _compare(
    here: Stored, there: Stored, pieces: Pieces, size: int, classes: Classes, by_character: bool, found: Found
) -> None:
    data, other_data = here.data, there.data
    for piece in range(len(pieces.own)):
        own, other = pieces.own[piece], pieces.other[piece]
        block, other_block = here.blocks[own // BLOCK_WINDOWS], there.blocks[other // BLOCK_WINDOWS]
        skip, other_skip = own % BLOCK_WINDOWS, other % BLOCK_WINDOWS
        begin, characters = _window(data, block, skip, classes, by_character)
        other_begin, other_characters = _window(other_data, other_block, other_skip, classes, by_character)
        at, length, last = begin, 0, begin
        for _ in range(size + pieces.windows[piece] - 1):
            last, at, before, own_length, _, _ = next_unit(data, at, len(data), classes, by_character)
            length += before + own_length
        same = block["scope"] == other_block["scope"] and other_begin + at - begin <= len(other_data)
        if same:
            for step in range(at - begin):
                if data[begin + step] != other_data[other_begin + step]:
                    same = False
                    break
        if same:  # the other's last unit must end there, too
            _, other_end, _, _, _, _ = next_unit(
                other_data, other_begin + last - begin, len(other_data), classes, by_character
            )
            same = other_end - other_begin == at - begin
        found.text[piece], found.offset[piece], found.length[piece] = block["text"], characters, length
        found.other_text[piece], found.other_offset[piece] = other_block["text"], other_characters
        found.apart[piece] = block["units"] + skip - other_block["units"] - other_skip
        found.equal[piece] = same
