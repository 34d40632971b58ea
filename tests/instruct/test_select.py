"""`instruct select` against the greedy choice written out, for each way to measure distances."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.language import units
from instruct.select import SelectOptions, select
from instruct.select_nearest import HashSpace, Space, VectorSpace, WordSpace
from instruct.select_quotas import Quota, Quotas, parse_quotas
from tests.programs import call, write_jsonl
from tests.train.micro import micro_llama, save_base

WORDS = ["fox", "river", "tree", "bird", "stone", "rain", "wind", "song", "moon", "leaf"]


def texts_of(seed: int, count: int) -> list[str]:
    """Texts of which some are equal or near to earlier ones."""
    draw = random.Random(seed)
    texts: list[str] = []
    for _ in range(count):
        if texts and draw.random() < 0.4:
            words = draw.choice(texts).split()
            if draw.random() < 0.6:
                words[draw.randrange(len(words))] = draw.choice(WORDS)
            texts.append(" ".join(words))
        else:
            texts.append(" ".join(draw.choices(WORDS, k=8)))
    return texts


def row(number: int, text: str, score: Any, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "ok"}]
    scores = {} if score is None else {"scores": {"quality": score}}
    return {"id": f"r{number}", "messages": messages, **scores, **more}


def cosines(texts: list[str]) -> np.ndarray:
    """The similarities of scikit-learn's smoothed TF-IDF, as matrices."""
    counts = [Counter(units(text)) for text in texts]
    words = sorted({word for count in counts for word in count})
    frequency = {word: sum(word in count for count in counts) for word in words}
    matrix = np.array(
        [[count[w] * (math.log((1 + len(texts)) / (1 + frequency[w])) + 1) for w in words] for count in counts]
    )
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix @ matrix.T


def greedy(similarity: np.ndarray, scores: list[float], distance: float, count: int | None) -> list[int]:
    """Deita's algorithm as it stands."""
    taken: list[int] = []
    for number in sorted(range(len(scores)), key=lambda n: (-scores[n], n)):
        if count is not None and len(taken) == count:
            break
        if all(1 - similarity[number, other] > distance + 1e-6 for other in taken):
            taken.append(number)
    return sorted(taken)


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("distance", "count"), [(0.1, None), (0.3, 12), (0.0, None)])
def test_the_choice_is_the_greedy_one(seed: int, distance: float, count: int | None, tmp_path: Path) -> None:
    texts = texts_of(seed, 60)
    draw = random.Random(seed)
    scores = [float(draw.randrange(6)) for _ in texts]
    source = write_jsonl(
        tmp_path / "in.jsonl", [row(n, t, s) for n, (t, s) in enumerate(zip(texts, scores, strict=True))]
    )
    manifest = select([str(source)], tmp_path / "out", SelectOptions(("quality",), count, distance=distance))
    kept, removed = read(tmp_path / "out", "conversations.jsonl"), read(tmp_path / "out", "removed.jsonl")
    similarity = cosines([f"{text}\nok" for text in texts])
    expected = greedy(similarity, scores, distance, count)
    assert [r["id"] for r in kept] == [f"r{number}" for number in expected]
    assert len(kept) + len(removed) == 60 == manifest["counts"]["rows_in"]
    assert sum(manifest["reasons"].values()) == len(removed)
    ranks = [r["lineage"]["select"]["rank"] for r in sorted(kept, key=lambda r: -r["scores"]["quality"])]
    assert sorted(ranks) == list(range(1, len(kept) + 1))
    taken = {r["id"]: r["lineage"]["select"]["rank"] for r in kept}
    for r in removed:
        number, near = int(r["id"][1:]), r["nearest"]
        assert near["distance"] == pytest.approx(1 - similarity[number, int(near["id"][1:])], abs=2e-6)
        assert near["id"] in taken
        if r["reason"] == "too_near":
            assert near["distance"] <= distance
        else:
            assert r["reason"] == "below_count"
            nearest = max(similarity[number, other] for other in expected)
            assert near["distance"] == pytest.approx(1 - nearest, abs=2e-6)


def spaces(texts: list[str]) -> list[tuple[Space, np.ndarray]]:
    """Each space with the similarities written out."""
    draw = np.random.default_rng(len(texts))
    vectors = draw.normal(size=(len(texts), 5))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    hashes = HashSpace(texts)
    equal = (hashes._signatures[:, None] == hashes._signatures[None]).mean(axis=2)
    return [(WordSpace(texts), cosines(texts)), (VectorSpace(vectors), unit @ unit.T), (hashes, equal)]


@given(st.integers(0, 1000), st.lists(st.integers(0, 19), min_size=1, max_size=20, unique=True))
@settings(deadline=None, max_examples=40)
def test_the_nearest_is_that_of_all_pairs(seed: int, taken: list[int]) -> None:
    texts = texts_of(seed, 20)
    for space, similarity in spaces(texts):
        assert space.nearest(0) is None
        for number in taken:
            space.take(number)
        for number in range(20):
            found = space.nearest(number)
            assert found is not None
            assert found.row in taken
            assert found.distance == pytest.approx(max(0, 1 - similarity[number, taken].max()), abs=1e-5)


def test_minhash_is_near_the_similarity_of_shingles() -> None:
    texts = ["a b c d e f g h", "a b c d e f x y", "a b c d e f g h"]  # 4 of 8 different 3-grams are shared
    space = HashSpace(texts)
    space.take(0)
    other, same = space.nearest(1), space.nearest(2)
    assert other is not None
    assert other.distance == pytest.approx(1 - 4 / 8, abs=3 * math.sqrt(0.25 / 128))
    assert same == (0, 0.0)


