"""A mixture: how much of the data each domain gives, as a YAML file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_atomically

Unit = Literal["tokens", "bytes", "documents"]
UNITS: tuple[str, ...] = get_args(Unit)

_SUM_TOLERANCE = 1e-3
_FIELDS = {"name", "unit", "weights", "source"}


@dataclass(frozen=True)
class Mixture:
    """Domain weights that sum to 1, in order of the domains' names.

    `unit` says what a weight is a share of; `source` is free JSON-like data on where the weights came from.
    Weights whose sum is off by rounding (up to 0.001) are divided by it; a sum further away, no weights at
    all, and a weight that is no finite number ≥ 0 raise ZeroToOneError.
    """

    weights: dict[str, float]
    unit: Unit = "tokens"
    name: str = ""
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ZeroToOneError(f"mixture: unit {self.unit!r} is not one of {', '.join(UNITS)}")
        for domain, weight in self.weights.items():
            _check_weight(domain, weight)
        total = math.fsum(self.weights.values())
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ZeroToOneError(f"mixture: the weights sum to {total:g}, not to 1")
        divisor = total if abs(total - 1) > 1e-12 else 1.0
        weights = {domain: float(self.weights[domain]) / divisor for domain in sorted(self.weights)}
        object.__setattr__(self, "weights", weights)

    @classmethod
    def uniform(cls, domains: Iterable[str]) -> Mixture:
        """The same weight for each domain."""
        return cls.proportional(dict.fromkeys(domains, 1), name="uniform")

    @classmethod
    def proportional(cls, sizes: Mapping[str, float], unit: Unit = "tokens", name: str = "") -> Mixture:
        """Weights in proportion to `sizes` (any non-negative numbers that are not all zero)."""
        for domain, size in sizes.items():
            _check_weight(domain, size)
        total = math.fsum(sizes.values())
        if total <= 0:
            raise ZeroToOneError("mixture: no domain has a weight above zero")
        weights = {domain: size / total for domain, size in sizes.items()}
        return cls(weights, unit=unit, name=name or "proportional")

    @classmethod
    def load(cls, path: str | Path) -> Mixture:
        """Read a mixture from YAML; every fault is a ZeroToOneError that names the file (and the domain)."""
        path = Path(path)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ZeroToOneError(f"{path}: no such file") from None
        except OSError as error:
            raise ZeroToOneError(f"{path}: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ZeroToOneError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict) or not isinstance(content.get("weights"), dict):
            raise ZeroToOneError(
                f"{path}: a mixture needs `weights:` with a line `domain: weight` for each domain"
            )
        unknown = sorted(str(name) for name in content if name not in _FIELDS)
        if unknown:
            raise ZeroToOneError(f"{path}: unknown field `{unknown[0]}`; fields are {', '.join(sorted(_FIELDS))}")
        if not isinstance(content.get("source") or {}, dict):
            raise ZeroToOneError(f"{path}: `source` must be a mapping")
        weights = {str(domain): weight for domain, weight in content["weights"].items()}
        try:
            return cls(
                weights,
                unit=cast(Unit, content.get("unit", "tokens")),
                name=str(content.get("name") or path.stem),
                source=dict(content.get("source") or {}),
            )
        except ZeroToOneError as error:
            raise ZeroToOneError(f"{path}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write the mixture as YAML, atomically; `load` gives back the same weights to the last bit."""
        content = {"name": self.name, "unit": self.unit, "weights": self.weights, "source": self.source}
        with write_atomically(Path(path)) as temporary:
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
            if yaml.safe_load(text) != content:  # some control characters do not survive PyYAML unescaped
                text = yaml.safe_dump(content, sort_keys=False)
            temporary.write_text(text, encoding="utf-8")

    def in_tokens(self, tokens_per_unit: Mapping[str, float]) -> Mixture:
        """The same mixture as shares of tokens, given each domain's tokens per byte or per document."""
        if self.unit == "tokens":
            return self
        sizes = {domain: weight * tokens_per_unit[domain] for domain, weight in self.weights.items() if weight}
        converted = Mixture.proportional(sizes | dict.fromkeys(self.weights.keys() - sizes.keys(), 0.0))
        return Mixture(converted.weights, name=self.name, source=self.source)


def _check_weight(domain: str, weight: object) -> None:
    number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not number or not math.isfinite(cast(float, weight)) or cast(float, weight) < 0:
        raise ZeroToOneError(f"mixture: the weight of domain `{domain}` is {weight!r}, not a number ≥ 0")
