"""`corpus tokenizer`: a tokenizer from a sample of documents in which no domain drowns the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.console import log, progress
from corpus.core.errors import UsageError
from corpus.core.files import stable_fraction
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import unit_claim
from corpus.core.quarantine import Skipped, nothing_to_read
from corpus.tokens.tokenizer import SMALLEST_VOCABULARY, save_tokenizer, tokenizer_hash, train_bpe

DEFAULT_DOMAIN = "default"
_COLUMNS = ["id", "text", "domain", "origin"]


def build_tokenizer(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    vocabulary_size: int = 8192,
    sample_bytes: int = 32_000_000,
    seed: int = 0,
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Train a tokenizer on at most `sample_bytes` UTF-8 bytes of the documents and save it in `output`.

    Small domains are taken whole, the others share the rest equally (`share_budget`); documents are drawn by
    the hash of their id, the last one of a domain is cut. The same documents give the same bytes.

    Returns the manifest. Raises ZeroToOneError when there is no text at all.
    """
    if vocabulary_size < SMALLEST_VOCABULARY:
        raise UsageError(f"--vocabulary-size {vocabulary_size}: at least {SMALLEST_VOCABULARY} (all bytes)")
    if sample_bytes < 1:
        raise UsageError("--sample-bytes must be at least 1")
    units = plan_units(inputs)
    parameters = {"vocabulary_size": vocabulary_size, "sample_bytes": sample_bytes, "seed": seed}
    claim = unit_claim("corpus tokenizer", parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        return earlier
    quarantine = Skipped(strict)
    sizes = _measure(units, seed, quarantine)
    if not sizes.height:
        raise nothing_to_read(inputs, units, "documents with text to train a tokenizer on")
    plan = sample_plan(sizes, sample_bytes)
    skipped = quarantine.count
    with progress("tokenizer: reading the sample", sum(entry["documents"] for entry in plan.values())) as bar:
        tokenizer = train_bpe(_sample(units, plan, seed, quarantine, bar.advance), vocabulary_size)
    found = tokenizer.get_vocab_size()
    if found < vocabulary_size:
        log(f"the sample has only {found:,} tokens that occur twice, not {vocabulary_size:,}")
    save_tokenizer(tokenizer, output)
    return claim.write_manifest(
        counts={"vocabulary_size": found, "set_aside": skipped},
        sample={name: {key: entry[key] for key in ("documents", "bytes")} for name, entry in plan.items()},
        tokenizer_hash=tokenizer_hash(output),
    )


def share_budget(sizes: Mapping[str, int], budget: int) -> dict[str, int]:
    """Share a budget over domains: whole domains where they are small, equal parts for the others.

    The shares sum to the smaller of the budget and all sizes.
    """
    shares: dict[str, int] = {}
    for position, (name, size) in enumerate(sorted(sizes.items(), key=lambda item: (item[1], item[0]))):
        shares[name] = min(size, budget // (len(sizes) - position))
        budget -= shares[name]
    return {name: shares[name] for name in sorted(shares)}


def sample_plan(sizes: pl.DataFrame, budget: int) -> dict[str, dict[str, Any]]:
    """Choose documents from a table of domain, fraction (in [0, 1), by hash of the id) and bytes.

    Per domain: `last`, the greatest fraction taken, `last_bytes`, the bytes taken of the document there, and
    the number of `documents` and `bytes`.
    """
    totals = sizes.group_by("domain").agg(pl.col("bytes").sum())
    shares = share_budget(dict(zip(totals["domain"], totals["bytes"], strict=True)), budget)
    plan: dict[str, dict[str, Any]] = {}
    for name, share in shares.items():
        rows = sizes.filter(pl.col("domain") == name).sort("fraction", "bytes")
        before = rows["bytes"].cum_sum() - rows["bytes"]
        taken = rows.filter(before < share)
        if taken.height:
            last_bytes = share - int(before[taken.height - 1])
            plan[name] = {
                "last": float(taken["fraction"][-1]),
                "last_bytes": last_bytes,
                "documents": taken.height,
                "bytes": share,
            }
    return plan


def _measure(units: Sequence[Unit], seed: int, quarantine: Skipped) -> pl.DataFrame:
    frames = [pl.DataFrame(schema={"domain": pl.String, "fraction": pl.Float64, "bytes": pl.Int64})]
    with progress("tokenizer: measuring", None) as bar:
        for frame in _read(units, quarantine):
            fractions = [stable_fraction(key, seed) for key in frame["id"]]
            frames.append(
                frame.select(
                    "domain",
                    pl.Series("fraction", fractions, dtype=pl.Float64),
                    pl.col("text").str.len_bytes().cast(pl.Int64).alias("bytes"),
                ).filter(pl.col("bytes") > 0)
            )
            bar.advance(frame.height)
    return pl.concat(frames)


def _sample(
    units: Sequence[Unit], plan: Mapping[str, Mapping[str, Any]], seed: int, quarantine: Skipped, advance: Any
) -> Iterator[str]:
    for frame in _read(units, quarantine):
        for key, domain, text in frame.select("id", "domain", "text").iter_rows():
            entry = plan.get(domain)
            fraction = stable_fraction(key, seed)
            if entry is None or fraction > entry["last"] or not text:
                continue
            advance()
            yield _cut(text, entry["last_bytes"]) if fraction == entry["last"] else text


def _cut(text: str, limit: int) -> str:
    return text.encode("utf-8")[:limit].decode("utf-8", "ignore")


def _read(units: Sequence[Unit], quarantine: Skipped) -> Iterator[pl.DataFrame]:
    for unit in units:
        for frame in read_documents(unit, quarantine, _COLUMNS):
            yield frame.with_columns(pl.col("domain").fill_null(DEFAULT_DOMAIN))
