"""Bad input to every verb: one line that names the file and the place, the right exit status, no traceback."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.programs import (
    FILES,
    ONE,
    PROGRAMS,
    SMALL,
    WRITING,
    Outcome,
    asking,
    call,
    conversations,
    crawl,
    documents,
    writing_verbs,
)


def lines(rows: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


DOCUMENTS = lines(documents(60))


def parquet(**columns: object) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer)
    return bytes(buffer.getvalue())


def arrow(**columns: object) -> bytes:
    buffer = pa.BufferOutputStream()
    table = pa.table(columns)
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return bytes(buffer.getvalue())


def damaged_parquet() -> bytes:
    data = bytearray(parquet(text=[row["text"] for row in documents(60)]))
    data[100:300] = bytes(200)
    return bytes(data)


# name, content, what the message says; verbs of documents end with status 1
UNREADABLE: list[tuple[str, bytes, str]] = [
    ("empty.jsonl", b"", "empty file"),
    ("empty.parquet", b"", "empty file"),
    ("blank.jsonl", b"\n \n", "no documents"),
    ("empty.jsonl.gz", gzip.compress(b""), "no documents"),
    ("cut.jsonl.gz", gzip.compress(DOCUMENTS)[:8], "cut.jsonl.gz:1: truncated"),
    ("plain.jsonl.gz", DOCUMENTS, "plain.jsonl.gz:1: truncated"),
    ("cut.jsonl.zst", zstandard.compress(DOCUMENTS)[:60], "cut.jsonl.zst:1: truncated"),
    ("utf16.jsonl", DOCUMENTS.decode().encode("utf-16"), "utf16.jsonl:1: invalid_utf8"),
    ("latin.txt", "café".encode("latin-1"), "latin.txt@3: invalid_utf8"),
    ("array.jsonl", b'[\n{\n"text": "a"\n}\n]\n', "array.jsonl:1: invalid_json"),
    ("numbers.jsonl", b'{"text": 5}\n', "numbers.jsonl:1: text_not_a_string"),
    ("other.jsonl", b'{"content": "a", "size": 1}\n', "no field `text`; its objects have content, size"),
    ("other.parquet", parquet(content=["a"], size=[1]), "no column `text`; it has content, size"),
    ("empty.arrow", b"", "empty file"),
    ("noise.arrow", bytes(range(256)) * 9, "not a readable Arrow file"),
    ("cut.arrow", arrow(text=["a", "b"])[:-8], "the end of its stream is missing"),
    ("other.arrow", arrow(content=["a"], size=[1]), "no column `text`; it has content, size"),
    ("lists.parquet", parquet(text=[["a"], ["b"]]), "column `text` holds List"),
    ("numbers.parquet", parquet(text=[1, 2]), "column `text` holds Int64"),
    ("bytes.parquet", parquet(text=[b"a"]), "column `text` holds Binary"),
    ("domains.parquet", parquet(text=["a b"], domain=[["x"]]), "column `domain` holds List"),
    ("cut.parquet", parquet(text=["a"] * 50)[:90], "not a readable Parquet file"),
    ("damaged.parquet", damaged_parquet(), "not a readable Parquet file"),
    ("rows.parquet", parquet(text=pa.array([], pa.string())), "no documents"),
    ("pages.warc", crawl(1), "run `corpus extract` on it first"),
    ("table.xlsx", b"x", "unknown format"),
]
VERBS: dict[str, list[str]] = {
    "filter": ["corpus", "filter", "--rules", "c4", *ONE],
    "dedup": ["corpus", "dedup", *ONE],
    "dedup_line": ["corpus", "dedup", "--method", "line", *ONE],
    "dedup_bloom": ["corpus", "dedup", "--method", "bloom", *ONE],
    "substring": ["corpus", "dedup", "--method", "substring", *ONE],
    "score": ["corpus", "quality score", *ONE],
    "perplexity": ["corpus", "quality perplexity", *ONE],
    "redact": ["corpus", "redact", *ONE],
    "decontaminate": ["corpus", "decontaminate", *ONE],
    "tokenizer": ["corpus", "tokenizer", "--vocabulary-size", "300"],
    "tokenize": ["corpus", "tokenize", *ONE],
    "stats": ["corpus", "stats", *ONE],
    "template": ["instruct", "template", *ONE],
}


def on_documents(verb: str, source: Path, output: Path, good: Path, *more: str) -> Outcome:
    program, name, *options = VERBS[verb]
    where = [] if verb == "stats" else ["-o", output]
    needs = {
        "tokenize": ["--tokenizer", good / "tokenizer"],
        "score": ["--model", good / "classifier"],
        "perplexity": ["--model", good / "tiny.arpa"],
        "decontaminate": ["--against", good / "wanted.parquet"],
    }
    return call(program, *name.split(), source, *where, *needs.get(verb, []), *options, *more)


@pytest.mark.parametrize("verb", VERBS)
def test_unreadable_documents(verb: str, good: Path, tmp_path: Path) -> None:
    for name, content, expected in UNREADABLE:
        (tmp_path / name).write_bytes(content)
        outcome = on_documents(verb, tmp_path / name, tmp_path / f"out-{name}", good)
        assert outcome.status == 1, (name, outcome)
        assert name in outcome.message, name
        # The two verbs that write no set_aside/ name the file only.
        own_words = verb in ("stats", "template") and (name in expected or expected == "no documents")
        assert own_words or expected in outcome.message, (name, outcome.message)
        assert not outcome.out


@pytest.mark.parametrize("verb", VERBS)
def test_missing_and_empty_places(verb: str, good: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("missing.jsonl", "missing", "*.parquet", "empty"):
        outcome = on_documents(verb, tmp_path / name, tmp_path / "out", good)
        assert outcome.status == 1
        assert str(tmp_path / name) in outcome.message
    assert not (tmp_path / "out").exists()


BROKEN_RECORDS = {
    "mixed.jsonl": DOCUMENTS + b'nope\n{"text": "\xff"}\n[1]\n{"size": 1}\n{"text": ["a"]}\n',
    "cut.jsonl.gz": gzip.compress(DOCUMENTS)[:-60],
    "utf8.parquet": b"",  # made in the test: Arrow does not write what is not UTF-8 unless it is told to
}


@pytest.mark.parametrize("name", BROKEN_RECORDS)
@pytest.mark.parametrize(
    "verb",
    [
        "filter",
        "dedup",
        "dedup_line",
        "dedup_bloom",
        "substring",
        "score",
        "perplexity",
        "redact",
        "decontaminate",
        "tokenize",
        "stats",
    ],
)
def test_broken_records_are_set_aside_and_strict_refuses_them(
    verb: str, name: str, good: Path, tmp_path: Path
) -> None:
    source = tmp_path / name
    source.write_bytes(BROKEN_RECORDS[name])
    if name == "utf8.parquet":
        raw = pa.array([*(row["text"].encode() for row in documents(60)), b"\xff\xfe"])
        text = pa.StringArray.from_buffers(len(raw), raw.buffers()[1], raw.buffers()[2])
        pq.write_table(pa.table({"text": text}), source)
    outcome = on_documents(verb, source, tmp_path / "out", good, "--json")
    assert outcome.status == 0, outcome.err
    summary = json.loads(outcome.out)
    counted = summary["rows"][-1] if verb == "stats" else summary["counts"]
    assert counted["set_aside"] == {"mixed.jsonl": 5}.get(name, 1)
    if verb != "stats":
        places = pl.read_parquet(tmp_path / "out" / "set_aside" / "*.parquet")["place"]
        assert all(str(source) in place for place in places)
    strict = on_documents(verb, source, tmp_path / "strict", good, "--strict")
    assert strict.status == 1
    assert str(source) in strict.message


def test_a_byte_order_mark_is_no_broken_record(tmp_path: Path) -> None:
    (tmp_path / "marked.jsonl").write_bytes(b"\xef\xbb\xbf" + DOCUMENTS)
    outcome = call("corpus", "stats", tmp_path / "marked.jsonl", *ONE, "--json")
    assert json.loads(outcome.out)["rows"][-1]["documents"] == 60


def test_a_cut_zstd_file_is_noticed(tmp_path: Path) -> None:
    """zstandard's own reader takes the end of a cut file for the end of the data."""
    frames = [zstandard.compress(line + b"\n") for line in DOCUMENTS.splitlines()]
    (tmp_path / "cut.jsonl.zst").write_bytes(b"".join(frames)[:-10])
    outcome = call("corpus", "stats", tmp_path / "cut.jsonl.zst", *ONE, "--json")
    total = json.loads(outcome.out)["rows"][-1]
    assert (total["documents"], total["set_aside"]) == (59, 1)


