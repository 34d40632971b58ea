"""Verbs and their objects as two rings (Self-Instruct's figure 3), in SVG without a script."""

from __future__ import annotations

import math
from collections import Counter
from html import escape

from corpus.reporting.report_page import SERIES_COLOURS

_INNER, _MIDDLE, _OUTER = 60.0, 150.0, 290.0
_VERBS, _NOUNS = 20, 4  # the paper's numbers
_LABEL = 16  # height that a label needs; a smaller arc has its words in its title


def most_common_pairs(pairs: Counter[tuple[str, str]]) -> dict[str, Counter[str]]:
    """The twenty most common verbs with their four most common objects each."""
    verbs: Counter[str] = Counter()
    nouns: dict[str, Counter[str]] = {}
    for (verb, noun), count in pairs.items():
        if noun:
            verbs[verb] += count
            nouns.setdefault(verb, Counter())[noun] += count
    return {verb: Counter(dict(nouns[verb].most_common(_NOUNS))) for verb, _ in verbs.most_common(_VERBS)}


def sunburst(pairs: Counter[tuple[str, str]]) -> str:
    """The rings of the most common verbs (inside) and their objects (outside)."""
    rings = most_common_pairs(pairs)
    total = sum(sum(nouns.values()) for nouns in rings.values())
    parts: list[str] = []
    start = 0.0
    for number, (verb, nouns) in enumerate(rings.items()):
        count = sum(nouns.values())
        end = start + 2 * math.pi * count / total
        colour = f"var(--s{number % SERIES_COLOURS})"
        parts.append(_arc(start, end, _INNER, _MIDDLE, colour, 0.85, verb, count))
        inside = start
        for noun, times in nouns.items():
            behind = inside + 2 * math.pi * times / total
            parts.append(_arc(inside, behind, _MIDDLE + 2, _OUTER, colour, 0.35, noun, times))
            inside = behind
        start = end
    return (
        '<svg class="sunburst" viewBox="-300 -300 600 600" role="img" aria-label="verbs and their objects" '
        f'style="display:block;width:100%;max-width:640px;margin:0 auto">{"".join(parts)}</svg>'
    )


def _arc(
    start: float, end: float, low: float, high: float, colour: str, strength: float, text: str, n: int
) -> str:
    end = min(end, start + 2 * math.pi - 1e-4)  # a whole ring would end where it begins, and be nothing
    large = int(end - start > math.pi)
    corners = [_point(start, high), _point(end, high), _point(end, low), _point(start, low)]
    path = (
        f"M{corners[0]}A{high:g} {high:g} 0 {large} 1 {corners[1]}L{corners[2]}"
        f"A{low:g} {low:g} 0 {large} 0 {corners[3]}Z"
    )
    title = f"<title>{escape(text)}: {n:,}</title>"
    shape = f'<path d="{path}" fill="{colour}" fill-opacity="{strength}" stroke="var(--card)">{title}</path>'
    return shape + (_label(start, end, low, high, text) if (end - start) * (low + high) / 2 >= _LABEL else "")


def _label(start: float, end: float, low: float, high: float, text: str) -> str:
    """A word along the radius, never upside down, cut to its ring."""
    middle = (start + end) / 2
    turn = math.degrees(middle) - 90
    turn += 180 if math.sin(middle) < 0 else 0
    room = int((high - low) / 8)
    shown = text if len(text) <= room else f"{text[: room - 1]}…"
    x, y = _point(middle, (low + high) / 2).split(",")
    return (
        f'<text transform="translate({x} {y}) rotate({turn:.1f})" text-anchor="middle" '
        f'dominant-baseline="central" font-size="14" fill="var(--ink)">{escape(shown)}</text>'
    )


def _point(angle: float, radius: float) -> str:
    """Clockwise from the top."""
    return f"{radius * math.sin(angle):.2f},{-radius * math.cos(angle):.2f}"
