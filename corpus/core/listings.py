"""Listings of files, one a line, such as Common Crawl's `warc.paths.gz`."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import fsspec

from corpus.core.binary_files import file_size, open_binary
from corpus.core.errors import ZeroToOneError

EXPLICIT = "paths:"  # before a listing whose name does not say that it is one
_SUFFIXES = (".paths", ".paths.gz")
_REQUESTS = 16  # at a time, for the sizes of the files


@dataclass(frozen=True)
class _Entry:
    place: str  # LISTING:LINE
    text: str


def is_listing(item: str) -> bool:
    """Whether an input stands for the files that it lists."""
    return item.startswith(EXPLICIT) or item.lower().endswith(_SUFFIXES)


def listed_files(item: str, base: str = "") -> list[tuple[str, str]]:
    """The (path, name) of the files of a listing; the name is the line, without a URL's scheme and host.

    Empty lines and those with `#` are passed over. A relative line lies below `base`; without one below the
    listing's folder, or else where the listing's own path has the line's first folder: Common Crawl's lines
    begin at the root of its bucket, and so do the listings. A listing on another machine may not name files
    of this one. Raises ZeroToOneError, with the line, for a file that is not there or empty.
    """
    path = item.removeprefix(EXPLICIT)
    entries = _entries(path)
    if not entries:
        raise ZeroToOneError(f"{path}: lists no files")
    relative = [entry.text for entry in entries if "://" not in entry.text and not os.path.isabs(entry.text)]
    if relative and not base:
        base = _base(path, relative[0])
    found = [(_address(entry, path, base), _name(entry.text)) for entry in entries]
    with ThreadPoolExecutor(_REQUESTS) as pool:
        sizes = list(pool.map(_size_of_entry, entries, (address for address, _ in found)))
    for entry, (address, _), size in zip(entries, found, sizes, strict=True):
        if not size:
            raise ZeroToOneError(f"{entry.place}: {address}: {'no such file' if size is None else 'empty file'}")
    return found


def _entries(path: str) -> list[_Entry]:
    with open_binary(path) as handle:
        lines = handle.read().split(b"\n")
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise ZeroToOneError(f"{path}:{number}: not UTF-8 text") from None
        if text and not text.startswith("#"):
            entries.append(_Entry(f"{path}:{number}", text))
    return entries


def _base(listing: str, line: str) -> str:
    """Where a listing's relative lines begin, by its first."""
    folder = os.path.dirname(listing)
    parts = folder.split("/")
    first = line.split("/")[0]
    if first not in parts or _size(_join(folder, line)) is not None:
        return folder
    return "/".join(parts[: parts.index(first)]) or "/"


def _address(entry: _Entry, listing: str, base: str) -> str:
    remote = "://" in listing
    scheme = entry.text.partition("://")[0] if "://" in entry.text else ""
    local = scheme in ("file", "local") or "::" in entry.text or (not scheme and os.path.isabs(entry.text))
    if remote and local:
        raise ZeroToOneError(f"{entry.place}: {entry.text}: a listing from elsewhere may not name files here")
    return entry.text if scheme or local else _join(base, entry.text)


def _join(base: str, line: str) -> str:
    return f"{base.rstrip('/')}/{line}" if base else line


def _name(line: str) -> str:
    scheme, separator, rest = line.partition("://")
    return rest.partition("/")[2] if separator and scheme not in ("file", "local") else line.lstrip("/")


def _size_of_entry(entry: _Entry, address: str) -> int | None:
    try:
        return _size(address)
    except ZeroToOneError as error:
        raise ZeroToOneError(f"{entry.place}: {error}") from None


def _size(path: str) -> int | None:
    """A file's size; None where it is missing."""
    try:
        system, name = fsspec.core.url_to_fs(path)
        return file_size(path) if system.isfile(name) else None
    except (ValueError, ImportError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            return None
        raise ZeroToOneError(f"{path}: {str(error).splitlines()[0] if str(error) else error!r}") from None
