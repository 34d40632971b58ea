"""What happened to a document: every step that it went through, from a dataset back to its web page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json
from corpus.core.output import input_paths
from corpus.filtering.ledger import Verdict, edits_made, verdicts
from corpus.filtering.rules import from_json

_ABOUT = ("id", "url", "domain", "source", "origin", "date", "lang", "lang_score", "reason")
_CLUSTER_ROWS = 20


@dataclass
class Finding:
    """A document in one step's directory.

    `rules` are all of a filter's, failing ones first; `edits` what its edits took out; `cluster` a
    deduplication's evidence (its other members, twenty at most); `tokens` its places in token shards.
    """

    directory: str
    command: str
    kept: bool
    document: dict[str, Any]
    failed_rules: list[str] = field(default_factory=list)
    rules: list[Verdict] = field(default_factory=list)
    edits: dict[str, int] = field(default_factory=dict)
    cluster: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The finding as plain values; what a step does not have is left out."""
        values = asdict(self) | {"rules": [verdict._asdict() for verdict in self.rules]}
        return {name: value for name, value in values.items() if value not in ([], {})}


def explain_document(identifier: str, directories: Sequence[str | Path]) -> list[Finding]:
    """Find a document, by id or URL, in step directories and in all that they were made from.

    The findings are in the order of the steps, the earliest first. Raises ZeroToOneError when there is no such
    document, or a directory was not made by a step.
    """
    steps: dict[Path, None] = {}
    for directory in directories:
        step = _step_directory(str(directory))
        if step is None:
            raise ZeroToOneError(f"{directory}: not a finished step's directory (no manifest.json)")
        _collect(step, steps)
    findings = [finding for step in steps for finding in _find(identifier, step)]
    if not findings:
        raise ZeroToOneError(f"{identifier}: no such id or URL in {', '.join(map(str, steps))}")
    return findings


def _collect(directory: Path, steps: dict[Path, None]) -> None:
    """Add a step's directory behind those of its inputs."""
    if directory in steps:
        return
    for path in input_paths(directory):
        earlier = _step_directory(path)
        if earlier is not None and earlier.resolve() != directory.resolve():
            _collect(earlier, steps)
    steps[directory] = None


def _step_directory(path: str) -> Path | None:
    """The step's directory that an input is or lies in (`documents/`, a file or a glob there)."""
    if "://" in path:
        return None
    candidates = (Path(path), *list(Path(path).parents)[:2])
    return next((place for place in candidates if (place / "manifest.json").is_file()), None)


def _find(identifier: str, directory: Path) -> Iterator[Finding]:
    manifest = read_json(directory / "manifest.json")
    command = str(manifest.get("command", ""))
    if command == "corpus tokenize":
        yield from _find_tokens(identifier, directory, command)
        return
    for table, kept in (("documents", True), ("removed", False)):
        for row in _rows(directory, table, identifier):
            document = {name: row[name] for name in _ABOUT if row.get(name) is not None}
            finding = Finding(str(directory), command, kept, document)
            if command == "corpus filter":
                _add_rules(finding, manifest)
            elif command == "corpus dedup":
                _add_cluster(finding)
            yield finding


def _add_rules(finding: Finding, manifest: dict[str, Any]) -> None:
    name = finding.document["id"]
    rows = [row for row in _rows(Path(finding.directory), "ledger", name) if row["kept"] == finding.kept]
    for row in rows[:1]:
        judged = verdicts(row, from_json(manifest["parameters"]["rules"]))
        finding.rules = sorted(judged, key=lambda verdict: verdict.passed)
        finding.failed_rules = row["failed_rules"]
        finding.edits = edits_made(row)


def _add_cluster(finding: Finding) -> None:
    directory, name = Path(finding.directory), finding.document["id"]
    rows = [row for row in _rows(directory, "clusters", name) if row["kept"] == finding.kept]
    for row in rows[:1]:
        members = [
            {key: member.get(key) for key in ("id", "url", "origin", "kept", "jaccard")}
            for member in _rows(directory, "clusters", row["cluster"], ("cluster",))
        ]
        others = [member for member in members if member["id"] != name]
        finding.cluster = {
            "cluster": row["cluster"],
            "kept_id": row["kept_id"],
            "jaccard": row["jaccard"],
            "members": len(members),
            "others": sorted(others, key=lambda member: not member["kept"])[:_CLUSTER_ROWS],
        }


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
        try:
            frame = pl.scan_parquet(part)
            names = frame.collect_schema().names()
            wanted = pl.any_horizontal(pl.col(name) == value for name in columns if name in names)
            found = frame.drop("text", "metadata", strict=False).filter(wanted).collect()
        except pl.exceptions.PolarsError as error:
            raise ZeroToOneError(f"{part}: {str(error).splitlines()[0]}") from None
        yield from found.iter_rows(named=True)
