"""Which conversations share a row and which rows share a step: planned before the run, from lengths alone."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from corpus.core.files import stable_fraction

Plan = list[list[list[int]]]  # step → row → numbers of conversations

_Item = TypeVar("_Item")

_WINDOW = 1024  # conversations that are packed together: a long enough list to fill rows, a local shuffle


def plan_steps(
    lengths: Sequence[int], *, row_length: int, batch_tokens: int, epochs: int, seed: int, packed: bool
) -> Plan:
    """Plan all steps of a run over conversations of the given lengths (in positions, none above `row_length`).

    Each epoch shows each conversation once, in an order of its own. Packed: rows of `row_length` positions are
    filled by best fit, and a step is `batch_tokens / row_length` rows. Otherwise a row is one conversation, and a
    step is rows of about the same length that with padding have at most `batch_tokens` positions. A step never
    spans two epochs.
    """
    plan: Plan = []
    for epoch in range(epochs):
        rows: list[list[int]] = []
        for number, window in enumerate(_windows(len(lengths), epoch, seed)):
            key = f"{epoch}:{number}"
            if packed:
                rows += _shuffled(pack_rows(window, lengths, row_length), key, seed)
            else:
                plan += _shuffled(_bucket_steps(window, lengths, batch_tokens), key, seed)
        per_step = max(1, batch_tokens // row_length)
        plan += [rows[start : start + per_step] for start in range(0, len(rows), per_step)]
    return plan


def pack_rows(items: Sequence[int], lengths: Sequence[int], row_length: int) -> list[list[int]]:
    """Pack items into rows by best fit, longest first: each goes where the least room is left that holds it.

    The method of Ding et al., "Fewer Truncations Improve Language Modeling" (2024), section 3.
    """
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (room left, row), sorted
    for item in sorted(items, key=lambda item: -lengths[item]):
        place = bisect_left(room, (lengths[item], -1))
        if place < len(room):
            left, row = room.pop(place)
        else:
            left, row = row_length, len(rows)
            rows.append([])
        rows[row].append(item)
        insort(room, (left - lengths[item], row))
    return rows


def _windows(count: int, epoch: int, seed: int) -> Iterator[list[int]]:
    order = _shuffled(list(range(count)), str(epoch), seed)
    for start in range(0, count, _WINDOW):
        yield order[start : start + _WINDOW]


def _bucket_steps(window: list[int], lengths: Sequence[int], batch_tokens: int) -> list[list[list[int]]]:
    ordered = sorted(window, key=lambda item: -lengths[item])
    starts = [0]
    for place, _ in enumerate(ordered):
        if (place + 1 - starts[-1]) * lengths[ordered[starts[-1]]] > batch_tokens and place > starts[-1]:
            starts.append(place)
    return [[[item] for item in ordered[start:stop]] for start, stop in pairwise([*starts, len(ordered)])]


def _shuffled(items: list[_Item], key: str, seed: int) -> list[_Item]:
    order = sorted(range(len(items)), key=lambda place: (stable_fraction(f"{key}:{place}", seed), place))
    return [items[place] for place in order]
