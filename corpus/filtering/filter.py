"""Keep documents by rules, and record every signal and every failing rule of all of them in a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from corpus.core.engine import Step, UnitOutput, run_step
from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_atomically
from corpus.core.inputs import Unit, read_documents
from corpus.core.output import Manifest
from corpus.filtering.edits import apply_edits
from corpus.filtering.ledger import edit_column
from corpus.filtering.rules import (
    RuleSet,
    decide,
    from_json,
    load_rule_sets,
    primary_language,
    signal_column,
    to_json,
)
from corpus.filtering.signals import LANGUAGE_SCORE, compute_signals
from corpus.pages.url_rules import list_parameters, read_lists, url_reasons
from corpus.text.language import identify

LANGUAGE_REASON = "language"


def filter_documents(
    inputs: Sequence[str | Path],
    output: Path,
    rules: Sequence[str],
    *,
    languages: Sequence[str] = (),
    settings: Sequence[str] = (),
    url_lists: str | None = None,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Filter documents by rule sets (names or files) into a dataset directory; return its manifest.

    `documents/` holds what passed every rule, with its text as edited; `removed/` the rest as it came in, with
    `reason` and `failed_rules`; `ledger/` a row for each of both with all signals; `rules.yaml` the rules.
    `languages` removes documents in others; `url_lists`, a folder, those with
    unwanted URLs, for that reason first; `settings` (`RULE=VALUE`) change thresholds.
    Raises ZeroToOneError when no document is left; the output stays.
    """
    rule_sets = load_rule_sets(rules, settings)
    parameters = {"rules": to_json(rule_sets), "languages": sorted({name.lower() for name in languages})}
    parameters.update(list_parameters(url_lists))
    step = Step("corpus filter", parameters, process_unit)
    manifest = run_step(step, inputs, output, workers=workers, engine=engine, overwrite=overwrite, strict=strict)
    with write_atomically(output / "rules.yaml") as temporary:
        text = yaml.safe_dump(to_json(rule_sets), allow_unicode=True, sort_keys=False, width=110)
        temporary.write_text(text, encoding="utf-8")
    if not manifest["counts"].get("documents_kept"):
        raise ZeroToOneError(
            f"{output}: no documents left; {_takers(manifest['reasons'])} (see removed/ and ledger/)"
        )
    return manifest


def process_unit(unit: Unit, parameters: dict[str, Any], output: UnitOutput) -> None:
    """Filter one unit: the step's function."""
    rule_sets = from_json(parameters["rules"])
    for frame in read_documents(unit, output):
        _process(_with_language(frame), rule_sets, parameters, output)


def _process(
    frame: pl.DataFrame, rule_sets: Sequence[RuleSet], parameters: dict[str, Any], output: UnitOutput
) -> None:
    texts, signals, edits = measure(frame, rule_sets)
    decision = decide(signals, rule_sets, frame["lang"])
    if parameters["languages"]:
        decision = _drop_languages(decision, frame["lang"], parameters["languages"])
    if parameters.get("url_lists"):
        decision = _drop_urls(decision, url_reasons(frame["url"], read_lists(parameters["url_lists"])))
    kept = decision["kept"]
    edited = frame.with_columns(pl.Series("text", texts, dtype=pl.String))
    dropped = frame.with_columns(decision["reason"], decision["failed_rules"])
    about = frame.select("id", "url", "domain", "lang", "lang_score")
    ledger = pl.concat([about, decision, edits, signals.drop("lang_score")], how="horizontal")
    output.write("documents", edited.filter(kept))
    output.write("removed", dropped.filter(~kept))
    output.write("ledger", ledger)
    _count(decision, edits, output)


def measure(frame: pl.DataFrame, rule_sets: Sequence[RuleSet]) -> tuple[list[str], pl.DataFrame, pl.DataFrame]:
    """Edit the texts as the sets say and compute the signals of every version of them.

    Returns the final texts, the signals (columns as `RuleSet.column` names them; null where a set does not
    apply) and the number of edits (columns as `edit_column` names them).
    """
    texts = frame["text"].to_list()
    current = compute_signals(texts)
    signals, edits = [frame.select(LANGUAGE_SCORE.name), current], []
    for rule_set in rule_sets:
        if not rule_set.edits:
            continue
        rows = rule_set.applies(frame["lang"]).arg_true()
        chosen = [texts[row] for row in rows]
        edited, counts = apply_edits(chosen, rule_set.edits)
        measured = _remeasured(current[rows], chosen, edited)
        for row, text in zip(rows, edited, strict=True):
            texts[row] = text
        names = {name: signal_column(rule_set.name, name) for name in measured.columns}
        signals.append(_spread(measured.rename(names), rows, frame.height))
        edit_names = {name: edit_column(rule_set.name, name) for name in counts.columns}
        edits.append(_spread(counts.rename(edit_names), rows, frame.height))
        current = _replaced(current, measured, rows)
    return texts, pl.concat(signals, how="horizontal"), pl.concat([pl.DataFrame(), *edits], how="horizontal")


