"""Which columns of a ledger hold what other rule sets look at: signals of texts after the same chain of edits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.filtering.edits import Edit
from corpus.filtering.rules import RuleSet
from corpus.text.language_codes import primary_language

Chain = tuple[tuple[Edit, ...], ...]
Sources = Mapping[str, Mapping[str, str]]


def language_keys(languages: pl.Series) -> pl.Series:
    """What rule sets choose by: primary languages, "" where unknown."""
    return primary_language(languages).fill_null("")


def edit_chain(rule_sets: Sequence[RuleSet], language: str, last: str | None = None) -> Chain:
    """The edits of each set that documents in a language go through, in order, up to the set `last`."""
    chain = []
    for rule_set in rule_sets:
        if rule_set.edits and _applies(rule_set, language):
            chain.append(rule_set.edits)
        if rule_set.name == last:
            break
    return tuple(chain)


def recorded_sources(new: Sequence[RuleSet], old: Sequence[RuleSet], languages: Iterable[str]) -> Sources:
    """For every new set with edits and every language that it applies to, the old set whose columns are the same.

    They are where the text went through the same edits in the same order, whatever the sets are called. Raises
    ZeroToOneError that names the edit which the ledger has not recorded.
    """
    sources: dict[str, dict[str, str]] = {}
    for rule_set in new:
        if rule_set.edits:
            applying = [language for language in sorted(languages) if _applies(rule_set, language)]
            sources[rule_set.name] = {language: _source(rule_set, new, old, language) for language in applying}
    return sources


def check_same_texts(new: Sequence[RuleSet], old: Sequence[RuleSet], languages: Iterable[str]) -> None:
    """Raise ZeroToOneError unless the new sets edit texts as the old ones did."""
    for language in sorted(languages):
        wanted, had = edit_chain(new, language), edit_chain(old, language)
        if wanted != had:
            edit = _first_difference(wanted, [had])
            raise ZeroToOneError(
                f"the texts of documents{_in(language)} differ by the edit `{_named(edit)}`; "
                "run the full filter on the documents"
            )


def recorded_column(column: str, sources: Sources, languages: pl.Expr) -> pl.Expr:
    """A column that a rule set names (`signal`, `SET:signal`, `SET:edit.NAME`), from those of the ledger.

    `languages` are the rows' `language_keys`. Null where the set does not apply.
    """
    name, _, rest = column.rpartition(":")
    if not name:
        return pl.col(column)
    by_source: dict[str, list[str]] = {}
    for language, source in sources[name].items():
        by_source.setdefault(source, []).append(language)
    value = pl.lit(None)
    for source, chosen in by_source.items():
        value = pl.when(languages.is_in(chosen)).then(pl.col(f"{source}:{rest}")).otherwise(value)
    return value.alias(column)


def needed_columns(column: str, sources: Sources) -> set[str]:
    """The ledger's columns that `recorded_column` reads for it."""
    name, _, rest = column.rpartition(":")
    return {f"{source}:{rest}" for source in sources[name].values()} if name else {column}


def _applies(rule_set: RuleSet, language: str) -> bool:
    return bool(rule_set.applies(pl.Series([language]))[0])


def _source(rule_set: RuleSet, new: Sequence[RuleSet], old: Sequence[RuleSet], language: str) -> str:
    wanted = edit_chain(new, language, rule_set.name)
    recorded = {
        earlier.name: edit_chain(old, language, earlier.name)
        for earlier in old
        if earlier.edits and _applies(earlier, language)
    }
    for name, chain in recorded.items():
        if chain == wanted:
            return name
    edit = _first_difference(wanted, list(recorded.values()))
    raise ZeroToOneError(
        f"rule set `{rule_set.name}`: the ledger has not recorded the signals of texts{_in(language)} "
        f"with and without the edit `{_named(edit)}`; run the full filter on the documents"
    )


def _first_difference(wanted: Chain, recorded: Sequence[Chain]) -> Edit:
    """The first edit that sets a chain apart from the recorded one that is most like it."""
    edits = [edit for part in wanted for edit in part]
    shared, longer = 0, edits
    for chain in recorded:
        other = [edit for part in chain for edit in part]
        same = next((n for n, (a, b) in enumerate(zip(edits, other, strict=False)) if a != b), None)
        same = min(len(edits), len(other)) if same is None else same
        if same >= shared:
            shared, longer = same, edits if len(edits) > same else other
    return longer[min(shared, len(longer) - 1)]


def _named(edit: Edit) -> str:
    return f"{edit.name}: {edit.threshold}" if edit.threshold else edit.name


def _in(language: str) -> str:
    return f" in `{language}`" if language else ""
