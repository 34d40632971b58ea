"""What remains of a unit's text for verification: the stretches that windows which may come again cover.

Windows of consecutive units make a stretch. They have consecutive ordinals in their segment, in blocks of 64; a
stretch begins a new block, and a block knows where its first window is. So a window is found by its ordinal.
Between the ordinals of two stretches there is always a gap: what goes on from one to the other is no match.
"""

from __future__ import annotations

from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.duplicates.normalised import Bytes
from corpus.duplicates.spans.tokens import Classes, Keys, Positions, cut_units
from corpus.duplicates.spans.windows import Texts, Windows
from corpus.duplicates.utf8 import count_characters

BLOCK_WINDOWS = 64
BLOCK = np.dtype(
    [(name, "<i8") for name in ("at", "end", "text", "characters", "units")] + [("scope", "<u8")]
)  # of its first window: where it lies in the stored text, which document, characters and units of it before


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
        self, texts: Texts, windows: Windows, first_text: int, first_block: int
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.void]]:
        """Store the text of some windows: their ordinals, and the blocks.

        `first_text` is the number of the texts' first in the unit; `first_block` that of the first block in the
        segment.
        """
        count = len(windows.keys)
        new = np.ones(count, dtype=bool)
        new[1:] = (np.diff(windows.texts) != 0) | (np.diff(windows.units) != 1)
        heads = np.flatnonzero(new)
        sizes = np.diff(np.append(heads, count))
        starts, stops = windows.starts[heads], windows.ends[heads + sizes - 1]
        bounds = np.cumsum(np.append(0, stops - starts + 1))
        stored = np.empty(bounds[-1], dtype=np.uint8)
        _copy(texts.data, starts, stops, stored)
        self._file.write(stored.tobytes())
        moved = self.written + bounds[:-1] - starts
        self.written += len(stored)
        firsts = np.cumsum(np.append(0, sizes // BLOCK_WINDOWS + 1))  # a full last block has an empty one behind
        ordinals = np.empty(count, dtype=np.uint32)
        blocks = np.zeros(firsts[-1], dtype=BLOCK)
        _number(texts.data, texts.offsets, windows, heads, sizes, moved, firsts, ordinals, blocks)
        blocks["scope"] = texts.scopes[blocks["text"]]
        blocks["text"] += first_text
        return ordinals + np.uint32(first_block * BLOCK_WINDOWS), blocks


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


def compare(here: Stored, there: Stored, pieces: Pieces, classes: Classes, by_character: bool) -> Found:
    """Compare pieces with their texts; `there` may be another unit's."""
    number = len(pieces.own)
    found = Found._make([*(np.empty(number, dtype=np.int64) for _ in range(6)), np.empty(number, dtype=np.bool_)])
    _compare(here, there, pieces, classes, by_character, found)
    return found


def window_text(stored: Stored, ordinal: int, classes: Classes, by_character: bool) -> tuple[int, bytes]:
    """The scope and the text of one window."""
    begin, end, _ = _window(stored, ordinal, classes, by_character, *_room())
    return int(stored.blocks[ordinal // BLOCK_WINDOWS]["scope"]), stored.data[begin:end].tobytes()


@njit(cache=True)
def _copy(data: Bytes, starts: Positions, stops: Positions, stored: Bytes) -> None:
    at = 0
    for stretch in range(len(starts)):
        behind = at + stops[stretch] - starts[stretch]
        stored[at:behind] = data[starts[stretch] : stops[stretch]]
        stored[behind] = 0x20
        at = behind + 1


@njit(cache=True)
def _number(
    data: Bytes,
    offsets: Positions,
    windows: Windows,
    heads: Positions,
    sizes: Positions,
    moved: Positions,
    firsts: Positions,
    ordinals: npt.NDArray[np.uint32],
    blocks: npt.NDArray[np.void],
) -> None:
    """Give windows their ordinals, and fill the blocks. Characters are counted on from the block before."""
    counted = characters = 0
    text = -1
    for stretch in range(len(heads)):
        head, first = heads[stretch], firsts[stretch]
        for inside in range(sizes[stretch]):
            window = head + inside
            ordinals[window] = first * BLOCK_WINDOWS + inside
            if inside % BLOCK_WINDOWS:
                continue
            start = windows.starts[window]
            if windows.texts[window] != text:
                text = windows.texts[window]
                counted, characters = offsets[text], 0
            characters += count_characters(data, counted, start)
            counted = start
            block = blocks[first + inside // BLOCK_WINDOWS]
            block["at"], block["end"] = start + moved[stretch], windows.ends[window] + moved[stretch]
            block["text"], block["characters"], block["units"] = text, characters, windows.units[window]


@njit(cache=True)
def _room() -> tuple[Positions, Positions, Keys]:
    """Room for the units of a block."""
    return (
        np.empty(BLOCK_WINDOWS, dtype=np.int64),
        np.empty(BLOCK_WINDOWS, dtype=np.int64),
        np.empty(BLOCK_WINDOWS, dtype=np.uint64),
    )


@njit(cache=True)
def _window(
    stored: Stored,
    ordinal: int,
    classes: Classes,
    by_character: bool,
    starts: Positions,
    ends: Positions,
    values: Keys,
) -> tuple[int, int, int]:
    """Where a window begins and ends in the stored text, and the characters of its document before it."""
    data, block, skip = stored.data, stored.blocks[ordinal // BLOCK_WINDOWS], ordinal % BLOCK_WINDOWS
    first, end = int(block["at"]), int(block["end"])
    begin = first
    if skip:
        cut_units(
            data, first, len(data), classes, by_character, starts[: skip + 1], ends[: skip + 1], values[: skip + 1]
        )
        begin = starts[skip]
        cut_units(data, end, len(data), classes, by_character, starts[:skip], ends[:skip], values[:skip])
        end = ends[skip - 1]
    return begin, end, int(block["characters"]) + count_characters(data, first, begin)


@njit(cache=True)
def _compare(
    here: Stored, there: Stored, pieces: Pieces, classes: Classes, by_character: bool, found: Found
) -> None:
    room = _room()
    for piece in range(len(pieces.own)):
        own, other, more = pieces.own[piece], pieces.other[piece], pieces.windows[piece] - 1
        block, other_block = here.blocks[own // BLOCK_WINDOWS], there.blocks[other // BLOCK_WINDOWS]
        begin, end, characters = _window(here, own, classes, by_character, *room)
        other_begin, other_end, other_characters = _window(there, other, classes, by_character, *room)
        if more:
            _, end, _ = _window(here, own + more, classes, by_character, *room)
            _, other_end, _ = _window(there, other + more, classes, by_character, *room)
        same = block["scope"] == other_block["scope"] and end - begin == other_end - other_begin
        if same:
            for step in range(end - begin):
                if here.data[begin + step] != there.data[other_begin + step]:
                    same = False
                    break
        found.text[piece], found.offset[piece] = block["text"], characters
        found.length[piece] = count_characters(here.data, begin, end)
        found.other_text[piece], found.other_offset[piece] = other_block["text"], other_characters
        here_units = block["units"] + own % BLOCK_WINDOWS
        found.apart[piece] = here_units - other_block["units"] - other % BLOCK_WINDOWS
        found.equal[piece] = same
