"""metrics.jsonl: one JSON object for each logged step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from corpus.core.files import disk_full_named, write_atomically


class MetricsFile:
    """Append lines to a metrics file; lines of `first_step` and later, and a torn last one, are dropped first."""

    def __init__(self, path: Path, first_step: int) -> None:
        kept = [line for line in read_metrics(path) if line["step"] < first_step]
        with write_atomically(path) as temporary:
            temporary.write_text("".join(_line(entry) for entry in kept), encoding="utf-8")
        self.path = path
        self._handle = path.open("a", encoding="utf-8")

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append a line."""
        with disk_full_named(self.path):
            self._handle.write(_line(entry))
            self._handle.flush()

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_full_named(self.path):
            self._handle.close()


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file in order; none where it is missing, without a torn last one."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"
