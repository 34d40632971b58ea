"""datatrove's filters on documents of a Parquet file; runs in datatrove's own environment, not in ours.

    python datatrove_peer.py decide documents.parquet decisions.parquet --language en
    python datatrove_peer.py time documents.parquet seconds.json

`decide` writes a row a document: what every filter said (null: kept), the values that its rules compared, and its
words. `time` writes the processor seconds of the chain of filters, stopping at the first failure and not.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)
from datatrove.pipeline.filters.gopher_repetition_filter import (
    find_all_duplicate,
    find_duplicates,
    find_top_duplicate,
    get_n_grams,
)
from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION, split_into_words
from datatrove.utils.typeshelper import Languages

STOP_WORDS = {
    "en": ["the", "be", "to", "of", "and", "that", "have", "with"],
    "zh": list("的年在月是和日了於·為有被人中为他與後也而由"),
}
LANGUAGES = {"en": Languages.english, "zh": Languages.mandarin_chinese}
# FineWeb-2's configuration for Mandarin Chinese.
TOP_ZH = ((2, 0.256), (3, 0.201), (4, 0.171))
DUPLICATE_ZH = ((5, 0.198), (6, 0.182), (7, 0.167), (8, 0.154), (9, 0.14), (10, 0.127))
NEVER = 1e9


def filters(language: str) -> dict[str, Any]:
    """The filters as FineWeb (en) and FineWeb-2 (zh) configure them, by name."""
    code = LANGUAGES[language]
    if language == "en":
        return {
            "repetition": GopherRepetitionFilter(language=code),
            "quality": GopherQualityFilter(language=code),
            "c4": C4QualityFilter(language=code),
            "fineweb_c4": C4QualityFilter(language=code, filter_no_terminal_punct=False),
            "fineweb": FineWebQualityFilter(language=code),
        }
    return {
        "repetition": GopherRepetitionFilter(0.287, 0, 0, 0, TOP_ZH, DUPLICATE_ZH, language=code),
        "quality": GopherQualityFilter(
            min_avg_word_length=1,
            max_avg_word_length=5,
            max_non_alpha_words_ratio=0.735,
            stop_words=STOP_WORDS["zh"],
            language=code,
        ),
        "fineweb": FineWebQualityFilter(
            line_punct_thr=0.106,
            short_line_thr=999,
            char_duplicates_ratio=0.1,
            new_line_ratio=0.178,
            language=code,
        ),
    }


def unfailing() -> list[Any]:
    """FineWeb's chain with thresholds that nothing fails: every rule is computed."""
    never = tuple((n, NEVER) for n in range(2, 5)), tuple((n, NEVER) for n in range(5, 11))
    return [
        GopherRepetitionFilter(NEVER, NEVER, NEVER, NEVER, *never),
        GopherQualityFilter(-1, NEVER, -1, NEVER, NEVER, NEVER, NEVER, -1, -1),
        C4QualityFilter(filter_no_terminal_punct=False, min_num_sentences=0),
        FineWebQualityFilter(
            line_punct_thr=-1, short_line_thr=NEVER, char_duplicates_ratio=NEVER, new_line_ratio=NEVER
        ),
    ]


class LastWords:
    """The words of the last text, so that a document is split once for all filters that are asked about it."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.words: list[str] = []

    def __call__(self, text: str, language: str) -> list[str]:
        """The words of a text, as datatrove splits it."""
        if text != self.text:
            self.text, self.words = text, split_into_words(text, language)
        return self.words


class Sentences:
    """Counts the sentences that C4's filter finds in a document."""

    def __init__(self) -> None:
        self.count = 0
        self._split = c4_filters.split_into_sentences

    def __call__(self, text: str, language: str) -> list[str]:
        """The sentences of a line."""
        found = self._split(text, language)
        self.count += len(found)
        return found


def reason(kept: Any) -> str | None:
    """Why a filter removes a document, None if it keeps it."""
    return None if kept is True else kept[1]


