"""Perplexity under KenLM models: the number, columns, buckets; and that no number of workers changes a byte."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.filtering.filter import filter_documents
from corpus.filtering.what_if import ask, compare
from corpus.quality.ccnet_text import normalize
from corpus.quality.language_model import LanguageModel, load_language_model, load_tokenizer
from corpus.quality.perplexity import PerplexityOptions, add_perplexities
from tests.corpus.language_models import log_probability, train_sentencepiece, write_arpa
from tests.corpus.test_quality_score import table, tree
from tests.programs import start, write_jsonl

PROSE = (
    "The river runs under old trees where foxes sleep and birds sing near the water in the morning. "
    "Nobody knows how many years the stone bridge has stood there, nor who built it first. "
    "In autumn the leaves fall into the stream and drift away towards the distant sea. "
    "Children throw small stones from the bank and count the rings that spread and fade. "
)


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_arpa(tmp_path_factory.mktemp("arpa") / "tiny.arpa")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sentences = [normalize(part) for part in PROSE.split(". ") if part]
    return train_sentencepiece(tmp_path_factory.mktemp("pieces") / "en.sp.model", sentences, 60)


def words(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Documents of the words a, b and c, in English, Chinese and an unknown language."""
    draw = random.Random(seed)
    return [
        {
            "id": f"d{number}",
            "text": "\n".join(" ".join(draw.choices("abc", k=draw.randrange(6))) for _ in range(3)),
            "lang": draw.choice(["en", "en", "en-GB", "zh", None]),
            "mine": number,
        }
        for number in range(count)
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = words(90)
    (tmp_path / "source").mkdir()
    for part in range(3):
        write_jsonl(tmp_path / "source" / f"{part}.jsonl", [*rows[part::3]])
    return tmp_path / "source"


def test_worked_by_hand(arpa: Path) -> None:
    """Trigram, bigram with back-off, unknown word, several lines, nothing to score."""
    model = LanguageModel(str(arpa), "")
    found = model.perplexities(["a b", "b a", "A\n\n  b  a\n", "zzz", "", "\n \n"])
    exponents: list[float | None] = [
        # a|<s> -.1; b|<s> a -.05; </s>|a b: b(a b) -.35, then </s>|b -.15
        (0.1 + 0.05 + 0.35 + 0.15) / 3,
        # b|<s>: b(<s>) -.3, b -.6; a|b -.8; </s>|b a: b(b a) -.1, b(a) -.2, </s> -.7
        (0.9 + 0.8 + 1.0) / 3,
        # the line "a": a|<s> -.1; </s>: b(<s> a) -.15, b(a) -.2, </s> -.7; then the line "b a"
        (0.1 + 1.05 + 2.7) / 5,
        # <unk>: b(<s>) -.3, -1.5; </s> -.7
        (1.8 + 0.7) / 2,
        None,
        None,
    ]
    for value, exponent in zip(found, exponents, strict=True):
        assert value == (None if exponent is None else pytest.approx(10**exponent, rel=1e-5))


@given(lines=st.lists(st.lists(st.sampled_from(["a", "b", "c"]), max_size=8), max_size=5))
def test_the_definition_of_back_off_and_of_perplexity(arpa: Path, lines: list[list[str]]) -> None:
    (found,) = LanguageModel(str(arpa), "").perplexities(["\n".join(map(" ".join, lines))])
    scored = [line for line in lines if line]
    if not scored:
        assert found is None
        return
    total = sum(log_probability(line) for line in scored)
    assert found == pytest.approx(10 ** (-total / sum(len(line) + 1 for line in scored)), rel=1e-4)


TEXT = "Nobody knows 12 bridges…\nThe río runs.\n\nChildren throw STONES"


@pytest.mark.parametrize("by_line", [True, False])
def test_with_a_tokenizer(by_line: bool, pieces: Path, tmp_path: Path) -> None:
    """SentencePiece's pieces of the normalised lines; by document all lines run together, as in CCNet's code."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    draw = random.Random(1)
    vocabulary = [processor.id_to_piece(number) for number in range(3, processor.vocab_size())]
    ngrams = {("<unk>",): (-4.0, 0.0), ("<s>",): (-99.0, -0.2), ("</s>",): (-1.0, 0.0)}
    ngrams |= {(piece,): (round(-1 - 2 * draw.random(), 3), -0.25) for piece in vocabulary}
    ngrams |= dict.fromkeys(pairwise(vocabulary), (-0.5, 0.0))
    arpa = write_arpa(tmp_path / "pieces.arpa", ngrams)
    model = LanguageModel(str(arpa), "", str(pieces), "", by_line=by_line)
    expected_lines = (
        ["nobody knows 00 bridges...", "the rio runs.", "children throw stones"]
        if by_line
        else ["nobody knows 00 bridges...the rio runs.children throw stones"]
    )
    tokens = [processor.encode(line, out_type=str) for line in expected_lines]
    total = sum(log_probability(line, ngrams) for line in tokens)
    assert model.perplexities([TEXT])[0] == pytest.approx(
        10 ** (-total / sum(len(line) + 1 for line in tokens)), rel=1e-4
    )


def test_without_normalisation_case_counts(arpa: Path) -> None:
    assert LanguageModel(str(arpa), "").perplexities(["A b"]) == LanguageModel(str(arpa), "").perplexities(["a b"])
    (plain,) = LanguageModel(str(arpa), "", normalized=False).perplexities(["A b"])
    assert plain == pytest.approx(10 ** (-log_probability(["A", "b"]) / 3), rel=1e-5)


def test_chinese_words_are_jiebas(tmp_path: Path) -> None:
    ngrams = {("<unk>",): (-9.0, 0.0), ("<s>",): (-99.0, 0.0), ("</s>",): (-0.5, 0.0)}
    ngrams |= {(word,): (-1.0, 0.0) for word in ("我", "来到", "北京", ".")} | {("<s>", "我"): (-0.25, 0.0)}
    arpa = write_arpa(tmp_path / "zh.arpa", ngrams)
    (found,) = LanguageModel(str(arpa), "").perplexities(["我来到北京。"])
    assert found == pytest.approx(10 ** ((0.25 + 1 + 1 + 1 + 0.5) / 5), rel=1e-5)


def test_strange_texts(arpa: Path, pieces: Path) -> None:
    """Marks of the model's own, control characters and lone surrogates in a text break nothing."""
    texts = ["<s> a </s>", "<unk>", "a\x00b", "\ud800", "\u2028\xa0", "a" * 3_000_000]
    for model in (
        LanguageModel(str(arpa), ""),
        LanguageModel(str(arpa), "", normalized=False),
        LanguageModel(str(arpa), "", str(pieces), ""),
    ):
        values = model.perplexities([text.encode("utf-8", "replace").decode() for text in texts])
        assert all(value is None or 1 <= value < 10**9 for value in values)


def options(arpa: Path, *more: str, **other: Any) -> PerplexityOptions:
    return PerplexityOptions([f"en={arpa}", *more], **other)


def test_columns_and_buckets(source: Path, arpa: Path, tmp_path: Path) -> None:
    manifest = add_perplexities([source], tmp_path / "out", options(arpa), workers=1)
    found = table(tmp_path / "out", "documents")
    assert (found.height, found["mine"].sum(), not (tmp_path / "out" / "removed").exists()) == (90, 4005, True)
    scored = found.filter(pl.col("perplexity").is_not_null())
    assert set(scored["lang"]) == {"en", "en-GB"}
    for text, value in scored.select("text", "perplexity").iter_rows():
        lines = [line.split() for line in text.split("\n") if line]
        total = sum(log_probability(line) for line in lines)
        assert value == pytest.approx(10 ** (-total / sum(len(line) + 1 for line in lines)), rel=1e-4)
    limits = [scored["perplexity"].quantile(share, "linear") for share in (0.3, 0.6)]
    assert list(manifest["cut_offs"]["en"].values()) == pytest.approx(limits)
    for bucket, low, high in (("head", 0, limits[0]), ("middle", *limits), ("tail", limits[1], math.inf)):
        values = scored.filter(pl.col("perplexity_bucket") == bucket)["perplexity"]
        assert values.len() > 5
        assert low - 1e-9 <= values.min() <= values.max() <= high + 1e-9  # type: ignore[operator]
    others = found.filter(pl.col("perplexity").is_null())["perplexity_bucket"]
    assert set(others) == {"all"}
    assert sum(count for buckets in manifest["buckets"].values() for count in buckets.values()) == 90
    assert manifest["buckets"]["zh"] == {"all": found.filter(pl.col("lang") == "zh").height}


@pytest.mark.parametrize("keep", [[], ["head", "middle"], ["tail", "all"]])
def test_the_same_bytes_for_any_number_of_workers(
    keep: list[str], source: Path, arpa: Path, tmp_path: Path
) -> None:
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        add_perplexities([source], out, options(arpa, keep=keep), workers=workers)
    assert tree(tmp_path / "out1") == tree(tmp_path / "out2")
    assert (tmp_path / "out1" / "cutoffs.csv").read_bytes() == (tmp_path / "out2" / "cutoffs.csv").read_bytes()
    manifest = json.loads((tmp_path / "out1" / "manifest.json").read_text())
    kept, removed = table(tmp_path / "out1", "documents"), table(tmp_path / "out1", "removed")
    assert kept.height + removed.height == 90 == manifest["counts"]["documents_in"]
    if keep:
        assert set(kept["perplexity_bucket"]) == set(keep)
        assert set(removed["perplexity_bucket"]) == {"head", "middle", "tail", "all"} - set(keep)
        assert (removed["reason"] == "perplexity_" + removed["perplexity_bucket"]).all()
        assert manifest["reasons"] == dict(removed["reason"].value_counts().iter_rows())


def test_the_cut_offs_of_an_earlier_run_give_its_buckets(source: Path, arpa: Path, tmp_path: Path) -> None:
    """In one pass, with nothing but the table: on the same documents, and a part of them."""
    add_perplexities([source], tmp_path / "first", options(arpa, percentiles=(20, 50)), workers=1)
    again = options(arpa, percentiles=(20, 50), cut_offs=str(tmp_path / "first" / "cutoffs.csv"))
    add_perplexities([source], tmp_path / "all", again, workers=1)
    assert tree(tmp_path / "all") == tree(tmp_path / "first")
    add_perplexities([source / "1.jsonl"], tmp_path / "part", again, workers=1)
    first = table(tmp_path / "first", "documents").filter(pl.col("source").str.ends_with("1.jsonl"))
    assert table(tmp_path / "part", "documents")["perplexity_bucket"].equals(first["perplexity_bucket"])


def test_a_gzipped_model_and_one_for_all_languages(source: Path, arpa: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.arpa.gz").write_bytes(gzip.compress(arpa.read_bytes()))
    packed = PerplexityOptions([f"{tmp_path / 'tiny.arpa.gz'}"])
    manifest = add_perplexities([source], tmp_path / "out", packed, workers=2)
    add_perplexities([source], tmp_path / "plain", PerplexityOptions([str(arpa)]), workers=1)
    assert tree(tmp_path / "out") == tree(tmp_path / "plain")
    assert list(manifest["cut_offs"]) == ["any"]
    assert table(tmp_path / "out", "documents")["perplexity"].null_count() < 5  # of texts without words
    assert [path.name for path in (tmp_path / "out" / ".state").iterdir() if path.is_dir()] == []


def _killed(command: list[object], ready: Callable[[], bool]) -> None:
    process = start(*map(str, command))
    deadline = time.monotonic() + 60
    while not ready() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_killed_in_either_pass_and_run_again(arpa: Path, tmp_path: Path) -> None:
    for part in range(8):
        write_jsonl(tmp_path / f"{part}.jsonl", [*words(400, part)])
    sources, out = [*sorted(tmp_path.glob("*.jsonl"))], tmp_path / "out"
    command = ["corpus", "quality", "perplexity", *sources, "--model", f"en={arpa}", "--workers", 2, "-o", out]
    _killed(command, lambda: any(out.glob(".state/perplexities/unit-*.parquet")))
    assert not (out / "manifest.json").exists()
    _killed(command, lambda: any(out.glob(".state/unit-*.json")))
    add_perplexities(sources, out, options(arpa), workers=2)
    add_perplexities(sources, tmp_path / "whole", options(arpa), workers=1)
    assert tree(out) == tree(tmp_path / "whole")
    assert (out / "cutoffs.csv").read_bytes() == (tmp_path / "whole" / "cutoffs.csv").read_bytes()


def test_rules_and_what_if_on_perplexity(source: Path, arpa: Path, tmp_path: Path) -> None:
    """A rule on the column decides as a comparison does, and what-if moves its threshold."""
    add_perplexities([source], tmp_path / "scored", options(arpa), workers=1)
    (tmp_path / "mine.yaml").write_text(
        'name: mine\nrules:\n  - {name: fluent, signal: column.perplexity, comparison: "<=", threshold: 4}\n'
    )
    filter_documents([tmp_path / "scored"], tmp_path / "filtered", [str(tmp_path / "mine.yaml")], workers=1)
    kept = table(tmp_path / "filtered", "documents")
    scored = table(tmp_path / "scored", "documents")
    low = scored.filter(pl.col("perplexity").is_null() | (pl.col("perplexity") <= 4))
    assert 0 < kept.height < 90
    assert set(kept["id"]) == set(low["id"])  # a document without a perplexity passes
    numbers = compare(ask(tmp_path / "filtered" / "ledger", [], ["fluent=3"], []))
    lower = scored.filter(pl.col("perplexity").is_null() | (pl.col("perplexity") <= 3))
    assert numbers["kept_now"] == lower.height < kept.height


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"keep": ["best"]}, "unknown bucket `best`"),
    ({"percentiles": [60, 30]}, "--percentiles"),
    ({"name": " "}, "--name must not be empty"),
    ({"name": "mine"}, "has such a column"),
    ({"tokenizers": ["zh=x.model"]}, "no --model for this language"),
    ({"models": []}, "--model names a language model"),
    ({"models": ["en=x", "en=y"]}, "a second file for en"),
    ({"models": ["en="]}, "write LANG=FILE"),
]


