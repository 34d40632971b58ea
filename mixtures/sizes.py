"""How much of each domain there is: read from token shards or a YAML file; sizes such as 300B."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from corpus.core.errors import ZeroToOneError
from corpus.core.shards import Shards, open_shards

_SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?) ?([KMBT]?)", re.IGNORECASE)
_UNITS = ("tokens", "bytes", "documents")


@dataclass(frozen=True)
class DomainSizes:
    """The sizes of all domains, by name, in tokens and where known for every domain in bytes and documents."""

    tokens: dict[str, float]
    bytes: dict[str, float] | None = None
    documents: dict[str, float] | None = None

    def by_unit(self, unit: str) -> dict[str, float] | None:
        """The sizes in `tokens`, `bytes` or `documents`."""
        return {"tokens": self.tokens, "bytes": self.bytes, "documents": self.documents}[unit]


def parse_size(text: str) -> float:
    """The number that a size such as 300B, 1.5M, 2e9 or 5000 stands for (K, M, B, T are powers of 1,000).

    Raises ValueError for anything else, zero included.
    """
    match = _SIZE.fullmatch(text.strip())
    value = float(match[1]) * _SUFFIXES[match[2].upper()] if match else 0.0
    if not 0 < value < math.inf:
        raise ValueError(f"{text!r} is not a size such as 300B, 1.5M or 5000")
    return value


def format_size(value: float) -> str:
    """A size to three digits with its suffix: 300B, 1.5M, 17."""
    for suffix in ("T", "B", "M", "K"):
        if value >= 0.9995 * _SUFFIXES[suffix]:
            return f"{value / _SUFFIXES[suffix]:.4g}{suffix}"
    return f"{value:.4g}"


def read_sizes(path: Path) -> DomainSizes:
    """The domain sizes of a token shard directory (its training split) or of a YAML file.

    The file holds a line `domain: 410B` (tokens) for each domain, or `domain: {tokens: 410B, bytes: 1.7T,
    documents: 600M}`. Every fault is a ZeroToOneError that names the file and the domain.
    """
    if path.is_dir():
        return shard_sizes(open_shards(path))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file or directory") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ZeroToOneError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not content:
        raise ZeroToOneError(f"{path}: needs a line `domain: 410B` for each domain")
    entries = {str(name): _entry(path, str(name), value) for name, value in content.items()}
    columns = {unit: _column(entries, unit) for unit in _UNITS}
    if columns["tokens"] is None:
        lacking = next(name for name, entry in entries.items() if "tokens" not in entry)
        raise ZeroToOneError(f"{path}: domain `{lacking}` has no `tokens`")
    return DomainSizes(columns["tokens"], columns["bytes"], columns["documents"])


def shard_sizes(shards: Shards) -> DomainSizes:
    """The sizes of a split of a token shard directory."""
    domains = shards.domains.values()
    return DomainSizes(
        tokens={domain.name: float(len(domain.tokens)) for domain in domains},
        bytes={domain.name: float(domain.bytes) for domain in domains},
        documents={domain.name: float(len(domain.offsets) - 1) for domain in domains},
    )


def _entry(path: Path, name: str, value: Any) -> dict[str, float]:
    fields: Mapping[Any, Any] = value if isinstance(value, dict) else {"tokens": value}
    entry = {}
    for unit, size in fields.items():
        if unit not in _UNITS:
            raise ZeroToOneError(f"{path}: domain `{name}`: unknown field `{unit}`; there are {', '.join(_UNITS)}")
        try:
            entry[unit] = parse_size(str(size))
        except ValueError as error:
            raise ZeroToOneError(f"{path}: domain `{name}`: {error}") from None
    return entry


def _column(entries: Mapping[str, Mapping[str, float]], unit: str) -> dict[str, float] | None:
    if any(unit not in entry for entry in entries.values()):
        return None
    return {name: entries[name][unit] for name in sorted(entries)}
