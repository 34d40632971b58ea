"""Main text of annotated pages: quality and pages a second of ours and of trafilatura's settings.

    python tests/benchmarks/extraction.py [--data FOLDER] [--scorer FILE] [--every N]

Needs the annotated pages (`web/articles`, `web/wcxb`, `web/chinese`: WARC and gold files) and their scorer. Every
setting reads each page in turn, on one core, in processor time, so that other work on the machine hits all of them
alike. Ours is timed with all that `corpus extract` does to a page: decoding, cheap tests, declared metadata; the
others get the decoded text. Writes its section of RESULTS.md; `--every N` takes each Nth page only, for a first
look: it prints the rates and writes nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import trafilatura

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from corpus.pages.charset import decode_page
from corpus.pages.extraction import EXTRACTORS, Extracted, extract_page
from corpus.pages.screening import screen
from corpus.pages.warc import Page, read_pages
from corpus.text.language import identify
from tests.benchmarks.results import (
    Headline,
    at_least,
    leave_headlines,
    made_with,
    table,
    without_goal,
    write_section,
)

SETS = ("articles", "wcxb", "chinese")
MEASURES = ("scrapinghub", "trafilatura", "readability", "wcxb", "chinese")
TYPES = ("article", "collection", "documentation", "forum", "listing", "product", "service")
LANGUAGES, LEAST_SCORE = ("en", "zh"), 0.65  # as with `corpus extract --lang en,zh`
PEERS = {
    "default": {},
    "default, no comments": {"include_comments": False},
    "fast": {"fast": True},
    "fast, no comments": {"fast": True, "include_comments": False},
    "precision": {"favor_precision": True},
    "precision, no comments": {"favor_precision": True, "include_comments": False},
    "recall": {"favor_recall": True},
    "no tables": {"include_tables": False},
}
Scores = dict[str, dict[str, float]]


@dataclass
class Measured:
    """Texts by setting, seconds by setting or stage, and the languages that the cheap test finds plain."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    refused: list[bool] = field(default_factory=list)

    def timed(self, name: str, function: Callable[[], str]) -> str:
        """Call a function and add its processor time to the setting's or stage's."""
        started = time.process_time()
        result = function()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started
        return result


def load(data: Path) -> list[Page]:
    """Every annotated page."""
    pages = []
    for name in SETS:
        with (data / f"{name}.warc.gz").open("rb") as raw:
            found = read_pages(raw, lambda place, reason, record: None)
            pages += [page for page in found if page is not None and not page.reason]
    return pages


def extracted(html: str, extractor: str) -> str:
    """Our main text of a page, or ""."""
    result = extract_page(html, extractor)
    return result.text if isinstance(result, Extracted) else ""


def measure(pages: list[Page]) -> Measured:
    """Every setting's texts of all pages; the first page is read once more, before anything is timed."""
    read(pages[0], Measured())
    measured = Measured()
    for page in pages:
        read(page, measured)
    return measured


def read(page: Page, measured: Measured) -> None:
    """Read a page by every setting."""
    html = measured.timed("decoding", lambda: decode_page(page.body, page.charset).text)
    stopped = measured.timed("cheap tests", lambda: screen(html).reason)
    measured.refused.append(screen(html, LANGUAGES).reason == "other_language")
    found = {
        f"ours, {name}": ""
        if stopped
        else measured.timed(f"ours, {name}", lambda name=name: extracted(html, name))
        for name in EXTRACTORS
    }
    for name, setting in PEERS.items():
        read_by_peer = lambda setting=setting: trafilatura.extract(html, **setting) or ""  # noqa: E731
        found[f"trafilatura, {name}"] = measured.timed(f"trafilatura, {name}", read_by_peer)
    for name, text in found.items():
        measured.texts.setdefault(name, []).append(text)