@pytest.mark.parametrize(("wrong", "told"), WRONG)
def test_wrong_usage(wrong: dict[str, Any], told: str, source: Path, arpa: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        add_perplexities(
            [source], tmp_path / "out", PerplexityOptions(**{"models": [f"en={arpa}"], **wrong}), workers=1
        )
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_models(source: Path, arpa: Path, tmp_path: Path) -> None:
    content = arpa.read_bytes()
    files = {
        "empty.arpa": (b"", "empty file"),
        "cut.arpa": (content[:-20], "not a readable KenLM model: "),
        "noise.arpa": (random.Random(0).randbytes(3000), "KenLM model"),
        "text.arpa": (b"hello\n", 'first non-empty line was "hello"'),
        "cut.arpa.gz": (gzip.compress(content)[:-30], "truncated or damaged gzip"),
        "text.arpa.gz": (gzip.compress(b"hello\n"), 'first non-empty line was "hello"'),
    }
    for name, (data, told) in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ZeroToOneError) as error:
            add_perplexities(
                [source], tmp_path / f"out-{name}", PerplexityOptions([str(tmp_path / name)]), workers=1
            )
        assert told in str(error.value), name
    for name in ("noise.arpa", "empty.arpa", "missing"):
        tokenized = options(arpa, tokenizers=[f"en={tmp_path / name}"])
        with pytest.raises(ZeroToOneError, match=name):
            add_perplexities([source], tmp_path / "out", tokenized, workers=1)
    for name in ("missing", "noise.arpa"):
        with pytest.raises(ZeroToOneError, match=name):
            add_perplexities([source], tmp_path / "out", options(arpa, cut_offs=str(tmp_path / name)), workers=1)
    assert not (tmp_path / "out").exists()


