"""`corpus report`: what each step kept and dropped, why, with samples, as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.files import read_json, write_atomically
from corpus.core.parquet_files import open_parquet
from corpus.reporting import report_page as html
from corpus.reporting.ledger_numbers import sum_groups
from corpus.reporting.removed_lines import lines_section
from corpus.reporting.repeated_spans import has_spans, spans_section
from corpus.reporting.report_clusters import duplicate_clusters
from corpus.reporting.report_filter import FilterReport, filter_report
from corpus.reporting.samples import choose_samples
from corpus.reporting.steps import is_filter, step_label, steps_behind

_SAMPLES = 3
_REASONS = 25
_GROUPS = 20
_BATCH_ROWS = 8192


def write_report(directories: Sequence[Path], output: Path) -> list[dict[str, Any]]:
    """Write the report of one or more dataset directories, in the order of the steps.

    A directory stands for its whole way: the steps that its manifest names as inputs are added. Returns the
    funnel: for each step its directory, command, documents in, kept, dropped, and dropped by reason.
    """
    steps = steps_behind(directories)
    page = html.Page("Corpus report", "What each step kept and dropped, and why.")
    for title, content in corpus_sections(steps):
        page.add(title, content)
    with write_atomically(output) as temporary:
        temporary.write_text(page.render(), encoding="utf-8")
    return [_step_numbers(step, read_json(step / "manifest.json")) for step in steps]


def corpus_sections(steps: Sequence[Path]) -> list[tuple[str, str]]:
    """(title, HTML) sections: funnel, reasons with samples, groups, what the ledgers say, clusters, the rest."""
    manifests = {step: read_json(step / "manifest.json") for step in steps}
    filters = {
        step: filter_report(step, manifest) for step, manifest in manifests.items() if _has_ledger(step, manifest)
    }
    groups = {
        step: filters[step].numbers.groups if step in filters else _count_documents(step)
        for step in steps
        if step in filters or (step / "documents").is_dir() or (step / "removed").is_dir()
    }
    parts = {
        "Funnel": _funnel(manifests, groups),
        "Why documents were dropped": "".join(
            _reasons(step, manifest, groups.get(step), filters.get(step)) for step, manifest in manifests.items()
        ),
        "Languages and domains": "".join(
            html.heading(step_label(manifests[step], step)) + _languages_and_domains(counted)
            for step, counted in groups.items()
        ),
        "Rules that overlap": "".join(report.overlap() for report in filters.values()),
        "What edits took out": "".join(report.edits() for report in filters.values()),
        "Signals and their limits": "".join(report.signals() for report in filters.values()),
        "Repeated spans": "".join(spans_section(step) for step in steps if has_spans(step)),
        "Duplicate clusters": "".join(duplicate_clusters(step) for step in steps if (step / "clusters").is_dir()),
    }
    cut = [step for step in steps if "lines_removed" in manifests[step].get("counts", {})]
    parts["Lines that went"] = "".join(lines_section(step, manifests[step]) for step in cut)
    last = [step for step in steps if (step / "documents").is_dir()]
    if last:
        parts["What remains"] = _remaining(last[-1], groups[last[-1]])
    return [(title, content) for title, content in parts.items() if content]


def counts_in_and_out(manifest: dict[str, Any]) -> tuple[int, int, int]:
    """(in, kept, dropped) of a step's manifest."""
    counts = manifest["counts"]
    read = counts.get("pages_in", 0) + counts.get("documents_in", 0)
    dropped = sum(manifest.get("reasons", {}).values())
    return read, counts.get("documents_kept", read - dropped), dropped


def _has_ledger(step: Path, manifest: dict[str, Any]) -> bool:
    return is_filter(manifest) and (step / "ledger").is_dir()


