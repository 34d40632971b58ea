"""`corpus dedup --method bloom` against a plain set of n-grams, and the same bytes always."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corpus.duplicates.lines.dedup_bloom as bloom_module
import corpus.duplicates.lines.ngram_decisions as decisions_module
from corpus.core.engine import UnitOutput
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.output import Claim
from corpus.duplicates.cut_output import put_back
from corpus.duplicates.lines.dedup_bloom import dedup_ngrams
from corpus.reporting.explain import explain_document
from tests.corpus.test_dedup import fail_on_call, files, table, write
from tests.corpus.test_lines import plain_lines
from tests.programs import ONE, call, kill_at_stages

EXACT = 1e-6  # with so few n-grams the filter is as good as a set


def plain_words(line: str) -> list[str]:
    """Runs of letters, marks and digits in lower case; a Chinese, Japanese or Thai character is a word."""
    words, inside = [], False
    for character in line.lower():
        if unicodedata.category(character)[0] not in "LMN":
            inside = False
        elif any(name in unicodedata.name(character, "") for name in ("CJK", "HIRAGANA", "KATAKANA", "THAI")):
            words.append(character)
            inside = False
        else:
            words[-1:] = [words[-1] + character] if inside else [*words[-1:], character]
            inside = True
    return words


def plain_filter(texts: list[str], scopes: list[Any], size: int, threshold: float) -> list[list[str] | None]:
    """DCLM's filter with a set: for each document the paragraphs that stay, None where it goes whole."""
    seen: set[tuple[Any, ...]] = set()
    found: list[list[str] | None] = []
    for text, scope in zip(texts, scopes, strict=True):
        stay, total, known = [], 0, 0
        for line, _, _ in plain_lines(text):
            words = plain_words(line)
            ngrams = [(scope, *words[at : at + size]) for at in range(len(words) - size + 1)]
            here = sum(ngram in seen for ngram in ngrams)
            total, known = total + len(ngrams), known + here
            if not ngrams or here / len(ngrams) <= threshold:
                stay.append(line)
                seen.update(ngrams)
        found.append(None if total and known / total > threshold else stay)
    return found


def check(path: Path, output: Path, expected: list[list[str] | None]) -> None:
    source = pl.read_parquet(path)
    kept, removed, lines = (table(output, name) for name in ("documents", "removed", "lines"))
    found = dict(kept.select("id", "text").iter_rows()) if kept.width else {}
    whole = dict(removed.select("id", "text").iter_rows()) if removed.width else {}
    spans = lines.to_dicts() if lines.width else []
    for row, (name, text) in enumerate(source.select("id", "text").iter_rows()):
        stay = expected[row]
        if stay is None:
            assert whole[name] == text
            continue
        assert [line for line, _, _ in plain_lines(found[name])] == stay
        lost = [span for span in spans if span["id"] == name]
        assert put_back(found[name], [s["offset"] for s in lost], [s["text"] for s in lost]) == text
        assert all(s["seen"] > 0 for s in lost)
    assert len(found) + len(whole) == source.height


LINE = st.lists(st.sampled_from(["one", "Two", "three", "中", "文", "กข", "x,", "4"]), max_size=7).map(" ".join)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(LINE, max_size=5).map("\n".join), min_size=1, max_size=8),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    st.booleans(),
)
def test_against_a_plain_set(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int, threshold: float, scoped: bool
) -> None:
    folder = tmp_path_factory.mktemp("run")
    crawls = [str(row % 2) for row in range(len(texts))]
    path = write(folder / "a.parquet", texts, crawl=crawls)
    how: dict[str, Any] = {"ngram": size, "threshold": threshold, "false_positive_rate": EXACT, "workers": 1}
    dedup_ngrams([path], folder / "out", scope="crawl" if scoped else "all", **how)
    scopes = crawls if scoped else [""] * len(texts)
    check(path, folder / "out", plain_filter(texts, scopes, size, threshold))


def corpus_of_paragraphs(folder: Path, seed: int, parts: int = 4, documents: int = 60) -> Path:
    """Files of documents whose paragraphs come again, some with other words in them."""
    draw = random.Random(seed)
    known = [[f"w{draw.randrange(900)}" for _ in range(draw.randrange(5, 60))] for _ in range(parts * documents)]
    for part in range(parts):
        texts = []
        for _ in range(documents):
            paragraphs = [list(draw.choice(known)) for _ in range(draw.randrange(1, 6))]
            for words in paragraphs:
                for _ in range(draw.choice([0, 0, 1, 3])):
                    words[draw.randrange(len(words))] = f"new{draw.random()}"
            texts.append("\n\n".join(" ".join(words) for words in paragraphs))
        write(folder / f"{part}.parquet", texts)
    return folder


def test_thirteen_grams_over_several_units(tmp_path: Path) -> None:
    source = corpus_of_paragraphs(tmp_path / "in", 1)
    manifest = dedup_ngrams([source], tmp_path / "out", false_positive_rate=EXACT, workers=1)
    whole = write(tmp_path / "all.parquet", pl.read_parquet(source)["text"].to_list())
    ids = pl.read_parquet(source)["id"]
    pl.read_parquet(whole).with_columns(ids).write_parquet(whole)
    texts = pl.read_parquet(whole)["text"].to_list()
    expected = plain_filter(texts, [""] * len(texts), 13, 0.8)
    check(whole, tmp_path / "out", expected)
    counts = manifest["counts"]
    assert counts["documents_removed"] == expected.count(None) > 20
    assert counts["documents_cut"] > 20
    words = [len(plain_words(line)) for text in texts for line, _, _ in plain_lines(text)]
    assert counts["ngrams"] == sum(max(0, count - 12) for count in words)
    assert manifest["filter"]["false_positive_rate"] <= EXACT
    assert manifest["filter"]["ngrams_inserted"] <= counts["ngrams"] - counts["ngrams_seen"]