def test_embeddings_are_the_means_of_the_last_states(tmp_path: Path) -> None:
    from instruct.embeddings import Encoder

    folder = save_base(tmp_path / "model", micro_llama(400, context=64))
    texts = ["Where is the red fox?", "今天天气很好。", "", "It sleeps under the old tree. " * 30]
    found = Encoder(folder).embed(texts)
    model, tokenizer = AutoModel.from_pretrained(folder).train(False), AutoTokenizer.from_pretrained(folder)
    for text, vector in zip(texts, found, strict=True):
        ids = tokenizer(text)["input_ids"][:64]
        if not ids:
            assert not vector.any()
            continue
        with torch.no_grad():
            states = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        np.testing.assert_allclose(vector, states.mean(dim=0).numpy(), atol=1e-5)
    rows = [row(n, text, 1.0) for n, text in enumerate([*texts[:2], texts[0]])]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    options = SelectOptions(("quality",), diversity="embedding", distance=1e-4, embedding_model=folder)
    select([str(source)], tmp_path / "out", options)
    [removed] = read(tmp_path / "out", "removed.jsonl")
    assert (removed["id"], removed["reason"], removed["nearest"]) == (
        "r2",
        "too_near",
        {"id": "r0", "distance": 0.0},
    )


def test_quotas_and_products_and_rows_without_scores(tmp_path: Path) -> None:
    rows = [
        row(0, "one", 5, lang="zh"), row(1, "two", 4, lang="zh"), row(2, "three", 3, lang="en"),
        row(3, "four", None), row(4, "five", "high"), row(5, "six", 1, lineage={"use_case": "chat"}),
        row(6, "seven", 2, lineage={"use_case": "chat"}, mine={"a": 1}), row(7, "eight", True),
    ]  # fmt: skip
    for number, length in ((0, 1), (1, 2), (2, 4), (5, 1), (6, 1)):
        rows[number]["scores"]["length"] = length
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    quotas = ["--quota", "lang=zh:1", "--quota", "use_case=*:1"]
    command = [source, "--by", "quality", "--by", "length", "--diversity", "none", *quotas]
    outcome = call("instruct", "select", *command, "-o", tmp_path / "out", "--json")
    assert outcome.status == 0, outcome.err
    kept = read(tmp_path / "out", "conversations.jsonl")
    # products 5, 8, 12, -, -, 1, 2
    assert [(r["id"], r["lineage"]["select"]["rank"]) for r in kept] == [("r1", 2), ("r2", 1), ("r6", 3)]
    assert kept[2]["mine"] == {"a": 1}
    reasons = {r["id"]: (r["reason"], r["detail"]) for r in read(tmp_path / "out", "removed.jsonl")}
    assert reasons == {
        "r0": ("quota_reached", "lang=zh"),
        "r3": ("no_score", ""),
        "r4": ("no_score", ""),
        "r5": ("quota_reached", "use_case=chat"),
        "r7": ("no_score", ""),
    }
    assert json.loads(outcome.out)["reasons"] == {"no_score": 3, "quota_reached": 2}


def test_a_quota_of_each_value_leaves_the_named_ones_alone() -> None:
    quotas = Quotas(parse_quotas(["lang=zh:2", "lang=*:1"]))
    taken = []
    for lang in ("zh", "en", "zh", "en", "fr", "zh", "", ""):
        if not quotas.full({"lang": lang}):
            quotas.take({"lang": lang})
            taken.append(lang)
    assert taken == ["zh", "en", "zh", "fr", "", ""]
    assert parse_quotas(["a=b=c:3"]) == (Quota("a", "b=c", 3),)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--by", "beauty"], 1, "no row has a number for beauty; its rows have quality"),
        (["--by", "quality", "--count", "0"], 2, "--count must be at least 1"),
        (["--by", "quality", "--distance", "2"], 2, "--distance must be from 0 to 1"),
        (["--by", "quality", "--diversity", "taste"], 2, "--diversity taste: choose one of"),
        (["--by", "quality", "--diversity", "embedding"], 2, "go together"),
        (["--by", "quality", "--quota", "zh"], 2, "--quota zh: give FIELD=VALUE:COUNT"),
        (["--by", "quality", "--quota", "a=b:1", "--quota", "a=b:2"], 2, "a=b was given before"),
    ],
)
def test_wrong_usage(tmp_path: Path, options: list[str], status: int, message: str) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [row(0, "one", 3)])
    outcome = call("instruct", "select", source, "-o", tmp_path / "out", *options)
    assert (outcome.status, message in outcome.message) == (status, True), outcome.err


def test_a_product_of_scores_below_zero_is_refused(tmp_path: Path) -> None:
    rows = [{**row(0, "one", 3), "scores": {"quality": 3, "reward": -1}}]
    source = str(write_jsonl(tmp_path / "in.jsonl", rows))
    with pytest.raises(ZeroToOneError, match="row r0 has a score below 0"):
        select([source], tmp_path / "a", SelectOptions(("quality", "reward")))
    assert select([source], tmp_path / "b", SelectOptions(("reward",)))["counts"]["rows_kept"] == 1
    with pytest.raises(UsageError):
        SelectOptions(())
