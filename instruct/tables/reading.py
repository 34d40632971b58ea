"""Tables as units of work: JSON, JSONL and Parquet files, Arrow files, and what the `datasets` package opens."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import fsspec

from corpus.core.arrow_files import check_arrow, read_arrow
from corpus.core.errors import ZeroToOneError
from corpus.core.hub_datasets import is_data_set, list_shards, read_shard
from corpus.core.inputs import Quarantine, Unit
from corpus.core.locations import list_files
from instruct.forms import FormError
from instruct.rows import plan_rows, read_unit

_EVALUATION = re.compile(r"(^|[/:_.-])(test|validation|valid|val|dev|eval|evaluation)([/@_.-]|$)")


def plan_tables(inputs: Sequence[str]) -> tuple[list[Unit], list[str]]:
    """The units of the inputs, and the names of those that are splits for evaluation.

    A unit's name begins with that of its data set. Of a folder or data set that is given whole, files and splits
    with names like `test` or `validation` are for evaluation; one that is named by itself is as wanted.
    Raises ZeroToOneError for an input that is missing or has no table.
    """
    if not inputs:
        raise ZeroToOneError("no input given")
    units: list[Unit] = []
    evaluation: set[str] = set()
    seen: set[tuple[str, int]] = set()
    for item in inputs:
        found, whole = _units(item)
        for unit in found:
            if (unit.path, unit.start) not in seen:
                seen.add((unit.path, unit.start))
                units.append(replace(unit, index=len(units)))
                if whole and _EVALUATION.search(unit.name[len(data_set_of(unit)) :]):
                    evaluation.add(unit.name)
    return units, sorted(evaluation)


def data_set_of(unit: Unit) -> str:
    """The name of the data set that a unit is of: the hub's, a folder's, or a file's without its ending."""
    if unit.format == "datasets":
        return unit.name.partition(":")[0]
    first, slash, _ = unit.name.partition("/")
    return first if slash else file_stem(first)


def file_stem(name: str) -> str:
    """The last part of a name, without its ending (`a/b.jsonl.gz`: `b`)."""
    base = name.rpartition("/")[2]
    return re.sub(r"\.(jsonl?|ndjson|parquet|arrow)(\.gz|\.zst)?$", "", base) or base


def read_table(unit: Unit, quarantine: Quarantine) -> Iterator[tuple[str, dict[str, Any]]]:
    """The (place, row) of a unit; what is no row goes to `quarantine`."""
    if unit.format in ("arrow", "datasets"):
        read = read_arrow if unit.format == "arrow" else read_shard
        for first, frame in read(unit.path, None, quarantine.set_aside, need_text=False):
            for number, row in enumerate(frame.iter_rows(named=True), first + 1):
                yield f"{unit.name}:{number}", row
        return
    for place, row, text in read_unit(unit):
        if isinstance(row, dict):
            yield place, row
        else:
            quarantine.set_aside(place, str(row) if isinstance(row, FormError) else "not_an_object", text)


def _units(item: str) -> tuple[list[Unit], bool]:
    """The units of an input, and whether it was given whole."""
    if is_data_set(item):
        shards = list_shards(item)
        whole = not any(path.startswith(f"{item}@") for path, _ in shards)
        return [Unit(0, path, name, "datasets") for path, name in shards], whole
    top = _folder(item)
    if item.lower().endswith(".arrow") or (top and _has_arrow(item)):
        files = [(path, name) for path, name in list_files([item]) if path.lower().endswith(".arrow")]
        for path, _ in files:
            check_arrow(path)
        return [Unit(0, path, name, "arrow") for path, name in files], bool(top)
    units = plan_rows([item])
    if not top:
        return units, False
    return [replace(unit, name=f"{os.path.basename(top)}/{_below(unit.path, top)}") for unit in units], True


def _folder(item: str) -> str:
    """The path of a folder, "" for anything else."""
    try:
        system, path = fsspec.core.url_to_fs(item)
    except (ValueError, ImportError) as error:
        raise ZeroToOneError(f"{item}: {error}") from None
    return path.rstrip("/") if system.isdir(path) else ""


def _has_arrow(item: str) -> bool:
    system, path = fsspec.core.url_to_fs(item)
    return any(name.lower().endswith(".arrow") for name in system.find(path))


def _below(path: str, top: str) -> str:
    _, plain = fsspec.core.url_to_fs(path)
    return str(plain)[len(top) :].lstrip("/")
