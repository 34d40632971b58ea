"""What a filter's ledger says in numbers: groups, reasons, rules that fail together, what edits took out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.filtering.ledger import is_edit_column, read_ledger
from corpus.filtering.rules import RuleSet, signal_column

_CHARACTERS = "characters"


@dataclass
class Overlap:
    """How many documents fail each rule, alone and together with each other rule."""

    rules: list[str] = field(default_factory=list)
    alone: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    together: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def add(self, failed_rules: pl.Series) -> None:
        """Count a batch of documents by their lists of failing rules."""
        failing = failed_rules.filter(failed_rules.list.len() > 0)
        names = failing.explode()
        self._know(names.unique().sort().to_list())
        if not failing.len():
            return
        codes = names.replace_strict({name: n for n, name in enumerate(self.rules)}, return_dtype=pl.Int64)
        lengths = failing.list.len().to_numpy()
        rows = np.repeat(np.arange(failing.len()), lengths)
        table = np.zeros((failing.len(), len(self.rules)), np.float32)
        table[rows, codes.to_numpy()] = 1
        self.together += np.rint(table.T @ table).astype(np.int64)
        self.alone += table[lengths == 1].sum(axis=0, dtype=np.float64).astype(np.int64)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each rule, those that fail most documents first, with the rule that most of them fail too."""
        found = []
        for number, rule in enumerate(self.rules):
            fails = int(self.together[number, number])
            others = self.together[number].copy()
            others[number] = 0
            most = int(others.argmax())
            partner = f"{self.rules[most]} ({others[most] / fails:.0%})" if others[most] else ""
            found.append(
                {
                    "rule": rule,
                    "fail it": fails,
                    "fail it alone": int(self.alone[number]),
                    "most fail also": partner,
                }
            )
        return sorted(found, key=lambda row: (-row["fail it"], row["rule"]))

    def _know(self, names: list[str]) -> None:
        new = [name for name in names if name not in self.rules]
        self.rules += new
        self.alone = np.pad(self.alone, (0, len(new)))
        self.together = np.pad(self.together, (0, len(new)))


@dataclass
class LedgerNumbers:
    """Counts over a ledger. `groups`: documents and characters by domain, lang and reason (null: kept);
    `edits`: by edit, the documents that it changed and what it took out; `lengths`: by rule set with edits, the
    characters of the texts before and after."""

    groups: pl.DataFrame
    overlap: Overlap
    edits: dict[str, tuple[int, int]]
    lengths: dict[str, tuple[int, int]]


def count_ledger(parts: list[Path], columns: list[str], rule_sets: list[RuleSet]) -> LedgerNumbers:
    """Count a ledger's files, batch by batch."""
    edits = {name: (0, 0) for name in columns if is_edit_column(name)}
    edited = [s.name for s in rule_sets if s.edits and signal_column(s.name, _CHARACTERS) in columns]
    lengths = dict.fromkeys(edited, (0, 0))
    overlap = Overlap()
    groups: list[pl.DataFrame] = []
    measured = [signal_column(name, _CHARACTERS) for name in edited]
    wanted = ["domain", "lang", "kept", "reason", "failed_rules", _CHARACTERS, *measured, *edits]
    for frame in _batches(parts, [name for name in wanted if name in columns]):
        overlap.add(frame["failed_rules"])
        groups = [sum_groups([*groups, _grouped(frame)])]
        for name, (documents, total) in edits.items():
            taken = frame[name].fill_null(0)
            edits[name] = documents + int((taken > 0).sum()), total + int(taken.sum())
        for name, (before, after) in lengths.items():
            left = frame[signal_column(name, _CHARACTERS)]
            had = frame[_CHARACTERS].filter(left.is_not_null())
            lengths[name] = before + int(had.sum()), after + int(left.sum())
    return LedgerNumbers(sum_groups(groups), overlap, edits, lengths)


def sum_groups(groups: list[pl.DataFrame]) -> pl.DataFrame:
    """Documents and characters by domain, lang and reason, of parts that were counted apart."""
    schema = {"domain": pl.String, "lang": pl.String, "reason": pl.String}
    empty = pl.DataFrame(schema=schema | {"documents": pl.Int64, "characters": pl.Int64})
    both = pl.concat([empty, *groups])
    return both.group_by("domain", "lang", "reason").agg(pl.col("documents", "characters").sum())


def _grouped(frame: pl.DataFrame) -> pl.DataFrame:
    characters = pl.col(_CHARACTERS).sum() if _CHARACTERS in frame.columns else pl.lit(0)
    return frame.group_by("domain", "lang", "reason").agg(
        pl.len().cast(pl.Int64).alias("documents"), characters.cast(pl.Int64).alias("characters")
    )


def _batches(parts: list[Path], columns: list[str]) -> Iterator[pl.DataFrame]:
    for part in parts:
        yield from read_ledger(part, columns)
