"""Questions of GSM8K and M3KE planted in real documents, changed in several ways, and found; false hits; the rate.

    python -m tests.benchmarks.decontamination [--data ../shared/data] [--write]

Of each set 100 questions that are long enough on their own, each in a document of its own, in every way of WAYS.
"Too short" counts items that cannot be found, not even as question and choices together. Found: a hit that
names the question's row, within the place where it was planted. Hits in the
documents as they are get printed, to be read. The reference for the rate is a plain search in Python:
lower-case words (Han characters one by one), a set of 13-grams, as the papers describe it.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from corpus.contamination.items import Piece, read_evaluation, wholes
from corpus.contamination.ngrams import Hit, Index, build_index, find_hits
from tests.benchmarks.inputs import DATA
from tests.benchmarks.results import at_least, leave_headlines, made_with, table, without_goal, write_section

TITLE = "Planted evaluation questions"
PLANTED = 100
NGRAM = 13
SEED = 21
SETS = {"GSM8K": ("gsm8k_test.jsonl", "peps_en"), "M3KE": ("m3ke_test.jsonl", "docs_zh")}
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def _half(text: str) -> str:
    return text[: len(text) // 2]


WAYS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "upper case": str.upper,
    "no punctuation": lambda text: re.sub(r"[^\w\s]", " " if text.isascii() else "", text),
    "white space doubled, line ends": lambda text: text.replace(" ", "  ").replace("，", "，\n"),
    "full width": lambda text: text.translate(_WIDE),
    "first half": _half,
}


def load(path: Path) -> tuple[list[Piece], int, int]:
    """The pieces of a set that are looked for, its number of items, and how many of them are too short."""
    found = read_evaluation(str(path), path.name, (), NGRAM)
    return found.pieces, found.items, found.uncheckable


def plant(
    texts: Sequence[str], questions: Sequence[str], change: Callable[[str], str], draw: random.Random
) -> tuple[list[str], list[tuple[int, int]]]:
    """A text for each question with it at a line end, and where it stands."""
    planted, places = [], []
    for text, question in zip(draw.sample(list(texts), len(questions)), questions, strict=True):
        lines = text.splitlines(keepends=True)
        before = "".join(lines[: draw.randint(0, len(lines))])
        written = change(question)
        planted.append(f"{before}\n{written}\n{text[len(before) :]}")
        places.append((len(before) + 1, len(before) + 1 + len(written)))
    return planted, places


def found_rows(
    hits: Sequence[Hit], pieces: Sequence[Piece], places: Sequence[tuple[int, int]]
) -> set[tuple[int, int]]:
    """(text, row) of the hits that lie within their text's planted place."""
    return {
        (hit.text, pieces[hit.piece].row)
        for hit in hits
        if places[hit.text][0] <= hit.first and hit.end <= places[hit.text][1]
    }


def recall(pieces: Sequence[Piece], index: Index, texts: Sequence[str], name: str) -> list[int]:
    """How many of the planted questions are found, for every way of WAYS."""
    questions = {piece.row: piece.text for piece in pieces if piece.field == "question"}
    rows = random.Random(f"{SEED} {name}").sample(sorted(questions), PLANTED)
    numbers = []
    for way, change in WAYS.items():
        draw = random.Random(f"{SEED} {name} {way}")
        planted, places = plant(texts, [questions[row] for row in rows], change, draw)
        found = found_rows(find_hits(planted, index), pieces, places)
        numbers.append(sum((text, row) in found for text, row in enumerate(rows)))
    return numbers


def plain_words(text: str) -> list[str]:
    """Lower-case words, and Han characters one by one."""
    return re.findall(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+", text.lower())


def plain_seconds(texts: Sequence[str], pieces: Sequence[Piece]) -> float:
    """Processor seconds of a plain search for 13-grams in the texts."""
    grams = {
        tuple(words[at : at + NGRAM])
        for words in (plain_words(piece.text) for piece in pieces)
        for at in range(len(words) - NGRAM + 1)
    }
    began = time.process_time()
    for text in texts:
        words = plain_words(text)
        any(tuple(words[at : at + NGRAM]) in grams for at in range(len(words) - NGRAM + 1))
    return time.process_time() - began


def natural(data: Path, pieces: Sequence[Piece], index: Index) -> list[list[object]]:
    """Rows (domain, documents, documents hit) of the documents as they are; prints every hit."""
    rows: list[list[object]] = []
    for file in sorted((data / "text").glob("*.parquet")):
        texts = pl.read_parquet(file, columns=["text"])["text"].to_list()
        hits = find_hits(texts, index)
        for hit in hits[:100]:
            piece = pieces[hit.piece]
            print(
                f"{file.stem} {hit.text} {piece.file} {piece.row} {hit.share:.2f}: "
                f"{texts[hit.text][hit.first : hit.end][:120]!r} of {piece.text[:100]!r}"
            )
        rows.append([file.stem, len(texts), len({hit.text for hit in hits})])
    return rows


def rate(data: Path, pieces: Sequence[Piece], index: Index) -> tuple[float, float]:
    """Megabytes a second, ours and of a plain search, on the documents of both planted domains."""
    texts = [
        text
        for _, domain in SETS.values()
        for text in pl.read_parquet(data / "text" / f"{domain}.parquet", columns=["text"])["text"].to_list()
    ]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    find_hits(texts[:1], index)
    began = time.process_time()
    find_hits(texts, index)
    return megabytes / (time.process_time() - began), megabytes / plain_seconds(texts, pieces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    everything: list[Piece] = []
    rows: list[list[object]] = []
    for name, (file, domain) in SETS.items():
        pieces, items, short = load(arguments.data / "eval" / file)
        everything += pieces
        index = build_index([piece.text for piece in pieces], NGRAM, wholes(pieces))
        texts = pl.read_parquet(arguments.data / "text" / f"{domain}.parquet", columns=["text"])["text"].to_list()
        rows.append([name, f"{items:,}", f"{short:,}", *recall(pieces, index, texts, name)])
    index = build_index([piece.text for piece in everything], NGRAM, wholes(everything))
    ours, plain = rate(arguments.data, everything, index)
    body = [
        made_with("python -m tests.benchmarks.decontamination --write", [], {"NumPy": np.__version__}),
        f"\nFound of {PLANTED} planted questions, by how they were changed:\n",
        table(["set", "items", "too short", *WAYS], rows),
        "\nDocuments as they are:\n",
        table(["domain", "documents", "hit"], natural(arguments.data, everything, index)),
        f"\n{ours:.1f} MB a second on one core, {ours / plain:.1f} × a plain search in Python.",
    ]
    leave_headlines(
        "decontamination",
        [
            *(
                at_least(f"{row[0]}: planted questions found", float(str(row[3])), PLANTED, "{:.0f}")
                for row in rows
            ),
            without_goal("MB a second on one core", ours, "{:.1f}"),
        ],
    )
    print("\n".join(body))
    if arguments.write:
        write_section(TITLE, "\n".join(body))


if __name__ == "__main__":
    main()
