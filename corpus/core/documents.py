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


def as_documents(
    frame: pl.DataFrame, *, source: str, origin: str, domain: str | None = None, first_row: int = 0
) -> pl.DataFrame:
    """Bring a table with a `text` column to the document contract.

    Contract columns come first; those that are missing are added: `id` as a hash of `source` and row number,
    `source` and `origin` (with `#row`) from the arguments, the others as null. The user's own `id` and extra
    columns stay; a null `id` becomes the row's `origin`. `domain` overrides the column where given.

    Raises ZeroToOneError when there is no `text` column, or a contract column cannot hold what it has.
    """
    if "text" not in frame.columns:
        raise ZeroToOneError(f"{origin}: no column `text`; it has {', '.join(frame.columns) or 'no columns'}")
    rows = range(first_row, first_row + frame.height)
    added: list[pl.Series] = []
    if "id" not in frame.columns:
        added.append(pl.Series("id", [row_id(source, row) for row in rows], dtype=pl.String))
    if "origin" not in frame.columns:
        added.append(pl.Series("origin", [f"{origin}#{row}" for row in rows], dtype=pl.String))
    frame = frame.with_columns(added)
    if "source" not in frame.columns:
        frame = frame.with_columns(pl.lit(source).alias("source"))
    if domain is not None:
        frame = frame.with_columns(pl.lit(domain).alias("domain"))
    missing = [name for name in DOCUMENT_SCHEMA if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=DOCUMENT_SCHEMA[name]).alias(name) for name in missing)
    frame = frame.with_columns(_contract_type(frame, name, origin) for name in DOCUMENT_SCHEMA)
    frame = frame.with_columns(pl.col("text").fill_null(""), pl.col("id").fill_null(pl.col("origin")))
    return frame.select(*DOCUMENT_SCHEMA, pl.exclude(*DOCUMENT_SCHEMA))


def row_id(source: str, row: int) -> str:
    """The id of a document that has none: 32 hexadecimal digits from its source's name and its row."""
    return hashlib.blake2b(f"{source}\x00{row}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _contract_type(frame: pl.DataFrame, name: str, origin: str) -> pl.Expr:
    wanted, found = DOCUMENT_SCHEMA[name], frame.schema[name]
    if found == wanted:
        return pl.col(name)
    if name == "metadata" and isinstance(found, pl.Struct):
        return pl.col(name).struct.json_encode()
    categories = isinstance(found, (pl.Categorical, pl.Enum))
    wrong_text = name == "text" and not (categories or isinstance(found, pl.Null))
    if wrong_text or found.is_nested() or isinstance(found, (pl.Binary, pl.Object)):
        raise ZeroToOneError(f"{origin}: column `{name}` holds {found}, not {wanted}")
    return pl.col(name).cast(wanted, strict=False)
