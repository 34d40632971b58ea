"""Two documents side by side on a terminal, what they share marked."""

from __future__ import annotations

import sys
import unicodedata

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from corpus.reporting.pairs import Pair, Side, shown_parts

_PARTS = 60
_SHARED, _OWN = "green", "bold yellow"


def print_pair(pair: Pair) -> None:
    """Print a pair on stdout: shared parts in green on a terminal, within ⟦ ⟧ elsewhere."""
    coloured = sys.stdout.isatty()
    how = "green" if coloured else "within ⟦ ⟧"
    table = Table(
        title=f"the pair: {pair.in_words()}; what is shared is {how}",
        title_justify="left",
        show_lines=True,
    )
    for side in (pair.left, pair.right):
        table.add_column(escape(f"{'kept' if side.kept else 'removed'}: {side.id}"), ratio=1, overflow="fold")
    table.add_row(_shown(pair.left, coloured), _shown(pair.right, coloured))
    Console(highlight=False, width=None if coloured else 120).print(table)


def _shown(side: Side, coloured: bool) -> Text:
    parts, others = shown_parts(side, _PARTS)
    text = Text()
    for part in parts:
        middle = f" … {part.left_out:,} characters … " if part.left_out else ""
        shown = f"{_harmless(part.before)}{middle}{_harmless(part.after)}"
        text.append(shown if coloured or not part.shared else f"⟦{shown}⟧", _SHARED if part.shared else _OWN)
    if others:
        text.append(f" … {others:,} other parts …", "dim")
    return text


def _harmless(text: str) -> str:
    """Without characters that move a terminal's cursor or change its state."""
    return "".join(" " if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf") else c for c in text)
