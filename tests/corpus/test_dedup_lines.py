"""`corpus dedup --method line` as a whole: against plain Python, put back, and the same bytes always."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corpus.duplicates.lines.dedup_lines as lines_module
import corpus.duplicates.lines.line_keys as keys_module
import corpus.duplicates.lines.line_repeats as repeats_module
from corpus.core.engine import UnitOutput
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.output import Claim
from corpus.duplicates.cut_output import put_back
from corpus.duplicates.lines.dedup_lines import dedup_lines
from corpus.reporting.explain import explain_document
from tests.corpus.test_dedup import check_interruptions, files, table, write
from tests.corpus.test_lines import plain_key, plain_lines
from tests.programs import ONE, call, kill_at_stages

LINE = st.sampled_from(["One two", "one  TWO.", "a1", "A2", "three", "---", "", " ", "中文。", "four"])
DOCUMENTS = st.lists(st.lists(LINE, max_size=6).map("\n".join), min_size=1, max_size=8)


def plain_dedup(texts: list[str], keep: str, scopes: list[Any] | None = None) -> dict[int, list[str] | None]:
    """For each document the lines that stay, or None where the document is removed."""
    first: dict[tuple[Any, str], tuple[int, int]] = {}
    several: set[tuple[Any, str]] = set()
    scope = scopes or [None] * len(texts)
    for row, text in enumerate(texts):
        for number, (line, _, letters) in enumerate(plain_lines(text)):
            key = scope[row], plain_key(line)
            if letters and first.setdefault(key, (row, number)) != (row, number):
                several.add(key)
    found: dict[int, list[str] | None] = {}
    for row, text in enumerate(texts):
        stay, letters_stay = [], False
        for number, (line, _, letters) in enumerate(plain_lines(text)):
            key = scope[row], plain_key(line)
            if not letters or (first[key] == (row, number) and not (keep == "none" and key in several)):
                stay.append(line)
                letters_stay |= letters
        found[row] = stay if letters_stay or len(stay) == len(plain_lines(text)) else None
    return found


def check(path: Path, output: Path, keep: str, scope: str = "all") -> None:
    """Compare the output with plain Python, and put the lines back."""
    source = pl.read_parquet(path)
    texts = source["text"].to_list()
    expected = plain_dedup(texts, keep, source[scope].to_list() if scope != "all" else None)
    kept, removed, lines = (table(output, name) for name in ("documents", "removed", "lines"))
    found = dict(kept.select("id", "text").iter_rows()) if kept.width else {}
    whole = dict(removed.select("id", "text").iter_rows()) if removed.width else {}
    spans = lines.to_dicts() if lines.width else []
    text_of = dict(source.select("id", "text").iter_rows())
    for row, name in enumerate(source["id"]):
        lost = [span for span in spans if span["id"] == name]
        assert all(span["kept"] == (expected[row] is not None) for span in lost)
        if expected[row] is None:
            assert whole[name] == texts[row]
            continue
        assert [line for line, _, _ in plain_lines(found[name])] == expected[row]
        assert put_back(found[name], [s["offset"] for s in lost], [s["text"] for s in lost]) == texts[row]
    assert len(found) + len(whole) == len(texts)
    for span in spans:
        original = text_of[span["first_id"]][span["first_offset"] :].split("\n")[0]
        assert plain_key(original) == plain_key(span["text"].strip().split("\n")[0])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(DOCUMENTS, st.sampled_from(["first", "none"]), st.booleans())
def test_against_plain_python(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], keep: str, scoped: bool
) -> None:
    folder = tmp_path_factory.mktemp("run")
    path = write(folder / "a.parquet", texts, crawl=[str(row % 2) for row in range(len(texts))])
    scope = "crawl" if scoped else "all"
    dedup_lines([path], folder / "out", keep=keep, scope=scope, workers=1)
    check(path, folder / "out", keep, scope)


def corpus_of_lines(folder: Path, seed: int, parts: int = 4, documents: int = 60) -> Path:
    """Files of documents that share many of their lines."""
    draw = random.Random(seed)
    for part in range(parts):
        texts = [
            "\n".join(f"Line {draw.choice('abcdefg') * draw.randrange(1, 40)}" for _ in range(draw.randrange(12)))
            for _ in range(documents)
        ]
        write(folder / f"{part}.parquet", texts)
    return folder


def test_same_bytes_for_any_workers_memory_and_after_interruptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = corpus_of_lines(tmp_path / "in", 1)
    manifest = dedup_lines([source], tmp_path / "one", workers=1)
    expected = files(tmp_path / "one")
    assert manifest["counts"]["lines_removed"] > 500
    assert {name.split("/")[0] for name in expected} == {"documents", "removed", "lines"}
    monkeypatch.setattr(repeats_module, "_RANGE_KEYS", 100)
    dedup_lines([source], tmp_path / "two", workers=2, memory=1 << 10)
    assert files(tmp_path / "two") == expected
    places = [
        (keys_module, "read_scoped", 3),
        (repeats_module, "_repeats", 4),
        (UnitOutput, "close", 3),
        (Claim, "write_manifest", 1),
        (lines_module, "remove_stages", 1),
    ]
    run = partial(dedup_lines, [source], workers=1)
    check_interruptions(tmp_path, monkeypatch, places, run, partial(run, memory=1 << 11), expected, "signed")


def test_killed_and_run_again(tmp_path: Path) -> None:
    source = corpus_of_lines(tmp_path / "in", 2, parts=12, documents=300)
    command = ["corpus", "dedup", str(source), "--method", "line", *ONE, "-o"]
    assert call(*command, str(tmp_path / "whole")).status == 0
    out = tmp_path / "out"
    kill_at_stages(
        [*command, str(out)], out, (".state/signed/*.firsts", ".state/repeats/*.starts", "documents/*.parquet")
    )
    assert call(*command, str(out)).status == 0
    assert files(out) == files(tmp_path / "whole")


def test_ids_that_repeat_and_extra_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["same\nown", "same", "same\nother"], id=["x", "x", "y"], stars=[1, 2, 3])
    manifest = dedup_lines([path], tmp_path / "out", workers=1)
    assert manifest["reasons"] == {"duplicate_lines": 1}
    kept = table(tmp_path / "out", "documents")
    assert kept.select("id", "text", "stars").rows() == [("x", "same\nown", 1), ("y", "other", 3)]
    assert table(tmp_path / "out", "lines").select("id", "text", "first_id").rows() == [
        ("x", "same", "x"), ("y", "same\n", "x"),
    ]  # fmt: skip


def test_input_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", ["one\ntwo", "three"])
    run = lines_module.run_units

    def change(function: Any, items: Any, **named: Any) -> Any:
        results = run(function, items, **named)
        write(path, ["one\ntwo", "three\nfour"])
        return results

    monkeypatch.setattr(lines_module, "run_units", change)
    with pytest.raises(ZeroToOneError, match=r"a\.parquet: changed while it was read"):
        dedup_lines([path], tmp_path / "out", workers=1)


def test_wrong_arguments_and_empty_input(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["some text"])
    with pytest.raises(UsageError, match="--keep first or none, not `longest`"):
        dedup_lines([path], tmp_path / "out", keep="longest")
    with pytest.raises(ZeroToOneError, match="no column `nothing`"):
        dedup_lines([path], tmp_path / "out", scope="nothing", workers=1)
    (tmp_path / "in.jsonl").write_text("{broken\n")
    with pytest.raises(ZeroToOneError, match="no documents to read"):
        dedup_lines([tmp_path / "in.jsonl"], tmp_path / "none", workers=1)
    assert not (tmp_path / "out").exists()


def test_explain_and_report(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["Menu <b>\nown", "menu b\nother", "x\nMENU [b]\ny", "menu b"])
    dedup_lines([path], tmp_path / "out", workers=1)
    (kept,) = explain_document("a-2", [tmp_path / "out"])
    line = {"offset": 2, "length": 9, "text": "MENU [b]", "first_id": "a-0", "first_offset": 0}
    assert kept.lines == [line]
    (removed,) = explain_document("a-3", [tmp_path / "out"])
    assert (removed.kept, removed.document["reason"]) == (False, "duplicate_lines")
    assert [line["first_id"] for line in removed.lines] == ["a-0"]
    shown = call("corpus", "explain", "a-2", tmp_path / "out")
    assert "lines that went" in shown.out
    assert "MENU" in shown.out
    assert call("corpus", "report", tmp_path / "out", "-o", tmp_path / "report.html").status == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Lines that went" in page
    assert "3 of 8 lines went" in page
    assert "<b>" not in page.split("Lines that went", 1)[1].split("<h2", 1)[0]