def _remeasured(signals: pl.DataFrame, before: Sequence[str], after: Sequence[str]) -> pl.DataFrame:
    """Signals of the texts after an edit; only what changed is computed again."""
    changed = [row for row, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    measured = compute_signals([after[row] for row in changed])
    return _replaced(signals, measured, pl.Series(changed, dtype=pl.UInt32))


def _replaced(frame: pl.DataFrame, rows: pl.DataFrame, at: pl.Series) -> pl.DataFrame:
    """`frame` with the rows at the (ascending) positions replaced."""
    places = pl.Series("place", range(frame.height), dtype=pl.UInt32)
    old = frame.with_columns(places).filter(~places.is_in(at.implode()))
    return pl.concat([old, rows.with_columns(at.cast(pl.UInt32).alias("place"))]).sort("place").drop("place")


def _spread(frame: pl.DataFrame, rows: pl.Series, height: int) -> pl.DataFrame:
    """Put the frame's rows at these positions of a taller one; the others are null."""
    places = pl.DataFrame({"place": pl.Series(range(height), dtype=pl.UInt32)})
    placed = frame.with_columns(rows.cast(pl.UInt32).alias("place"))
    return places.join(placed, on="place", how="left", maintain_order="left").drop("place")


def _with_language(frame: pl.DataFrame) -> pl.DataFrame:
    """Identify the language of the documents that have none."""
    rows = frame["lang"].is_null().arg_true()
    if not rows.len():
        return frame
    found, scores = identify(frame["text"].gather(rows).to_list())
    return frame.with_columns(
        frame["lang"].scatter(rows, found), frame["lang_score"].scatter(rows, pl.Series(scores, dtype=pl.Float64))
    )


def _drop_languages(decision: pl.DataFrame, found: pl.Series, wanted: Sequence[str]) -> pl.DataFrame:
    """Remove documents in other languages, for that reason before any other."""
    other = ~primary_language(found).fill_null("").is_in(list(wanted))
    return decision.with_columns(
        pl.col("kept") & ~other,
        pl.when(other).then(pl.lit(LANGUAGE_REASON)).otherwise("reason").alias("reason"),
        pl.when(other)
        .then(pl.concat_list(pl.lit(LANGUAGE_REASON), "failed_rules"))
        .otherwise("failed_rules")
        .alias("failed_rules"),
    )


def _drop_urls(decision: pl.DataFrame, failed: pl.Series) -> pl.DataFrame:
    """Remove documents that fail URL rules (a list of them a row), for these reasons before any other."""
    first = pl.lit(failed).list.first()
    return decision.with_columns(
        pl.col("kept") & first.is_null(),
        pl.coalesce(first, "reason").alias("reason"),
        pl.concat_list(pl.lit(failed), "failed_rules").alias("failed_rules"),
    )


def _count(decision: pl.DataFrame, edits: pl.DataFrame, output: UnitOutput) -> None:
    kept = int(decision["kept"].sum())
    output.count("documents_in", decision.height)
    output.count("documents_kept", kept)
    output.count("documents_removed", decision.height - kept)
    for reason, documents in decision["reason"].drop_nulls().value_counts(name="n").iter_rows():
        output.reason(reason, documents)
    for rule, documents in decision["failed_rules"].explode().drop_nulls().value_counts(name="n").iter_rows():
        output.count(f"failed:{rule}", documents)
    for name in edits.columns:
        if total := edits[name].sum():
            output.count(name, int(total))


def _takers(reasons: dict[str, int]) -> str:
    """The rules that took the most, in words."""
    most = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{rule} took {documents:,}" for rule, documents in most[:4]]
    return ", ".join([*named, f"{len(most) - 4} other rules the rest"] if len(most) > 4 else named)
