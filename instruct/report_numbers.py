"""What a report tells of a directory's rows, counted in one pass: reasons, languages, lengths, verbs, samples."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.core.files import stable_fraction
from instruct.forms import HELD_INPUT
from instruct.language import has_chinese, length
from instruct.rows import CONVERSATIONS, read_records
from instruct.verb_noun import verb_and_noun

SAMPLES, PAIRS = 3, 4
Row = dict[str, Any]


@dataclass(frozen=True, order=True)
class NearPair:
    """A row and the earlier one nearest to it; `likeness` is a score, or 1 less a distance."""

    likeness: float
    row: str
    other: str
    kept: bool


@dataclass
class DirectoryNumbers:
    """Counts of one directory; `lengths` by part: words (Chinese: characters) of kept rows."""

    kept: int = 0
    removed: Counter[str] = field(default_factory=Counter)
    rounds: dict[int, Counter[str]] = field(default_factory=dict)
    languages: Counter[str] = field(default_factory=Counter)
    lengths: dict[str, list[int]] = field(default_factory=lambda: {"instruction": [], "input": [], "output": []})
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    without_verb: int = 0
    samples: dict[str, list[tuple[float, str, Row]]] = field(default_factory=dict)
    near: dict[bool, list[NearPair]] = field(default_factory=lambda: {True: [], False: []})

    @property
    def rows(self) -> int:
        """Rows that came out, kept and removed."""
        return self.kept + self.removed.total()


def count_directory(directory: Path) -> DirectoryNumbers:
    """Count the rows of a directory's `conversations.jsonl` and `removed.jsonl`."""
    numbers = DirectoryNumbers()
    for row, kept in read_directory(directory):
        reason = "" if kept else str(row.get("reason", "no reason given"))
        numbers.kept += kept
        numbers.removed[reason] += not kept
        lineage = row.get("lineage")
        lineage = lineage if isinstance(lineage, dict) else {}
        if isinstance(lineage.get("round"), int):
            numbers.rounds.setdefault(lineage["round"], Counter())[reason] += 1
        _sample(numbers, reason, row)
        _note_near(numbers, row, lineage, kept)
        if kept:
            _count_kept(numbers, row)
    del numbers.removed[""]
    return numbers


def read_directory(directory: Path) -> Iterator[tuple[Row, bool]]:
    """The rows of a directory, and whether each is kept."""
    for name, kept in ((CONVERSATIONS, True), ("removed.jsonl", False)):
        if (directory / name).is_file():
            for _, value, _ in read_records(str(directory / name)):
                if isinstance(value, dict):
                    yield value, kept


def parts_of(row: Row) -> tuple[str, str, str]:
    """Instruction, input and output of a row: its first question and last reply, or a removed task's fields."""
    turns = row.get("messages")
    lineage = row.get("lineage")
    if isinstance(turns, list) and turns:
        said = [(turn.get("role"), str(turn.get("content", ""))) for turn in turns if isinstance(turn, dict)]
        question = next((text for role, text in said if role == "user"), "")
        given = lineage.get(HELD_INPUT) if isinstance(lineage, dict) else None
        given = given if isinstance(given, str) else ""
        reply = next((text for role, text in reversed(said) if role == "assistant"), "")
        return (question.removesuffix(given).rstrip() if given else question), given, reply
    found = [row.get(name) for name in ("instruction", "input", "output", "answer", "text")]
    texts = [value if isinstance(value, str) else "" for value in found]
    return texts[0] or texts[4], texts[1], texts[2] or texts[3]


def _count_kept(numbers: DirectoryNumbers, row: Row) -> None:
    parts = parts_of(row)
    language = str(row.get("lang") or "not told")
    numbers.languages[language] += 1
    unit = "zh" if has_chinese(parts[0]) else language
    for name, text in zip(numbers.lengths, parts, strict=True):
        if text or name != "input":
            numbers.lengths[name].append(length(text, unit))
    pair = verb_and_noun(parts[0])
    if pair:
        numbers.pairs[pair] += 1
    else:
        numbers.without_verb += 1


def _sample(numbers: DirectoryNumbers, reason: str, row: Row) -> None:
    """Keep the rows whose ids come first by their hash: the same in every run."""
    name = str(row.get("id", ""))
    chosen = numbers.samples.setdefault(reason, [])
    chosen.append((stable_fraction(name, 0), name, row))
    if len(chosen) > SAMPLES:
        chosen.sort(key=lambda one: one[:2])
        chosen.pop()


def _note_near(numbers: DirectoryNumbers, row: Row, lineage: Row, kept: bool) -> None:
    likeness, other = _nearest(row, lineage)
    if other:
        near = numbers.near[kept]
        # Of the kept the likest, of the removed those that were least alike: both stand at the limit.
        pair = NearPair(likeness, str(row.get("id", "")), other, kept)
        choose = heapq.nlargest if kept else heapq.nsmallest
        numbers.near[kept] = choose(PAIRS, [*near, pair])


def _nearest(row: Row, lineage: Row) -> tuple[float, str]:
    """The nearest row as novelty or selection noted it; of removed rows only where it was the reason."""
    selected = lineage.get("select")
    noted = row.get("nearest") or (selected.get("nearest") if isinstance(selected, dict) else None)
    if isinstance(noted, dict) and isinstance(noted.get("distance"), int | float):
        return 1 - float(noted["distance"]), str(noted.get("id", ""))
    if "reason" in row and "similar_to" not in row:
        return 0.0, ""
    scored = lineage.get("nearest")
    first = scored[0] if isinstance(scored, list) and scored else None
    if isinstance(first, list) and len(first) == 2 and isinstance(first[1], int | float):
        return float(first[1]), str(first[0])
    return 0.0, ""
