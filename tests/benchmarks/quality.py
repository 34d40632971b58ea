"""Learned quality: held-out ROC AUC beside fastText itself, equal scores from one file, memory of a worker.

    python -m tests.benchmarks.quality [--data ../shared/data] [--fasttext-python PATH] [--settings]

Two hard pairs: pieces of WikiText against other pieces of it with their words shuffled, which only n-grams tell
apart, and weekly letters against technical articles in Chinese, 100 characters each. `--settings` measures fewer
buckets and dimensions too. `PATH` is the Python of an environment with fasttext. Writes its section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.quality.fasttext_training import TrainingParameters
from corpus.quality.measures import roc_auc
from corpus.quality.normalisation import Normalisation
from corpus.quality.train import TrainOptions, train_quality
from tests.benchmarks.inputs import DATA
from tests.benchmarks.results import Headline, leave_headlines, made_with, table, write_section

Rows = list[tuple[str, str]]
DEFAULT = TrainingParameters()
SETTINGS = [(2_000_000, 100), (500_000, 100), (100_000, 100), (500_000, 32)]
MOST = 6000

# Run by another Python: trains where there are training lines, and predicts with both models.
_PEER = """
import json, sys
try:
    from fasttext import train_supervised, load_model
except ImportError as error:
    sys.exit(str(error))
about = json.load(open(sys.argv[1]))
lines = json.load(open(about["held_out"], encoding="utf-8"))
def scores(model):
    found = [model.f.predict(line + "\\n", 2, 0.0, "strict") for line in lines]
    return [next(p for p, label in row if label == "__label__positive") for row in found]
print(json.dumps({"ours": scores(load_model(about["model"])),
                  "own": scores(train_supervised(about["train"], verbose=0, **about["parameters"]))}))
"""

# Run in a process of its own: scores lines with the model mapped, or loaded by fasttext-predict.
_WORKER = """
import json, sys, time
from corpus.quality import classifier
if sys.argv[1] == "loaded":
    classifier.open_mapped = lambda path: None
lines = json.load(open(sys.argv[3], encoding="utf-8"))
classifier.score_lines(sys.argv[2], "positive", ["warm up"])
started = time.process_time()
classifier.score_lines(sys.argv[2], "positive", lines)
seconds = time.process_time() - started
numbers = {}
for file in ("/proc/self/smaps_rollup", "/proc/self/status"):
    for line in open(file):
        if line.endswith("kB\\n"):
            numbers[line.split(":")[0]] = int(line.split()[-2]) // 1024