def values(text: str, words: list[str], language: str) -> dict[str, float]:
    """What the filters' rules compare, by our names: datatrove's helpers, and its rules' own arithmetic."""
    plain = [word for word in words if any(character not in PUNCTUATION_SET for character in word)]
    every, count, size = text.splitlines(), len(words), len(text)
    found = {
        "word_count": len(plain),
        "token_count": count,
        "mean_word_length": sum(map(len, plain)) / len(plain) if plain else 0,
        "alphabetic_word_fraction": sum(any(c.isalpha() for c in word) for word in words) / count,
        f"stop_words_{language}": len(set(STOP_WORDS[language]) & set(words)),
        "hash_per_word": text.count("#") / count,
        "ellipsis_per_word": (text.count("...") + text.count("…")) / count,
        "newlines_per_word": text.count("\n") / count,
        "bullet_line_fraction": sum(line.lstrip().startswith(("•", "-")) for line in every) / len(every),
        "ellipsis_line_fraction": sum(line.rstrip().endswith(("...", "…")) for line in every) / len(every),
    }
    solid = [line for line in text.split("\n") if line.strip() != ""]
    found["terminal_line_fraction"] = sum(line.endswith(tuple(TERMINAL_PUNCTUATION)) for line in solid) / len(
        solid
    )
    found["short_line_fraction"] = sum(len(line) <= 30 for line in solid) / len(solid)
    found["characters_in_duplicate_lines"] = find_duplicates(solid)[1] / len(text.replace("\n", ""))
    for kind, parts in (("line", re.split("\n+", text)), ("paragraph", re.split("\n{2,}", text.strip()))):
        number, characters = find_duplicates(parts)
        found[f"duplicate_{kind}_fraction"] = number / len(parts)
        found[f"duplicate_{kind}_character_fraction"] = characters / size
    for n in (2, 3, 4):
        grams = get_n_grams(words, n)
        found[f"top_{n}_gram_fraction"] = find_top_duplicate(grams) / size if grams else 0
    for n in range(5, 11):
        found[f"duplicate_{n}_gram_fraction"] = find_all_duplicate(words, n) / size
    return {name: float(value) for name, value in found.items()}


def decide(documents: list[dict[str, str]], output: Path, language: str) -> None:
    """Write the decisions, values and words of all documents."""
    split, sentences = LastWords(), Sentences()
    for module in (gopher_repetition_filter, gopher_quality_filter, fineweb_quality_filter):
        module.split_into_words = split
    c4_filters.split_into_sentences = sentences
    chosen = filters(language)
    rows = []
    for row in documents:
        result: dict[str, Any] = {"id": row["id"]}
        for name, one in chosen.items():
            document = Document(row["text"], row["id"])
            sentences.count = 0
            result[name] = reason(one.filter(document))
            if name == "c4":
                result["c4_sentences"] = sentences.count
                if result[name] == "too_few_sentences":  # the lines that it kept are not to be had otherwise
                    C4QualityFilter(language=LANGUAGES[language], min_num_sentences=0).filter(document)
                result["c4_text"] = document.text
        if language == "en":
            result["chain"] = chain(row, chosen)
        words = split(row["text"], LANGUAGES[language])
        rows.append({**result, "values": values(row["text"], words, language), "words": words})
        if len(rows) % 500 == 0:
            print(f"{len(rows)} of {len(documents)}", file=sys.stderr, flush=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema(rows)), output)


def _schema(rows: list[dict[str, Any]]) -> pa.Schema:
    kinds = {
        "values": pa.struct([(name, pa.float64()) for name in rows[0]["values"]]),
        "words": pa.list_(pa.string()),
    }
    counts = {name: pa.int64() for name in rows[0] if name.endswith("_sentences")}
    return pa.schema([(name, {**kinds, **counts}.get(name, pa.string())) for name in rows[0]])


def chain(row: dict[str, str], chosen: dict[str, Any]) -> str | None:
    """FineWeb's way of a document: the first filter that removes it and why, None if all keep it."""
    document = Document(row["text"], row["id"])
    for name in ("repetition", "quality", "fineweb_c4", "fineweb"):
        why = reason(chosen[name].filter(document))
        if why is not None:
            return f"{name}: {why}"
    return None


def seconds(documents: list[dict[str, str]], chosen: list[Any]) -> float:
    """Processor seconds of a chain of filters, each document through them until one removes it."""
    ready = [Document(row["text"], row["id"]) for row in documents]
    started = time.process_time()
    for document in ready:
        for one in chosen:
            if one.filter(document) is not True:
                break
    return time.process_time() - started


def main() -> None:
    """Parse, call one function."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["decide", "time"])
    parser.add_argument("documents", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--language", choices=["en", "zh"], default="en")
    options = parser.parse_args()
    documents = pq.read_table(options.documents, columns=["id", "text"]).to_pylist()
    if options.task == "decide":
        decide(documents, options.output, options.language)
        return
    fineweb = filters("en")
    stopping = [fineweb[name] for name in ("repetition", "quality", "fineweb_c4", "fineweb")]
    seconds(documents[:2], stopping)  # loads the splitter
    timed = {"stopping": seconds(documents, stopping), "all": seconds(documents, unfailing())}
    options.output.write_text(json.dumps({**timed, "version": version("datatrove")}), "utf-8")


if __name__ == "__main__":
    main()