CRAWLS = {
    "cut.warc": (crawl(5)[:-200], 0, "cut.warc:"),
    "cut.warc.gz": (crawl(5, "gzip")[:-100], 0, "cut.warc.gz:"),
    "first.warc.gz": (crawl(5, "gzip-whole")[:100], 1, "first.warc.gz:0: truncated"),
    "text.warc": (DOCUMENTS, 1, "text.warc:0: invalid_warc_record"),
    "empty.warc": (b"", 1, "empty file"),
}


@pytest.mark.parametrize("name", CRAWLS)
def test_broken_crawls(name: str, tmp_path: Path) -> None:
    content, status, told = CRAWLS[name]
    (tmp_path / name).write_bytes(content)
    outcome = call("corpus", "extract", tmp_path / name, "-o", tmp_path / "out", *ONE)
    assert outcome.status == status
    assert told in outcome.err
    strict = call("corpus", "extract", tmp_path / name, "-o", tmp_path / "strict", *ONE, "--strict")
    assert strict.status == 1
    assert name in strict.message


def test_nothing_left_says_what_took_it(good: Path, tmp_path: Path) -> None:
    pages = call("corpus", "extract", good / "pages.warc", "-o", tmp_path / "a", "--lang", "zh", *ONE)
    assert (pages.status, "other_language took 20" in pages.message) == (1, True)
    none = ["--rules", "c4", "--set", "c4.few_sentences=1000"]
    for _ in range(2):  # the rerun too
        kept = call("corpus", "filter", good / "docs.parquet", "-o", tmp_path / "b", *none, *ONE)
        assert (kept.status, "c4.few_sentences took 60" in kept.message) == (1, True)


