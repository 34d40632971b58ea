"""Keep documents by rules, and record every signal and every failing rule of all of them in a ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from corpus.core.engine import Step, UnitOutput, run_step
from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_atomically
from corpus.core.inputs import Unit, read_documents
from corpus.core.output import Manifest
from corpus.core.url_rules import list_parameters, read_lists, url_reasons
from corpus.filtering.edits import EDITED_OUT, apply_edits
from corpus.filtering.ledger import ABOUT, edit_column
from corpus.filtering.rule_files import load_rule_sets
from corpus.filtering.rules import OWN_COLUMN, RuleSet, decide, from_json, signal_column, to_json
from corpus.filtering.signals import EDITED_WORDS, LANGUAGE_SCORE, SIGNALS_VERSION, compute_signals
from corpus.filtering.word_lists import count_listed, parse_word_lists, read_word_list
from corpus.text.language import among, identify

LANGUAGE_REASON = "language"


def filter_documents(
    inputs: Sequence[str | Path],
    output: Path,
    rules: Sequence[str],
    *,
    languages: Sequence[str] = (),
    settings: Sequence[str] = (),
    words: Sequence[str] = (),
    url_lists: str | None = None,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Filter documents by rule sets (names or files) into a dataset directory; return its manifest.

    `documents/` holds what passed every rule, with its text as edited; `removed/` the rest as it came in, with
    `reason` and `failed_rules`; `ledger/` a row for each of both with all signals; `rules.yaml` the rules.
    `languages` removes documents in others (see `among`); `settings` (`RULE=VALUE`) change thresholds;
    `words` (`NAME=FILE`) name lists of words whose signals the rules may use; `url_lists`, a folder, removes
    documents with unwanted URLs, for that reason first.
    Raises ZeroToOneError when no document is left; the output stays.
    """
    lists = parse_word_lists(words)
    rule_sets = load_rule_sets(rules, settings, lists)
    parameters: dict[str, Any] = {
        "rules": to_json(rule_sets),
        "languages": sorted({name.lower() for name in languages}),
        "signals_version": SIGNALS_VERSION,
    }
    if lists:
        parameters["words"] = lists
    parameters |= list_parameters(url_lists)
    step = Step("corpus filter", parameters, process_unit)
    manifest = run_step(step, inputs, output, workers=workers, engine=engine, overwrite=overwrite, strict=strict)
    write_rules(output, rule_sets)
    check_documents_left(output, manifest)
    return manifest


def write_rules(output: Path, rule_sets: Sequence[RuleSet]) -> None:
    """Write the rules that decided into a dataset directory, as YAML to read."""
    with write_atomically(output / "rules.yaml") as temporary:
        text = yaml.safe_dump(to_json(rule_sets), allow_unicode=True, sort_keys=False, width=110)
        temporary.write_text(text, encoding="utf-8")


def check_documents_left(output: Path, manifest: Manifest) -> None:
    """Raise ZeroToOneError that names the rules which took the most where no document is left."""
    if not manifest["counts"].get("documents_kept"):
        raise ZeroToOneError(
            f"{output}: no documents left; {_takers(manifest['reasons'])} (see removed/ and ledger/)"
        )


def process_unit(unit: Unit, parameters: dict[str, Any], output: UnitOutput) -> None:
    """Filter one unit: the step's function."""
    rule_sets = from_json(parameters["rules"])
    lists = {name: read_word_list(**file) for name, file in parameters.get("words", {}).items()}
    for frame in read_documents(unit, output):
        own = own_columns(frame, rule_sets, unit.name)
        _process(_with_language(frame), own, rule_sets, lists, parameters, output)


def _process(
    frame: pl.DataFrame,
    own: pl.DataFrame,
    rule_sets: Sequence[RuleSet],
    lists: Mapping[str, Sequence[str]],
    parameters: dict[str, Any],
    output: UnitOutput,
) -> None:
    texts, signals, edits = measure(frame, rule_sets, lists)
    signals = pl.concat([signals, own], how="horizontal")
    decision = decide(signals, rule_sets, frame["lang"])
    if languages := parameters["languages"]:
        found = frame["lang"].fill_null("").to_list()
        decision = drop_languages(decision, among(frame["text"].to_list(), found, languages))
    if parameters.get("url_lists"):
        decision = _drop_urls(decision, url_reasons(frame["url"], read_lists(parameters["url_lists"])))
    kept = decision["kept"]
    edited = pl.Series("text", [texts[row] for row in kept.arg_true()], dtype=pl.String)
    dropped = frame.with_columns(decision["reason"], decision["failed_rules"])
    about = frame.select(ABOUT)
    ledger = pl.concat([about, decision, edits, signals.drop("lang_score")], how="horizontal")
    output.write("documents", frame.filter(kept).with_columns(edited))
    output.write("removed", dropped.filter(~kept))
    output.write("ledger", ledger)
    count_decision(decision, edits, output)


