"""dedup, tokenizer and tokenize from the command line, one after the other."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from corpus.cli import app


def run(*arguments: object) -> dict:
    result = CliRunner().invoke(app(), [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_from_documents_to_shards(tmp_path: Path) -> None:
    texts = [f"number {i % 8} of some documents that have words" for i in range(12)] + ["八个中文文档之一"]
    pl.DataFrame({"text": texts, "domain": ["en"] * 12 + ["zh"]}).write_parquet(tmp_path / "in.parquet")
    deduped, tokenizer, shards = (tmp_path / name for name in ("deduped", "tokenizer", "shards"))
    first = run("dedup", tmp_path / "in.parquet", "-o", deduped, "--method", "exact", "--workers", 1, "--json")
    assert first["counts"]["documents_kept"] == 9
    assert first["reasons"] == {"exact_duplicate": 4}
    second = run("tokenizer", deduped, "-o", tokenizer, "--vocabulary-size", 270, "--json")
    assert second["counts"]["vocabulary_size"] == 270
    third = run("tokenize", deduped, "-o", shards, "--tokenizer", tokenizer, "--workers", 1, "--json")
    assert third["splits"]["train"]["en"]["documents"] + third["splits"]["held_out"]["en"]["documents"] == 8
    assert third["splits"]["train"]["zh"]["documents"] == 1
    assert third["tokenizer"]["vocabulary_size"] == 270


@pytest.mark.parametrize("verb", ["dedup", "tokenizer", "tokenize"])
def test_help_has_an_example(verb: str) -> None:
    result = CliRunner().invoke(app(), [verb, "--help"])
    assert result.exit_code == 0
    assert f"Example: corpus {verb} " in result.stdout


def test_tables(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["one text", "one text"]}).write_parquet(tmp_path / "in.parquet")
    result = CliRunner().invoke(app(), ["dedup", str(tmp_path / "in.parquet"), "-o", str(tmp_path / "o")])
    assert "exact_duplicate 1" in result.stdout
    assert "largest cluster" in result.stdout