@pytest.mark.parametrize("verb", WRITING)
def test_outputs_that_cannot_be_written(verb: str, good: Path, tmp_path: Path) -> None:
    command = writing_verbs(good)[verb]
    (tmp_path / "file").write_text("mine")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "mine.txt").write_text("mine")
    places = [tmp_path / "directory" if verb in FILES else tmp_path / "file", tmp_path / "file" / "below"]
    if verb not in FILES:
        places += [tmp_path / "directory", good / ("base" if verb == "filter" else "filtered")]
    for place in places:
        outcome = call(*map(str, command), "-o", place)
        assert outcome.status == 1, (place, outcome)
        assert str(place).removesuffix("/below") in outcome.message
    assert (tmp_path / "file").read_text() == (tmp_path / "directory" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("verb", WRITING)
def test_one_json_object(verb: str, good: Path, tmp_path: Path) -> None:
    outcome = call(*map(str, writing_verbs(good)[verb]), "-o", tmp_path / "out", "--json")
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("\n") == 1
    assert isinstance(json.loads(outcome.out), dict)


WRONG_USAGE = {
    "filter": [["--rules", "nope"], ["--set", "x"], ["--set", "c4.few_sentences=x"], ["--rules", ""]],
    "what_if": [["--rules", "nope"], ["--set", "x"], ["--set", "c4.few_sentence=3"], ["--set", "few_sentences=x"]],
    "extract": [["--extractor", "x"], ["--lang", "klingon"], ["--workers", "0"], ["--engine", "dask"]],
    "dedup": [
        ["--method", "x"],
        ["--keep", "x"],
        ["--threshold", "2"],
        ["--ngram", "0"],
        ["--normalise", "case"],
        ["--method", "exact", "--normalise", "x"],
        ["--method", "url", "--threshold", "0.8"],
        ["--preset", "x"],
        ["--preset", "fineweb", "--bands", "3", "--rows", "3"],
        ["--bands", "3"],
        ["--verify", "x"],
        ["--linkage", "x"],
        ["--linkage", "star", "--verify", "none"],
    ],
    "dedup_line": [["--keep", "longest"], ["--threshold", "0.8"], ["--normalise", "case"]],
    "dedup_bloom": [
        ["--keep", "first"],
        ["--threshold", "2"],
        ["--ngram", "0"],
        ["--false-positive-rate", "0"],
        ["--expected-ngrams", "0"],
    ],
    "substring": [
        ["--length-threshold", "0"],
        ["--length-unit", "x"],
        ["--remove", "x"],
        ["--keep", "longest"],
        ["--threshold", "0.8"],
        ["--memory", "x"],
    ],
    "train": [
        ["--held-out", "1"],
        ["--sample", "0"],
        ["--text", "x"],
        ["--learning-rate", "nan"],
        ["--epochs", "0"],
    ],
    "score": [
        ["--keep-above", "2"],
        ["--keep-quantile", "0"],
        ["--keep-pareto", "-1"],
        ["--keep-above", "0.5", "--keep-pareto", "9"],
        ["--name", "text"],
        ["--label", "nope"],
        ["--text", "words"],
    ],
    "perplexity": [
        ["--percentiles", "60,30"],
        ["--percentiles", "x"],
        ["--keep", "best"],
        ["--keep", ""],
        ["--sentence", "word"],
        ["--model", "en=another.arpa"],
        ["--tokenizer", "zh=zh.sp.model"],
        ["--name", "text"],
    ],
    "tokenizer": [["--vocabulary-size", "3"], ["--sample-bytes", "0"]],
    "tokenize": [["--held-out", "1.5"]],
    "template": [["--tasks", "x"], ["--lang", "xx"], ["--held-out", "2"], ["--cap-per-task", "0"]],
    "template_table": [
        ["--templates", "x"],
        ["--lang", "xx"],
        ["--cap", "0"],
        ["--few-shot", "2"],
        ["--columns", "x"],
    ],
    "convert": [["--to", "x"], ["--from", "x"]],
    "clean": [
        ["--from", "x"],
        ["--html", "x"],
        ["--lang", "klingon"],
        ["--duplicates", "x"],
        ["--threshold", "2"],
        ["--after-removed", "x"],
        ["--max-tokens", "0"],
        ["--too-long", "x"],
    ],
    "decontaminate_chats": [["--from", "x"], ["--ngram", "0"], ["--fields", ","]],
    "plan": [["--tokens", "x"], ["--weights", "temperature:x"], ["--weights", "x:3"], ["--max-epochs", "-1"]],
    "doremi": [["--steps", "0"], ["--eta", "nan"], ["--smoothing", "2"], ["--model", "nope"], ["--threads", "-1"]],
    "pretrain": [["--tokens", "0"], ["--learning-rate", "nan"], ["--schedule", "x"], ["--precision", "x"]],
    "decontaminate": [["--ngram", "0"], ["--remove", "word"], ["--fields", ","]],
    "redact": [["--kinds", "emial"], ["--kinds", ""]],
    "sft": [
        ["--epochs", "0"],
        ["--held-out", "2"],
        ["--threads", "0"],
        ["--learning-rate", "inf"],
        ["--seed", "-1"],
    ],
    "evaluate": [["--replies", "-1"]],
    "judge": [["--mode", "x"], ["--reference", "x"], ["--answers", "x"], ["--lang", "x"], ["--model", "m"]],
    "measure": [["--measure", "x"], ["--measure", "ifd"], ["--measure", "quality"], ["--estimate"]],
    "select": [["--count", "0"], ["--distance", "2"], ["--diversity", "x"], ["--quota", "x"]],
    "report": [],
    "evolve": [
        ["--rounds", "0"],
        ["--operations", "x"],
        ["--breadth", "2"],
        ["--operations", "code", "--breadth", "1"],
    ],
    "answer": [["--samples", "0"], ["--pick", "judge"], ["--rounds", "x"], ["--judge-model", "j"]],
    "translate": [["--to", "klingon"], ["--mode", "x"], ["--max-tokens", "0"]],
    "report_chats": [],
}


def test_the_same_model_twice(good: Path) -> None:
    outcome = call("train", "evaluate", good / "tuned", good / "tuned")
    assert (outcome.status, outcome.message) == (2, f"{good / 'tuned'}, {good / 'tuned'}: the same model twice")


@pytest.mark.parametrize("verb", WRITING)
def test_wrong_usage(verb: str, good: Path, tmp_path: Path) -> None:
    command = writing_verbs(good)[verb]
    for options in [["--unknown"], *WRONG_USAGE[verb]]:
        outcome = call(*map(str, command), "-o", tmp_path / "out", *options)
        assert outcome.status == 2, (options, outcome)
        assert "Traceback" not in outcome.err


def broken_conversations() -> list[tuple[str, bytes, str]]:
    fine = lines(conversations(20))  # type: ignore[arg-type]
    return [
        ("missing.jsonl", b"", "no such file"),
        ("empty.jsonl", b"", ""),
        ("text.jsonl", b"nope\n", "invalid_json"),
        ("documents.jsonl", DOCUMENTS, ""),
        ("cut.jsonl.gz", gzip.compress(fine)[:8], "truncated"),
    ]


@pytest.mark.parametrize(
    "verb",
    ["sft", "convert", "clean", "decontaminate_chats", "evaluate", "measure", "evolve", "answer", "translate"],
)
def test_broken_conversations(verb: str, good: Path, tmp_path: Path) -> None:
    commands: dict[str, list[object]] = {
        "sft": ["train", "sft", "--base", good / "base", *SMALL, "--epochs", "1"],
        "convert": ["instruct", "convert", "--to", "alpaca"],
        "measure": ["instruct", "score", "--measure", "length"],
        "clean": ["instruct", "clean", *ONE],
        "decontaminate_chats": ["instruct", "decontaminate", "--against", good / "wanted.parquet", *ONE],
        "evaluate": ["train", "evaluate", good / "tuned", "--conversations"],
        "evolve": ["instruct", "evolve", "--rounds", "1", *asking(good)],
        "answer": ["instruct", "answer", *asking(good)],
        "translate": ["instruct", "translate", "--to", "zh", *asking(good)],
    }
    command = commands[verb]
    for name, content, expected in broken_conversations():
        if name != "missing.jsonl":
            (tmp_path / name).write_bytes(content)
        outcome = call(*map(str, command), tmp_path / name, "-o", tmp_path / f"out-{name}")
        assert outcome.status == 1, (name, outcome)
        assert name in outcome.message
        assert expected in outcome.message
    bad = b'nope\n\xff\n{"messages": []}\n{"messages": [{"role": "x", "content": "y"}]}\n'
    for name, content in (
        ("mixed.jsonl", lines(conversations(20)) + bad),  # type: ignore[arg-type]
        ("half.jsonl.gz", gzip.compress(lines(conversations(20)))[:-40]),  # type: ignore[arg-type]
    ):
        (tmp_path / name).write_bytes(content)
        outcome = call(*map(str, command), tmp_path / name, "-o", tmp_path / f"out-{name}")
        assert outcome.status == 0, (name, outcome)


def broken_models(good: Path, folder: Path) -> dict[str, Path]:
    names = ("missing", "empty", "cut", "configuration", "shape")
    places = {name: folder / name for name in names}
    places["empty"].mkdir()
    for name in names[2:]:
        shutil.copytree(good / "base" / "model", places[name])
    weights = places["cut"] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    (places["configuration"] / "config.json").write_text("{")
    file = places["shape"] / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "hidden_size": 64}))
    return {**places, "shards": good / "shards"}


