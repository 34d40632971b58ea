"""The evidence: shared parts, pairs in `explain` and the report, runaway clusters; by brute force, escaped."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.commands.explain import explain as explain_verb
from corpus.core.errors import ZeroToOneError
from corpus.duplicates.exact import normalise
from corpus.duplicates.near.shared_parts import shared_parts
from corpus.duplicates.whole.dedup import dedup_documents
from corpus.duplicates.whole.runaway import figures, lowest_edges
from corpus.reporting.explain import explain_document
from corpus.reporting.pairs import Side, shown_parts
from corpus.reporting.report import write_report
from tests.corpus.test_dedup import table, write
from tests.corpus.test_minhash import WORDS, brute_shingles, brute_words
from tests.corpus.test_star import window_texts
from tests.programs import call

HOSTILE = "<script>alert(1)</script> & </pre>"


@settings(deadline=None)
@given(WORDS, WORDS, st.integers(1, 5))
def test_the_words_of_shared_shingles_are_marked_and_no_others(
    left: list[str], right: list[str], size: int
) -> None:
    texts = [" ".join(words) for words in (left, right)]
    shared = shared_parts(*texts, size)
    sets = [brute_shingles(normalise(text), size) for text in texts]
    assert shared.shared_shingles == len(sets[0] & sets[1])
    assert shared.all_shingles == len(sets[0] | sets[1])
    for text, spans in zip(texts, (shared.left, shared.right), strict=True):
        words = brute_words(normalise(text))
        width = min(size, len(words))
        marked = [False] * len(words)
        for first in range(len(words) - width + 1):
            if tuple(words[first : first + width]) in sets[0] & sets[1]:
                marked[first : first + width] = [True] * width
        inside = [word for first, last in spans for word in brute_words(normalise(text[first:last]))]
        assert inside == [word for word, is_marked in zip(words, marked, strict=True) if is_marked]
        assert all(first < last for first, last in spans)
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_spans_are_places_in_the_text_as_it_is() -> None:
    left, right = "Ｗｉｄｅ ﬁne　 words — here, İ too", "x wide FINE words here"
    shared = shared_parts(left, right, 2)
    assert [left[first:last] for first, last in shared.left] == ["Ｗｉｄｅ ﬁne　 words — here"]
    assert [right[first:last] for first, last in shared.right] == ["wide FINE words here"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 900), st.booleans()), max_size=12), st.integers(1, 30))
def test_what_is_shown_is_the_text(pieces: list[tuple[int, bool]], most: int) -> None:
    text, spans = "", []
    for length, shared in pieces:
        if shared and length:
            spans.append((len(text), len(text) + length))
        text += "".join(chr(97 + n % 26) for n in range(length))
    parts, others = shown_parts(Side("id", None, True, text, spans), most)
    assert sum(part.shared for part in parts) <= len(spans)
    at = 0
    for part in parts:
        assert text[at:].startswith(part.before)
        at += len(part.before) + part.left_out
        assert text[at:].startswith(part.after)
        at += len(part.after)
    assert len(parts) == most if others else at == len(text)


@pytest.fixture(scope="module")
def deduped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two near duplicates that a markup author wrote, three equal documents, two others."""
    top = tmp_path_factory.mktemp("pairs")
    words = [f"word{number}" for number in range(60)]
    near = [f"{HOSTILE} {' '.join(words)} one", f"{HOSTILE} {' '.join(words)} two \x1b[31mred"]
    texts = [*near, "中文 的 文字 一样", "中文的文字一样", "中文 的 文字 一样", "lonely", "other"]
    path = write(top / "in.parquet", texts, url=[f"https://example.org/{row}" for row in range(len(texts))])
    dedup_documents([path], top / "out", workers=1)
    dedup_documents([path], top / "none", workers=1, keep="none")
    return top


def test_explain_puts_a_removed_document_beside_the_kept_one(deduped: Path) -> None:
    text = dict(pl.read_parquet(deduped / "in.parquet").select("id", "text").iter_rows())
    pair = explain_document("in-1", [deduped / "out"])[-1].pair
    assert pair is not None
    assert (pair.left.id, pair.left.kept, pair.right.id, pair.right.kept) == ("in-1", False, "in-0", True)
    assert (pair.left.text, pair.right.text) == (text["in-1"], text["in-0"])
    assert pair.jaccard == pair.shared_shingles / pair.all_shingles
    assert [pair.right.text[first:last] for first, last in pair.right.spans] == [text["in-0"][1 : -len(" one")]]
    other = explain_document("in-0", [deduped / "out"])[-1].pair
    assert other is not None
    assert (other.left.id, other.right.id, other.jaccard) == ("in-0", "in-1", pair.jaccard)
    assert explain_document("in-5", [deduped / "out"])[-1].pair is None


