"""Our rule sets against datatrove's filters, document by document and signal by signal.

    python -m tests.benchmarks.filter_conformance --datatrove-python PATH

`PATH` is the Python of an environment with datatrove (see README.md here). Reads the English and Chinese texts
and the annotated pages of `--data`, lets datatrove decide on them in its own process, and writes what agrees, what
does not, and why not, into RESULTS.md. What differs goes into `differences.parquet` where `--output` is given.

A difference is put down to the splitting of words where our definitions, computed on datatrove's words in plain
Python, decide as datatrove does.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from corpus.filtering.filter import measure
from corpus.filtering.rule_files import load_rule_sets
from corpus.filtering.rules import Rule, decide, passes
from corpus.filtering.signals import compute_signals
from corpus.pages.extract import ExtractOptions, extract
from tests.benchmarks.inputs import CHINESE, DATA, ENGLISH, domains, pages
from tests.benchmarks.results import at_least, leave_headlines, made_with, table, write_section
from tests.corpus.plain_signals import plain_signals

PEER = Path(__file__).with_name("datatrove_peer.py")
SETS = {"en": "fineweb", "zh": "fineweb2-zh"}
OF_FINEWEB = (
    "terminal_line_fraction",
    "short_line_fraction",
    "characters_in_duplicate_lines",
    "newlines_per_word",
)
OF_C4 = ("lorem_ipsum", "curly_brackets", "sentence_count", "lang_score")
FILTER_NAMES = {
    "repetition": "GopherRepetitionFilter",
    "quality": "GopherQualityFilter",
    "fineweb": "FineWebQualityFilter",
    "c4": "C4QualityFilter",
    "chain": "all of FineWeb's, one after the other",
}


class Difference(NamedTuple):
    """A document on which a filter of datatrove's and our rules decide differently."""

    filter: str
    id: str
    domain: str
    cause: str
    ours: str
    peers: str


def rules_of(language: str) -> dict[str, list[Rule]]:
    """The rules of our set for a language, by the filter of datatrove's that has them."""
    found: dict[str, list[Rule]] = {"repetition": [], "quality": [], "fineweb": []}
    for rule in (rule for rule_set in load_rule_sets([SETS[language]]) for rule in rule_set.rules):
        if rule.signal in OF_FINEWEB:
            found["fineweb"].append(rule)
        elif rule.signal.startswith(("top_", "duplicate_")):
            found["repetition"].append(rule)
        elif rule.signal not in OF_C4:
            found["quality"].append(rule)
    return found


def failing(values: Mapping[str, Any], rules: Iterable[Rule]) -> list[str]:
    """The names of the rules that remove a document with these signals."""
    return [rule.name for rule in rules if not passes(values[rule.signal], rule)]


def peers_decisions(python: str, documents: pl.DataFrame, language: str) -> pl.DataFrame:
    """What datatrove says about the documents, in their order."""
    with tempfile.TemporaryDirectory() as directory:
        given, taken = Path(directory) / "documents.parquet", Path(directory) / "decisions.parquet"
        documents.write_parquet(given)
        subprocess.run([python, str(PEER), "decide", given, taken, "--language", language], check=True)
        decisions = pl.read_parquet(taken)
    if decisions["id"].to_list() != documents["id"].to_list():
        raise SystemExit("the peer answered for other documents")
    return decisions


def compare_rules(documents: pl.DataFrame, decisions: pl.DataFrame, language: str) -> list[Difference]:
    """The differences between the filters that look at the text as it comes and our rules of the same names."""
    signals = compute_signals(documents["text"].to_list())
    found = []
    for name, rules in rules_of(language).items():
        rows = zip(documents.iter_rows(named=True), decisions.iter_rows(named=True), strict=True)
        for (document, decision), values in zip(rows, signals.iter_rows(named=True), strict=True):
            recomputed = failing(decision["values"], rules)
            if bool(recomputed) != (decision[name] is not None):
                raise SystemExit(f"{document['id']}: {name} says {decision[name]}, its values say {recomputed}")
            ours = failing(values, rules)
            if bool(ours) == bool(recomputed):
                continue
            with_peers_words = failing(plain_signals(document["text"], decision["words"]), rules)
            words = bool(with_peers_words) == bool(recomputed)
            changed = sorted(set(ours) ^ set(recomputed))
            cause = "words" if words else f"definition of {', '.join(changed)}"
            one = Difference(
                name, document["id"], document["domain"], cause, ", ".join(ours), ", ".join(recomputed)
            )
            found.append(one)
    return found


def compare_c4(documents: pl.DataFrame, decisions: pl.DataFrame) -> list[Difference]:
    """The differences between C4's filter and our set `c4`, which both change the text."""
    sets = load_rule_sets(["c4"])
    texts, signals, _ = measure(_english(documents), sets)
    failed = decide(signals, sets, _english(documents)["lang"])["failed_rules"]
    found = []
    for row, decision in enumerate(decisions.iter_rows(named=True)):
        if failed[row].is_empty() == (decision["c4"] is None):
            continue
        cause = "sentences" if texts[row] == decision["c4_text"] else "lines"
        if decision["c4"] in ("curly_bracket", "lorem_ipsum") or set(failed[row]) - {"c4.few_sentences"}:
            cause = "order of the rules"
        place = documents["id"][row], documents["domain"][row]
        found.append(Difference("c4", *place, cause, ", ".join(failed[row]), str(decision["c4"])))
    return found