def test_what_is_no_model(good: Path, tmp_path: Path) -> None:
    rows, near = good / "scored.jsonl", ["--by", "quality", "--diversity", "embedding", "--embedding-model"]
    for name, place in broken_models(good, tmp_path).items():
        runs = [
            call("train", "chat", place, "--prompt", "hello"),
            call("train", "evaluate", place),
            call("train", "sft", good / "conversations.jsonl", "--base", place, "-o", tmp_path / "out", *SMALL),
            call("instruct", "score", rows, "--measure", "ifd", "--causal-model", place, "-o", tmp_path / "a"),
            call("instruct", "select", rows, *near, place, "-o", tmp_path / "b"),
        ]
        for outcome in runs:
            assert outcome.status == 1, (name, outcome)
            assert str(place) in outcome.message


def broken_shards(good: Path, folder: Path) -> Iterator[Path]:
    def copy(name: str) -> Path:
        shutil.copytree(good / "shards", folder / name)
        return folder / name

    yield folder / "missing"
    yield good / "filtered"
    (copy("manifest") / "manifest.json").write_text("{")
    (copy("list") / "manifest.json").write_text("[]")
    (copy("fields") / "manifest.json").write_text('{"splits": {}, "tokenizer": {}}')
    (copy("tokens") / "train" / "a" / "tokens.bin").unlink()
    (copy("short") / "train" / "a" / "tokens.bin").write_bytes(b"xx")
    (copy("offsets") / "train" / "a" / "offsets.npy").unlink()
    np.save(copy("wrong") / "train" / "a" / "offsets.npy", np.arange(5))
    for name in ("manifest", "list", "fields", "tokens", "short", "offsets", "wrong"):
        yield folder / name


