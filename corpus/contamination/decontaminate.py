"""`corpus decontaminate`: documents that hold evaluation items removed or cut, every hit in a ledger."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import fsspec
import polars as pl

from corpus.contamination.items import Piece, read_evaluation, wholes
from corpus.contamination.ngrams import Hit, Index, build_index, find_hits
from corpus.core.engine import Step, UnitOutput, run_step
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import storable
from corpus.core.inputs import Unit, read_documents
from corpus.core.locations import list_files
from corpus.core.output import Manifest

REASON = "contaminated"
REMOVALS = ("document", "span")
LEAST_LEFT = 200  # characters: a cut document of fewer is removed


def decontaminate_documents(
    inputs: Sequence[str | Path],
    output: Path,
    against: Sequence[str | Path],
    *,
    ngram: int = 13,
    remove: str = "document",
    fields: Sequence[str] = (),
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Remove what documents share with evaluation files (see `find_hits`) and return the manifest.

    `remove="document"` moves a document with a hit to `removed/`; `"span"` cuts the stretches out of its text, and
    removes it where fewer than LEAST_LEFT characters are left, then with its text as it came in. `ledger/` has a
    row for each hit: the document's id, the evaluation file, the item, its row and field, offset and length in
    characters of the text as it came in, grams, the share of the field's words that the stretch has.
    The manifest's parameters say how many items each file has, and how many are too short to be found.
    """
    if ngram < 1 or remove not in REMOVALS:
        raise UsageError("--ngram must be at least 1" if ngram < 1 else f"--remove {remove}: document or span")
    parameters = {
        "against": evaluation_files(against, fields, ngram),
        "ngram": ngram,
        "remove": remove,
        "fields": [*fields],
    }
    step = Step("corpus decontaminate", parameters, process_unit)
    return run_step(step, inputs, output, workers=workers, engine=engine, overwrite=overwrite, strict=strict)


def process_unit(unit: Unit, parameters: dict[str, Any], output: UnitOutput) -> None:
    """Decontaminate one unit: the step's function."""
    files = tuple((file["path"], file["name"], file["sha256"]) for file in parameters["against"])
    pieces, index = load_pieces(files, tuple(parameters["fields"]), parameters["ngram"])
    for frame in read_documents(unit, output):
        hits = find_hits(frame["text"].to_list(), index)
        _write(frame, hits, pieces, parameters["remove"] == "span", output)


def cut(text: str, hits: Sequence[Hit]) -> str:
    """The text without its hits (in the order of their beginnings)."""
    kept, at = [], 0
    for hit in hits:
        kept.append(text[at : hit.first])
        at = max(at, hit.end)
    return "".join([*kept, text[at:]])


def evaluation_files(against: Sequence[str | Path], fields: Sequence[str], ngram: int) -> list[dict[str, Any]]:
    """The evaluation files as parameters of a step (path, name, hash, items, too short ones); reads them all once.

    Raises UsageError for none, and ZeroToOneError where no item can be found.
    """
    if not against:
        raise UsageError("--against: no evaluation file given")
    files = []
    listed = list_files(against)
    clashing = {name for name, number in Counter(name for _, name in listed).items() if number > 1}
    for path, given in listed:
        name = path if given in clashing else given
        found = read_evaluation(path, name, fields, ngram)
        counts = {"items": found.items, "uncheckable": found.uncheckable}
        files.append({"path": path, "name": storable(name), "sha256": _hash(path)} | counts)
    if all(file["items"] == file["uncheckable"] for file in files):
        raise ZeroToOneError(f"{', '.join(map(str, against))}: no item is long enough to be found")
    return files


def _hash(path: str) -> str:
    with fsspec.open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@lru_cache(maxsize=1)
def load_pieces(
    files: tuple[tuple[str, str, str], ...], fields: tuple[str, ...], ngram: int
) -> tuple[list[Piece], Index]:
    """The pieces of all files and their grams; once in a process."""
    pieces: list[Piece] = []
    for path, name, sha256 in files:
        if _hash(path) != sha256:
            raise ZeroToOneError(f"{path}: changed since the command began")
        pieces += read_evaluation(path, name, fields, ngram).pieces
    return pieces, build_index([piece.text for piece in pieces], ngram, wholes(pieces))


def _write(
    frame: pl.DataFrame, hits: Sequence[Hit], pieces: Sequence[Piece], span: bool, output: UnitOutput
) -> None:
    texts: list[str] = frame["text"].to_list()
    kept = [True] * frame.height
    for row, found in groupby(hits, key=lambda hit: hit.text):
        left = cut(texts[row], list(found))
        kept[row] = span and len(left) >= LEAST_LEFT
        if kept[row]:
            output.count("documents_cut")
            output.count("characters_cut", len(texts[row]) - len(left))
            texts[row] = left
    mask = pl.Series(kept, dtype=pl.Boolean)
    removed = int((~mask).sum())
    output.write("documents", frame.with_columns(pl.Series("text", texts, dtype=pl.String)).filter(mask))
    output.write("removed", frame.filter(~mask).with_columns(pl.lit(REASON).alias("reason")))
    output.write("ledger", _ledger(frame, hits, pieces, kept))
    output.count("documents_in", frame.height)
    output.count("documents_kept", frame.height - removed)
    output.count("documents_removed", removed)
    if removed:
        output.reason(REASON, removed)
    for name, number in Counter(pieces[hit.piece].file for hit in hits).items():
        output.count(f"hits:{storable(name)}", number)


def _ledger(
    frame: pl.DataFrame, hits: Sequence[Hit], pieces: Sequence[Piece], kept: Sequence[bool]
) -> pl.DataFrame:
    """A row for each hit."""
    found = [pieces[hit.piece] for hit in hits]
    return frame.select("id", "url", "domain", "lang")[[hit.text for hit in hits]].with_columns(
        pl.Series("kept", [kept[hit.text] for hit in hits], dtype=pl.Boolean),
        pl.Series("file", [storable(piece.file) for piece in found], dtype=pl.String),
        pl.Series("item", [storable(piece.item) for piece in found], dtype=pl.String),
        pl.Series("row", [piece.row for piece in found], dtype=pl.Int64),
        pl.Series("field", [storable(piece.field) for piece in found], dtype=pl.String),
        pl.Series("offset", [hit.first for hit in hits], dtype=pl.Int64),
        pl.Series("length", [hit.end - hit.first for hit in hits], dtype=pl.Int64),
        pl.Series("grams", [hit.grams for hit in hits], dtype=pl.Int64),
        pl.Series("share", [hit.share for hit in hits], dtype=pl.Float64),
    )