def own_columns(frame: pl.DataFrame, rule_sets: Sequence[RuleSet], origin: str) -> pl.DataFrame:
    """The columns of the documents that rules look at, as numbers, named as the rules name them.

    Raises ZeroToOneError, which names the file and the rule, for a column that is missing or holds no numbers.
    """
    found: dict[str, pl.Series] = {}
    for rule_set in rule_sets:
        for rule in rule_set.rules:
            if not rule.signal.startswith(OWN_COLUMN):
                continue
            name, label = rule.signal.removeprefix(OWN_COLUMN), rule_set.label(rule)
            if name not in frame.columns:
                has = ", ".join(frame.columns)
                raise ZeroToOneError(f"{origin}: no column `{name}`, which the rule {label} needs; it has {has}")
            kind = frame.schema[name]
            if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
                raise ZeroToOneError(f"{origin}: column `{name}` holds {kind}, the rule {label} needs numbers")
            found[rule.signal] = frame[name].cast(pl.Float64).alias(rule.signal)
    return pl.DataFrame(list(found.values()))


def measure(
    frame: pl.DataFrame, rule_sets: Sequence[RuleSet], lists: Mapping[str, Sequence[str]] | None = None
) -> tuple[list[str], pl.DataFrame, pl.DataFrame]:
    """Edit the texts as the sets say and compute the signals of every version of them.

    `lists`: words to count, by the list's name. Returns the final texts, the signals (columns as `RuleSet.column`
    names them; null where a set does not apply) and what the edits did (columns as `edit_column` names them, and
    the beginning of the dropped lines).
    """
    texts = frame["text"].to_list()
    current = _signals(texts, lists or {})
    signals, edits = [frame.select(LANGUAGE_SCORE.name), current], []
    for rule_set in rule_sets:
        if not rule_set.edits:
            continue
        rows = rule_set.applies(frame["lang"]).arg_true()
        chosen = [texts[row] for row in rows]
        edited, counts = apply_edits(chosen, rule_set.edits)
        before = current[rows]
        measured = _remeasured(before, chosen, edited, lists or {})
        for row, text in zip(rows, edited, strict=True):
            texts[row] = text
        lost = _share_lost(before["word_count"], measured["word_count"])
        told = measured.with_columns(lost.alias(EDITED_WORDS.name))
        names = {name: signal_column(rule_set.name, name) for name in told.columns}
        signals.append(_spread(told.rename(names), rows, frame.height))
        edit_names = {
            name: (signal_column if name == EDITED_OUT else edit_column)(rule_set.name, name)
            for name in counts.columns
        }
        edits.append(_spread(counts.rename(edit_names), rows, frame.height))
        current = _replaced(current, measured, rows)
    return texts, pl.concat(signals, how="horizontal"), pl.concat([pl.DataFrame(), *edits], how="horizontal")


def _signals(texts: Sequence[str], lists: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    computed = compute_signals(texts)
    return pl.concat([computed, count_listed(texts, lists)], how="horizontal") if lists else computed


def _share_lost(before: pl.Series, after: pl.Series) -> pl.Series:
    """Of the words before, those that are gone; 0 where there were none."""
    return (1 - after / before).fill_nan(0.0)


def _remeasured(
    signals: pl.DataFrame, before: Sequence[str], after: Sequence[str], lists: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """Signals of the texts after an edit; only what changed is computed again."""
    changed = [row for row, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    measured = _signals([after[row] for row in changed], lists)
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


def drop_languages(decision: pl.DataFrame, wanted: Sequence[bool]) -> pl.DataFrame:
    """Remove the decided documents whose language is not wanted, for that reason before any other."""
    other = ~pl.Series(wanted, dtype=pl.Boolean)
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


def count_decision(decision: pl.DataFrame, edits: pl.DataFrame, output: UnitOutput) -> None:
    """Count documents, reasons, failing rules and what edits took out into a unit's output."""
    kept = int(decision["kept"].sum())
    output.count("documents_in", decision.height)
    output.count("documents_kept", kept)
    output.count("documents_removed", decision.height - kept)
    for reason, documents in decision["reason"].drop_nulls().value_counts(name="n").iter_rows():
        output.reason(reason, documents)
    for rule, documents in decision["failed_rules"].explode().drop_nulls().value_counts(name="n").iter_rows():
        output.count(f"failed:{rule}", documents)
    for name in edits.select(pl.col(pl.Int64)).columns:
        if total := edits[name].sum():
            output.count(name, int(total))


def _takers(reasons: dict[str, int]) -> str:
    """The rules that took the most, in words."""
    most = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{rule} took {documents:,}" for rule, documents in most[:4]]
    return ", ".join([*named, f"{len(most) - 4} other rules the rest"] if len(most) > 4 else named)
