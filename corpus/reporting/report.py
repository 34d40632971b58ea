"""`corpus report`: what each step kept and dropped, why, with samples, as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, write_atomically
from corpus.core.output import input_paths
from corpus.filtering.rules import from_json
from corpus.reporting import report_page as html

_SAMPLES = 3
_CLUSTERS = 8
_REASONS = 25
_SHOWN = ("id", "url", "origin", "text")


def write_report(directories: Sequence[Path], output: Path) -> None:
    """Write the report of one or more dataset directories, in the order of the steps.

    A single directory stands for its whole way: the steps that its manifest names as inputs are added.
    """
    steps = step_directories(directories)
    page = html.Page("Corpus report", "What each step kept and dropped, and why.")
    for title, content in corpus_sections(steps):
        page.add(title, content)
    with write_atomically(output) as temporary:
        temporary.write_text(page.render(), encoding="utf-8")


def step_directories(directories: Sequence[Path]) -> list[Path]:
    """The dataset directories behind `directories`, inputs before what was made of them."""
    depth: dict[Path, int] = {}

    def visit(directory: Path) -> int:
        if directory not in depth:
            if not (directory / "manifest.json").exists():
                raise ZeroToOneError(f"{directory}: no manifest.json; not a finished dataset directory")
            before = [Path(path) for path in input_paths(directory) if "://" not in path]
            depth[directory] = 1 + max(
                (visit(path) for path in before if (path / "manifest.json").exists()), default=0
            )
        return depth[directory]

    for directory in directories:
        visit(Path(directory))
    return sorted(depth, key=lambda directory: depth[directory])


def corpus_sections(steps: Sequence[Path]) -> list[tuple[str, str]]:
    """(title, HTML) sections: the funnel, reasons with samples, signals, duplicate clusters, what remains."""
    manifests = {step: read_json(step / "manifest.json") for step in steps}
    sections = [("Funnel", _funnel(manifests))]
    reasons = "".join(_reasons(step, manifest) for step, manifest in manifests.items())
    if reasons:
        sections.append(("Why documents were dropped", reasons))
    signals = "".join(_signals(step) for step in steps if (step / "ledger").is_dir())
    if signals:
        sections.append(("Signals and their limits", signals))
    clusters = "".join(_clusters(step) for step in steps if (step / "clusters").is_dir())
    if clusters:
        sections.append(("Duplicate clusters", clusters))
    last = [step for step in steps if (step / "documents").is_dir()]
    if last:
        sections.append(("What remains", _remaining(last[-1])))
    return sections


def counts_in_and_out(manifest: dict[str, Any]) -> tuple[int, int, int]:
    """(in, kept, dropped) of a step's manifest."""
    counts = manifest["counts"]
    read = counts.get("pages_in", 0) + counts.get("documents_in", 0)
    dropped = sum(manifest.get("reasons", {}).values())
    return read, counts.get("documents_kept", read - dropped), dropped


def _funnel(manifests: dict[Path, dict[str, Any]]) -> str:
    rows: list[tuple[str, Sequence[tuple[str, float]], str]] = []
    for step, manifest in manifests.items():
        read, kept, dropped = counts_in_and_out(manifest)
        text = f"{kept:,} of {read:,}"
        rows.append((f"{manifest['command']} · {step.name}", (("kept", kept), ("dropped", dropped)), text))
    return html.card(html.bars(rows, legend=True))


def _reasons(step: Path, manifest: dict[str, Any]) -> str:
    reasons = sorted(manifest.get("reasons", {}).items(), key=lambda item: (-item[1], item[0]))
    if not reasons:
        return ""
    rows = [(name, (("dropped", float(number)),), f"{number:,}") for name, number in reasons[:_REASONS]]
    samples = []
    if list((step / "removed").glob("*.parquet")):
        removed = pl.scan_parquet(step / "removed" / "*.parquet")
        for name, _ in reasons[:_REASONS]:
            found = removed.filter(pl.col("reason") == name).select(_SHOWN).head(_SAMPLES).collect()
            samples.append(
                html.details(f"{name}: samples", *(_sample(row) for row in found.iter_rows(named=True)))
            )
    return html.heading(f"{manifest['command']} · {step.name}") + html.card(html.bars(rows), *samples)


def _sample(row: dict[str, Any]) -> str:
    where = html.paragraph(f"{row['url'] or row['origin']} · id {row['id']}", soft=True)
    return where + html.quotation(row["text"] or "")


def _signals(step: Path) -> str:
    """A histogram per rule: the signal's values, and which side of the limit was kept."""
    ledger = pl.scan_parquet(step / "ledger" / "*.parquet")
    columns = ledger.collect_schema()
    drawings = []
    for rule_set in from_json(yaml.safe_load((step / "rules.yaml").read_text(encoding="utf-8"))):
        for rule in rule_set.rules:
            column = rule_set.column(rule.signal)
            if column in columns and columns[column].is_numeric():
                values = (
                    ledger.select(pl.col(column).cast(pl.Float64).drop_nulls()).collect().to_series().to_list()
                )
                above = {">=": True, ">": True, "<=": False, "<": False}.get(rule.comparison)
                drawings.append(
                    html.histogram(f"{rule_set.label(rule)}: {rule.signal}", values, rule.threshold, above)
                )
    if not drawings:
        return ""
    note = "Heights grow with the square root of the number of documents."
    return html.heading(step.name) + html.paragraph(note, soft=True) + html.card(html.small_multiples(drawings))


def _clusters(step: Path) -> str:
    files = step / "clusters" / "*.parquet"
    if not list((step / "clusters").glob("*.parquet")):
        return html.heading(step.name) + html.paragraph("No duplicates were found.", soft=True)
    members = pl.scan_parquet(files)
    sizes = members.group_by("cluster").len("members").collect()
    sizes = sizes.sort(["members", "cluster"], descending=[True, False])
    spread = sizes.group_by("members").len("clusters").sort("members")
    rows = [
        (f"{row['members']} documents", (("s0", float(row["clusters"])),), f"{row['clusters']:,} clusters")
        for row in spread.head(20).iter_rows(named=True)
    ]
    parts = [html.heading(f"{step.name}: {sizes.height:,} clusters"), html.card(html.bars(rows))]
    for row in sizes.head(_CLUSTERS).iter_rows(named=True):
        found = members.filter(pl.col("cluster") == row["cluster"]).head(50).collect()
        shown = [name for name in ("id", "url", "kept", "jaccard") if name in found.columns]
        listed = html.table(found.select(shown).to_dicts())
        like = found.sort("kept", descending=True)["url"][0] or row["cluster"]
        parts.append(html.details(f"{row['members']} documents like {like}", listed))
    return "".join(parts)


def _remaining(step: Path) -> str:
    files = list((step / "documents").glob("*.parquet"))
    if not files:
        return html.paragraph("No document is left.", soft=True)
    table = (
        pl.scan_parquet(step / "documents" / "*.parquet")
        .group_by("domain", "lang")
        .agg(
            pl.len().alias("documents"),
            pl.col("text").str.len_chars().sum().alias("characters"),
            pl.col("text").str.len_chars().median().alias("median characters"),
        )
        .sort("domain", "documents", descending=[False, True])
        .collect()
    )
    sample = pl.scan_parquet(step / "documents" / "*.parquet").select(_SHOWN).head(_SAMPLES).collect()
    shown = "".join(_sample(row) for row in sample.iter_rows(named=True))
    return html.card(html.table(table.to_dicts()), html.details("Samples of kept documents", shown))