print(json.dumps([len(lines) / seconds, numbers["Anonymous"], numbers["VmHWM"]]))
"""


def pieces(data: Path, name: str, characters: int) -> Rows:
    """Ids and texts of pieces of a domain's documents, a draw of at most MOST."""
    found = [
        (f"{identifier}/{at}", text[at : at + characters])
        for identifier, text in pl.read_parquet(data / "text" / f"{name}.parquet").select("id", "text").iter_rows()
        for at in range(0, len(text) - characters // 2, characters)
    ]
    random.Random(0).shuffle(found)
    return found[:MOST]


def shuffled(rows: Rows) -> Rows:
    """The same texts with their words in a random order."""
    draw = random.Random(1)
    return [(name, " ".join(draw.sample(words, len(words)))) for name, words in ((n, t.split()) for n, t in rows)]


def hard_pairs(data: Path, folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, and the files of positive and negative documents."""
    wiki = pieces(data, "wiki_en", 600)
    weekly, technical = pieces(data, "weekly_zh", 100), pieces(data, "tech_zh", 100)
    for name, positive, negative in (
        ("WikiText, words in order or shuffled", wiki[::2], shuffled(wiki[1::2])),
        ("weekly letters, technical articles (zh)", weekly, technical),
    ):
        files = folder / f"{name} +.parquet", folder / f"{name} -.parquet"
        for file, rows in zip(files, (positive, negative), strict=True):
            pl.DataFrame(rows, schema=["id", "text"], orient="row").write_parquet(file)
        yield name, *files


def train(positive: Path, negative: Path, output: Path, parameters: TrainingParameters) -> dict[str, Any]:
    """The manifest of a classifier measured on 30 % of the documents."""
    return train_quality([positive], [negative], output, TrainOptions(parameters, held_out=0.3), workers=1)


def split(positive: Path, negative: Path) -> dict[str, list[tuple[str, str]]]:
    """Lines with their labels, cut into `train` and `held_out` by a draw of the benchmark's own."""
    rows = []
    for label, file in (("positive", positive), ("negative", negative)):
        texts = sorted(set(pl.read_parquet(file)["text"].to_list()))
        rows += [(label, line) for line in Normalisation().lines(texts) if line]
    random.Random(2).shuffle(rows)
    most = round(0.7 * len(rows))
    return {"train": rows[:most], "held_out": rows[most:]}


def against_fasttext(
    python: str, parts: dict[str, list[tuple[str, str]]], folder: Path
) -> tuple[float, float, float]:
    """AUC of floret's training and of fastText's on the same lines, and the largest difference between our scores
    of a model file and fastText's of the same file."""
    from corpus.quality.classifier import score_lines
    from corpus.quality.fasttext_training import train_classifier

    lines, held_out, model = folder / "train.txt", folder / "held_out.json", folder / "model.bin"
    lines.write_text("".join(f"__label__{label} {line}\n" for label, line in parts["train"]), "utf-8")
    held_out.write_text(json.dumps([line for _, line in parts["held_out"]]), "utf-8")
    train_classifier(lines, model, DEFAULT)
    parameters = {
        "wordNgrams": DEFAULT.word_ngrams,
        "dim": DEFAULT.dimensions,
        "epoch": DEFAULT.epochs,
        "lr": DEFAULT.learning_rate,
        "bucket": DEFAULT.buckets,
        "thread": 1,
    }
    about = {"train": str(lines), "held_out": str(held_out), "model": str(model), "parameters": parameters}
    (folder / "about.json").write_text(json.dumps(about))
    command = [python, "-c", _PEER, str(folder / "about.json")]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    theirs = json.loads(printed.splitlines()[-1])
    ours = np.array(score_lines(str(model), "positive", [line for _, line in parts["held_out"]]), dtype=np.float64)
    right = np.array([label == "positive" for label, _ in parts["held_out"]])
    own = np.array(theirs["own"])
    first, second = (roc_auc(scores[right], scores[~right]) for scores in (ours, own))
    assert first is not None
    assert second is not None
    return first, second, float(np.abs(ours - np.minimum(theirs["ours"], 1.0)).max())


def worker_rows(model: Path, lines: Path) -> list[list[str]]:
    """Rate and memory of a worker, the two ways."""
    rows = []
    for way in ("loaded", "mapped"):
        command = [sys.executable, "-c", _WORKER, way, str(model), str(lines)]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rate, own, peak = json.loads(printed)
        rows.append([way, f"{rate:,.0f}", f"{own:,} MB", f"{peak:,} MB"])
    return rows


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--fasttext-python", help="the Python of an environment with fasttext")
    parser.add_argument("--settings", action="store_true", help="fewer buckets and dimensions too")
    arguments = parser.parse_args()
    if not (arguments.data / "text").is_dir():
        sys.exit(f"{arguments.data}: no such data; --data names it")
    settings, peers, workers = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for pair, positive, negative in hard_pairs(arguments.data, folder):
            for buckets, dimensions in SETTINGS if arguments.settings else SETTINGS[:1]:
                out = folder / f"{pair} {buckets} {dimensions}"
                chosen = replace(DEFAULT, buckets=buckets, dimensions=dimensions)
                measures = train(positive, negative, out, chosen)["measures"]
                size = (out / "model.bin").stat().st_size / 1e6
                numbers = [f"{measures[key]:.3f}" for key in ("roc_auc", "calibration_error")]
                settings.append([pair, f"{buckets:,} × {dimensions}", *numbers, f"{size:,.0f} MB"])
            parts = split(positive, negative)
            if arguments.fasttext_python:
                first, second, apart = against_fasttext(arguments.fasttext_python, parts, folder)
                peers.append([pair, f"{first:.3f}", f"{second:.3f}", f"{apart:.1e}"])
            if not workers:
                lines = folder / "lines.json"
                lines.write_text(json.dumps([line for rows in parts.values() for _, line in rows]), "utf-8")
                first_setting = folder / f"{pair} {SETTINGS[0][0]} {SETTINGS[0][1]}"
                workers = worker_rows(first_setting / "model.bin", lines)
    body = [made_with("python -m tests.benchmarks.quality", ["floret", "fasttext-predict", "numpy"], {}), ""]
    body += [table(["pair", "buckets × dimensions", "ROC AUC", "calibration error", "file"], settings), ""]
    if peers:
        body += [
            "The same lines trained by fastText itself (other random numbers), and one file scored by both:",
            "",
            table(["pair", "ROC AUC here", "fastText's", "largest difference of a score"], peers),
            "",
        ]
    body += [
        "A worker with the default model. Its own memory grows with each worker; mapped pages are shared by all.",
        "",
        table(
            ["model", "lines/s of processor time", "own memory", "peak resident, shared pages included"], workers
        ),
    ]
    first = settings[:: len(settings) // 2]  # of each pair, with the default parameters
    leave_headlines("quality", [Headline(f"ROC AUC: {row[0]}", "", str(row[2]), None) for row in first])
    write_section("Learned quality", "\n".join(body))
    print("\n".join(body))


if __name__ == "__main__":
    main()