def compare_chain(documents: pl.DataFrame, decisions: pl.DataFrame) -> list[Difference]:
    """The differences between FineWeb's filters one after the other and our set `fineweb`."""
    sets = load_rule_sets(["fineweb"])
    _, signals, _ = measure(_english(documents), sets)
    failed = decide(signals, sets, _english(documents)["lang"])["failed_rules"]
    found = []
    for row, peers in enumerate(decisions["chain"]):
        if failed[row].is_empty() != (peers is None):
            place = documents["id"][row], documents["domain"][row]
            cause = peers or ", ".join(failed[row])
            found.append(Difference("chain", *place, cause, ", ".join(failed[row]), str(peers)))
    return found


def _english(documents: pl.DataFrame) -> pl.DataFrame:
    return documents.with_columns(lang=pl.lit("en"), lang_score=pl.lit(1.0))


def signal_rows(documents: pl.DataFrame, decisions: pl.DataFrame, most: int) -> list[list[object]]:
    """For every signal: the share of documents with the same value, as they are and with datatrove's words."""
    frame, peers = documents.gather_every(step := -(-documents.height // most)), decisions.gather_every(step)
    texts = frame["text"].to_list()
    ours = compute_signals(texts).to_dicts()
    theirs = peers["values"].to_list()
    plain = [plain_signals(text, words) for text, words in zip(texts, peers["words"].to_list(), strict=True)]
    rows: list[list[object]] = []
    for name in theirs[0]:
        apart = [abs(a[name] - b[name]) for a, b in zip(ours, theirs, strict=True)]
        pairs = zip(ours, theirs, strict=True)
        same = [_same(a[name], b[name]) for a, b in pairs]
        given = [_same(a[name], b[name]) for a, b in zip(plain, theirs, strict=True)]
        rows.append([f"`{name}`", _percent(same), _percent(given), f"{sum(apart) / len(apart):.4g}"])
    return rows


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))


def _percent(hits: Sequence[bool]) -> str:
    return f"{100 * sum(hits) / len(hits):.1f} %"


def agreement_rows(names: Iterable[str], documents: int, found: Sequence[Difference]) -> list[list[object]]:
    """A row a filter: documents that agree, and the causes of the others."""
    rows: list[list[object]] = []
    for name in names:
        here = [difference for difference in found if difference.filter == name]
        causes = Counter(difference.cause for difference in here)
        told = "; ".join(f"{cause}: {count}" for cause, count in causes.most_common(6)) or "none"
        kept = sum(not difference.ours for difference in here)
        share = f"{100 * (1 - len(here) / documents):.2f} %"
        rows.append([FILTER_NAMES[name], f"{documents:,}", share, f"{kept} / {len(here) - kept}", told])
    return rows


def english(options: argparse.Namespace) -> pl.DataFrame:
    """The English texts and pages."""
    found = domains(options.data, ENGLISH, options.most)
    with tempfile.TemporaryDirectory() as directory:
        extracted = options.pages
        if extracted is None:
            extracted = Path(directory) / "pages"
            archives = [options.data / "web" / f"{name}.warc.gz" for name in ("articles", "wcxb")]
            extract(archives, extracted, ExtractOptions(), workers=1)
        documents = pl.concat([found, pages(extracted, options.most)])
    return documents.filter(pl.col("text").str.contains(r"\S")).unique("id", maintain_order=True)


def main() -> None:
    """Compare, and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datatrove-python", required=True, metavar="PATH")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--pages", type=Path, help="a dataset directory of `corpus extract` to use for the pages")
    parser.add_argument("--most", type=int, default=10**9, help="documents of a domain")
    parser.add_argument("--output", type=Path, help="where to write differences.parquet")
    options = parser.parse_args()
    body, found, agreeing = [], [], []
    for language in ("en", "zh"):
        documents = english(options) if language == "en" else domains(options.data, CHINESE, options.most)
        decisions = peers_decisions(options.datatrove_python, documents, language)
        names = list(rules_of(language))
        here = compare_rules(documents, decisions, language)
        if language == "en":
            names += ["c4", "chain"]
            here += compare_c4(documents, decisions) + compare_chain(documents, decisions)
        header = ["filter", "documents", "same decision", "only we keep / only datatrove keeps", "causes"]
        body += [f"\n`{SETS[language]}`:\n", table(header, agreement_rows(names, documents.height, here))]
        header = ["signal", "same value", "with datatrove's words", "mean distance"]
        body += ["", table(header, signal_rows(documents, decisions, 2000))]
        for name in names:
            share = 100 * (1 - sum(difference.filter == name for difference in here) / documents.height)
            agreeing.append(at_least(f"{FILTER_NAMES[name]}, {language}", share, 99.5, "{:.2f} %"))
        found += here
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(found, orient="row", schema=Difference._fields).write_parquet(
            options.output / "differences.parquet"
        )
    print("\n".join(body))
    leave_headlines("agreement", agreeing)
    command = "python -m tests.benchmarks.filter_conformance --datatrove-python PATH"
    write_section(
        "Rule sets against datatrove", made_with(command, ["jieba"], {"datatrove": "0.10.1"}) + "\n".join(body)
    )


if __name__ == "__main__":
    main()