def score(scorer: Path, data: Path, urls: list[str], texts: list[str], half: int | None = None) -> Scores:
    """The scorer's measures of one setting's texts; of every second page of each set where `half` is 0 or 1."""
    with tempfile.TemporaryDirectory() as folder:
        documents = Path(folder) / "documents.parquet"
        pl.DataFrame({"url": urls, "text": texts}).write_parquet(documents)
        golds = [data / f"{name}.gold.jsonl.gz" for name in SETS]
        if half is not None:
            golds = [_half(gold, half, Path(folder)) for gold in golds]
        command = [sys.executable, str(scorer), *map(str, golds), "--", str(documents)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _half(gold: Path, half: int, folder: Path) -> Path:
    lines = gzip.decompress(gold.read_bytes()).splitlines(keepends=True)
    path = folder / gold.name
    path.write_bytes(gzip.compress(b"".join(lines[half::2])))
    return path


def cells(scores: Scores) -> list[float]:
    """F1 of the five sets and of the seven types of page."""
    return [scores[name]["f1"] for name in MEASURES] + [scores["wcxb"][name] for name in TYPES]


def figures(values: list[float]) -> list[str]:
    """Numbers as they stand in the table."""
    return [f"{value:.3f}".removeprefix("0") for value in values]


def rates(measured: Measured, count: int) -> dict[str, tuple[float, float]]:
    """Pages a second of every setting, and how many times trafilatura's default that is."""
    before = measured.seconds["decoding"] + measured.seconds["cheap tests"]
    default = measured.seconds["trafilatura, default"]
    found = {}
    for name in measured.texts:
        seconds = measured.seconds[name] + (before if name.startswith("ours") else 0)
        found[name] = (count / seconds, default / seconds)
    return found


def languages(measured: Measured) -> str:
    """What the cheap test of the language spares, and what it takes that the extracted text would have kept."""
    texts = measured.texts["ours, trafilatura"]
    codes, scores = identify(texts, None)
    other = wrong = spared = 0
    for text, code, sure, refused in zip(texts, codes, scores, measured.refused, strict=True):
        kept = bool(text) and code in LANGUAGES and sure >= LEAST_SCORE
        foreign = bool(text) and code not in LANGUAGES
        other += foreign
        spared += foreign and refused
        wrong += kept and refused
    return (
        f"With `--lang en,zh`, {spared} of the {other} pages whose text is in another language are refused before "
        f"parsing, and {wrong} that the extracted text would have kept."
    )


def headlines(found: dict[str, list[float]], rate: dict[str, tuple[float, float]]) -> list[Headline]:
    """Ours beside the best that any of trafilatura's settings has on a set, and the speed beside its default."""
    ours, fast = "ours, trafilatura", "ours, resiliparse"
    best = best_of_peers(found)
    rows = [
        at_least(f"F1 on {name}", found[ours][place], best[place], "{:.3f}") for place, name in enumerate(MEASURES)
    ]
    rows.append(at_least("speed beside trafilatura's default", rate[ours][1], 1.4, "{:.2f} ×"))
    shown = {"pages a second and core": ours, "the same, resiliparse": fast}
    return [*rows, *(without_goal(label, rate[name][0], "{:.0f}") for label, name in shown.items())]


def best_of_peers(found: dict[str, list[float]]) -> list[float]:
    """The best that any of trafilatura's settings has, measure by measure."""
    peers = [values for name, values in found.items() if name.startswith("trafilatura")]
    return [max(column) for column in zip(*peers, strict=True)]


def verdict(found: dict[str, list[float]]) -> str:
    """On how many sets ours is no worse than trafilatura's default, and the settings by the mean of the sets."""
    ours, default = found["ours, trafilatura"], found["trafilatura, default"]
    equal = sum(own >= other for own, other in zip(ours[: len(MEASURES)], default, strict=False))
    means = {name: sum(values[: len(MEASURES)]) / len(MEASURES) for name, values in found.items()}
    order = sorted(means, key=lambda name: -means[name])[:3]
    best = ", ".join(f"{name} {figures([means[name]])[0]}" for name in order)
    sets = f"{equal} of the {len(MEASURES)} sets"
    return f"No worse than trafilatura's default on {sets}. Best by the mean of them: {best}."


def section(measured: Measured, found: dict[str, list[float]], pages: list[Page], data: Path, scorer: Path) -> str:
    """The section of RESULTS.md."""
    urls = [page.url for page in pages]
    rate = rates(measured, len(pages))
    rows = [
        [name, f"{rate[name][0]:.0f}", f"{rate[name][1]:.2f}", *figures(values)] for name, values in found.items()
    ]
    rows.append(["best of trafilatura's, each by itself", "", "", *figures(best_of_peers(found))])
    for name in ("ours, trafilatura", "trafilatura, default"):
        for half in (0, 1):
            values = cells(score(scorer, data, urls, measured.texts[name], half))
            rows.append([f"{name}: half {half + 1}", "", "", *figures(values)])
    stages = ", ".join(
        f"{name} {measured.seconds[name] / len(pages) * 1000:.1f}"
        for name in ("decoding", "cheap tests", "ours, trafilatura", "ours, resiliparse", "trafilatura, default")
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return "\n".join(
        [
            made_with("python -m tests.benchmarks.extraction", ["trafilatura", "resiliparse", "lxml"], {}),
            f"{len(pages):,} annotated pages; F1 by each set's own measure, then WCXB by type of page. Speed is",
            "against trafilatura's default, in processor time of one run; ours with decoding, cheap tests and",
            "declared metadata.",
            f"Milliseconds a page: {stages}. Largest memory {memory:.0f} MB. {languages(measured)}",
            verdict(found),
            "",
            table(["", "pages/s", "speed", *MEASURES, *TYPES], rows),
        ]
    )


def main() -> None:
    """Measure, and write the section."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--scorer", type=Path, default=Path("../shared/tools/score_extraction.py"))
    options.add_argument("--every", type=int, default=1)
    chosen = options.parse_args()
    data = chosen.data / "web"
    if not data.is_dir():
        raise SystemExit(f"{data}: no annotated pages")
    pages = load(data)[:: chosen.every]
    measured = measure(pages)
    if chosen.every > 1:
        for name, (rate, ratio) in rates(measured, len(pages)).items():
            print(f"{name}: {rate:.0f} pages/s, {ratio:.2f}")
        print({name: round(seconds / len(pages) * 1000, 1) for name, seconds in measured.seconds.items()})
        print(languages(measured))
        return
    urls = [page.url for page in pages]
    found = {name: cells(score(chosen.scorer, data, urls, texts)) for name, texts in measured.texts.items()}
    leave_headlines("extraction", headlines(found, rates(measured, len(pages))))
    write_section("Main text of pages", section(measured, found, pages, data, chosen.scorer))


if __name__ == "__main__":
    main()
