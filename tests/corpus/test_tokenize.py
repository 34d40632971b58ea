"""Token shards: what they hold, the split, bad input, and the same bytes whatever happens on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpus.tokens.tokenize as tokenize_module
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import stable_fraction
from corpus.core.shards import open_shards
from corpus.tokens.tokenize import split_ids, tokenize_documents
from corpus.tokens.tokenizer import load_tokenizer, save_tokenizer, train_bpe


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(["some words of a text", "一些中文"] * 3, 300), directory)
    return directory


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    directory = tmp_path / "in"
    directory.mkdir()
    for part in range(4):
        rows = [
            {
                "id": f"{part}-{row}",
                "text": f"words {part} {row} <|endoftext|><|im_end|> 中文" if row != 3 else " \n",
                "url": f"https://example.org/{part}/{row}",
                "domain": ["../../evil", "web", None][row % 3],
            }
            for row in range(40)
        ]
        pl.DataFrame(rows).write_parquet(directory / f"{part}.parquet")
    return directory


def _files(directory: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(directory)): path for path in sorted(directory.rglob("*")) if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if name != "manifest.json" and not name.startswith(".state")
    }


def test_shards_hold_every_document_once(documents: Path, tokenizer: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = tokenize_documents([documents], out, tokenizer, held_out=0.2, workers=1)
    source = pl.read_parquet(documents / "*.parquet").with_columns(pl.col("domain").fill_null("default"))
    texts = {row["id"]: row for row in source.to_dicts()}
    plain = load_tokenizer(tokenizer)
    seen: list[str] = []
    for split in ("train", "held_out"):
        shards = open_shards(out, split)
        assert sorted(shards.domains) == ["../../evil", "default", "web"]
        for name, domain in shards.domains.items():
            rows = domain.documents().to_dicts()
            assert domain.bytes == sum(row["bytes"] for row in rows)
            for row, start, stop in zip(rows, domain.offsets[:-1], domain.offsets[1:], strict=True):
                ids = domain.tokens[start:stop]
                assert ids[-1] == 0
                assert ids[:-1].min() > 3, "no special id from text"
                assert plain.decode(ids[:-1].tolist(), skip_special_tokens=False) == texts[row["id"]]["text"]
                assert row["url"] == texts[row["id"]]["url"]
                assert texts[row["id"]]["domain"] == name
                assert row["bytes"] == len(texts[row["id"]]["text"].encode())
                seen.append(row["id"])
    assert sorted(seen) == sorted(key for key, row in texts.items() if row["text"].strip())
    assert manifest["counts"] == {"documents_in": 160, "documents_kept": 156, "set_aside": 4}
    assert set(pl.read_parquet(out / "set_aside" / "*.parquet")["reason"]) == {"empty_text"}
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}, "nothing leaves the directory"
    assert not (out / ".state" / "encoded").exists()


def test_same_bytes_for_any_workers_and_after_interruptions(
    documents: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenize_documents([documents], tmp_path / "one", tokenizer, held_out=0.1, workers=1)
    tokenize_documents([documents], tmp_path / "two", tokenizer, held_out=0.1, workers=2)
    expected = _files(tmp_path / "one")
    assert _files(tmp_path / "two") == expected
    for name in ("_encode_frame", "write_domain", "write_shards_manifest", "_remove_parts"):
        with monkeypatch.context() as patch:
            _fail_on_call(patch, name, 3 if name in ("_encode_frame", "write_domain") else 1)
            with pytest.raises(KeyboardInterrupt):
                tokenize_documents([documents], tmp_path / name, tokenizer, held_out=0.1, workers=1)
        finished = len(list((tmp_path / name / ".state").glob("unit-*.json")))
        assert finished == (2 if name == "_encode_frame" else 4)
        tokenize_documents([documents], tmp_path / name, tokenizer, held_out=0.1, workers=1)
        assert _files(tmp_path / name) == expected
        assert not (tmp_path / name / ".state" / "encoded").exists()


def _fail_on_call(patch: pytest.MonkeyPatch, name: str, call: int) -> None:
    original = getattr(tokenize_module, name)
    calls = iter(range(1, 1000))

    def failing(*arguments: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments)

    patch.setattr(tokenize_module, name, failing)


IDS = st.lists(st.text(max_size=4), min_size=1, max_size=30)


@given(IDS, st.floats(0.001, 0.999), st.integers(0, 5), st.randoms())
def test_split_depends_on_ids_alone(ids: list[str], held_out: float, seed: int, random: Any) -> None:
    chosen = dict(zip(ids, split_ids(ids, held_out, seed), strict=True))
    shuffled = random.sample(ids, len(ids))
    assert split_ids(shuffled, held_out, seed).tolist() == [chosen[name] for name in shuffled]
    if len(set(ids)) >= 2:
        assert 0 < sum(chosen.values()) < len(chosen)
        fractions = {name: stable_fraction(name, seed) for name in ids}
        changed = [name for name in chosen if chosen[name] != (fractions[name] < held_out)]
        assert len(changed) <= 1
    else:
        assert not any(chosen.values())
    assert not split_ids(ids, 0, seed).any()


def test_share_of_held_out_documents() -> None:
    chosen = split_ids([f"document {i}" for i in range(20_000)], 0.05, 1)
    assert abs(chosen.mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 20_000)


def test_no_text_at_all(tokenizer: Path, tmp_path: Path) -> None:
    pl.DataFrame({"text": ["", "  "]}).write_parquet(tmp_path / "in.parquet")
    with pytest.raises(ZeroToOneError, match=r"in\.parquet: no documents with text"):
        tokenize_documents([tmp_path / "in.parquet"], tmp_path / "out", tokenizer, workers=1)
    with pytest.raises(ZeroToOneError, match="empty_text"):
        tokenize_documents([tmp_path / "in.parquet"], tmp_path / "s", tokenizer, workers=1, strict=True)


def test_wrong_arguments(documents: Path, tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="held-out"):
        tokenize_documents([documents], tmp_path / "out", tokenizer, held_out=1.0)
    with pytest.raises(ZeroToOneError, match=r"no tokenizer\.json"):
        tokenize_documents([documents], tmp_path / "out", tmp_path)
