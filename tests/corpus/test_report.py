"""The report: counts add up, texts are escaped, histograms and scales are right."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import ZeroToOneError
from corpus.duplicates.dedup import dedup_documents
from corpus.filtering.filter import filter_documents
from corpus.reporting import report_page as html
from corpus.reporting.report import step_directories, write_report

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
    assert step_directories([exact]) == [filtered, exact]
    write_report([exact], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "6 of 7" in text
    assert "3 of 6" in text
    assert "mine.few_words" in text
    assert "limit 12" in text
    assert "exact_duplicate" in text
    assert "3 clusters" in text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)


def test_a_directory_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match=re.escape(f"{tmp_path}: no manifest.json")):
        write_report([tmp_path], tmp_path / "report.html")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.floats(-1e6, 1e6), st.booleans())
def test_a_histogram_counts_every_value(values: list[float], threshold: float, above: bool) -> None:
    drawing = html.histogram("signal", values, threshold, above)
    counts = [int(count) for count in re.findall(r': (\d+)"', drawing)]
    assert sum(counts) == len(values)
    assert len(counts) == 41


@given(st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=50))
def test_ticks_cover_the_values(values: list[float]) -> None:
    ticks = html._scale(values, from_zero=False)
    slack = 1e-9 * max(1.0, max(map(abs, values)))
    assert ticks[0] <= min(values) + slack
    assert ticks[-1] >= max(values) - slack
    assert 2 <= len(ticks) <= 8


def test_lines_without_values_say_so() -> None:
    assert "No values" in html.line_chart({"loss": [(1.0, float("nan"))]}, "steps", "loss")
