"""What a what-if writes: the ledger with the new decisions and, if asked for, the documents that they keep.

The documents come from what the earlier filter wrote. A ledger's rows stand in the order of the input, and so do
those of `documents/` and `removed/`: the two are merged by the ledger's `kept`, in one pass, without a join.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.binary_files import file_size, fingerprint
from corpus.core.engine import Step, UnitOutput, process_units
from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, write_atomically
from corpus.core.inputs import Unit
from corpus.core.output import Claim, Manifest
from corpus.core.parquet_files import open_parquet
from corpus.filtering.edits import EDITED_OUT, EDITS, apply_edits
from corpus.filtering.filter import check_documents_left, count_decision, write_rules
from corpus.filtering.ledger import (
    ABOUT,
    DECISION,
    Ledger,
    column_names,
    edit_column,
    is_edit_column,
    read_ledger,
)
from corpus.filtering.recorded_edits import check_same_texts, language_keys, recorded_column, recorded_sources
from corpus.filtering.rules import RuleSet, from_json, signal_column, to_json
from corpus.filtering.signals import EDITED_WORDS
from corpus.filtering.what_if import Question, decide_again, languages_found

_BATCH_ROWS = 2048
_TABLES = ("documents", "removed")


def write_what_if(
    question: Question,
    output: Path,
    *,
    documents: bool = False,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
) -> Manifest:
    """Write the new decisions into a dataset directory; return its manifest.

    `ledger/` has all columns that a filter with these rules would have written. With `documents`, so have
    `documents/` and `removed/`, and they hold the same rows; but where edits changed a text, a document that is
    dropped only now comes as they left it (`removed_as_edited` counts them), because the earlier filter has kept
    no other. Raises ZeroToOneError where the earlier filter's documents are not there or were edited otherwise,
    and where no document is left (the output stays).
    """
    ledger = question.ledger
    if documents:
        try:
            check_same_texts(question.rule_sets, ledger.rule_sets, question.found_languages)
        except ZeroToOneError as error:
            raise ZeroToOneError(f"{ledger.folder}: {error}") from None
        _check_documents(ledger)
    claim = _claim(question, output, documents)
    manifest = claim.finished(overwrite)
    if manifest is None:
        step = Step(claim.command, claim.parameters, write_part)
        units = [Unit(_index(part), str(part), part.name, "parquet") for part in ledger.parts]
        counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=False)
        if documents:
            counts |= _copy_set_aside(ledger, output)
        manifest = claim.write_manifest(counts=dict(sorted(counts.items())), reasons=reasons)
    write_rules(output, question.rule_sets)
    check_documents_left(output, manifest)
    return manifest


def write_part(unit: Unit, parameters: dict[str, Any], output: UnitOutput) -> None:
    """Decide a file of the ledger again: the step's function."""
    part, about = Path(unit.path), parameters["what_if"]
    question = _question_of(part, parameters)
    texts = _Texts(part) if about["documents"] else None
    for whole in read_ledger(part, question.ledger.columns):
        for frame in whole.iter_slices(_BATCH_ROWS if texts else whole.height):
            _write_rows(frame, question, texts, output)
    if texts:
        texts.finish()


def _question_of(part: Path, parameters: dict[str, Any]) -> Question:
    """The question that the parameters ask of one part of the ledger."""
    about = parameters["what_if"]
    old, new = from_json(about["rules_before"]), from_json(parameters["rules"])
    ledger = Ledger(part.parent, tuple(old), (), {}, {}, column_names(part))
    found = languages_found([part])
    sources = recorded_sources(new, old, found)
    return Question(ledger, tuple(new), tuple(parameters["languages"]), found, sources, tuple(about["carried"]))


def _write_rows(frame: pl.DataFrame, question: Question, texts: _Texts | None, output: UnitOutput) -> None:
    decision = decide_again(frame, question)
    ledger = _full_columns(frame, decision, question)
    before, now = frame["kept"], decision["kept"]
    output.write("ledger", ledger)
    count_decision(decision, ledger.select(name for name in ledger.columns if is_edit_column(name)), output)
    output.count("newly_kept", int((~before & now).sum()))
    output.count("newly_dropped", int((before & ~now).sum()))
    if texts is None:
        return
    rows = texts.take(frame)
    rescued = (~before & now).arg_true()
    if rescued.len() and any(rule_set.edits for rule_set in question.rule_sets):
        chosen = rows[rescued]
        edited = edit_texts(chosen["text"].to_list(), chosen["lang"], question.rule_sets)
        rows = rows.with_columns(rows["text"].scatter(rescued, pl.Series(edited, dtype=pl.String)))
    output.write("documents", rows.filter(now))
    output.write("removed", rows.with_columns(decision["reason"], decision["failed_rules"]).filter(~now))
    edited_rows = ledger.select(pl.any_horizontal(pl.lit(False), *_edit_counts(ledger)).alias("edited"))["edited"]
    if changed := int((before & ~now & edited_rows).sum()):
        output.count("removed_as_edited", changed)


def edit_texts(texts: Sequence[str], languages: pl.Series, rule_sets: Sequence[RuleSet]) -> list[str]:
    """The texts after the edits of every set that applies, in order."""
    edited = list(texts)
    for rule_set in rule_sets:
        if rule_set.edits:
            rows = rule_set.applies(languages).arg_true()
            changed, _ = apply_edits([edited[row] for row in rows], rule_set.edits)
            for row, text in zip(rows, changed, strict=True):
                edited[row] = text
    return edited


def _edit_counts(ledger: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col(name).fill_null(0) > 0 for name in ledger.columns if is_edit_column(name)]


