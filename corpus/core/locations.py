"""Where input lies: files, directories, globs, listings and URLs, as files with their names in lineage."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import fsspec

from corpus.core.arrow_files import only_members
from corpus.core.errors import ZeroToOneError
from corpus.core.hub_datasets import is_data_set, list_shards
from corpus.core.listings import is_listing, listed_files

FORMATS = {
    "parquet": (".parquet",),
    "arrow": (".arrow",),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".ndjson.gz", ".ndjson.zst"),
    "warc": (".warc", ".warc.gz", ".warc.zst", ".wet", ".wet.gz", ".wet.zst"),
    "html": (".html", ".htm", ".xhtml"),
    "text": (".txt", ".text", ".md", ".rst", ".py"),
}


def list_files(inputs: Sequence[str | Path], paths_base: str = "") -> list[tuple[str, str]]:
    """The (path, name) of the inputs' files, in order. Raises ZeroToOneError for a missing or empty one.

    `paths_base` is where the relative lines of listings begin (see `listed_files`).
    """
    found: dict[str, str] = {}
    for item in map(str, inputs):
        for path, name in _members(item, paths_base):
            found.setdefault(path, name)
    return list(found.items())


def file_format(path: str) -> str | None:
    """The format that a file's name tells, `datasets` for a shard of a data set, or None."""
    if is_data_set(path):
        return "datasets"
    name = path.lower()
    return next((kind for kind, suffixes in FORMATS.items() if name.endswith(suffixes)), None)


def _members(item: str, base: str) -> list[tuple[str, str]]:
    if is_data_set(item):
        return list_shards(item)
    return _listed(item, base) if is_listing(item) else _expand(item)


def _listed(item: str, base: str) -> list[tuple[str, str]]:
    found = listed_files(item, base)
    for path, _ in found:
        _check_format(path, f"{item}: {path}")
    return found


def _expand(item: str) -> list[tuple[str, str]]:
    try:
        system, path = fsspec.core.url_to_fs(item)
    except (ValueError, ImportError) as error:
        raise ZeroToOneError(f"{item}: {error}") from None
    # A web server has no directories; asked for one, fsspec reads the file for links.
    if not (file_format(path) and path.startswith(("http://", "https://"))) and system.isdir(path):
        tops = [path]
    elif system.exists(path):
        _check_file(system, path, item)
        tops = [path]
    elif any(character in path for character in "*?["):
        tops = only_members(system, path, sorted(system.glob(path)))
    else:
        raise ZeroToOneError(f"{item}: no such file or directory")
    found = [(name, top) for top in tops for name in _below(system, top)]
    if not found:
        raise ZeroToOneError(f"{item}: no documents or pages here")
    local = "://" not in item
    return [(_address(system, name, item, local), _lineage_name(name, top)) for name, top in found]


def _check_file(system: fsspec.AbstractFileSystem, path: str, item: str) -> None:
    _check_format(path, item)
    if not system.size(path):
        raise ZeroToOneError(f"{item}: empty file")


def _check_format(path: str, shown: str) -> None:
    if file_format(path) is None:
        known = " ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
        raise ZeroToOneError(f"{shown}: unknown format; the name should end in one of {known}")


def _lineage_name(path: str, top: str) -> str:
    return path[len(os.path.dirname(top.rstrip("/"))) :].lstrip("/")


def _address(system: fsspec.AbstractFileSystem, path: str, item: str, local: bool) -> str:
    if not local:
        return str(system.unstrip_protocol(path))
    return path if os.path.isabs(item) else os.path.relpath(path)


def _below(system: fsspec.AbstractFileSystem, path: str) -> list[str]:
    """Files of known format below a directory (of a dataset directory: its documents), none hidden, no caches."""
    if file_format(path) and path.startswith(("http://", "https://")):
        return [path]
    if not system.isdir(path):
        return [path]
    if system.exists(f"{path}/manifest.json") and system.isdir(f"{path}/documents"):
        path = f"{path}/documents"
    names = sorted(system.find(path))
    visible = [name for name in names if not any(part.startswith(".") for part in name[len(path) :].split("/"))]
    return only_members(system, path, [name for name in visible if file_format(name) and system.size(name)])
