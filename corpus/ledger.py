"""The ledger of `corpus filter`: a row for every document, kept or not, with all that decided about it."""

from __future__ import annotations


def edit_column(rule_set: str, edit: str) -> str:
    """The ledger's column with what an edit of a rule set took out of a document."""
    return f"{rule_set}:edit.{edit}"
