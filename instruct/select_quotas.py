"""Quotas: at most so many rows of each value of a field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from corpus.core.errors import UsageError

EACH = "*"
_QUOTA = re.compile(r"(?P<field>[^=]+)=(?P<value>.*):(?P<count>\d{1,12})", re.DOTALL)
_PLACES = ("metadata", "lineage")  # where a field may stand besides the row itself


@dataclass(frozen=True)
class Quota:
    """At most `count` rows whose `field` has `value`, or for `*` of each value that no other quota names.

    Rows without the field are free, unless a quota names the empty value."""

    field: str
    value: str
    count: int


@dataclass
class Quotas:
    """Quotas and how much of each is used."""

    quotas: tuple[Quota, ...]
    used: Counter[tuple[str, str]] = field(default_factory=Counter)

    def full(self, row: Mapping[str, Any]) -> str:
        """The first quota that has no room for a row, in words; "" where all have."""
        for name, value, count in self._of(row):
            if self.used[name, value] >= count:
                return f"{name}={value}"
        return ""

    def take(self, row: Mapping[str, Any]) -> None:
        """Count a row that is taken."""
        self.used.update((name, value) for name, value, _ in self._of(row))

    def _of(self, row: Mapping[str, Any]) -> Iterable[tuple[str, str, int]]:
        for name in dict.fromkeys(quota.field for quota in self.quotas):
            counts = {quota.value: quota.count for quota in self.quotas if quota.field == name}
            value = field_value(row, name)
            count = counts.get(value, counts.get(EACH) if value else None)
            if count is not None:
                yield name, value, count


def parse_quotas(items: Iterable[str]) -> tuple[Quota, ...]:
    """Quotas from options `FIELD=VALUE:COUNT`. Raises UsageError."""
    quotas: dict[tuple[str, str], Quota] = {}
    for item in items:
        found = _QUOTA.fullmatch(item)
        if not found:
            raise UsageError(f"--quota {item}: give FIELD=VALUE:COUNT, such as lang=zh:1000 or category=*:50")
        quota = Quota(found["field"], found["value"], int(found["count"]))
        if (quota.field, quota.value) in quotas:
            raise UsageError(f"--quota {item}: {quota.field}={quota.value} was given before")
        quotas[quota.field, quota.value] = quota
    return tuple(quotas.values())


def field_value(row: Mapping[str, Any], name: str) -> str:
    """A field of a row, of its metadata or its lineage, as text; "" where none has it."""
    for place in (row, *(row.get(place) for place in _PLACES)):
        if isinstance(place, Mapping) and place.get(name) is not None:
            return str(place[name])
    return ""