def test_same_bytes_for_any_workers_and_after_interruptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = corpus_of_paragraphs(tmp_path / "in", 2)
    how = {"ngram": 5, "false_positive_rate": 0.2}  # so many false positives that their order would show
    first = dedup_ngrams([source], tmp_path / "one", workers=1, **how)
    expected = files(tmp_path / "one")
    assert {name.split("/")[0] for name in expected} == {"documents", "removed", "lines"}
    second = dedup_ngrams([source], tmp_path / "two", workers=2, **how)
    assert files(tmp_path / "two") == expected
    assert second["filter"] == first["filter"]
    places = [
        (decisions_module, "count_ngrams", 3),
        (decisions_module, "filter_paragraphs", 2),
        (decisions_module, "filter_paragraphs", 4),
        (decisions_module.OrderedPass, "finish", 1),
        (UnitOutput, "close", 3),
        (Claim, "write_manifest", 1),
        (bloom_module, "_remove_stages", 1),
    ]
    for each in (0, 1 << 40):  # a filter saved behind every unit, and never
        monkeypatch.setattr(decisions_module, "_TEXT_A_CHECKPOINT", each)
        for module, name, number in places:
            output = tmp_path / f"{name}-{number}-{each}"
            with monkeypatch.context() as patch:
                fail_on_call(patch, module, name, number)
                with pytest.raises(KeyboardInterrupt):
                    dedup_ngrams([source], output, workers=1, **how)
            assert bool(list(output.glob(".state/filter-*.bin"))) == (each == 0 and name != "count_ngrams") or (
                name == "_remove_stages"
            )
            again = dedup_ngrams([source], output, workers=1, **how)
            assert files(output) == expected, name
            assert again["filter"] == first["filter"]
            assert not list(output.glob(".state/filter*"))


def test_killed_and_run_again(tmp_path: Path) -> None:
    source = corpus_of_paragraphs(tmp_path / "in", 3, parts=12, documents=200)
    command = ["corpus", "dedup", str(source), "--method", "bloom", *ONE, "-o"]
    assert call(*command, str(tmp_path / "whole")).status == 0
    out = tmp_path / "out"
    kill_at_stages([*command, str(out)], out, (".state/counted/*", ".state/decided/*", "documents/*.parquet"))
    assert call(*command, str(out)).status == 0
    assert files(out) == files(tmp_path / "whole")


def test_memory_and_expected_ngrams(tmp_path: Path) -> None:
    source = corpus_of_paragraphs(tmp_path / "in", 4, parts=1)
    with pytest.raises(ZeroToOneError, match=r"--false-positive-rate 0\.01 takes .*G; --memory is"):
        dedup_ngrams([source], tmp_path / "out", memory=1 << 10, workers=1)
    manifest = dedup_ngrams([source], tmp_path / "out", memory=1 << 20, workers=1)
    dedup_ngrams([source], tmp_path / "known", expected_ngrams=manifest["counts"]["ngrams"], workers=1)
    assert files(tmp_path / "out") == files(tmp_path / "known")
    small = dedup_ngrams([source], tmp_path / "small", expected_ngrams=100, workers=1)
    assert small["filter"]["false_positive_rate"] > 0.05, "the manifest says that it was too small"


def test_input_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", ["one two\nthree"])
    finish = decisions_module.OrderedPass.finish

    def change(self: Any) -> Any:
        write(path, ["one two\nthree\nfour"])
        return finish(self)

    monkeypatch.setattr(decisions_module.OrderedPass, "finish", change)
    with pytest.raises(ZeroToOneError, match=r"a\.parquet: changed while it was read"):
        dedup_ngrams([path], tmp_path / "out", workers=1)


@pytest.mark.parametrize(
    "wrong", [{"ngram": 0}, {"threshold": 2.0}, {"false_positive_rate": 0.0}, {"expected_ngrams": 0}]
)
def test_wrong_arguments(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = write(tmp_path / "a.parquet", ["some text"])
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", "-")):
        dedup_ngrams([path], tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_explain_and_report(tmp_path: Path) -> None:
    words = "one two three four five six seven"
    path = write(tmp_path / "a.parquet", [words, f"new words here\n{words}\nand more of a document", words])
    dedup_ngrams([path], tmp_path / "out", ngram=3, workers=1)
    (kept,) = explain_document("a-1", [tmp_path / "out"])
    assert kept.lines == [{"offset": 15, "length": 34, "text": words, "ngrams": 5, "seen": 5}]
    (removed,) = explain_document("a-2", [tmp_path / "out"])
    assert removed.document["reason"] == "seen_ngrams"
    assert call("corpus", "report", tmp_path / "out", "-o", tmp_path / "report.html").status == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "2 of 5 lines went" in page
    assert "seen before" in page
