"""What a pass does with broken records when another pass over the same input sets them aside."""

from __future__ import annotations

from corpus.errors import ZeroToOneError


class Skipped:
    """Counts broken records without keeping them; with `strict` the first one is a ZeroToOneError."""

    def __init__(self, strict: bool = False) -> None:
        self.count, self.strict = 0, strict

    def set_aside(self, place: str, reason: str, record: str = "") -> None:
        """Leave out the record at `place`."""
        if self.strict:
            raise ZeroToOneError(f"{place}: {reason}{f' ({record[:80]!r})' if record else ''}")
        self.count += 1
