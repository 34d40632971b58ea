"""The tokenizer: exact round trips, plain special strings, balance, determinism, the chat template."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.tokens.tokenizer import (
    SPECIAL_TOKENS,
    end_of_text_id,
    load_tokenizer,
    save_tokenizer,
    tokenizer_hash,
    train_bpe,
)
from corpus.tokens.tokenizer_training import build_tokenizer, sample_plan, share_budget

ENGLISH = "The quick brown fox jumps over the lazy dog, and it doesn't mind 1234567 times. "
CHINESE = "今天天气很好，我们去公园散步吧。模型的训练需要干净的数据。"
TEXTS = [
    ENGLISH * 3,
    CHINESE * 3,
    "def f(x):\n    return x + 1\n\n\nclass A:\n\tpass\n",
    "カタカナとひらがな 한국어 мир",
] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(TEXTS, 420), directory)
    return directory


@pytest.fixture(scope="module")
def plain(folder: Path) -> Tokenizer:
    return load_tokenizer(folder)


ANY_TEXT = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [*SPECIAL_TOKENS, CHINESE, ENGLISH, "👩‍👩‍👧‍👦🇩🇪", "\x00\x07\x1b", "\r\n \t\n", "\u202e\u200b\ufeff"]
        ),
    ),
    max_size=6,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_any_text_decodes_to_itself_and_never_holds_a_special_id(plain: Tokenizer, text: str) -> None:
    ids = plain.encode(text, add_special_tokens=False).ids
    assert plain.decode(ids, skip_special_tokens=False) == text
    assert not set(ids) & set(range(len(SPECIAL_TOKENS)))


def test_special_tokens_have_the_first_ids(folder: Path, plain: Tokenizer) -> None:
    assert [plain.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3]
    assert end_of_text_id(folder) == 0


def test_pieces_keep_chinese_from_latin_and_digits_in_threes() -> None:
    tokenizer = train_bpe(["中文word中文word2024年 " * 50], 400)
    for token_id in range(len(SPECIAL_TOKENS) + 256, tokenizer.get_vocab_size()):
        token = tokenizer.decode([token_id])
        assert not (re.search(r"[一-鿿]", token) and re.search(r"[A-Za-z0-9]", token)), token
        assert not re.search(r"\d{4}", token)
    assert "word" in tokenizer.get_vocab()


def test_order_of_texts_does_not_matter() -> None:
    assert train_bpe(TEXTS, 420).to_str() == train_bpe(TEXTS[::-1], 420).to_str()


def test_vocabulary_too_small_for_all_bytes() -> None:
    with pytest.raises(UsageError, match="260"):
        train_bpe(TEXTS, 259)


def test_transformers_opens_the_folder_and_saves_the_same_tokenizer(folder: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|endoftext|>", "<|pad|>")
    assert set(tokenizer.all_special_tokens) == set(SPECIAL_TOKENS)
    assert len(tokenizer) == 420
    assert tokenizer(CHINESE)["input_ids"] == load_tokenizer(folder).encode(CHINESE).ids
    tokenizer.save_pretrained(tmp_path)
    assert tokenizer_hash(tmp_path) == tokenizer_hash(folder)


CONVERSATION = [
    {"role": "system", "content": "Be brief. 简短。"},
    {"role": "user", "content": "你好 😀"},
    {"role": "assistant", "content": "  你好！How are you?\n"},
    {"role": "user", "content": "ok"},
    {"role": "assistant", "content": "好"},
]


def test_chat_template_is_chatml(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(CONVERSATION[:2], tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nBe brief. 简短。<|im_end|>\n"
        "<|im_start|>user\n你好 😀<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    whole = tokenizer.apply_chat_template(CONVERSATION[:3], tokenize=False)
    assert whole == text + "  你好！How are you?\n<|im_end|>\n"


def test_chat_template_marks_exactly_the_replies_and_their_end(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer.apply_chat_template(CONVERSATION, return_assistant_tokens_mask=True, return_dict=True)
    marked = [token for token, mark in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(marked) == "  你好！How are you?\n<|im_end|>好<|im_end|>"


def test_shares_of_a_budget() -> None:
    assert share_budget({"a": 10, "b": 1000, "c": 2000}, 410) == {"a": 10, "b": 200, "c": 200}
    assert share_budget({"a": 10, "b": 20}, 100) == {"a": 10, "b": 20}


@given(
    st.dictionaries(st.text(max_size=3), st.integers(0, 10**6), min_size=1, max_size=8), st.integers(0, 5 * 10**6)
)
def test_shares_use_the_whole_budget_and_level_the_large(sizes: dict[str, int], budget: int) -> None:
    shares = share_budget(sizes, budget)
    assert sum(shares.values()) == min(budget, sum(sizes.values()))
    cut = [shares[name] for name in sizes if shares[name] < sizes[name]]
    assert not cut or max(cut) - min(cut) <= 1
    assert not cut or max(shares.values()) <= max(cut)


def test_sample_plan_takes_lowest_fractions_and_cuts_the_last() -> None:
    sizes = pl.DataFrame({"domain": ["a"] * 3, "fraction": [0.5, 0.1, 0.9], "bytes": [100, 50, 100]})
    assert sample_plan(sizes, 120) == {"a": {"last": 0.5, "last_bytes": 70, "documents": 2, "bytes": 120}}


def _write_corpus(path: Path) -> None:
    english = pl.DataFrame({"id": [f"e{i}" for i in range(400)], "text": [f"{ENGLISH}{i}" for i in range(400)]})
    chinese = pl.DataFrame({"id": [f"c{i}" for i in range(5)], "text": [CHINESE * 4] * 5})
    frame = pl.concat([english.with_columns(domain=pl.lit("en")), chinese.with_columns(domain=pl.lit("zh"))])
    frame.write_parquet(path)


def test_build_is_balanced_deterministic_and_resumes(tmp_path: Path) -> None:
    _write_corpus(tmp_path / "in.parquet")
    options = {"vocabulary_size": 500, "sample_bytes": 3000}
    manifest = build_tokenizer([tmp_path / "in.parquet"], tmp_path / "one", **options)
    build_tokenizer([tmp_path / "in.parquet"], tmp_path / "two", **options)
    assert manifest["sample"]["zh"]["bytes"] == manifest["sample"]["en"]["bytes"] == 1500
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "天气" in load_tokenizer(tmp_path / "one").decode(
        load_tokenizer(tmp_path / "one").encode("天气").ids[:1]
    )
    (tmp_path / "one" / "tokenizer.json").unlink()
    assert build_tokenizer([tmp_path / "in.parquet"], tmp_path / "one", **options) == manifest
    assert not (tmp_path / "one" / "tokenizer.json").exists(), "a finished output is not built again"
    with pytest.raises(ZeroToOneError, match="sample_bytes was 3000, is 4000"):
        build_tokenizer([tmp_path / "in.parquet"], tmp_path / "one", **{**options, "sample_bytes": 4000})


def test_build_without_text(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["", ""]}).write_parquet(tmp_path / "in.parquet")
    with pytest.raises(ZeroToOneError, match="no documents with text"):
        build_tokenizer([tmp_path / "in.parquet"], tmp_path / "out")


def test_broken_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ZeroToOneError, match="not a tokenizer"):
        load_tokenizer(tmp_path)