def test_broken_shards(good: Path, tmp_path: Path) -> None:
    for place in broken_shards(good, tmp_path):
        for outcome in (
            call("mixtures", "plan", place, "--tokens", "10K"),
            call("mixtures", "doremi", place, "-o", tmp_path / "out"),
            call("train", "pretrain", place, "-o", tmp_path / "out", "--model", "tiny", "--tokens", "600", *SMALL),
        ):
            assert outcome.status == 1, (place, outcome)
            assert str(place) in outcome.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("weights: {a: 0.5, nope: 0.5}", "`nope`"),
        ("weights: {a: 2}", "sum to 2"),
        ("weights: {a: -1, b: 2}", "`a`"),
        ("weights: {a: x}", "`a`"),
        ("weights: [", "not valid YAML"),
        ("", "weights:"),
        ("weights: {a: 1}\nsource: 3", "source"),
        ("weights: {a: 1}\nunit: bananas", "bananas"),
    ],
)
def test_broken_mixtures(content: str, told: str, good: Path, tmp_path: Path) -> None:
    mixture = tmp_path / "mixture.yaml"
    mixture.write_text(content)
    shards, out, tokens = good / "shards", tmp_path / "out", ["--tokens", "600"]
    for outcome in (
        call("mixtures", "plan", shards, *tokens, "--weights", mixture),
        call("mixtures", "doremi", shards, "-o", out, "--baseline", mixture),
        call("train", "pretrain", shards, "-o", out, "--model", "tiny", *tokens, *SMALL, "--weights", mixture),
    ):
        assert outcome.status == 1, outcome
        assert told in outcome.message


