"""Near duplicates: recall and precision on real documents against brute-force Jaccard similarity.

    python -m tests.benchmarks.dedup_recall [--data ../shared/data] [--pages EXTRACTED] [--write]

English: the pages of four versions of one documentation site, school problems, and pieces of PEPs, RFCs, articles
and plays. Chinese: pieces of articles, letters and documentation, and poems. So many of each that it is 20,000
documents, and 3,000 copies of them in which a stretch was replaced by one of another document: real pairs between
.3 and .8 are few. `--pages` is what `corpus extract` made of the site; without it that is done first.

The truth does not come from the code that is measured: words are found by regular expression, shingles named by
BLAKE2b, and the pairs counted by a sparse product of all with all. Measured are the candidate pairs by bin of
similarity beside the formula, and what whole runs of `corpus dedup` keep and remove.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import regex
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from corpus.duplicates.near.matching import choose_matching
from corpus.duplicates.near.minhash import band_keys, signatures
from corpus.duplicates.near.shingles import shingle_sets
from corpus.duplicates.whole.dedup import dedup_documents
from corpus.pages.extract import extract
from tests.benchmarks.inputs import DATA, domains, pages, pieces
from tests.benchmarks.results import Headline, at_least, leave_headlines, made_with, table, write_section

TITLE = "Near duplicates: recall and precision"
DOCUMENTS, COPIES = 20_000, 3_000
SIZE, THRESHOLD, SURE = 5, 0.8, 0.85
LEAST = 0.3
BINS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
RUNS = (("star", "jaccard"), ("single", "jaccard"), ("star", "signature"), ("single", "none"))
_BLOCK = 500
_WORDS = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}]|[\p{L}\p{M}\p{N}--\p{Han}\p{Hiragana}\p{Katakana}]+", regex.V1
)


class Pairs(NamedTuple):
    """All pairs of documents of at least LEAST, the left row being the smaller."""

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray


def english(data: Path, extracted: Path) -> pl.DataFrame:
    """Columns id, text."""
    site, problems = pages(extracted, DOCUMENTS), domains(data, ("math_en",), DOCUMENTS)
    long = domains(data, ("peps_en", "rfcs_en", "wiki_en", "shakespeare_en"), DOCUMENTS)
    cut = pieces(long, 1500)
    own = pl.concat([site.select("id", "text"), problems.select("id", "text")])
    return _enough(own, cut)


def chinese(data: Path) -> pl.DataFrame:
    """Columns id, text."""
    cut = pieces(domains(data, ("tech_zh", "weekly_zh", "docs_zh"), DOCUMENTS), 800)
    return _enough(domains(data, ("poetry_zh",), 3000).select("id", "text"), cut)


def _enough(all_of: pl.DataFrame, some_of: pl.DataFrame) -> pl.DataFrame:
    """DOCUMENTS documents: all of one table, and of the other as many as are missing, evenly from all of it."""
    missing = DOCUMENTS - all_of.height
    places = np.linspace(0, some_of.height - 1, missing).astype(np.int64)
    return pl.concat([all_of, some_of[np.unique(places)]]).with_columns(pl.col("id").cast(pl.String))


def edited_copies(texts: Sequence[str], count: int) -> Iterator[str]:
    """Copies of texts in which a stretch of up to 60 % is one of another text."""
    draw = random.Random(0)
    long = [text for text in texts if len(text) >= 300]
    for _ in range(count):
        text, other = draw.choice(long), draw.choice(long)
        length = int(len(text) * draw.random() * 0.6)
        first, start = draw.randrange(len(text) - length + 1), draw.randrange(max(1, len(other) - length))
        yield text[:first] + other[start : start + length] + text[first + length :]


def true_pairs(texts: Sequence[str]) -> Pairs:
    """The Jaccard similarity of all pairs, by a sparse product of the matrix of documents and shingles."""
    rows, columns = [], []
    for row, text in enumerate(texts):
        names = _shingle_names(text)
        rows.append(np.full(len(names), row))
        columns.append(names)
    _, numbers = np.unique(np.concatenate(columns), return_inverse=True)
    row = np.concatenate(rows)
    matrix = sparse.csr_matrix(
        (np.ones(len(row), dtype=np.int32), (row, numbers)), shape=(len(texts), numbers.max() + 1)
    )
    sizes, transposed = np.diff(matrix.indptr), matrix.T.tocsr()
    found: list[Pairs] = []
    for first in range(0, len(texts), _BLOCK):
        product = (matrix[first : first + _BLOCK] @ transposed).tocoo()
        left, right, shared = product.row + first, product.col, product.data
        above = right > left
        left, right, shared = left[above], right[above], shared[above]
        similarity = shared / (sizes[left] + sizes[right] - shared)
        near = similarity >= LEAST
        found.append(Pairs(left[near], right[near], similarity[near]))
    return Pairs(*(np.concatenate(one) for one in zip(*found, strict=True)))


def _shingle_names(text: str) -> np.ndarray:
    words = _WORDS.findall(unicodedata.normalize("NFKC", text).lower())
    width = min(SIZE, len(words))
    shingles = {"\x1f".join(words[at : at + width]) for at in range(len(words) - width + 1)} if words else set()
    names = [hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in shingles]
    return np.frombuffer(b"".join(names), dtype="<u8")


def candidates(texts: Sequence[str], pairs: Pairs) -> np.ndarray:
    """Whether each pair shares a band."""
    matching = choose_matching(THRESHOLD, SIZE)
    keys = []
    for first in range(0, len(texts), 2000):
        values, offsets, _ = shingle_sets(pl.Series(texts[first : first + 2000]), SIZE)
        keys.append(band_keys(signatures(values, offsets, matching.hashes), matching.banding))
    key = np.concatenate(keys)
    return (key[pairs.left] == key[pairs.right]).any(axis=1)


def distinct(texts: Sequence[str], pairs: Pairs) -> np.ndarray:
    """Which pairs to count in bins: of documents with equal sets only the first; their pairs are one draw."""
    first: dict[bytes, int] = {}
    firsts = np.array([first.setdefault(np.sort(_shingle_names(t)).tobytes(), row) for row, t in enumerate(texts)])
    own = firsts == np.arange(len(texts))
    return own[pairs.left] & own[pairs.right]


def wilson(found: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z = 1.96
    middle, spread = (
        (found + z * z / 2) / (of + z * z),
        z * np.sqrt(found * (of - found) / of + z * z / 4) / (of + z * z),
    )
    return middle - spread, middle + spread


class Bin(NamedTuple):
    """Pairs of a bin of similarity: how many, of those how many real and which share found; and one a family.

    Of `families` pairs the formula predicts that the share `predicted` is found, `found` was.
    """

    low: float
    high: float
    pairs: int
    real: int
    found_of_all: float
    families: int
    predicted: float
    found: float
    interval: tuple[float, float]

    @property
    def agrees(self) -> bool:
        return bool(self.interval[0] <= self.predicted <= self.interval[1])


def families(documents: int, pairs: Pairs) -> np.ndarray:
    """A number for each pair, the same for those that a chain of pairs of at least LEAST connects.

    The pairs of a family share their shingles, and with them the hashes that decide about them.
    """
    graph = sparse.coo_matrix((np.ones(len(pairs.left)), (pairs.left, pairs.right)), shape=(documents, documents))
    return connected_components(graph, directed=False)[1][pairs.left]


def by_bin(pairs: Pairs, found: np.ndarray, real: np.ndarray, family: np.ndarray) -> list[Bin]:
    """Candidate pairs by bin. The prediction is the mean over the pairs, one of each family by lot."""
    banding = choose_matching(THRESHOLD, SIZE).banding
    lots = np.random.default_rng(0).permutation(len(found))
    bins = []
    for low, high in pairwise(BINS):
        inside = lots[(pairs.similarity[lots] >= low) & (pairs.similarity[lots] < high)]
        if not len(inside):
            continue
        chosen = inside[np.unique(family[inside], return_index=True)[1]]
        predicted = float(np.mean([banding.probability(one) for one in pairs.similarity[chosen]]))
        of_all = int(real[inside].sum()), float(found[inside].mean())
        count, hits = len(chosen), int(found[chosen].sum())
        bins.append(Bin(low, high, len(inside), *of_all, count, predicted, hits / count, wilson(hits, count)))
    return bins


class Run(NamedTuple):
    """What a run of `corpus dedup` did to the true pairs; shares of pairs or of removed documents."""

    linkage: str
    verify: str
    removed: int
    recall_at_threshold: float
    recall_sure: float
    true_edges: float
    resemble_kept: float
    lowest_with_kept: float


def run(texts: Sequence[str], pairs: Pairs, linkage: str, verify: str, folder: Path) -> Run:
    """Run it; a pair is found where not both of its documents are kept (star) or where they are in one cluster."""
    source, output = folder / "in.parquet", folder / f"{linkage}-{verify}"
    pl.DataFrame({"id": [str(row) for row in range(len(texts))], "text": list(texts)}).write_parquet(source)
    options = {"threshold": THRESHOLD, "ngram": SIZE, "linkage": linkage, "verify": verify}
    dedup_documents([source], output, workers=1, **options)
    clusters = pl.read_parquet(output / "clusters" / "*.parquet")
    edges = pl.read_parquet(output / "edges" / "*.parquet")
    cluster, kept = np.arange(len(texts)), np.ones(len(texts), dtype=bool)
    rows = clusters["id"].cast(pl.Int64).to_numpy()
    cluster[rows] = clusters["cluster"].cast(pl.Int64).to_numpy()
    kept[rows] = clusters["kept"].to_numpy()
    found = cluster[pairs.left] == cluster[pairs.right]
    if linkage == "star":
        found = ~(kept[pairs.left] & kept[pairs.right])
    truth = {(i, j): s for i, j, s in zip(*(one.tolist() for one in pairs), strict=True)}

    def true(left: Sequence[str], right: Sequence[str]) -> np.ndarray:
        both = (sorted((int(i), int(j))) for i, j in zip(left, right, strict=True))
        return np.array([truth.get((i, j), 0.0) for i, j in both])

    gone = clusters.filter(~pl.col("kept"))
    of_edges, of_removed = true(edges["id"], edges["other_id"]), true(gone["id"], gone["kept_id"])
    return Run(
        linkage,
        verify,
        gone.height,
        float(found[pairs.similarity >= THRESHOLD].mean()),
        float(found[pairs.similarity >= SURE].mean()),
        float((of_edges >= THRESHOLD).mean()),
        float((of_removed >= THRESHOLD).mean()),
        float(of_removed.min()),
    )


class Measured(NamedTuple):
    """All about one corpus."""

    name: str
    documents: int
    real_pairs: int
    bins: list[Bin]
    runs: list[Run]


def measure(name: str, real: pl.DataFrame, folder: Path) -> Measured:
    """Real documents and edited copies: the truth, the candidates, the runs."""
    own = real["text"].to_list()
    texts = [*own, *edited_copies(own, COPIES)]
    pairs = true_pairs(texts)
    are_real = pairs.right < len(own)
    counted = distinct(texts, pairs)
    few = Pairs(*(one[counted] for one in pairs))
    family = families(len(texts), pairs)[counted]
    bins = by_bin(few, candidates(texts, few), are_real[counted], family)
    runs = [run(texts, pairs, *how, folder) for how in RUNS]
    return Measured(name, len(own), int((are_real & (pairs.similarity >= THRESHOLD)).sum()), bins, runs)


def section(measured: Sequence[Measured], command: str) -> str:
    """The section of RESULTS.md."""
    banding = choose_matching(THRESHOLD, SIZE).banding
    parts = [
        made_with(command, ["numpy", "scipy", "polars", "numba"], {}),
        "",
        f"The threshold is {THRESHOLD}: {banding.bands} bands of {banding.rows} hashes, {SIZE} words a shingle. "
        "The truth is a sparse product of all documents with all, from words found by regular expression and "
        "shingles named by BLAKE2b.",
    ]
    for one in measured:
        pairs = f"among which {one.real_pairs:,} pairs have J ≥ {THRESHOLD}"
        copies = f"{COPIES:,} edited copies (a stretch of up to 60 % replaced)"
        parts += ["", f"**{one.name}**: {one.documents:,} real documents, {pairs}, and {copies}.", ""]
        parts += [_runs_table(one.runs), "", "Pairs that share a band, those of equal sets counted once:", ""]
        parts.append(_bins_table(one.bins))
    parts += [
        "",
        "A pair is found where not both are kept (star), or where both are in one cluster (single). The pairs of "
        f"a family, which a chain of pairs with J ≥ {LEAST} connects, share the hashes that decide about them and "
        "are no independent draws: the prediction is compared with one pair of each family and bin, by lot.",
    ]
    return "\n".join(parts)


def _runs_table(runs: Sequence[Run]) -> str:
    header = ["--linkage", "--verify", "removed", f"pairs found, J ≥ {THRESHOLD}", f"J ≥ {SURE}"]
    header += [f"joined pairs with J ≥ {THRESHOLD}", "removed with such a J to the kept one", "the lowest such J"]
    rows = []
    for one in runs:
        shares = (one.recall_at_threshold, one.recall_sure, one.true_edges, one.resemble_kept)
        shown = [f"{share:.2%}" for share in shares]
        lowest = f"{one.lowest_with_kept:.3f}" if one.lowest_with_kept else f"below {LEAST}"
        rows.append([one.linkage, one.verify, f"{one.removed:,}", *shown, lowest])
    return table(header, rows)


def _bins_table(bins: Sequence[Bin]) -> str:
    rows = []
    for one in bins:
        numbers = [f"{one.low:g} to {one.high:g}", f"{one.pairs:,}", f"{one.real:,}", f"{one.found_of_all:.3f}"]
        numbers += [f"{one.families:,}", f"{one.predicted:.3f}", f"{one.found:.3f}"]
        interval = " to ".join(f"{end:.3f}" for end in one.interval)
        rows.append([*numbers, interval, "yes" if one.agrees else "no"])
    header = [
        "J",
        "pairs",
        "of real documents",
        "all found",
        "one a family",
        "predicted",
        "found",
        "95 % interval",
    ]
    return table([*header, "holds the prediction"], rows)


def headlines(measured: Sequence[Measured]) -> list[Headline]:
    """What has a goal: recall, precision, and how far the candidates are from the formula."""
    found = []
    for one in measured:
        for each in (each for each in one.runs if each.verify == "jaccard"):
            found.append(
                at_least(
                    f"{one.name}, {each.linkage}: pairs of J ≥ {SURE} found", each.recall_sure, 0.99, "{:.2%}"
                )
            )
            found.append(
                at_least(f"{one.name}, {each.linkage}: joined pairs that are true", each.true_edges, 1, "{:.2%}")
            )
        agree = sum(b.agrees for b in one.bins) / len(one.bins)
        found.append(at_least(f"{one.name}: bins on the predicted curve", agree, 0.9, "{:.0%}"))
    return found


def main() -> None:
    """Measure, print, and with --write put the section into RESULTS.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--pages", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extracted = given.pages or folder / "pages"
        if given.pages is None:
            extract([str(given.data / "web" / "numpy-docs-0*.warc.gz")], extracted)
        sources = {"English": english(given.data, extracted), "Chinese": chinese(given.data)}
        measured = []
        for language, documents in sources.items():
            (folder / language).mkdir()
            measured.append(measure(language, documents, folder / language))
    body = section(measured, "python -m tests.benchmarks.dedup_recall")
    print(body)
    leave_headlines("dedup_recall", headlines(measured))
    if given.write:
        write_section(TITLE, body)


if __name__ == "__main__":
    main()
