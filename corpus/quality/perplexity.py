"""`corpus quality perplexity`: documents with their perplexity under a language model and the bucket it means.

One pass over the units; to cut at percentiles of the input, one before it that only scores.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import write_atomically
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import Manifest, unit_claim
from corpus.core.quarantine import Skipped, nothing_to_read
from corpus.core.workers import run_units, tick
from corpus.quality.buckets import (
    BUCKETS,
    CCNET_PERCENTILES,
    NO_PERPLEXITY,
    CutOffs,
    assign_buckets,
    check_percentiles,
    cut_offs,
    format_table,
    parse_table,
    percentile_table,
)
from corpus.quality.decided import check_columns, kept_any, read_written, staged_path, write_decided
from corpus.quality.language_model import LanguageModel
from corpus.quality.model_files import ANY, open_language_models, unpack
from corpus.text.language_codes import primary_language

COMMAND = "corpus quality perplexity"
TABLE = "cutoffs.csv"
_STAGE, _MODELS = "perplexities", "models"


@dataclass(frozen=True)
class PerplexityOptions:
    """Which models, and what is made of the perplexities.

    `models` and `tokenizers` are settings `LANG=FILE` or `FILE` (see `open_language_models`). `percentiles` of a
    language's perplexities end the head and the middle; they are those of the input, or of `cut_offs`, a table in
    the form of CCNet's cutoff.csv. `keep` names the buckets that stay, all where it is empty. `name` is the
    column's; the bucket stands in `NAME_bucket`.
    """

    models: Sequence[str]
    tokenizers: Sequence[str] = ()
    normalized: bool = True
    by_line: bool = True
    percentiles: Sequence[int] = CCNET_PERCENTILES
    cut_offs: str | None = None
    keep: Sequence[str] = ()
    name: str = "perplexity"

    @property
    def columns(self) -> list[str]:
        """The columns that documents get."""
        return [self.name, f"{self.name}_bucket"]

    def check(self) -> None:
        """Raise UsageError for percentiles and buckets that make no sense."""
        check_percentiles(self.percentiles)
        for bucket in self.keep:
            if bucket not in (*BUCKETS, NO_PERPLEXITY):
                known = ", ".join((*BUCKETS, NO_PERPLEXITY))
                raise UsageError(f"--keep: unknown bucket `{bucket}`; there are {known}")


def add_perplexities(
    inputs: Sequence[str | Path],
    output: Path,
    options: PerplexityOptions,
    *,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Write documents with their perplexity and bucket and return the manifest.

    `documents/` holds those of the buckets to keep, `removed/` the others with their `reason`. A document whose
    language has no model, or without a token, has no perplexity and is in the bucket `all`, as CCNet calls it.
    `cutoffs.csv` has the percentiles of these documents, for `cut_offs` of another run. Raises ZeroToOneError when
    no document got a perplexity, and when none is left.
    """
    options.check()
    models = open_language_models(
        options.models, options.tokenizers, normalized=options.normalized, by_line=options.by_line
    )
    limits = None if options.cut_offs is None else _read_table(options.cut_offs, models, options.percentiles)
    units = plan_units(inputs)
    check_columns(options.name, options.columns, units)
    parameters = {
        "models": {language: model.identity() for language, model in models.items()},
        "percentiles": list(options.percentiles),
        "cut_offs": None if limits is None else {group: list(values) for group, values in limits.items()},
        "keep": list(options.keep),
        "name": options.name,
    }
    claim = unit_claim(COMMAND, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        return kept_any(earlier, output)
    ready = unpack(models, output / ".state" / _MODELS)
    if limits is None:
        limits = _input_limits(units, output, ready, options, workers=workers, engine=engine, strict=strict)
    loaded = {language: asdict(model) for language, model in ready.items()}
    step = Step(COMMAND, parameters | {"loaded": loaded, "limits": limits}, _process)
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    if not counts.get("documents_in"):
        raise nothing_to_read(inputs, units, "documents to read")
    found = read_written(output, ["lang", *options.columns]).rename({options.name: "perplexity"})
    table = _table(found, models, inputs)
    with write_atomically(output / TABLE) as temporary:
        temporary.write_text(format_table(table), "utf-8")
    manifest = claim.write_manifest(
        counts=counts,
        reasons=reasons,
        model_files={language: _files(model, output) for language, model in models.items()},
        cut_offs={group: dict(zip(("middle", "tail"), limits[group], strict=True)) for group in table},
        buckets=_counted(found, options.columns[1]),
    )
    for stage in (_STAGE, _MODELS):
        shutil.rmtree(output / ".state" / stage, ignore_errors=True)
    return kept_any(manifest, output)


def _input_limits(
    units: Sequence[Unit],
    output: Path,
    models: Mapping[str, LanguageModel],
    options: PerplexityOptions,
    *,
    workers: int | None,
    engine: str,
    strict: bool,
) -> CutOffs:
    """The first pass: all perplexities, each unit's in a file, and the limits that their percentiles are."""
    tasks = [_ScoreTask(unit, output, models, strict) for unit in units]
    waiting = [task for task in tasks if not task.path.exists()]
    run_units(_write_perplexities, waiting, workers=workers, engine=engine, description=f"{COMMAND}: scoring")
    staged = pl.concat([pl.read_parquet(task.path) for task in tasks])
    return cut_offs(percentile_table(staged["group"], staged["perplexity"]), options.percentiles)


def _read_table(path: str, models: Mapping[str, LanguageModel], percentiles: Sequence[int]) -> CutOffs:
    try:
        text = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ZeroToOneError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise ZeroToOneError(f"{path}: {error.strerror or error}") from None
    return parse_table(text, path, sorted(models), percentiles)


@dataclass(frozen=True)
class _ScoreTask:
    unit: Unit
    output: Path
    models: Mapping[str, LanguageModel]
    strict: bool

    @property
    def path(self) -> Path:
        return staged_path(self.output, _STAGE, self.unit)


def _write_perplexities(task: _ScoreTask) -> None:
    """A unit's groups and perplexities, in the order of its documents."""
    frames = [pl.DataFrame(schema={"group": pl.String, "perplexity": pl.Float64})]
    for frame in read_documents(task.unit, Skipped(task.strict), ["text", "lang"]):
        frames.append(_score(frame, task.models))
        tick(frame.height)
    with write_atomically(task.path) as temporary:
        pl.concat(frames).write_parquet(temporary)


def _score(frame: pl.DataFrame, models: Mapping[str, LanguageModel]) -> pl.DataFrame:
    """Columns `group` (whose model speaks for a document, null: none does) and `perplexity`."""
    groups = _groups(frame["lang"], models)
    values: list[float | None] = [None] * frame.height
    for language, model in models.items():
        rows = (groups == language).fill_null(False).arg_true().to_list()
        for row, value in zip(rows, model.perplexities(frame["text"].gather(rows).to_list()), strict=True):
            values[row] = value
    return pl.DataFrame({"group": groups, "perplexity": pl.Series(values, dtype=pl.Float64)})


def _groups(languages: pl.Series, models: Mapping[str, LanguageModel]) -> pl.Series:
    own = [language for language in models if language != ANY]
    rest = pl.lit(ANY if ANY in models else None, dtype=pl.String)
    primary = pl.lit(primary_language(languages))
    return pl.select(pl.when(primary.is_in(own)).then(primary).otherwise(rest)).to_series()


def _process(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    """Score and decide one unit: the step's function."""
    models = {language: LanguageModel(**model) for language, model in parameters["loaded"].items()}
    name, keep = parameters["name"], parameters["keep"]
    path = staged_path(output.directory, _STAGE, unit)
    staged = pl.read_parquet(path) if path.exists() else None
    row = 0
    for frame in read_documents(unit, output):
        scored = _score(frame, models) if staged is None else staged.slice(row, frame.height)
        if scored.height < frame.height:
            raise ZeroToOneError(f"{unit.path}: changed while it was read; use --overwrite")
        row += frame.height
        buckets = assign_buckets(scored["group"], scored["perplexity"], parameters["limits"])
        added = [scored["perplexity"].alias(name), buckets.alias(f"{name}_bucket")]
        write_decided(frame.with_columns(added), _reasons(buckets, name, keep), output)


def _reasons(buckets: pl.Series, name: str, keep: Sequence[str]) -> pl.Series:
    """Per document the reason why it goes, null where it stays."""
    goes = pl.lit(buckets).is_in(keep).not_() if keep else pl.lit(False)
    reason = pl.format(f"{name}_{{}}", pl.lit(buckets))
    return pl.select(pl.when(goes).then(reason).otherwise(None).alias("reason")).to_series()


def _table(found: pl.DataFrame, models: Mapping[str, LanguageModel], inputs: Sequence[str | Path]) -> Any:
    """The percentiles of all documents; ZeroToOneError where none has a perplexity."""
    table = percentile_table(_groups(found["lang"], models), found["perplexity"])
    if not table:
        most = found["lang"].fill_null("none").value_counts(sort=True, name="n").head(5)
        languages = ", ".join(f"{language} {n:,}" for language, n in most.iter_rows())
        raise ZeroToOneError(
            f"{', '.join(map(str, inputs))}: no document with words in a language of --model "
            f"({', '.join(models)}); their languages: {languages} (--model FILE without LANG= takes all)"
        )
    return table


def _files(model: LanguageModel, output: Path) -> dict[str, str]:
    """Where the files lie, from the output."""
    files = {"model": model.path, "tokenizer": model.tokenizer}
    return {kind: os.path.relpath(path, output) for kind, path in files.items() if path}


def _counted(found: pl.DataFrame, bucket: str) -> dict[str, dict[str, int]]:
    """Language ("none" where it is not known) → bucket → documents."""
    counts = found.group_by(pl.col("lang").fill_null("none"), bucket).len().sort("lang", bucket)
    buckets: dict[str, dict[str, int]] = {}
    for language, name, documents in counts.iter_rows():
        buckets.setdefault(language, {})[name] = documents
    return buckets