def test_where_none_is_kept_the_pair_is_the_same(deduped: Path) -> None:
    pairs = [explain_document("in-1", [deduped / name])[-1].pair for name in ("out", "none")]
    assert pairs[0] is not None
    assert pairs[1] is not None
    assert {pairs[1].left.id, pairs[1].right.id} == {"in-0", "in-1"}
    assert pairs[1].jaccard == pairs[0].jaccard
    assert not pairs[1].left.kept
    assert not pairs[1].right.kept


def test_explain_prints_the_pair_without_its_control_characters(
    deduped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explain_verb("in-1", [deduped / "out"])
    shown = capsys.readouterr().out
    assert "⟦script>alert(1)" in shown
    assert "in common" in shown
    assert "\x1b" not in shown
    explain_verb("in-1", [deduped / "out"], as_json=True)
    found = json.loads(capsys.readouterr().out)["steps"][-1]["pair"]
    for side in ("left", "right"):
        (first, last) = found[side]["spans"][0]
        assert found[side]["text"][first:last].startswith("script>alert(1)")


def test_the_report_shows_pairs_and_nothing_is_markup(deduped: Path, tmp_path: Path) -> None:
    write_report([deduped / "out"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<script" not in text
    assert "<mark>script&gt;alert(1)" in text
    assert "No cluster has run away" in text
    assert "1 clusters" in text
    assert re.search(r"2</div>.*1 clusters.*3</div>.*1 clusters", text, re.DOTALL), "one of two, one of three"
    assert text.count('class="pair"') == 1, "equal documents are no example"


def test_broken_evidence_is_one_line(deduped: Path, tmp_path: Path) -> None:
    (tmp_path / "clusters").mkdir(parents=True)
    (tmp_path / "documents").mkdir()
    (tmp_path / "manifest.json").write_bytes((deduped / "out" / "manifest.json").read_bytes())
    for name in ("clusters", "removed"):
        (tmp_path / name).mkdir(exist_ok=True)
        part = next((deduped / "out" / name).glob("*.parquet"))
        (tmp_path / name / part.name).write_bytes(part.read_bytes())
    assert explain_document("in-1", [tmp_path])[-1].pair is None, "the kept text is gone"
    (tmp_path / "documents" / "part-00000.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(ZeroToOneError, match=r"part-00000\.parquet"):
        explain_document("in-1", [tmp_path])


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=300), st.integers(0, 2**32))
def test_figures_of_clusters_are_those_counted_by_hand(clusters: list[int], seed: int) -> None:
    draw = np.random.default_rng(seed)
    kept = np.array([clusters.index(name) for name in clusters])
    sets = [set(draw.integers(12, size=draw.integers(1, 9)).tolist()) for _ in clusters]
    similarity = np.array([len(a & sets[k]) / len(a | sets[k]) for a, k in zip(sets, kept, strict=True)])
    edges = draw.random(len(clusters))
    lowest = lowest_edges(np.array(clusters), np.array(clusters), edges)
    found = figures(kept, similarity, lowest, np.array([len(one) for one in sets]))
    for row, name in enumerate(clusters):
        own = [place for place, other in enumerate(clusters) if other == name]
        assert found["members"][row] == len(own)
        assert found["lowest_edge"][row] == min(edges[own])
        assert found["lowest_jaccard"][row] == min(similarity[own])
        assert found["fewest_shared"][row] == min(len(sets[place] & sets[kept[row]]) for place in own)
        far = sum(similarity[own] < 0.5)
        assert found["runaway"][row] == (len(own) >= 100 and far >= 0.1 * len(own))


def test_a_runaway_cluster_is_named_in_every_place(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", window_texts(150, 84, 4))
    options = ["--bands", 40, "--rows", 4, "--workers", 1]
    outcome = call("corpus", "dedup", path, "-o", tmp_path / "single", "--linkage", "single", *options)
    assert outcome.status == 0, outcome.err
    assert re.search(r"warning: clusters that have run away .*: 1, with 150 documents", outcome.err)
    rows = table(tmp_path / "single", "clusters")
    assert rows["runaway"].all()
    assert rows["lowest_jaccard"].max() == 0
    assert rows["fewest_shared"].max() == 0
    assert rows["lowest_edge"].min() >= 0.8
    manifest = json.loads((tmp_path / "single" / "manifest.json").read_text("utf-8"))
    assert manifest["counts"]["runaway_documents"] == 150
    assert call("corpus", "report", tmp_path / "single", "-o", tmp_path / "r.html").status == 0
    assert re.search(r"have run away along a chain.*: 1\.<", (tmp_path / "r.html").read_text("utf-8"))
    outcome = call("corpus", "dedup", path, "-o", tmp_path / "star", *options)
    assert "warning" not in outcome.err
