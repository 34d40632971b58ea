"""What happened to a document: every step that it went through, from a dataset back to its web page."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json
from corpus.duplicates.whole.runaway import FIGURES
from corpus.filtering.ledger import Verdict, edited_out, edits_made, other_signals, verdicts
from corpus.filtering.rules import from_json
from corpus.reporting.pairs import DEFAULT_NGRAM, Pair, load_pairs, view_cluster
from corpus.reporting.removed_lines import lines_of
from corpus.reporting.repeated_spans import spans_of
from corpus.reporting.steps import is_filter, is_what_if, steps_behind

_ABOUT = ("id", "url", "domain", "source", "origin", "date", "lang", "lang_score", "reason")
_CLUSTER_ROWS = 20
_OTHERS = ("id", "url", "origin", "kept", "jaccard")
_EVIDENCE_ROWS = 100
_NEAR_ROWS = 2000
_SCORING = ("corpus quality score", "corpus quality perplexity")
_TABLES = ("documents", "removed", "ledger")


@dataclass
class Finding:
    """A document in one step's directory.

    `decided_again` says that a what-if decided it. `rules` are all of a filter's, failing ones first;
    `other_signals` those that none of them looks at, by the ledger's column; `edits` what its edits took out;
    `edited_out` the beginning of what they dropped, by rule set; `cluster` a deduplication's evidence (its other
    members, twenty at most), `pair` the document beside the kept one, `lines` and `spans` what went out of it (a
    hundred at most); `scores` what `corpus quality` added; `redactions` the numbers of identifiers by kind and
    `places` where they stood, `hits` the evaluation items that it holds (a hundred of each at most; offsets in the
    text as it came in); `tokens` its places in token shards.
    """

    directory: str
    command: str
    kept: bool
    document: dict[str, Any]
    decided_again: bool = False
    failed_rules: list[str] = field(default_factory=list)
    rules: list[Verdict] = field(default_factory=list)
    other_signals: dict[str, float | int] = field(default_factory=dict)
    edits: dict[str, int] = field(default_factory=dict)
    edited_out: dict[str, str] = field(default_factory=dict)
    cluster: dict[str, Any] = field(default_factory=dict)
    pair: Pair | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)
    spans: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, Any] = field(default_factory=dict)
    redactions: dict[str, int] = field(default_factory=dict)
    places: list[dict[str, Any]] = field(default_factory=list)
    hits: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The finding as plain values; what a step does not have is left out."""
        values = asdict(self) | {"rules": [verdict._asdict() for verdict in self.rules]}
        return {
            name: value for name, value in values.items() if value not in ([], {}, False, None) or name == "kept"
        }


def explain_document(identifier: str, directories: Sequence[str | Path]) -> list[Finding]:
    """Find a document, by id or URL, in step directories and in all that they were made from.

    The findings are in the order of the steps, the earliest first. Raises ZeroToOneError when there is no such
    document, or a directory was not made by a step.
    """
    steps = steps_behind(directories)
    findings = [finding for step in steps for finding in _find(identifier, step)]
    if not findings:
        near = near_identifiers(identifier, steps)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise ZeroToOneError(f"{identifier}: no such id or URL in {', '.join(map(str, steps))}{hint}")
    return findings


def _find(identifier: str, directory: Path) -> Iterator[Finding]:
    manifest = read_json(directory / "manifest.json")
    command = str(manifest.get("command", ""))
    if command == "corpus tokenize":
        yield from _find_tokens(identifier, directory, command)
        return
    for table, kept in (("documents", True), ("removed", False)):
        for row in _rows(directory, table, identifier):
            document = {name: row[name] for name in _ABOUT if row.get(name) is not None}
            finding = Finding(str(directory), command, kept, document, is_what_if(manifest))
            if is_filter(manifest):
                _add_rules(finding, manifest)
            elif command == "corpus dedup":
                _add_cluster(finding, manifest)
                finding.lines = lines_of(directory, document, kept)
                finding.spans = spans_of(directory, row["id"], kept=kept, most=_EVIDENCE_ROWS)
            elif command == "corpus redact":
                _add_redactions(finding)
            elif command == "corpus decontaminate":
                _add_hits(finding)
            elif command in _SCORING:
                name = manifest["parameters"]["name"]
                finding.scores = {key: row[key] for key in (name, f"{name}_bucket") if key in row}
            yield finding
    if is_filter(manifest) and not any((directory / table).is_dir() for table in ("documents", "removed")):
        yield from _find_decisions(identifier, directory, manifest)


