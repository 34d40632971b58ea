"""MinHash and sentence vectors as measures of novelty."""

from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
import transformers

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.near_measures import NoveltyOptions, open_measure
from instruct.novelty import RougeIndex, tokens

TEXTS = [
    "Write a short poem about the first snow in a small town by the sea.",
    "List five ways to save water at home.",
    "Write a short poem about the first snow in a little town by the sea.",
    "Explain how bread rises, and what yeast has to do with it.",
]


def test_minhash_estimates_the_jaccard_similarity() -> None:
    measure = open_measure(NoveltyOptions("minhash"), "en")
    for place, text in enumerate(TEXTS[:2]):
        measure.index.add(str(place), text)
    near = measure.index.nearest(TEXTS[2])
    first, second = set(tokens(TEXTS[0], "en")), set(tokens(TEXTS[2], "en"))
    true = len(first & second) / len(first | second)
    assert near[0].id == "0"
    assert near[0].score == pytest.approx(true, abs=0.15)  # 128 hashes: three standard errors
    assert measure.index.nearest(TEXTS[0])[0].score == 1.0
    assert measure.index.nearest(TEXTS[3]) == []
    assert measure.index.nearest("") == []


def test_minhash_of_chinese() -> None:
    measure = open_measure(NoveltyOptions("minhash"), "zh")
    measure.index.add("a", "写一首关于春天的诗")
    assert measure.index.nearest("写一首关于春天的诗。")[0].score > measure.threshold
    assert not measure.index.nearest("列出五种环保出行方式")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A little model with random weights, and a tokenizer of whole words."""
    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in TEXTS for word in tokens(text, "en")})
    vocabulary = {word: number for number, word in enumerate(["[UNK]", *words])}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.normalizer = tokenizers.normalizers.Lowercase()
    raw.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **size)
    transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


def test_vectors_are_compared_by_cosine(model: str) -> None:
    measure = open_measure(NoveltyOptions("embedding", embedding_model=model), "en")
    assert measure.index.nearest(TEXTS[0]) == []
    for place, text in enumerate(TEXTS[:2] + TEXTS[3:]):
        measure.index.add(str(place), text)
    near = measure.index.nearest(TEXTS[2])
    assert near[0].id == "0"
    assert [one.score for one in near] == sorted((one.score for one in near), reverse=True)
    assert measure.index.nearest(TEXTS[1])[0].score == pytest.approx(1.0, abs=1e-5)
    encoder = transformers.AutoModel.from_pretrained(model).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    with torch.no_grad():
        first, second = (
            encoder(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
            for text in (TEXTS[2], TEXTS[0])
        )
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert near[0].score == pytest.approx(float(cosine), abs=1e-5)


def test_options() -> None:
    assert isinstance(open_measure(NoveltyOptions(), "en").index, RougeIndex)
    assert [open_measure(NoveltyOptions(name), "en").threshold for name in ("rouge-l", "minhash")] == [0.7, 0.7]
    assert open_measure(NoveltyOptions(threshold=0.5), "en").threshold == 0.5
    for wrong in (
        {"measure": "bleu"},
        {"threshold": 0.0},
        {"threshold": 1.1},
        {"chinese_tokens": "letters"},
        {"measure": "embedding"},
        {"embedding_model": "x"},
    ):
        with pytest.raises(UsageError, match="--"):
            NoveltyOptions(**wrong)


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    options = NoveltyOptions("embedding", embedding_model=str(tmp_path))
    with pytest.raises(ZeroToOneError, match=r"config\.json is missing"):
        open_measure(options, "en")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ZeroToOneError, match="not a readable model"):
        open_measure(options, "en")
