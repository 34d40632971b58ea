"""Evaluation items in documents: against a search in plain Python, at the right places, and never invented."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.contamination.decontaminate import LEAST_LEFT, cut, decontaminate_documents
from corpus.contamination.items import TOGETHER, read_evaluation
from corpus.contamination.ngrams import build_index, checkable, find_hits, find_tokens
from corpus.core.errors import UsageError, ZeroToOneError

QUESTION = (
    "Mira's bakery sells 24 rolls a day; each of them costs 3 coins. How many coins does it take in over one week?"
)
FRAGE = "某工厂每天生产二百四十个零件，其中百分之五不合格，请问一周共有多少个合格的零件？"
PROSE = "The harbour lay quiet under the long grey rain while the boats rocked against the old stone wall. " * 6
PROSA = "清晨的雾气慢慢散去，山谷里的村庄渐渐显露出来，老人牵着牛走过石桥，孩子们在河边洗菜。" * 6


# --- plain Python: what a hit is, without hashes -------------------------------------------------------------


def plain_tokens(text: str) -> list[tuple[str, int, int, int]]:
    """(word, weight, first, end); for the characters that these tests use."""
    found = []
    for match in re.finditer(r"[一-鿿]|[ぁ-ヿ]|[a-z0-9'’]+", text.lower()):
        word = re.sub("['’]", "", match[0])
        first, end = match.span()
        lead, trail = len(match[0]) - len(match[0].lstrip("'’")), len(match[0]) - len(match[0].rstrip("'’"))
        if word:
            weight = 13 if "一" <= word <= "鿿" else 7 if "ぁ" <= word <= "ヿ" else 20
            found.append((word, weight, first + lead, end - trail))
    return found


def plain_gram(tokens: list[Any], at: int, least: int) -> tuple[str, ...] | None:
    weight = 0
    for end in range(at, len(tokens)):
        weight += tokens[end][1]
        if weight >= least:
            return tuple(word for word, *_ in tokens[at : end + 1])
    return None


def plain_grams(text: str, n: int) -> set[tuple[str, ...]]:
    tokens = plain_tokens(text)
    grams = {gram for at in range(len(tokens)) if (gram := plain_gram(tokens, at, 20 * n))}
    if not grams and sum(token[1] for token in tokens) >= 20 * min(n, 8):
        grams = {tuple(token[0] for token in tokens)}
    return {gram for gram in grams if not all(re.fullmatch("[0-9]+|[a-z]", word) for word in gram)}


def plain_hits(text: str, pieces: list[str], n: int) -> set[tuple[int, int, int, int, float]]:
    tokens = plain_tokens(text)
    words = tuple(token[0] for token in tokens)
    stretches: list[list[int]] = []
    for number, piece in enumerate(pieces):
        grams, last = plain_grams(piece, n), None
        for at in range(len(words)):
            longest = max((len(gram) for gram in grams if words[at : at + len(gram)] == gram), default=0)
            matching = sum(words[at : at + len(gram)] == gram for gram in grams)
            if not longest:
                continue
            if last is not None and last[2] >= at:
                last[2], last[3] = max(last[2], at + longest), last[3] + matching
            else:
                last = [number, at, at + longest, matching]
                stretches.append(last)
    told = set()
    for number, first, end, matching in stretches:
        share = min(1.0, (end - first) / len(plain_tokens(pieces[number])))
        inside = any(
            other[1] <= first and end <= other[2] and other[2] - other[1] > end - first for other in stretches
        )
        if share == 1.0 or not inside:
            told.add((number, tokens[first][2], tokens[end - 1][3], matching, share))
    return told


WORDS = ["a", "B2", "it's", "10", "7", "。", "我", "们", "好", "の", "ン", " , "]


def all_of(pieces: list[str]) -> npt.NDArray[np.bool_]:
    return np.ones(len(pieces), dtype=np.bool_)


texts = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=4), st.integers(1, 10))
def test_hits_are_those_of_a_plain_search(documents: list[str], pieces: list[str], n: int) -> None:
    documents = [*documents, documents[0] + " " + pieces[0] + " " + documents[-1]]
    found = find_hits(documents, build_index(pieces, n, all_of(pieces)))
    for number, document in enumerate(documents):
        here = [(hit.piece, hit.first, hit.end, hit.grams, hit.share) for hit in found if hit.text == number]
        assert len(here) == len(set(here))
        assert set(here) == plain_hits(document, pieces, n)
    assert checkable(pieces, n, all_of(pieces)).tolist() == [bool(plain_grams(piece, n)) for piece in pieces]


@settings(max_examples=200, deadline=None)
@given(texts, st.lists(texts, min_size=1, max_size=4), st.integers(1, 10))
def test_a_cut_takes_the_hits_and_nothing_else(document: str, pieces: list[str], n: int) -> None:
    hits = find_hits([document], build_index(pieces, n, all_of(pieces)))
    within = {at for hit in hits for at in range(hit.first, hit.end)}
    assert cut(document, hits) == "".join(character for at, character in enumerate(document) if at not in within)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_words_stand_where_they_were_found(text: str) -> None:
    tokens = find_tokens([text])
    for word in range(tokens.starts.size):
        place = text[tokens.starts[word] : tokens.ends[word]]
        folded = "".join(map(chr, tokens.folded[tokens.bounds[word] : tokens.bounds[word + 1]]))
        assert 1 <= len(folded) <= len(place)
        assert all(unicodedata.category(character)[0] in "LMN" for character in folded)


# --- what counts as the same ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        QUESTION,
        QUESTION.upper(),
        QUESTION.replace("'", "’").replace(";", " --").replace(" ", "\n"),
        re.sub("[a-z0-9]", lambda match: chr(ord(match[0]) + 0xFEE0), QUESTION),
        unicodedata.normalize("NFD", QUESTION.replace("coins", "çoins")),
    ],
)
def test_case_punctuation_width_and_accents_do_not_hide_an_item(written: str) -> None:
    hit = find_hits([f"Well: {written} Who knows"], build_index([QUESTION], 13, all_of([QUESTION])))[0]
    assert (hit.first, hit.end, hit.share) == (6, 6 + len(written) - 1, 1.0)  # without the question mark


def test_lengths_that_are_enough_and_not() -> None:
    english = "one two three four five six seven eight nine ten eleven twelve thirteen"
    chinese = PROSA.replace("，", "").replace("。", "")
    pieces = [f"{english} fourteen", chinese[:30]]
    index = build_index(pieces, 13, all_of(pieces))
    assert find_hits([english], index)
    assert not find_hits([english.removesuffix(" thirteen")], index)
    assert find_hits([chinese[:20]], index)
    assert not find_hits([chinese[:19]], index)


@pytest.mark.parametrize(
    ("text", "alone", "as_part"),
    [
        ("one two three four five six seven", False, False),
        ("one two three four five six seven eight", True, False),
        ("one two three four five six seven eight nine ten eleven twelve thirteen", True, True),
        ("春眠不觉晓，处处闻啼鸟，夜来", False, False),
        ("春眠不觉晓，处处闻啼鸟，夜来风", True, False),
        ("春眠不觉晓，处处闻啼鸟，夜来风雨声，花落知多少", True, True),
        ("1 2 3 4 5 6 7 8 9 10 11 12 13 14", False, False),
        ("a b c d e f g h i j k l m n 1 2 3", False, False),
        ("hex 2 3 4 5 6 7 8 9 a b c d", True, True),
    ],
)
def test_what_is_long_enough_to_be_evidence(text: str, alone: bool, as_part: bool) -> None:
    assert checkable([text], 13, all_of([text])).tolist() == [alone]
    assert checkable([text], 13, ~all_of([text])).tolist() == [as_part]


# --- the step ------------------------------------------------------------------------------------------------


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    folder = tmp_path / "eval"
    folder.mkdir()
    rows: list[dict[str, object]] = [
        {"question": QUESTION, "answer": "504"},
        {"question": "How many?", "answer": "3"},
    ]
    (folder / "english.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pl.DataFrame({"id": ["z9"], "question": [FRAGE], "A": ["一千"], "answer": ["A"]}).write_parquet(
        folder / "chinese.parquet"
    )
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    rows = {
        "plain": PROSE + PROSA,
        "english": f"{PROSE}\n{QUESTION.upper()}\n{PROSE}",
        "chinese": f"{PROSA}\n{FRAGE}\n{PROSA}",
        "both": f"{FRAGE} {PROSE} {QUESTION} {PROSA}",
        "short": f"Test: {QUESTION}",
        "empty": "",
    }
    for part in range(3):
        frame = pl.DataFrame({"id": [f"{part}-{name}" for name in rows], "text": rows.values(), "mine": 7})
        frame.write_parquet(tmp_path / "in" / f"{part}.parquet")
    return tmp_path / "in"


def table(directory: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(directory / name / "*.parquet")


def tree(directory: Path) -> dict[str, bytes]:
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_documents_with_items_are_removed_and_every_hit_told(
    source: Path, evaluation: Path, tmp_path: Path
) -> None:
    manifest = decontaminate_documents([source], tmp_path / "out", [evaluation], workers=1)
    before = {row["id"]: row["text"] for row in pl.read_parquet(source / "*.parquet").iter_rows(named=True)}
    documents, removed = table(tmp_path / "out", "documents"), table(tmp_path / "out", "removed")
    assert {name.partition("-")[2] for name in documents["id"]} == {"plain", "empty"}
    assert {*documents["id"], *removed["id"]} == set(before)
    assert all(before[row["id"]] == row["text"] for row in [*documents.to_dicts(), *removed.to_dicts()])
    assert set(removed["reason"]) == {"contaminated"}
    assert set(removed["mine"]) == {7}
    found = {
        (name, row["file"], row["item"], before[name][row["offset"] :][: row["length"]])
        for row in table(tmp_path / "out", "ledger").to_dicts()
        if (name := row["id"]).startswith("1-")
    }
    english, chinese = ("eval/english.jsonl", "0"), ("eval/chinese.parquet", "z9")
    assert found == {
        ("1-english", *english, QUESTION.upper()[:-1]),
        ("1-chinese", *chinese, FRAGE[:-1]),
        ("1-both", *english, QUESTION[:-1]),
        ("1-both", *chinese, FRAGE[:-1]),
        ("1-short", *english, QUESTION[:-1]),
    }
    counts = manifest["counts"]
    assert (counts["documents_in"], counts["documents_kept"], counts["documents_removed"]) == (18, 6, 12)
    assert manifest["reasons"] == {"contaminated": 12}
    assert (counts["hits:eval/english.jsonl"], counts["hits:eval/chinese.parquet"]) == (9, 6)
    files = {file["name"]: (file["items"], file["uncheckable"]) for file in manifest["parameters"]["against"]}
    assert files == {"eval/chinese.parquet": (1, 0), "eval/english.jsonl": (2, 1)}


def test_only_the_stretch_is_cut(source: Path, evaluation: Path, tmp_path: Path) -> None:
    manifest = decontaminate_documents([source], tmp_path / "out", [evaluation], remove="span", workers=1)
    documents = dict(table(tmp_path / "out", "documents").select("id", "text").iter_rows())
    assert documents["0-english"] == f"{PROSE}\n?\n{PROSE}"
    assert documents["0-chinese"] == f"{PROSA}\n？\n{PROSA}"
    assert documents["0-both"] == f"？ {PROSE} ? {PROSA}"
    assert documents["0-plain"] == PROSE + PROSA
    removed = table(tmp_path / "out", "removed")
    assert dict(removed.select("id", "text").iter_rows())["0-short"] == f"Test: {QUESTION}"
    assert removed.height == 3
    assert len("Test: ?") < LEAST_LEFT
    ledger = table(tmp_path / "out", "ledger")
    assert set(ledger.filter(~pl.col("kept"))["id"]) == set(removed["id"])
    cut = 3 * (2 * len(QUESTION[:-1]) + 2 * len(FRAGE[:-1]))
    assert (manifest["counts"]["documents_cut"], manifest["counts"]["characters_cut"]) == (9, cut)


@pytest.mark.parametrize("remove", ["document", "span"])
def test_the_same_bytes_for_any_number_of_workers(
    remove: str, source: Path, evaluation: Path, tmp_path: Path
) -> None:
    for workers in (1, 2):
        decontaminate_documents([source], tmp_path / str(workers), [evaluation], remove=remove, workers=workers)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


# --- evaluation files ----------------------------------------------------------------------------------------


def write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_fields_of_an_item(tmp_path: Path) -> None:
    long, short = (
        "with as many words as a gram needs in the text of its field",
        "as short as a saying, but eight words",
    )
    rows = [
        {
            "task_id": "T/0",
            "prompt": f"prompt {long}",
            "canonical_solution": f"code {long}",
            "note": f"note {long}",
        },
        {"question": "Which one?", "choices": {"text": [f"first {long}", short], "label": ["A", "B"]}},
        {"question": "城市里最高的楼", "A": "东方塔楼", "B": "西方塔楼", "answer": "A"},
        {"question": "Why?", "answer": 4},
    ]
    path = write(tmp_path / "e.jsonl", *rows)
    found = read_evaluation(path, "e", [], 13)
    told = [(piece.item, piece.row, piece.field, piece.text) for piece in found.pieces]
    assert told == [
        ("T/0", 0, "prompt", f"prompt {long}"),
        ("T/0", 0, "canonical_solution", f"code {long}"),
        ("1", 1, "choices", f"first {long}"),
        ("2", 2, TOGETHER, " 城市里最高的楼 A 东方塔楼 B 西方塔楼"),
    ]
    assert (found.items, found.uncheckable) == (4, 1)
    named = read_evaluation(path, "e", ["note"], 13)
    assert [(piece.field, piece.text) for piece in named.pieces] == [("note", f"note {long}")]
    assert (named.items, named.uncheckable) == (4, 3)


def test_files_of_the_same_name_and_deep_nesting(source: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    deep = "[" * 900 + json.dumps(FRAGE) + "]" * 900
    (tmp_path / "a/test.jsonl").write_text(f'{{"question": {deep}}}\n', encoding="utf-8")
    write(tmp_path / "b/test.jsonl", {"question": QUESTION})
    against = [str(tmp_path / name / "test.jsonl") for name in ("a", "b")]
    decontaminate_documents([source], tmp_path / "out", against, workers=1)
    ledger = table(tmp_path / "out", "ledger")
    assert set(ledger.filter(pl.col("id").str.ends_with("english"))["file"]) == {against[1]}
    assert set(ledger.filter(pl.col("id").str.ends_with("chinese"))["file"]) == {against[0]}


def test_paragraphs_of_a_text_file_are_items(tmp_path: Path) -> None:
    (tmp_path / "e.txt").write_text(f"\n\n{QUESTION}\n\nshort\n \n{FRAGE}\nmore\n", encoding="utf-8")
    found = read_evaluation(str(tmp_path / "e.txt"), "e", [], 13)
    assert [(piece.row, piece.text) for piece in found.pieces] == [(0, QUESTION), (2, f"{FRAGE}\nmore")]
    assert (found.items, found.uncheckable) == (3, 1)


def test_unusable_evaluation_files(source: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_bytes(b'{"question": "a"}\n{"ques')
    (tmp_path / "list.jsonl").write_bytes(b"[1]\n")
    (tmp_path / "page.html").write_bytes(b"<p>x")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    write(tmp_path / "other.jsonl", {"content": QUESTION})
    write(tmp_path / "short.jsonl", {"question": "Why?"})
    for name, message in {
        "missing.jsonl": "no such file",
        "broken.jsonl": "broken.jsonl:2: not valid JSON",
        "list.jsonl": "list.jsonl:1: not a JSON object",
        "page.html": "evaluation items are read from JSONL, Parquet and text files",
        "latin.txt": "not UTF-8 at byte 3",
        "cut.parquet": "not a readable Parquet file",
        "other.jsonl": "no field of the known names .*; its items have content",
        "short.jsonl": "no item is long enough to be found",
    }.items():
        with pytest.raises(ZeroToOneError, match=message) as error:
            decontaminate_documents([source], tmp_path / "out", [tmp_path / name], workers=1)
        assert name in str(error.value)
    for wrong in ({"ngram": 0}, {"remove": "word"}):
        with pytest.raises(UsageError):
            decontaminate_documents([source], tmp_path / "out", [tmp_path / "short.jsonl"], **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
