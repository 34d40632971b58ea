"""Main text of annotated pages: quality and pages a second of ours and of trafilatura's settings.

    python -m tests.benchmarks.extraction [--data FOLDER] [--scorer FILE] [--every N]

Needs the annotated pages (`articles`, `wcxb`, `chinese`: WARC and gold files) and their scorer. Every setting
reads each page in turn, on one core, in processor time, so that other work on the machine hits all of them
alike. Prints a Markdown table for RESULTS.md; `--every N` takes each Nth page only,
for a first look (rates only).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import polars as pl
import trafilatura

from corpus.pages.charset import decode_page
from corpus.pages.extraction import Extracted, extract_page
from corpus.pages.screening import screen
from corpus.pages.warc import read_pages
from tests.benchmarks.results import Headline, at_least, leave_headlines, without_goal

SETS = ("articles", "wcxb", "chinese")
ANNOTATED = ("scrapinghub", "trafilatura", "readability", "wcxb", "chinese")


def ours(extractor: str) -> Callable[[str], str | None]:
    """Our way to a text, with the cheap tests before it."""

    def text(html: str) -> str:
        if screen(html).reason:
            return ""
        result = extract_page(html, extractor)
        return result.text if isinstance(result, Extracted) else ""

    return text


SETTINGS: dict[str, Callable[[str], str | None]] = {
    "ours, trafilatura": ours("trafilatura"),
    "ours, resiliparse": ours("resiliparse"),
    "trafilatura default": lambda html: trafilatura.extract(html),
    "trafilatura fast": lambda html: trafilatura.extract(html, fast=True),
    "trafilatura precision": lambda html: trafilatura.extract(html, favor_precision=True),
}


def load(data: Path) -> list[tuple[str, str]]:
    """Address and HTML of every annotated page."""
    pages = []
    for name in SETS:
        with (data / f"{name}.warc.gz").open("rb") as raw:
            for page in read_pages(raw, lambda place, reason, record: None):
                if page is not None and not page.reason:
                    pages.append((page.url, decode_page(page.body, page.charset).text))
    return pages


def measure(pages: list[tuple[str, str]]) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Texts and seconds of every setting."""
    texts: dict[str, list[str]] = {name: [] for name in SETTINGS}
    seconds = dict.fromkeys(SETTINGS, 0.0)
    for name, extract in SETTINGS.items():
        extract(pages[0][1])  # imports and caches
        texts[name].clear()
    for _, html in pages:
        for name, extract in SETTINGS.items():
            started = time.process_time()
            texts[name].append(extract(html) or "")
            seconds[name] += time.process_time() - started
    return texts, seconds


def score(scorer: Path, data: Path, urls: list[str], texts: list[str]) -> dict[str, dict[str, float]]:
    """The scorer's measures of one setting's texts."""
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents.parquet"
        pl.DataFrame({"url": urls, "text": texts}).write_parquet(documents)
        gold = [str(data / f"{name}.gold.jsonl.gz") for name in SETS]
        command = [sys.executable, str(scorer), *gold, "--", str(documents)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def line(name: str, rate: float, ratio: float, found: dict[str, dict[str, float]]) -> str:
    """A row of the table."""
    sets = [found[key]["f1"] for key in ANNOTATED]
    types = [value for key, value in sorted(found["wcxb"].items()) if key not in ("n", "f1")]
    return f"| {name} | {rate:.0f} | {ratio:.2f} | " + " | ".join(f"{value:.3f}" for value in sets + types) + " |"


def headlines(scores: dict[str, dict[str, float]], pages: int, seconds: dict[str, float]) -> list[Headline]:
    """Ours beside the best that any of trafilatura's settings has on a set, and the speed beside its default."""
    ours = "ours, trafilatura"
    peers = [found for name, found in scores.items() if name.startswith("trafilatura")]
    rows = [
        at_least(f"F1 on {key}", scores[ours][key], max(peer[key] for peer in peers), "{:.3f}")
        for key in ANNOTATED
    ]
    ratio = seconds["trafilatura default"] / seconds[ours]
    rows.append(at_least("speed beside trafilatura's default", ratio, 1.4, "{:.2f} ×"))
    rates = {"pages a second and core": ours, "the same, resiliparse": "ours, resiliparse"}
    return [*rows, *(without_goal(name, pages / seconds[key], "{:.0f}") for name, key in rates.items())]


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, default=Path("../shared/data/web"))
    options.add_argument("--scorer", type=Path, default=Path("../shared/tools/score_extraction.py"))
    options.add_argument("--every", type=int, default=1)
    chosen = options.parse_args()
    if not chosen.data.is_dir():
        raise SystemExit(f"{chosen.data}: no annotated pages")
    pages = load(chosen.data)[:: chosen.every]
    texts, seconds = measure(pages)
    default = seconds["trafilatura default"]
    print(f"trafilatura {version('trafilatura')}, resiliparse {version('resiliparse')}, {len(pages)} pages")
    head = (
        "scrapinghub trafilatura readability wcxb chinese article collection documentation forum listing product"
    )
    names = ["", "pages/s", "speed", *head.split(), "service"]
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    scores: dict[str, dict[str, float]] = {}
    for name in SETTINGS:
        rate, ratio = len(pages) / seconds[name], default / seconds[name]
        if chosen.every > 1:
            print(f"| {name} | {rate:.0f} | {ratio:.2f} |")
        else:
            found = score(chosen.scorer, chosen.data, [url for url, _ in pages], texts[name])
            scores[name] = {key: found[key]["f1"] for key in ANNOTATED}
            print(line(name, rate, ratio, found))
    if scores:
        leave_headlines("extraction", headlines(scores, len(pages), seconds))
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
