"""Documents without some of their lines: what `--method line` and `--method bloom` write, and putting it back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from corpus.core.engine import UnitOutput
from corpus.duplicates.lines.lines import Flags, Lines, cut_lines
from corpus.duplicates.normalised import Utf8
from corpus.duplicates.utf8 import as_column, cut_out


def write_cut(
    frame: pl.DataFrame,
    texts: Utf8,
    lines: Lines,
    gone: Flags,
    evidence: pl.DataFrame,
    dropped: Flags,
    reason: str,
    output: UnitOutput,
) -> None:
    """Write the documents of a frame without the lines that are `gone` [lines].

    Documents that are `dropped` [documents] go whole to `removed/`, with the reason. `evidence`: a
    row for each line that goes. `lines/` gets it with the document's id and origin, the line's span
    in characters of the text as it came in, and its text, so that it can be put back (`put_back`).
    """
    cut = cut_lines(texts, lines, gone)
    document = np.repeat(np.arange(frame.height), np.diff(lines.firsts))[gone]
    kept = pl.Series(~dropped)
    output.write("documents", frame.with_columns(as_column(cut.texts).alias("text")).filter(kept))
    output.write("removed", frame.filter(~kept).with_columns(pl.lit(reason).alias("reason")))
    spans = {
        "offset": pl.Series(cut.offsets, dtype=pl.Int64),
        "length": pl.Series(cut.lengths, dtype=pl.Int64),
        "text": as_column(cut_out(texts.data, cut.starts, cut.ends)),
        "kept": kept.gather(document),
    }
    named = frame.select("id", "origin")[document].with_columns(**spans)
    output.write("lines", pl.concat([named, evidence], how="horizontal"))
    output.count("documents_in", frame.height)
    output.count("documents_kept", int(kept.sum()))
    output.count("documents_removed", int(dropped.sum()))
    output.count("documents_cut", len(np.unique(document[~dropped[document]])))
    output.count("lines", len(gone))
    output.count("lines_removed", len(document))
    output.count("characters_removed", int(cut.lengths.sum()))
    if dropped.any():
        output.reason(reason, int(dropped.sum()))


def put_back(text: str, offsets: Sequence[int], spans: Sequence[str]) -> str:
    """The text as it was before spans, in order, were cut out of it; `offsets` in the text as it was."""
    parts, at, taken = [], 0, 0
    for offset, span in zip(offsets, spans, strict=True):
        parts += [text[at - taken : offset - taken], span]
        at, taken = offset + len(span), taken + len(span)
    return "".join([*parts, text[at - taken :]])