def test_no_document_in_the_models_language(source: Path, arpa: Path, tmp_path: Path) -> None:
    told = r"language of --model \(fr\); their languages: en \d+, .*none \d+.*--model FILE without LANG= takes all"
    with pytest.raises(ZeroToOneError, match=told):
        add_perplexities([source], tmp_path / "out", PerplexityOptions([f"fr={arpa}"]), workers=1)


def test_nothing_left_says_why(source: Path, arpa: Path, tmp_path: Path) -> None:
    (tmp_path / "cutoff.csv").write_text(",en\n30,1\n60,1\n")
    none = options(arpa, keep=["head"], cut_offs=str(tmp_path / "cutoff.csv"))
    with pytest.raises(
        ZeroToOneError, match=r"no documents left; perplexity_all took \d+, perplexity_tail took \d+"
    ):
        add_perplexities([source], tmp_path / "out", none, workers=1)


@pytest.mark.parametrize("package", ["kenlm", "sentencepiece"])
def test_a_missing_extra_is_named(
    package: str, source: Path, arpa: Path, pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_language_model.cache_clear()
    load_tokenizer.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ZeroToOneError, match=r"needs the extra: pip install 'zero-to-one\[kenlm\]'"):
        add_perplexities([source], tmp_path / "out", options(arpa, tokenizers=[f"en={pieces}"]), workers=1)