def test_what_explain_report_and_trace_cannot_read(good: Path, tmp_path: Path) -> None:
    for name, content in (("broken", "{"), ("list", "[]")):
        (tmp_path / name).mkdir()
        for file in ("manifest.json", "run.json"):
            (tmp_path / name / file).write_text(content)
    for place in (tmp_path / "missing", tmp_path / "broken", tmp_path / "list"):
        for command in (
            ["corpus", "explain", "d1", place],
            ["corpus", "report", place, "-o", tmp_path / "report.html"],
            ["instruct", "explain", "c1", place],
            ["instruct", "report", place, "-o", tmp_path / "report.html"],
            ["train", "trace", place, "--step", "0"],
        ):
            outcome = call(*map(str, command))
            assert outcome.status == 1, (command, outcome)
            assert str(place) in outcome.message
    assert call("corpus", "explain", "nobody", good / "filtered").status == 1
    assert call("instruct", "explain", "nobody", good / "cleaned").status == 1
    assert call("instruct", "explain", "c1", good / "cleaned", "--cache", tmp_path / "none").status == 2
    assert call("train", "trace", good / "base", "--step", "1000").status == 2


def test_a_failed_start_does_not_claim_the_output(good: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"content": 1}\n')
    assert call("corpus", "filter", tmp_path / "bad.jsonl", "-o", tmp_path / "out", *ONE).status == 1
    again = call("corpus", "filter", good / "docs.parquet", "--rules", "c4", "-o", tmp_path / "out", *ONE)
    assert again.status == 0, again.err


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_help_has_an_example(program: str) -> None:
    listing = call(program, "--help").out
    verbs = [line.split()[1] for line in listing.splitlines() if line.startswith("│ ") and line[2].isalpha()]
    assert len(verbs) >= 2
    for verb in verbs:
        names = [verb, "train"], [verb, "score"], [verb, "perplexity"]
        for name in names if verb == "quality" else [[verb]]:
            outcome = call(program, *name, "--help")
            assert outcome.status == 0
            assert f"Example: {program} {' '.join(name)} " in " ".join(outcome.out.split())
