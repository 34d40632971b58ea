"""The token shard directory: per split and domain a flat token file, document offsets and document ids.

    <shards>/manifest.json
    <shards>/tokenizer/                         the tokenizer's folder
    <shards>/<split>/<domain>/tokens.bin        uint16 or uint32, little endian, documents one after the other
    <shards>/<split>/<domain>/offsets.npy       int64, documents + 1: where each begins and the last ends
    <shards>/<split>/<domain>/documents.parquet id, url, origin, tokens, bytes: a row per document, same order

Each document ends in one end-of-text token. The splits are `train` and `held_out`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, slug, write_atomically, write_json

SPLITS = ("train", "held_out")
DOCUMENT_COLUMNS = ("id", "url", "origin", "tokens", "bytes")


@dataclass(frozen=True)
class DomainShard:
    """One domain of a split: `tokens` is memory-mapped, `offsets` has one more entry than there are documents."""

    name: str
    tokens: np.ndarray
    offsets: np.ndarray
    bytes: int
    directory: Path

    def documents(self) -> pl.DataFrame:
        """The documents in the order of `offsets`: id, url, origin, tokens, bytes."""
        path = self.directory / "documents.parquet"
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ZeroToOneError(f"{path}: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class Shards:
    """An opened split of a token shard directory."""

    path: Path
    split: str
    hash: str
    tokenizer_hash: str
    vocabulary_size: int
    end_of_text_id: int
    domains: dict[str, DomainShard]

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer's folder."""
        return self.path / "tokenizer"


def token_type(vocabulary_size: int) -> str:
    """The smallest of uint16 and uint32 that holds every id of a vocabulary."""
    return "uint16" if vocabulary_size <= 2**16 else "uint32"


def write_domain(
    shards: Path,
    split: str,
    domain: str,
    vocabulary_size: int,
    parts: Iterable[tuple[np.ndarray, pl.DataFrame]],
) -> dict[str, Any]:
    """Write one domain of a split from parts of (token ids, documents) and return its manifest entry.

    The `tokens` column of each part's documents (ids of its end-of-text token included) says where they end.
    Raises ZeroToOneError when tokens and documents of a part do not agree.
    """
    directory = shards / split / slug(domain)
    dtype = np.dtype(token_type(vocabulary_size)).newbyteorder("<")
    digest = hashlib.sha256()
    frames: list[pl.DataFrame] = []
    with write_atomically(directory / "tokens.bin") as temporary, temporary.open("wb") as handle:
        for tokens, documents in parts:
            if documents["tokens"].sum() != len(tokens):
                raise ZeroToOneError(f"{directory}: {len(tokens)} tokens do not match their documents")
            data = tokens.astype(dtype).tobytes()
            digest.update(data)
            handle.write(data)
            frames.append(documents.select(DOCUMENT_COLUMNS))
    documents = pl.concat(frames)
    offsets = np.concatenate([[0], np.cumsum(documents["tokens"].to_numpy())]).astype(np.int64)
    with write_atomically(directory / "offsets.npy") as temporary, temporary.open("wb") as handle:
        np.save(handle, offsets, allow_pickle=False)
    with write_atomically(directory / "documents.parquet") as temporary:
        documents.write_parquet(temporary, compression="zstd")
    return {
        "path": f"{split}/{slug(domain)}",
        "tokens": int(offsets[-1]),
        "documents": documents.height,
        "bytes": int(documents["bytes"].sum()),
        "sha256": digest.hexdigest(),
    }


def write_shards_manifest(shards: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json`: the last file of a shard directory, so that it is there only when all others are.

    It needs `tokenizer` (hash, vocabulary_size, end_of_text_id), `dtype` and `splits` (split → domain → entry).
    """
    write_json(shards / "manifest.json", manifest)


def open_shards(path: str | Path, split: str = "train") -> Shards:
    """Open one split of a token shard directory, domains sorted by name.

    Raises ZeroToOneError when it is missing, unfinished, of another form, or when a file has another size than
    the manifest says.
    """
    path = Path(path)
    if not (path / "manifest.json").exists():
        raise ZeroToOneError(
            f"{path}: not a token shard directory (no manifest.json); make one with `corpus tokenize`"
        )
    manifest = read_json(path / "manifest.json")
    try:
        entries = manifest["splits"].get(split, {})
        tokenizer = manifest["tokenizer"]
        return Shards(
            path=path,
            split=split,
            hash=_identity(manifest),
            tokenizer_hash=tokenizer["hash"],
            vocabulary_size=tokenizer["vocabulary_size"],
            end_of_text_id=tokenizer["end_of_text_id"],
            domains={name: _open_domain(path, name, entries[name], manifest["dtype"]) for name in sorted(entries)},
        )
    except (AttributeError, KeyError, TypeError):
        raise ZeroToOneError(
            f"{path}: manifest.json is not one of token shards; make them with `corpus tokenize`"
        ) from None


def _identity(manifest: dict[str, Any]) -> str:
    """A hash of all token files, domains and the tokenizer."""
    parts = [manifest["tokenizer"]["hash"]]
    for split in sorted(manifest["splits"]):
        for name, entry in sorted(manifest["splits"][split].items()):
            parts.append(f"{split}\x00{name}\x00{entry['sha256']}")
    return hashlib.sha256("\x01".join(parts).encode()).hexdigest()


def _open_domain(path: Path, name: str, entry: dict[str, Any], dtype: str) -> DomainShard:
    directory = (path / entry["path"]).resolve()
    if not directory.is_relative_to(path.resolve()):
        raise ZeroToOneError(f"{path}: the manifest's path of domain `{name}` leaves the directory")
    if dtype not in ("uint16", "uint32"):
        raise ZeroToOneError(f"{path}: unknown token type {dtype!r} in manifest.json")
    wanted = entry["tokens"] * np.dtype(dtype).itemsize
    file = directory / "tokens.bin"
    size = file.stat().st_size if file.exists() else -1
    if size != wanted:
        raise ZeroToOneError(
            f"{file}: {'missing' if size < 0 else f'{size} bytes'}, the manifest says {wanted} bytes"
        )
    tokens = np.memmap(file, np.dtype(dtype).newbyteorder("<"), mode="r") if wanted else np.empty(0, dtype)
    offsets = _read_offsets(directory / "offsets.npy", entry["documents"], entry["tokens"])
    return DomainShard(name, tokens, offsets, entry["bytes"], directory)


def _read_offsets(file: Path, documents: int, tokens: int) -> np.ndarray:
    try:
        offsets = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise ZeroToOneError(f"{file}: missing") from None
    except (OSError, ValueError, EOFError):
        raise ZeroToOneError(f"{file}: not a NumPy array of document offsets") from None
    if offsets.shape != (documents + 1,) or offsets.dtype != np.int64 or offsets[-1] != tokens:
        raise ZeroToOneError(f"{file}: not the offsets of {documents} documents with {tokens} tokens")
    return np.asarray(offsets)