def _step_numbers(step: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    read, kept, dropped = counts_in_and_out(manifest)
    about = {"directory": str(step), "command": manifest["command"]}
    return {**about, "in": read, "kept": kept, "dropped": dropped, "reasons": manifest.get("reasons", {})}


def _count_documents(step: Path) -> pl.DataFrame:
    """Documents and characters of a step's tables by domain, lang and reason, read in batches."""
    groups: list[pl.DataFrame] = []
    for part in sorted(part for name in ("documents", "removed") for part in (step / name).glob("part-*.parquet")):
        with open_parquet(str(part)) as file:
            names = ["domain", "lang", "text", *(["reason"] if part.parent.name == "removed" else [])]
            names = [name for name in names if name in file.schema_arrow.names]
            for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                frame = pl.DataFrame(batch)
                missing = [
                    pl.lit(None, pl.String).alias(n) for n in ("domain", "lang", "reason") if n not in names
                ]
                grouped = (
                    frame.with_columns(missing)
                    .group_by("domain", "lang", "reason")
                    .agg(
                        pl.len().cast(pl.Int64).alias("documents"),
                        pl.col("text").str.len_chars().sum().cast(pl.Int64).alias("characters"),
                    )
                )
                groups.append(grouped.select("domain", "lang", "reason", "documents", "characters"))
        groups = [sum_groups(groups)]
    return sum_groups(groups)


def _funnel(manifests: dict[Path, dict[str, Any]], groups: dict[Path, pl.DataFrame]) -> str:
    rows: list[tuple[str, Sequence[tuple[str, float]], str]] = []
    for step, manifest in manifests.items():
        read, kept, dropped = counts_in_and_out(manifest)
        text = f"{kept:,} of {read:,}"
        if step in groups:
            characters = int(groups[step].filter(pl.col("reason").is_null())["characters"].sum())
            text += f" · {html.short_number(characters)} characters"
        rows.append((step_label(manifest, step), (("kept", kept), ("dropped", dropped)), text))
    return html.card(html.bars(rows, legend=True))


def _reasons(
    step: Path, manifest: dict[str, Any], groups: pl.DataFrame | None, report: FilterReport | None
) -> str:
    reasons = sorted(manifest.get("reasons", {}).items(), key=lambda item: (-item[1], item[0]))
    if not reasons:
        return ""
    characters = (
        dict(groups.group_by("reason").agg(pl.col("characters").sum()).iter_rows()) if groups is not None else {}
    )
    rows = []
    for name, number in reasons[:_REASONS]:
        text = (
            f"{number:,} · {html.short_number(characters[name])} characters"
            if characters.get(name)
            else f"{number:,}"
        )
        rows.append((name, (("dropped", float(number)),), text))
    parts = [html.bars(rows), *([report.waterfall()] if report else [])]
    if len(reasons) > _REASONS:
        rest = sum(number for _, number in reasons[_REASONS:])
        parts.append(
            html.paragraph(f"{len(reasons) - _REASONS} other reasons took {rest:,} documents.", soft=True)
        )
    removed, kept = choose_samples(step / "removed", _SAMPLES), choose_samples(step / "documents", _SAMPLES)
    for name, _ in reasons[:_REASONS]:
        if name in removed:
            parts.append(html.details(f"dropped by {name}: samples", *map(_sample, removed[name])))
    for rows_kept in kept.values():
        parts.append(html.details("kept: samples", *map(_sample, rows_kept)))
    return html.heading(step_label(manifest, step)) + html.card(*parts)


def _sample(row: dict[str, Any]) -> str:
    where = html.paragraph(f"{row['url'] or row['origin']} · id {row['id']}", soft=True)
    return where + (html.quotation(row["text"]) if row["text"] else html.paragraph("(no text)", soft=True))


def _languages_and_domains(groups: pl.DataFrame) -> str:
    tables = []
    for column, title in (("lang", "language"), ("domain", "domain")):
        rows = list(_group_rows(groups, column, title))
        summary = f"by {title}: {len(rows):,}" + (f", {_GROUPS} shown" if len(rows) > _GROUPS else "")
        shown = html.table(rows[:_GROUPS])
        tables.append(shown if column == "lang" and len(rows) <= 5 else html.details(summary, shown))
    return html.card(*tables)


def _group_rows(groups: pl.DataFrame, column: str, title: str) -> Iterator[dict[str, object]]:
    kept = pl.col("reason").is_null()
    sums = [pl.col(name).sum() for name in ("documents", "characters")]
    left = [pl.col(name).filter(kept).sum().alias(f"{name} kept") for name in ("documents", "characters")]
    found = groups.group_by(pl.col(column).fill_null("(unknown)")).agg(*sums, *left)
    for row in found.sort(["documents", column], descending=[True, False]).iter_rows(named=True):
        yield {
            title: row[column],
            "documents": row["documents"],
            "kept": row["documents kept"],
            "of documents": _share(row["documents kept"], row["documents"]),
            "characters": row["characters"],
            "characters kept": row["characters kept"],
            "of characters": _share(row["characters kept"], row["characters"]),
        }


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _remaining(step: Path, groups: pl.DataFrame) -> str:
    left = groups.filter(pl.col("reason").is_null())
    if not left.height:
        return html.paragraph("No document is left.", soft=True)
    table = left.select("domain", "lang", "documents", "characters").sort(
        ["documents", "domain", "lang"], descending=[True, False, False]
    )
    mean = (pl.col("characters") / pl.col("documents")).alias("mean characters")
    parts = [html.table(table.head(_GROUPS).with_columns(mean).to_dicts())]
    if table.height > _GROUPS:
        rest = table.slice(_GROUPS)["documents"].sum()
        parts.append(
            html.paragraph(f"{table.height - _GROUPS:,} other groups hold {rest:,} documents.", soft=True)
        )
    samples = [_sample(row) for rows in choose_samples(step / "documents", _SAMPLES).values() for row in rows]
    return html.card(*parts, html.details("Samples of kept documents", *samples))
