"""The document contract: the columns that every step reads and writes."""

from __future__ import annotations

import hashlib

import polars as pl

from corpus.core.errors import ZeroToOneError

DOCUMENT_SCHEMA = pl.Schema(
    {
        "id": pl.String(),
        "text": pl.String(),
        "url": pl.String(),
        "domain": pl.String(),
        "source": pl.String(),
        "origin": pl.String(),
        "date": pl.String(),
        "lang": pl.String(),
        "lang_score": pl.Float64(),
        "metadata": pl.String(),
    }
)


_NULLS = {name: pl.lit(None, dtype=kind).alias(name) for name, kind in DOCUMENT_SCHEMA.items()}


def as_documents(frame: pl.DataFrame, *, source: str, origin: str, first_row: int = 0) -> pl.DataFrame:
    """Bring a table with a `text` column to the document contract.

    Contract columns come first; those that are missing are added: `id` as a hash of `source` and row number,
    `source` and `origin` (with `#row`) from the arguments, the others as null. The user's own `id` and extra
    columns stay; a null `id` becomes the row's `origin`.

    Raises ZeroToOneError when there is no `text` column, or a contract column cannot hold what it has.
    """
    if "text" not in frame.columns:
        raise ZeroToOneError(f"{origin}: no column `text`; it has {', '.join(frame.columns) or 'no columns'}")
    added = _missing_columns(frame, source, origin, first_row)
    given = [(name, kind) for name, kind in DOCUMENT_SCHEMA.items() if name in frame.columns]
    changed = [_contract_type(frame, name, origin) for name, kind in given if frame.schema[name] != kind]
    # What need not change is left alone: every call of polars takes longer than a batch of small documents.
    if added or changed:
        frame = frame.with_columns(*changed).with_columns(added)
    if frame["text"].null_count() or frame["id"].null_count():
        frame = frame.with_columns(pl.col("text").fill_null(""), pl.col("id").fill_null(pl.col("origin")))
    if frame.columns[: len(DOCUMENT_SCHEMA)] == DOCUMENT_SCHEMA.names():
        return frame
    return frame.select(*DOCUMENT_SCHEMA, pl.exclude(*DOCUMENT_SCHEMA))


def _missing_columns(frame: pl.DataFrame, source: str, origin: str, first_row: int) -> list[pl.Series | pl.Expr]:
    rows = range(first_row, first_row + frame.height)
    added: list[pl.Series | pl.Expr] = []
    for name, kind in DOCUMENT_SCHEMA.items():
        if name in frame.columns:
            continue
        if name == "id":
            added.append(pl.Series("id", [row_id(source, row) for row in rows], dtype=pl.String))
        elif name == "origin":
            added.append(pl.Series("origin", [f"{origin}#{row}" for row in rows], dtype=pl.String))
        elif name == "source":
            added.append(pl.lit(source, dtype=kind).alias(name))
        else:
            added.append(_NULLS[name])
    return added


def row_id(source: str, row: int) -> str:
    """The id of a document that has none: 32 hexadecimal digits from its source's name and its row."""
    return hashlib.blake2b(f"{source}\x00{row}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _contract_type(frame: pl.DataFrame, name: str, origin: str) -> pl.Expr:
    wanted, found = DOCUMENT_SCHEMA[name], frame.schema[name]
    if name == "metadata" and isinstance(found, pl.Struct):
        return pl.col(name).struct.json_encode()
    categories = isinstance(found, (pl.Categorical, pl.Enum))
    wrong_text = name == "text" and not (categories or isinstance(found, pl.Null))
    if wrong_text or found.is_nested() or isinstance(found, (pl.Binary, pl.Object)):
        raise ZeroToOneError(f"{origin}: column `{name}` holds {found}, not {wanted}")
    return pl.col(name).cast(wanted, strict=False)
