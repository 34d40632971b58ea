"""Which documents a classifier is trained on and measured with."""

from __future__ import annotations

import polars as pl


def choose(keys: pl.DataFrame, sample: int | None = None) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows to use and the counts of all, by class.

    `keys` has a row per document: `label`, `hash` of its line, `held_out`, `order` (a draw), `bytes` of its line.
    Left out are empty lines, lines that more than one class has, and all but the first (by `order`) of equal
    lines. With `sample` as many of each class as that or as the smaller class has, the first by `order`.
    """
    order = ["order", "hash", "task", "row"]
    classes = pl.col("label").n_unique().over("hash")
    first = pl.col("row").cum_count().over("label", "hash") == 1
    state = (
        pl.when(pl.col("bytes") == 0)
        .then(pl.lit("empty"))
        .when(classes > 1)
        .then(pl.lit("in_both"))
        .when(~first)
        .then(pl.lit("duplicates"))
        .otherwise(pl.lit("used"))
    )
    rows = keys.sort(order).with_columns(state.alias("state"))
    if sample is not None:
        rows = rows.with_columns(_sampled(rows, sample))
    counts = {}
    for label in keys["label"].unique().sort():
        own = rows.filter(pl.col("label") == label)
        counts[f"{label}_documents_in"] = own.height
        for why in ("empty", "in_both", "duplicates", "not_sampled"):
            counts[f"{label}_{why}"] = int((own["state"] == why).sum())
        used = own.filter(pl.col("state") == "used")
        counts[f"{label}_held_out"] = int(used["held_out"].sum())
        counts[f"{label}_trained_on"] = used.height - counts[f"{label}_held_out"]
    return rows.filter(pl.col("state") == "used").drop("state"), counts


def _sampled(rows: pl.DataFrame, sample: int) -> pl.Expr:
    """The column `state` with `not_sampled` for those beyond the sample of their class."""
    used = pl.col("state") == "used"
    sizes = rows.group_by("label").agg(used.sum())["state"]
    most = min(sample, int(sizes.min() or 0))  # type: ignore[arg-type]
    beyond = used & (used.cast(pl.Int64).cum_sum().over("label") > most)
    return pl.when(beyond).then(pl.lit("not_sampled")).otherwise("state").alias("state")
