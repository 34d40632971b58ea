"""What a pass does with broken records when another pass over the same input sets them aside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corpus.core.errors import ZeroToOneError
from corpus.core.inputs import Unit, read_documents


class Skipped:
    """Counts broken records without keeping them; with `strict` the first one is a ZeroToOneError."""

    def __init__(self, strict: bool = False) -> None:
        self.count, self.strict = 0, strict

    def set_aside(self, place: str, reason: str, record: str = "") -> None:
        """Leave out the record at `place`."""
        if self.strict:
            raise ZeroToOneError(f"{place}: {reason}{f' ({record[:80]!r})' if record else ''}")
        self.count += 1


def nothing_to_read(inputs: Sequence[str | Path], units: Sequence[Unit], what: str) -> ZeroToOneError:
    """The error for an input without `what`; it names the first broken record where there is one."""
    message = f"{', '.join(map(str, inputs))}: no {what}"
    try:
        for unit in units:
            for _ in read_documents(unit, Skipped(strict=True), ["id", "text"]):
                pass
    except ZeroToOneError as error:
        message += f"; the first broken record is {error}"
    return ZeroToOneError(message)
