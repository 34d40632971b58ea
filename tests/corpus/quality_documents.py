"""Documents of two kinds, and a small classifier that tells them apart."""

from __future__ import annotations

import json
import random
from pathlib import Path

from corpus.quality.fasttext_training import TrainingParameters
from corpus.quality.train import TrainOptions, train_quality

GOOD = (
    "theory",
    "explains",
    "why",
    "rivers",
    "carve",
    "deep",
    "valleys",
    "through",
    "old",
    "stone",
    "over",
    "years",
)
POOR = ("click", "here", "buy", "cheap", "shoes", "now", "free", "shipping", "best", "price", "sale", "order")
SMALL = TrainingParameters(dimensions=8, buckets=1000, epochs=10, learning_rate=0.5)


def documents(kind: str, count: int, seed: int = 0, noise: float = 0.3) -> list[dict[str, str]]:
    """Documents whose words are mostly of one list, with a share of the other's."""
    draw = random.Random(f"{kind}{seed}")
    own, other = (GOOD, POOR) if kind == "good" else (POOR, GOOD)
    return [
        {
            "id": f"{kind}-{seed}-{number}",
            "text": " ".join(draw.choice(other if draw.random() < noise else own) for _ in range(30)),
            "mine": f"{number}",
        }
        for number in range(count)
    ]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write documents as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def small_classifier(folder: Path) -> Path:
    """A trained model's folder."""
    good = write(folder / "good.jsonl", documents("good", 200))
    poor = write(folder / "poor.jsonl", documents("poor", 200))
    train_quality([good], [poor], folder / "model", TrainOptions(SMALL), workers=1)
    return folder / "model"
