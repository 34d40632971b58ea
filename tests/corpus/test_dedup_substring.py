"""`corpus dedup --method substring`: against a dictionary of all windows, and the same bytes always."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corpus.duplicates.spans.dedup_substring as module
import corpus.duplicates.spans.evidence as evidence
import corpus.duplicates.spans.scans as scans
import corpus.duplicates.spans.stages as stages
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.output import Claim
from corpus.duplicates.cut_output import put_back
from corpus.duplicates.spans.dedup_substring import LEAST_LEFT, dedup_substrings
from corpus.duplicates.spans.windows import find_windows
from corpus.reporting.explain import explain_document
from corpus.reporting.report import write_report
from tests.corpus.test_dedup import check_interruptions, fail_on_call, files, table, write
from tests.programs import call

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def extends(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or character in "\u200d\u00ad" or "🏻" <= character <= "🏿"


def is_flag(character: str) -> bool:
    return "🇦" <= character <= "🇿"


def brute_tokens(text: str) -> list[tuple[int, int]]:
    """Where the tokens of a text begin and end, by the names and categories of its characters."""
    found: list[tuple[int, int]] = []
    kinds: list[str] = []
    for at, character in enumerate(text):
        category = unicodedata.category(character)
        joins = at > 0 and found and found[-1][1] == at
        name = unicodedata.name(character, "")
        if extends(character):
            kind = kinds[-1] if joins else "word"
        elif category[0] in "ZC":
            continue
        elif category[0] in "LN" or category == "Pc" or is_flag(character):
            kind = "single" if name.split(" ")[0].split("-")[0] in UNSPACED else "word"
            joins = joins and kind == "word" and kinds[-1] == "word"
        else:
            kind = character
            joins = joins and kinds[-1] == kind and text[at - 1] == character
        if joins or (found and found[-1][1] == at and text[at - 1] == "\u200d"):
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
            kinds.append(kind)
    return found


def brute_characters(text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at, character in enumerate(text):
        before = text[at - 1] if at else ""
        flags = bool(before) and is_flag(before) and is_flag(character)
        joined = before == "\u200d" and not (character.isspace() or unicodedata.category(character)[0] in "ZC")
        if found and (extends(character) or joined or flags or before + character == "\r\n"):
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found


def brute_cover(
    texts: Sequence[str],
    size: int,
    by_character: bool = False,
    scopes: Sequence[object] | None = None,
    keep_none: bool = False,
) -> list[set[int]]:
    """For each text the places of the characters in windows that stand before without overlap.

    With `keep_none` in windows that stand before, or that stand behind and are the first of their kind.
    """
    first: dict[tuple[object, str], tuple[int, int, int]] = {}
    covered: list[set[int]] = [set() for _ in texts]
    for number, text in enumerate(texts):
        units = brute_characters(text) if by_character else brute_tokens(text)
        for at in range(len(units) - size + 1):
            start, end = units[at][0], units[at + size - 1][1]
            key = (scopes[number] if scopes else None, text[start:end])
            where = first.setdefault(key, (number, at, start))
            if where[0] != number or at - where[1] >= size:
                covered[number] |= set(range(start, end))
                if keep_none:
                    covered[where[0]] |= set(range(where[2], where[2] + end - start))
    return covered


def run(folder: Path, parts: Sequence[Sequence[str]], **options: Any) -> dict[str, Any]:
    """Write each part as a file and deduplicate all; the manifest."""
    for number, texts in enumerate(parts):
        write(folder / "in" / f"{number}.parquet", list(texts))
    return dedup_substrings([folder / "in"], folder / "out", workers=1, **options)


def check(
    folder: Path, parts: Sequence[Sequence[str]], covered: Sequence[set[int]], *, keep_none: bool = False
) -> int:
    """The output is the input without what is covered, and the spans are its evidence; the number of spans."""
    names = [f"{number}-{row}" for number, texts in enumerate(parts) for row in range(len(texts))]
    whole = dict(zip(names, (text for texts in parts for text in texts), strict=True))
    kept, removed, spans = (table(folder / "out", name) for name in ("documents", "removed", "spans"))
    left = dict(kept.select("id", "text").iter_rows()) if kept.width else {}
    gone = dict(removed.select("id", "text").iter_rows()) if removed.width else {}
    rows = spans.rows(named=True) if spans.width else []
    assert sorted([*left, *gone]) == sorted(names)
    for name, places in zip(names, covered, strict=True):
        own = [row for row in rows if row["id"] == name]
        assert {at for row in own for at in range(row["offset"], row["offset"] + row["length"])} == places, name
        assert sum(row["length"] for row in own) == len(places), "spans do not overlap"
        expected = "".join(character for at, character in enumerate(whole[name]) if at not in places)
        if name in gone:
            assert gone[name] == whole[name]
            assert len("".join(expected.split())) < LEAST_LEFT
        else:
            assert left[name] == expected
            assert (
                put_back(left[name], [row["offset"] for row in own], [row["text"] for row in own]) == whole[name]
            )
            assert not places or len("".join(expected.split())) >= LEAST_LEFT
        for row in own:
            there = whole[row["first_id"]][row["first_offset"] :][: row["length"]]
            assert row["text"] == whole[name][row["offset"] :][: row["length"]] == there
            where = names.index(row["first_id"]), row["first_offset"]
            assert where < (names.index(name), row["offset"]) or (keep_none and where[0] == names.index(name))
            assert row["kept"] == (name in left)
    return len(rows)


ALPHABETS = ("ab ", "ab .,-", "中文字 a", "a\u0301e\u3099か ", "\r\n a", "🏽👩\u200d 🇩🇪", "กิ า")
TEXTS = st.sampled_from(ALPHABETS).flatmap(
    lambda alphabet: st.lists(
        st.one_of(
            st.text(st.sampled_from(alphabet), max_size=40),
            st.text(st.sampled_from(alphabet), min_size=1, max_size=6).map(lambda text: text * 9),
        ),
        min_size=1,
        max_size=8,
    )
)


@SLOW
@given(TEXTS, st.integers(1, 12), st.booleans(), st.booleans(), st.sampled_from([1, 7, 50, 1 << 19]))
def test_like_a_dictionary_of_all_windows(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    size: int,
    by_character: bool,
    keep_none: bool,
    most: int,
) -> None:
    folder = tmp_path_factory.mktemp("run")
    parts = [texts[part::3] for part in range(3) if texts[part::3]]
    options = {"length_unit": "characters" if by_character else "tokens", "keep": "none" if keep_none else "first"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scans, "SEGMENT_KEYS", most)
        run(folder, parts, length_threshold=size, memory=1 << (10 + most % 9), **options)
    flat = [text for part in parts for text in part]
    check(folder, parts, brute_cover(flat, size, by_character, keep_none=keep_none), keep_none=keep_none)


@settings(SLOW, max_examples=8)
@given(TEXTS, st.integers(1, 5), st.booleans(), st.booleans())
def test_windows_with_equal_keys_and_different_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int, by_character: bool, keep_none: bool
) -> None:
    """With keys of two bits nearly all collide; the texts decide."""
    folder = tmp_path_factory.mktemp("run")

    def colliding(*arguments: Any) -> Any:
        windows = find_windows(*arguments)
        return windows._replace(keys=windows.keys & np.uint64(3))

    options = {"length_unit": "characters" if by_character else "tokens", "keep": "none" if keep_none else "first"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scans, "find_windows", colliding)
        run(folder, [texts], length_threshold=size, **options)
    check(folder, [texts], brute_cover(texts, size, by_character, keep_none=keep_none), keep_none=keep_none)


def sentence(draw: random.Random, words: int) -> str:
    return " ".join(f"w{draw.randrange(100_000)}" for _ in range(words))


def mixed(seed: int, documents: int = 40) -> list[str]:
    """Texts of which many share a passage of 30 to 80 words with others, some in Chinese."""
    draw = random.Random(seed)
    shared = [sentence(draw, draw.randrange(30, 80)) for _ in range(8)]
    shared += ["".join(chr(draw.randrange(0x4E00, 0x9FA5)) for _ in range(70)) for _ in range(4)]
    texts = []
    for _ in range(documents):
        parts = [sentence(draw, draw.randrange(5, 60)) for _ in range(3)]
        parts.insert(draw.randrange(4), draw.choice(shared))
        texts.append("\n\n".join(parts))
    return texts


def test_fifty_tokens_by_default(tmp_path: Path) -> None:
    texts = mixed(1)
    manifest = run(tmp_path, [texts[:15], texts[15:]])
    covered = brute_cover(texts, 50)
    spans = check(tmp_path, [texts[:15], texts[15:]], covered)
    assert spans == manifest["counts"]["spans"] > 10
    assert manifest["counts"]["characters_removed"] == sum(map(len, covered))
    assert manifest["counts"]["documents_cut"] == sum(map(bool, covered))
    assert manifest["parameters"]["length_threshold"] == 50


def test_one_token_less_is_no_span(tmp_path: Path) -> None:
    draw = random.Random(2)
    shared = sentence(draw, 49)
    texts = [f"{sentence(draw, 9)} a {shared} b", f"{sentence(draw, 9)} c {shared} d"]
    assert run(tmp_path / "one", [texts])["counts"]["spans"] == 0
    assert run(tmp_path / "two", [[text.replace("c", "a") for text in texts]])["counts"]["spans"] == 1


@pytest.mark.parametrize("windows", [63, 64, 65, 128])
def test_documents_that_fill_a_block(tmp_path: Path, windows: int) -> None:
    """Copies of two documents, one behind the other, are not copies of one longer document."""
    draw = random.Random(windows)
    texts = [sentence(draw, 49 + windows), sentence(draw, 49 + windows)] * 2
    run(tmp_path, [texts])
    check(tmp_path, [texts], brute_cover(texts, 50))


def test_nothing_matches_across_documents(tmp_path: Path) -> None:
    draw = random.Random(3)
    first, second = sentence(draw, 30), sentence(draw, 30)
    texts = [f"{first} {second}", f"x {first}", f"{second} y", f"{sentence(draw, 9)} {first} {second}"]
    run(tmp_path, [texts], remove="document")
    assert table(tmp_path / "out", "removed")["id"].to_list() == ["0-3"]


def test_remove_document(tmp_path: Path) -> None:
    texts = mixed(4)
    manifest = run(tmp_path, [texts], remove="document")
    covered = brute_cover(texts, 50)
    removed = table(tmp_path / "out", "removed")
    assert removed["id"].to_list() == [f"0-{row}" for row, places in enumerate(covered) if places]
    assert removed["text"].to_list() == [text for text, places in zip(texts, covered, strict=True) if places]
    assert manifest["reasons"] == {"repeated_span": removed.height}
    assert not table(tmp_path / "out", "spans")["kept"].any()
    documents = table(tmp_path / "out", "documents")["text"].to_list()
    assert documents == [text for text, places in zip(texts, covered, strict=True) if not places]


def test_scope(tmp_path: Path) -> None:
    texts = mixed(5)
    crawls = [["a", "b", None][row % 3] for row in range(len(texts))]
    write(tmp_path / "in" / "0.parquet", texts, id=[f"0-{row}" for row in range(len(texts))], crawl=crawls)
    dedup_substrings([tmp_path / "in"], tmp_path / "out", scope="crawl", workers=1)
    covered = brute_cover(texts, 50, scopes=crawls)
    assert 0 < sum(map(bool, covered)) < sum(map(bool, brute_cover(texts, 50)))
    check(tmp_path, [texts], covered)
    with pytest.raises(ZeroToOneError, match="no column `nothing`"):
        dedup_substrings([tmp_path / "in"], tmp_path / "two", scope="nothing", workers=1)
    assert not (tmp_path / "two").exists()


def test_what_repeats_itself(tmp_path: Path) -> None:
    """The first 50 stay; there is no quadratic work in the length of a run or the number of copies."""
    line = sentence(random.Random(6), 60)
    texts = ["a " * 300_000, "字" * 300_000, "=" * 300_000, *([f"{line}\n" * 20] * 400)]
    counts = run(tmp_path, [texts])["counts"]
    kept = table(tmp_path / "out", "documents")["text"].to_list()
    # One run of signs is one token.
    assert kept == ["a " * 50 + " ", "字" * 50, "=" * 300_000, f"{line}\n\n"]
    assert counts["documents_removed"] == 399
    # 50 tokens of the two runs each, and a line of the copies: not one for every window.
    assert counts["spans"] < 2 * 300_000 / 50 + 400 * 20 + 1_000
    characters = run(tmp_path / "two", [["-" * 1_000]], length_unit="characters")
    assert characters["counts"]["characters_removed"] == 950


def test_same_bytes_for_any_workers_and_memory_and_after_interruptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = mixed(7)
    monkeypatch.setattr(scans, "SEGMENT_KEYS", 200)
    for part in range(3):
        write(tmp_path / "in" / f"{part}.parquet", texts[part::3])
    dedup_substrings([tmp_path / "in"], tmp_path / "one", workers=1)
    expected = files(tmp_path / "one")
    assert {name.split("/")[0] for name in expected} == {"documents", "spans"}
    dedup_substrings([tmp_path / "in"], tmp_path / "small", workers=1, memory=40_000)
    assert files(tmp_path / "small") == expected
    # Workers have segments of the usual size, which must not matter either.
    dedup_substrings([tmp_path / "in"], tmp_path / "two", workers=2, memory=50_000)
    assert files(tmp_path / "two") == expected
    places = [
        (scans, "find_anchors", 5),
        (stages, "find_repeats", 2),
        (scans, "find_windows", 5),
        (evidence, "disjoint", 2),
        (module, "_write_frame", 3),
        (Claim, "write_manifest", 1),
        (module, "remove_stages", 1),
    ]
    run = partial(dedup_substrings, [tmp_path / "in"], workers=1)
    again = partial(run, memory=100_000)
    check_interruptions(tmp_path, monkeypatch, places, partial(run, memory=200_000), again, expected, "spans")


def test_ids_and_broken_records(tmp_path: Path) -> None:
    """Two documents may have one id; a broken record is set aside, and the others keep their places."""
    texts = mixed(8, 6)
    texts.append(f"{texts[0]} end of it")
    rows = [{"id": "same", "text": text, "stars": row} for row, text in enumerate(texts)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / "in.jsonl").write_text("\n".join([lines[0], "{broken", *lines[1:]]) + "\n", encoding="utf-8")
    manifest = dedup_substrings([tmp_path / "in.jsonl"], tmp_path / "out", workers=1)
    assert manifest["counts"]["set_aside"] == 1
    assert manifest["reasons"] == {"nothing_left": 1}
    assert table(tmp_path / "out", "removed")["stars"].to_list() == [6]
    last = table(tmp_path / "out", "spans").filter(~pl.col("kept"))
    assert "".join(last["text"]) == texts[0]


def test_input_that_changes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = mixed(9, 6)
    with monkeypatch.context() as patch:
        fail_on_call(patch, scans, "find_windows", 1)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, [texts])
    write(tmp_path / "in" / "0.parquet", texts[:-1])
    with pytest.raises(ZeroToOneError, match="its input has changed"):
        dedup_substrings([tmp_path / "in"], tmp_path / "out", workers=1)


def test_explain_and_report(tmp_path: Path) -> None:
    texts = [text.replace("\n\n", " <script> ") for text in mixed(10)]
    run(tmp_path, [texts])
    spans = table(tmp_path / "out", "spans")
    name = spans["id"][-1]
    own = spans.filter(id=name).to_dicts()
    finding = explain_document(name, [tmp_path / "out"])[-1]
    places = ("offset", "length", "first_id", "first_offset")
    assert [[row[key] for key in places] for row in finding.spans] == [[row[key] for key in places] for row in own]
    assert own[0]["text"].startswith(finding.spans[0]["text"][:100])
    outcome = call("corpus", "explain", name, tmp_path / "out")
    assert (outcome.status, "repeated spans" in outcome.out) == (0, True)
    write_report([tmp_path / "out"], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"out: {spans.height:,} spans" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"length_threshold": 0},
        {"length_threshold": 10**9},
        {"length_unit": "bytes"},
        {"remove": "line"},
        {"keep": "longest"},
    ],
)
def test_wrong_arguments(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = write(tmp_path / "a.parquet", ["some text"])
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", "-")):
        dedup_substrings([path], tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_no_documents(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("{broken\n")
    with pytest.raises(ZeroToOneError, match="no documents to read"):
        dedup_substrings([tmp_path / "in.jsonl"], tmp_path / "out", workers=1)