def _find_decisions(identifier: str, directory: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    """A document in a what-if's ledger, where it wrote no documents."""
    for row in _rows(directory, "ledger", identifier):
        document = {name: row[name] for name in _ABOUT if row.get(name) is not None}
        finding = Finding(str(directory), str(manifest["command"]), row["kept"], document, is_what_if(manifest))
        _judge(finding, row, manifest)
        yield finding


def _add_rules(finding: Finding, manifest: dict[str, Any]) -> None:
    name = finding.document["id"]
    rows = [row for row in _rows(Path(finding.directory), "ledger", name) if row["kept"] == finding.kept]
    for row in rows[:1]:
        _judge(finding, row, manifest)


def _judge(finding: Finding, row: dict[str, Any], manifest: dict[str, Any]) -> None:
    rule_sets = from_json(manifest["parameters"]["rules"])
    finding.rules = sorted(verdicts(row, rule_sets), key=lambda verdict: verdict.passed)
    finding.failed_rules = row["failed_rules"]
    finding.other_signals = other_signals(row, rule_sets)
    finding.edits, finding.edited_out = edits_made(row), edited_out(row)


def _add_cluster(finding: Finding, manifest: dict[str, Any]) -> None:
    directory, name = Path(finding.directory), finding.document["id"]
    rows = [row for row in _rows(directory, "clusters", name) if row["kept"] == finding.kept]
    for row in rows[:1]:
        view = view_cluster(directory, row, _CLUSTER_ROWS)
        if view.beside is not None:
            ngram = manifest["parameters"].get("ngram", DEFAULT_NGRAM)
            finding.pair = next(load_pairs(directory, [(row, view.beside)], ngram), None)
        finding.cluster = {
            "cluster": row["cluster"],
            "kept_id": row["kept_id"],
            "jaccard": row["jaccard"],
            **{figure: row[figure] for figure in FIGURES if figure in row},
            "members": view.members,
            "others": [{key: member[key] for key in _OTHERS} for member in view.others],
        }


def _add_redactions(finding: Finding) -> None:
    directory, name = Path(finding.directory), finding.document["id"]
    for row in _rows(directory, "ledger", name, ("id",)):
        finding.redactions |= {kind: number for kind, number in row.items() if kind not in _ABOUT and number}
    for row in islice(_rows(directory, "redactions", name, ("id",)), _EVIDENCE_ROWS):
        finding.places.append({key: row[key] for key in ("kind", "offset", "length")})


def _add_hits(finding: Finding) -> None:
    rows = _rows(Path(finding.directory), "ledger", finding.document["id"], ("id",))
    same = (row for row in rows if row["kept"] == finding.kept)
    finding.hits = [
        {key: value for key, value in row.items() if key not in (*_ABOUT, "kept")}
        for row in islice(same, _EVIDENCE_ROWS)
    ]


def _find_tokens(identifier: str, directory: Path, command: str) -> Iterator[Finding]:
    for path in sorted(directory.glob("*/*/documents.parquet")):
        table = pl.read_parquet(path).with_row_index("place")
        for row in table.filter((pl.col("id") == identifier) | (pl.col("url") == identifier)).iter_rows(
            named=True
        ):
            document = {name: row[name] for name in _ABOUT if row.get(name) is not None}
            first = int(table["tokens"].head(row["place"]).sum())
            tokens = {
                "split": path.parent.parent.name,
                "shard": path.parent.name,
                "first": first,
                "tokens": row["tokens"],
            }
            yield Finding(str(directory), command, True, document, tokens=tokens)


def _rows(
    directory: Path, table: str, value: Any, columns: Sequence[str] = ("id", "url")
) -> Iterator[dict[str, Any]]:
    """The rows of a table where one of the columns has the value; texts are left out."""
    for part in sorted((directory / table).glob("part-*.parquet")):
        yield from _matching(part, [pl.col(name) == value for name in columns]).iter_rows(named=True)


def _matching(part: Path, tests: Sequence[pl.Expr], most: int | None = None) -> pl.DataFrame:
    """The rows of a file, without texts, for which one of the tests on its columns holds; `most` at most."""
    try:
        frame = pl.scan_parquet(part)
        names = frame.collect_schema().names()
        wanted = pl.any_horizontal(test for test in tests if set(test.meta.root_names()) <= set(names))
        found = frame.drop("text", "metadata", strict=False).filter(wanted)
        return (found if most is None else found.head(most)).collect()
    except pl.exceptions.PolarsError as error:
        raise ZeroToOneError(f"{part}: {str(error).splitlines()[0]}") from None


def near_identifiers(identifier: str, steps: Sequence[Path]) -> list[str]:
    """Ids and URLs of these steps that are almost `identifier`, three at most, the nearest first.

    Candidates share its first half or its last: one wrong character leaves either whole.
    """
    half = (len(identifier) + 1) // 2
    if half < 2:
        return []
    found: dict[str, None] = {}
    for directory in steps:
        for part in sorted(part for table in _TABLES for part in (directory / table).glob("part-*.parquet")):
            for name in ("id", "url"):
                column = pl.col(name)
                tests = [column.str.starts_with(identifier[:half]) | column.str.ends_with(identifier[-half:])]
                values = _matching(part, tests, _NEAR_ROWS)
                found |= dict.fromkeys(values[name].drop_nulls() if name in values.columns else [])
    return difflib.get_close_matches(identifier, list(found)[:_NEAR_ROWS], n=3, cutoff=0.8)
