"""The report: counts add up, texts are escaped, histograms and scales are right."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, stable_fraction
from corpus.duplicates.whole.dedup import dedup_documents
from corpus.filtering.filter import filter_documents
from corpus.filtering.rule_files import load_rule_sets
from corpus.filtering.rules import COMPARISONS, Rule, RuleSet
from corpus.filtering.what_if import ask
from corpus.filtering.what_if_output import write_what_if
from corpus.reporting import report_page as html
from corpus.reporting.histograms import BINS, fill_histograms, histograms_of
from corpus.reporting.ledger_numbers import Overlap
from corpus.reporting.report import write_report
from corpus.reporting.report_filter import filter_report
from corpus.reporting.samples import choose_samples
from corpus.reporting.steps import steps_behind

HOSTILE = '<script>alert(1)</script> & "quoted" </pre>'


def make_steps(directory: Path) -> tuple[Path, Path]:
    words = "The house of the garden that we have with a river. "
    texts = [f"{HOSTILE} {words * 3}number {n % 3}." for n in range(6)]
    rows = [{"id": f"row-{n}", "url": HOSTILE, "text": text, "lang": "en"} for n, text in enumerate(texts)]
    rows.append({"id": "short", "url": HOSTILE, "text": HOSTILE, "lang": "en"})
    source = directory / "rows.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    rules = directory / "rules.yaml"
    rule = "{name: few_words, signal: word_count, comparison: '>=', threshold: 12}"
    rules.write_text(f"name: mine\nsource: this test\nrules:\n  - {rule}\n", "utf-8")
    filter_documents([source], directory / "filtered", [str(rules)], workers=1)
    dedup_documents([directory / "filtered"], directory / "exact", method="exact", workers=1)
    return directory / "filtered", directory / "exact"


def test_the_whole_way_is_shown_and_nothing_is_markup(tmp_path: Path) -> None:
    filtered, exact = make_steps(tmp_path)
    assert steps_behind([exact]) == [filtered, exact]
    write_report([exact], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "6 of 7" in text
    assert "3 of 6" in text
    assert "mine.few_words" in text
    assert "mine.few_words &gt;= 12" in text
    assert "exact_duplicate" in text
    assert "3 clusters" in text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)


def test_a_directory_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ZeroToOneError, match=re.escape(f"{tmp_path}: not a finished step's directory (no manifest.json)")
    ):
        write_report([tmp_path], tmp_path / "report.html")


NUMBERS = st.lists(st.none() | st.floats(-1e6, 1e6, allow_subnormal=False), max_size=60)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=4), st.floats(-1e6, 1e6), st.sampled_from(COMPARISONS))
def test_a_histogram_counts_every_value(batches: list[list[float | None]], limit: float, comparison: str) -> None:
    rule = Rule("rule", "word_count", comparison, limit)
    (histogram,) = histograms_of([RuleSet("set", "", "", (), (), (rule,))], ["word_count"])
    frames = [
        pl.DataFrame({"word_count": batch, "lang": ["en"] * len(batch)}, schema={"word_count": float, "lang": str})
        for batch in batches
    ]
    fill_histograms([histogram], lambda: frames)
    values = [value for batch in batches for value in batch if value is not None]
    assert histogram.values == histogram.counts.sum() == len(values)
    if values:
        assert histogram.low <= min(values)
        for number, count in enumerate(histogram.counts[:BINS]):
            first, last = (histogram.low + (number + n) * histogram.width for n in (0, 1))
            slack = 1e-6 * (abs(first) + histogram.width)  # a value on the edge of two bins may be in either
            least = sum(first + slack <= value < last - slack for value in values)
            assert least <= count <= sum(first - slack <= value < last + slack for value in values)


def test_a_histogram_is_of_the_documents_that_its_rules_apply_to() -> None:
    columns = {"word_count": [10, 20, 30, 40, 100_000], "lang": ["en", "en-GB", "zh", None, "en"]}
    histograms = histograms_of(load_rule_sets(["auto"]), ["word_count"])
    fill_histograms(histograms, lambda: [pl.DataFrame(columns)])
    english, chinese = histograms
    assert (english.applies.only_for, english.values) == (("en",), 3)
    assert (chinese.applies.only_for, chinese.values) == (("zh",), 1)
    assert set(english.rules) == {"gopher.few_words", "gopher.many_words"}
    assert not english.keeps(0) or english.low + english.width / 2 >= 50


@settings(deadline=None)
@given(st.lists(st.lists(st.lists(st.sampled_from("abcde"), unique=True), max_size=20), max_size=4))
def test_overlap_is_counted_as_one_counts_by_hand(batches: list[list[list[str]]]) -> None:
    overlap = Overlap()
    for batch in batches:
        overlap.add(pl.Series(batch, dtype=pl.List(pl.String)))
    every = [set(rules) for batch in batches for rules in batch]
    rows = {row["rule"]: row for row in overlap.rows()}
    assert set(rows) == set().union(*every)
    for rule, row in rows.items():
        assert row["fail it"] == sum(rule in rules for rules in every)
        assert row["fail it alone"] == sum(rules == {rule} for rules in every)
        for other in rows:
            both = overlap.together[overlap.rules.index(rule), overlap.rules.index(other)]
            assert both == sum({rule, other} <= rules for rules in every)


def test_samples_do_not_depend_on_order_or_on_how_files_are_cut(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [f"d{n}" for n in range(100)], "text": ["text"] * 100, "reason": ["a", "b"] * 50})
    for name, frames in {"one": [rows], "two": [rows.reverse().head(70), rows.reverse().slice(70)]}.items():
        (tmp_path / name).mkdir()
        for number, frame in enumerate(frames):
            frame.write_parquet(tmp_path / name / f"part-{number:05d}.parquet", row_group_size=7)
    one, two = (choose_samples(tmp_path / name, 3) for name in ("one", "two"))
    assert {reason: [row["id"] for row in found] for reason, found in one.items()} == {
        reason: [row["id"] for row in found] for reason, found in two.items()
    }
    expected = sorted((stable_fraction(f"d{n}"), f"d{n}") for n in range(0, 100, 2))[:3]
    assert [row["id"] for row in one["a"]] == [name for _, name in expected]


def test_the_numbers_of_a_report_add_up_to_the_input(tmp_path: Path) -> None:
    filtered, exact = make_steps(tmp_path)
    manifest = read_json(filtered / "manifest.json")
    numbers = filter_report(filtered, manifest).numbers
    assert numbers.groups["documents"].sum() == manifest["counts"]["documents_in"] == 7
    texts = [json.loads(line)["text"] for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    assert numbers.groups["characters"].sum() == sum(map(len, texts))
    steps = write_report([exact], tmp_path / "report.html")
    assert [(step["in"], step["kept"], step["dropped"]) for step in steps] == [(7, 6, 1), (6, 3, 3)]
    assert all(sum(step["reasons"].values()) == step["dropped"] for step in steps)


def test_what_edits_took_out_is_told(tmp_path: Path) -> None:
    sentences = "It rained all day long.\n" * 9
    rows = [{"id": "a", "text": f"Home\n{sentences}Menu [1]\n"}, {"id": "b", "text": sentences}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["c4"], workers=1)
    report = filter_report(tmp_path / "out", read_json(tmp_path / "out" / "manifest.json"))
    assert report.numbers.edits["c4:edit.remove_citations"] == (1, 1)
    assert report.numbers.edits["c4:edit.drop_lines_without_end_punctuation"] == (1, 2)
    (before, after) = report.numbers.lengths["c4"]
    assert (before, after) == (sum(len(row["text"]) for row in rows), 2 * (len(sentences) - 1))
    assert "c4.remove_citations" in report.edits()


def test_a_what_if_is_reported_with_the_filter_before_it(tmp_path: Path) -> None:
    filtered, _ = make_steps(tmp_path)
    write_what_if(ask(filtered / "ledger", [], ["few_words=1"], None), tmp_path / "again", workers=1)
    steps = write_report([tmp_path / "again"], tmp_path / "report.html")
    assert [(Path(step["directory"]).name, step["kept"]) for step in steps] == [("filtered", 6), ("again", 7)]
    assert "corpus filter (decided again)" in (tmp_path / "report.html").read_text("utf-8")


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=50))
def test_ticks_cover_the_values(values: list[float]) -> None:
    ticks = html._scale(values, from_zero=False)
    slack = 1e-9 * max(1.0, max(map(abs, values)))
    assert ticks[0] <= min(values) + slack
    assert ticks[-1] >= max(values) - slack
    assert 2 <= len(ticks) <= 8


def test_lines_without_values_say_so() -> None:
    assert "No values" in html.line_chart({"loss": [(1.0, float("nan"))]}, "steps", "loss")
