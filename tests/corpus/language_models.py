"""Small language models in ARPA's form, the probabilities that they mean, and a small SentencePiece model."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

# n-gram → log10 of its probability, and of its back-off weight (Katz).
Ngrams = Mapping[tuple[str, ...], tuple[float, float]]

TINY: Ngrams = {
    ("<unk>",): (-1.5, 0.0),
    ("<s>",): (-99.0, -0.3),
    ("</s>",): (-0.7, 0.0),
    ("a",): (-0.5, -0.2),
    ("b",): (-0.6, -0.4),
    ("<s>", "a"): (-0.1, -0.15),
    ("a", "b"): (-0.25, -0.35),
    ("b", "</s>"): (-0.15, 0.0),
    ("b", "a"): (-0.8, -0.1),
    ("<s>", "a", "b"): (-0.05, 0.0),
    ("a", "b", "a"): (-0.9, 0.0),
}


def write_arpa(path: Path, ngrams: Ngrams = TINY) -> Path:
    """Write a model as ARPA text."""
    order = max(map(len, ngrams))
    by_length = [[ngram for ngram in ngrams if len(ngram) == length] for length in range(1, order + 1)]
    lines = ["\\data\\", *(f"ngram {length}={len(found)}" for length, found in enumerate(by_length, 1)), ""]
    for length, found in enumerate(by_length, 1):
        lines.append(f"\\{length}-grams:")
        for ngram in found:
            probability, back_off = ngrams[ngram]
            lines.append("\t".join([str(probability), " ".join(ngram), *([str(back_off)] * (length < order))]))
        lines.append("")
    path.write_text("\n".join([*lines, "\\end\\"]) + "\n", "utf-8")
    return path


def log_probability(tokens: Sequence[str], ngrams: Ngrams = TINY) -> float:
    """log10 of a sentence's probability by the definition of back-off, word for word."""
    known = [token if (token,) in ngrams else "<unk>" for token in tokens]
    history: tuple[str, ...] = ("<s>",)
    total = 0.0
    for token in [*known, "</s>"]:
        total += _conditional(token, history, ngrams)
        history = (*history, token)
    return total


def _conditional(token: str, history: tuple[str, ...], ngrams: Ngrams) -> float:
    history = history[-(max(map(len, ngrams)) - 1) :]
    if (*history, token) in ngrams:
        return ngrams[*history, token][0]
    back_off = ngrams[history][1] if history in ngrams else 0.0
    return back_off + _conditional(token, history[1:], ngrams)


def train_sentencepiece(path: Path, sentences: Sequence[str], size: int) -> Path:
    """Train and write a SentencePiece model (unigram, as CCNet's)."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, vocab_size=size, minloglevel=2, num_threads=1
    )
    path.write_bytes(model.getvalue())
    return path