def _full_columns(frame: pl.DataFrame, decision: pl.DataFrame, question: Question) -> pl.DataFrame:
    """The ledger's rows as a filter with the new rule sets writes them."""
    signals = [name for name in frame.columns if ":" not in name and name not in (*ABOUT, *DECISION)]
    edited = [rule_set for rule_set in question.rule_sets if rule_set.edits]
    counted = [name for rule_set in edited for name in _edits_made(rule_set)]
    measured = [name for name in signals if _measured_again(name, question.ledger)] + [EDITED_WORDS.name]
    again = [signal_column(rule_set.name, name) for rule_set in edited for name in measured]
    kinds = {**frame.schema, EDITED_WORDS.name: pl.Float64()}
    types = {name: kinds[name.split(":")[1]] for name in again}
    types |= {name: pl.Int64() if is_edit_column(name) else pl.String() for name in counted}
    keys = pl.lit(language_keys(frame["lang"]))
    about = frame.select(ABOUT)
    rest = frame.select(
        *(recorded_column(name, question.sources, keys).cast(types[name]) for name in counted),
        *signals,
        *(recorded_column(name, question.sources, keys).cast(types[name]) for name in again),
    )
    return pl.concat([about, decision, rest], how="horizontal")


def _edits_made(rule_set: RuleSet) -> list[str]:
    """The columns of what a set's edits took out, as a filter writes them."""
    columns = [edit_column(rule_set.name, edit.name) for edit in rule_set.edits]
    drops = any(EDITS[edit.name].keeps for edit in rule_set.edits)
    return [*columns, signal_column(rule_set.name, EDITED_OUT)] if drops else columns


def _measured_again(signal: str, ledger: Ledger) -> bool:
    edited = [rule_set.name for rule_set in ledger.rule_sets if rule_set.edits]
    return any(signal_column(name, signal) in ledger.columns for name in edited)


class _Texts:
    """The rows of the earlier filter's `documents/` and `removed/`, brought back to the ledger's order."""

    def __init__(self, part: Path) -> None:
        self._rows = {name: _Rows(part.parent.parent / name / part.name) for name in _TABLES}

    def take(self, ledger: pl.DataFrame) -> pl.DataFrame:
        """The next rows, those of the ledger, without reasons. ZeroToOneError where they are others."""
        kept = ledger["kept"]
        documents = self._rows["documents"].take(int(kept.sum()))
        removed = self._rows["removed"].take(int((~kept).sum()))
        removed = removed.drop("reason", "failed_rules", strict=False)
        parts = [
            frame.with_columns(mask.arg_true().alias("ledger place"))
            for frame, mask in ((documents, kept), (removed, ~kept))
            if frame.height
        ]
        rows = pl.concat(parts, how="diagonal_relaxed").sort("ledger place").drop("ledger place")
        if not rows["id"].equals(ledger["id"]):
            places = " and ".join(str(reader.path) for reader in self._rows.values())
            raise ZeroToOneError(f"{places}: other documents than the ledger's")
        return rows

    def finish(self) -> None:
        """Raise ZeroToOneError where rows are left that the ledger does not have."""
        for reader in self._rows.values():
            if reader.take(1, may_end=True).height:
                raise ZeroToOneError(f"{reader.path}: more documents than the ledger's")


class _Rows:
    """A Parquet file's rows, taken some at a time. A missing file has none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._batches = self._read()
        self._waiting = pl.DataFrame()

    def _read(self) -> Iterator[pl.DataFrame]:
        if self.path.exists():
            with open_parquet(str(self.path)) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    frame = pl.from_arrow(batch)
                    assert isinstance(frame, pl.DataFrame)
                    yield frame

    def take(self, count: int, may_end: bool = False) -> pl.DataFrame:
        while self._waiting.height < count:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._waiting = pl.concat([self._waiting, batch], how="diagonal_relaxed")
        taken, self._waiting = self._waiting.head(count), self._waiting.slice(count)
        if taken.height < count and not may_end:
            raise ZeroToOneError(f"{self.path}: fewer documents than the ledger's")
        return taken


def _claim(question: Question, output: Path, documents: bool) -> Claim:
    ledger = question.ledger
    about = {
        "documents": documents,
        "rules_before": to_json(ledger.rule_sets),
        "carried": list(question.carried),
    }
    earlier = read_json(ledger.folder.parent / "manifest.json")["parameters"]
    new = {"rules": to_json(question.rule_sets), "languages": list(question.languages), "what_if": about}
    files = [str(path) for path in [*ledger.parts, *(_document_files(ledger) if documents else [])]]
    prints, size = [fingerprint(path) for path in files], sum(file_size(path) for path in files)
    return Claim("corpus filter", {**earlier, **new}, [ledger.folder], prints, size, output)


def _document_files(ledger: Ledger) -> list[Path]:
    places = [ledger.folder.parent / name / part.name for name in _TABLES for part in ledger.parts]
    return [place for place in places if place.exists()]


def _check_documents(ledger: Ledger) -> None:
    counts = {"documents": ledger.counts.get("documents_kept"), "removed": ledger.counts.get("documents_removed")}
    for name, count in counts.items():
        folder = ledger.folder.parent / name
        if count and not list(folder.glob("part-*.parquet")):
            raise ZeroToOneError(
                f"{folder}: missing; without the filter's documents there is only the ledger to write"
            )


def _copy_set_aside(ledger: Ledger, output: Path) -> dict[str, int]:
    for part in sorted((ledger.folder.parent / "set_aside").glob("part-*.parquet")):
        with write_atomically(output / "set_aside" / part.name) as temporary:
            shutil.copyfile(part, temporary)
    count = ledger.counts.get("set_aside", 0)
    return {"set_aside": count} if count else {}


def _index(part: Path) -> int:
    return int(part.stem.removeprefix("part-"))
