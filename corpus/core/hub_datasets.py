"""Data sets that the `datasets` package opens: `datasets:NAME[/CONFIG][:SPLIT]`, streamed, a shard at a time."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from corpus.core.binary_files import fingerprint
from corpus.core.errors import ZeroToOneError
from corpus.core.parquet_files import SetAside, sound_rows

DATA_SET = "datasets:"  # before a name
_SHARD = re.compile(r"(?P<item>.*:[^:@/]+)@(?P<index>\d+)-of-(?P<count>\d+)@(?P<files>[0-9a-f]{16})", re.DOTALL)
_BATCH_ROWS = 1000


@dataclass(frozen=True)
class _Name:
    name: str  # on the hub, or a local folder
    config: str | None
    split: str | None

    def shown(self) -> str:
        """What lineage calls it: a folder without the folders above it."""
        base = os.path.basename(os.path.abspath(self.name)) if os.path.isdir(self.name) else self.name
        return f"{base}/{self.config}" if self.config else base


def is_data_set(item: str) -> bool:
    """Whether an input, or a path that `list_shards` gave, is a data set of the `datasets` package."""
    return item.startswith(DATA_SET)


def is_local_data_set(item: str) -> bool:
    """Whether a data set, named with or without `datasets:`, is a folder here and not on the hub."""
    return _local(item) is not None


def list_shards(item: str) -> list[tuple[str, str]]:
    """The (path, name) of the shards of a data set: of one split, or of all in the order of their names.

    The name is `NAME/CONFIG:SPLIT@i-of-n`; the path also says which files the data set had. NAME is a local folder
    (also where it could be a CONFIG) or a name of the hub with its owner, `OWNER/NAME`. Raises ZeroToOneError
    where the package cannot open it; no code of a data set is ever run.
    """
    parsed = _parse(item)
    with _one_line(item):
        builder = _builder(parsed)
        splits = builder.as_streaming_dataset()
        if parsed.split is not None and parsed.split not in splits:
            raise ZeroToOneError(f"{item}: no split `{parsed.split}`; it has {', '.join(splits)}")
        found = []
        for split in sorted(splits) if parsed.split is None else [parsed.split]:
            whole = item if parsed.split is not None else f"{item}:{split}"
            files, count = _files_mark(builder, split), splits[split].num_shards
            for index in range(count):
                place = f"@{index}-of-{count}"
                found.append((f"{whole}{place}@{files}", f"{parsed.shown()}:{split}{place}"))
        return found


def read_shard(
    path: str, columns: Sequence[str] | None, set_aside: SetAside, *, need_text: bool = True
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The (number of the first row, rows) of a shard, in order; of all columns or those in `columns`.

    A row with a broken text goes to `set_aside(place, reason)` (see `sound_rows`). Raises ZeroToOneError where the
    data set cannot be read, has no column `text` but `need_text`, or has other files than when it was listed.
    """
    parsed, shard = _parse_shard(path)
    place = path.rpartition("@")[0]
    with _one_line(place):
        builder = _builder(parsed)
        if _files_mark(builder, parsed.split) != shard["files"]:
            raise ZeroToOneError(f"{place}: the data set has other files than when this began")
        data = builder.as_streaming_dataset(parsed.split).shard(int(shard["count"]), int(shard["index"]))
        row = 0
        for table in data.with_format("arrow").iter(_BATCH_ROWS):
            names = table.schema.names
            if need_text and "text" not in names:
                raise ZeroToOneError(f"{place}: no column `text`; it has {', '.join(names)}")
            wanted = names if columns is None else [name for name in names if name in columns or name == "text"]
            for batch in table.select(wanted).to_batches():
                yield from sound_rows(place, batch, row, set_aside)
                row += batch.num_rows


def shard_fingerprint(path: str) -> str:
    """A hash of a shard's number and of its split's files: of local ones' contents (see `fingerprint`), of those
    on the hub the names, which hold the revision."""
    parsed, shard = _parse_shard(path)
    with _one_line(path):
        files = _files(_builder(parsed), parsed.split)
        prints = [name if "://" in name else fingerprint(name) for name in files]
    return hashlib.sha256("\x00".join([shard["index"], shard["count"], *prints]).encode()).hexdigest()


def _parse(item: str) -> _Name:
    local = _local(item)
    if local is not None:
        return local
    place, split = _place_and_split(item)
    parts = place.split("/")
    if len(parts) > 3 or not all(parts):
        raise ZeroToOneError(f"{item}: no such folder, and not {DATA_SET}OWNER/NAME[/CONFIG][:SPLIT]")
    return _Name("/".join(parts[:2]), parts[2] if len(parts) == 3 else None, split)


def _local(item: str) -> _Name | None:
    place, split = _place_and_split(item)
    if os.path.isdir(place):
        return _Name(place, None, split)
    folder, config = os.path.split(place)
    return _Name(folder, config, split) if os.path.isdir(folder) else None


def _place_and_split(item: str) -> tuple[str, str | None]:
    rest = item.removeprefix(DATA_SET)
    place, colon, split = rest.rpartition(":")
    return (place, split) if colon and split and "/" not in split else (rest, None)


def _parse_shard(path: str) -> tuple[_Name, re.Match[str]]:
    shard = _SHARD.fullmatch(path)
    if shard is None:
        raise ZeroToOneError(f"{path}: not a shard of a data set")
    return _parse(shard["item"]), shard


def _builder(parsed: _Name) -> Any:
    try:
        import datasets
    except ImportError:
        raise ZeroToOneError(
            f"{DATA_SET}{parsed.name}: needs the extra: pip install 'zero-to-one[datasets]'"
        ) from None
    return datasets.load_dataset_builder(parsed.name, parsed.config)


def _files(builder: Any, split: str | None) -> list[str]:
    files = builder.config.data_files
    if not files or split not in files:
        raise ZeroToOneError(f"{builder.dataset_name}: a data set without data files for `{split}`")
    return [str(name) for name in files[split]]


def _files_mark(builder: Any, split: str | None) -> str:
    return hashlib.sha256("\x00".join(_files(builder, split)).encode()).hexdigest()[:16]


@contextmanager
def _one_line(place: str) -> Iterator[None]:
    """What the package raises, as a ZeroToOneError of one line."""
    try:
        yield
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, pa.ArrowException) as error:
        reason = " ".join((str(error) or repr(error)).split())
        raise ZeroToOneError(f"{place}: {reason[:300]}") from None
    except Exception as error:
        if type(error).__module__.startswith("datasets."):
            raise ZeroToOneError(f"{place}: {' '.join(str(error).split())[:300]}") from None
        raise
