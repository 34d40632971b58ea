"""Self-contained HTML for reports: no script, no network, every text escaped, readable on a phone.

Charts are HTML bars and SVG lines with labels outside the drawing, so that text keeps its size at any width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

SERIES_COLOURS = 8

_STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")


@dataclass
class Page:
    """A report: sections of HTML under a title."""

    title: str
    introduction: str = ""
    sections: list[tuple[str, str]] = field(default_factory=list)

    def add(self, heading: str, *parts: str) -> None:
        """Append a section; `parts` are HTML from this module's functions."""
        self.sections.append((heading, "".join(parts)))

    def render(self) -> str:
        """The whole document."""
        anchors = [f"part-{number}" for number in range(len(self.sections))]
        links = "".join(
            f'<a href="#{anchor}">{escape(heading)}</a>'
            for anchor, (heading, _) in zip(anchors, self.sections, strict=True)
        )
        body = "".join(
            f'<section id="{anchor}"><h2>{escape(heading)}</h2>{content}</section>'
            for anchor, (heading, content) in zip(anchors, self.sections, strict=True)
        )
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
            '<link rel="icon" href="data:,">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head><body><main>"
            f"<h1>{escape(self.title)}</h1>{paragraph(self.introduction) if self.introduction else ''}"
            f"<nav>{links}</nav>{body}</main></body></html>\n"
        )


def paragraph(text: str, soft: bool = False) -> str:
    """A paragraph of plain text."""
    return f"<p{' class=soft' if soft else ''}>{escape(text)}</p>"


def heading(text: str) -> str:
    """A heading inside a section."""
    return f"<h3>{escape(text)}</h3>"


def card(*parts: str) -> str:
    """A framed group."""
    return f'<div class="card">{"".join(parts)}</div>'


def details(summary: str, *parts: str) -> str:
    """Parts that open on a click."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def quotation(text: str, limit: int = 600) -> str:
    """A sample of text, cut at `limit` characters."""
    return f"<pre>{escape(text[:limit])}{'…' if len(text) > limit else ''}</pre>"


def side_by_side(*columns: tuple[str, Sequence[tuple[str, bool]]]) -> str:
    """Texts beside each other: columns of (heading, pieces of text and whether each is marked)."""
    cells = (
        f"<div><b>{escape(title)}</b><pre>"
        + "".join(f"<mark>{escape(text)}</mark>" if marked else escape(text) for text, marked in pieces)
        + "</pre></div>"
        for title, pieces in columns
    )
    return f'<div class="pair">{"".join(cells)}</div>'


def tiles(values: Mapping[str, str]) -> str:
    """The few numbers that matter, large."""
    cells = (
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for name, value in values.items()
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a table; numbers are aligned to the right."""
    if not rows:
        return paragraph("Nothing here.", soft=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    numeric = {name for name in names if any(isinstance(row.get(name), (int, float)) for row in rows)}
    head = "".join(f"<th{' class=n' if name in numeric else ''}>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if name in numeric else ''}>{_cell(row.get(name))}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def bars(rows: Sequence[tuple[str, Sequence[tuple[str, float]], str]], legend: bool = False) -> str:
    """Horizontal bars: rows of (name, parts as (colour, amount), text at the end); widths share one scale.

    A colour is a CSS variable's name: `kept`, `dropped`, `s0` to `s7`.
    """
    largest = max((sum(amount for _, amount in parts) for _, parts, _ in rows), default=0) or 1
    lines = []
    for name, parts, text in rows:
        pieces = "".join(
            f'<i style="width:{100 * amount / largest:.3f}%;background:var(--{escape(colour)})"></i>'
            for colour, amount in parts
            if amount > 0
        )
        lines.append(
            f'<div class="bar"><div class="name">{escape(name)}</div><div class="track">{pieces}</div>'
            f'<div class="value">{escape(text)}</div></div>'
        )
    keys = colour_keys({"kept": "kept", "removed": "dropped"}) if legend else ""
    return f'{keys}<div class="bars">{"".join(lines)}</div>'


def colour_keys(names: Mapping[str, str]) -> str:
    """A legend: name → CSS variable."""
    items = (
        f'<li><i style="background:var(--{colour})"></i>{escape(name)}</li>' for name, colour in names.items()
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


@dataclass(frozen=True)
class Drawing:
    """A histogram to draw: bins of one width from `low`, the last of all values beyond; which of them are kept;
    limits as (text, place in bins from the left or None)."""

    title: str
    low: float
    width: float
    counts: Sequence[int]
    kept: Sequence[bool]
    limits: Sequence[tuple[str, float | None]]


def histogram(drawing: Drawing) -> str:
    """A small histogram; what is dropped has the other colour, limits are lines."""
    tallest = max(drawing.counts) or 1
    columns = []
    for number, (count, kept) in enumerate(zip(drawing.counts, drawing.kept, strict=True)):
        first = drawing.low + number * drawing.width
        reach = "and more" if number == len(drawing.counts) - 1 else f"to {first + drawing.width:.4g}"
        height = 0 if not count else max(3.0, 100 * math.sqrt(count / tallest))
        columns.append(
            f'<i style="height:{height:.1f}%;background:var(--{"kept" if kept else "dropped"})" '
            f'title="{first:.4g} {reach}: {count:,}"></i>'
        )
    lines = "".join(
        f'<b style="left:{100 * place / len(drawing.counts):.2f}%" title="{escape(text)}"></b>'
        for text, place in drawing.limits
        if place is not None
    )
    texts = (text if place is not None else f"{text} (beyond the axis)" for text, place in drawing.limits)
    kept_where = "".join(f'<div class="limit">{escape(text)}</div>' for text in texts)
    high = drawing.low + drawing.width * (len(drawing.counts) - 1)
    return (
        f'<div><div class="signal">{escape(drawing.title)}</div>{kept_where}'
        f'<div class="histogram">{"".join(columns)}{lines}</div>'
        f'<div class="axis ends"><span>{_round(drawing.low)}</span><span>{_round(high)}</span></div></div>'
    )


def short_number(value: float) -> str:
    """A number in three digits and a letter: 12.3M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _round(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def small_multiples(parts: Sequence[str]) -> str:
    """Small drawings side by side."""
    return f'<div class="small">{"".join(parts)}</div>'


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str, from_zero: bool = False
) -> str:
    """Lines over a shared x axis, at most eight; each point's value is in the table behind a click."""
    points = [point for line in series.values() for point in line if math.isfinite(point[1])]
    if not points:
        return paragraph("No values were recorded.", soft=True)
    xs, ys = _scale([x for x, _ in points], False), _scale([y for _, y in points], from_zero)
    lines = []
    for number, line in enumerate(series.values()):
        path = " ".join(
            f"{100 * (x - xs[0]) / (xs[-1] - xs[0]):.3f},{100 - 100 * (y - ys[0]) / (ys[-1] - ys[0]):.3f}"
            for x, y in line
            if math.isfinite(y)
        )
        lines.append(
            f'<polyline points="{path}" fill="none" stroke="var(--s{number % SERIES_COLOURS})" stroke-width="2" '
            'vector-effect="non-scaling-stroke" stroke-linejoin="round"/>'
        )
    heights = [100 - _share(y, ys) for y in ys[1:]]
    grid = "".join(
        f'<line x1="0" x2="100" y1="{height:.2f}" y2="{height:.2f}" stroke="var(--line)" stroke-width="1" '
        'vector-effect="non-scaling-stroke"/>'
        for height in heights
    )
    labels = "".join(f'<span class="x" style="left:{_share(x, xs):.2f}%">{x:g}</span>' for x in xs)
    labels += "".join(f'<span class="y" style="bottom:{_share(y, ys):.2f}%">{y:g}</span>' for y in ys)
    keys = colour_keys({name: f"s{number % SERIES_COLOURS}" for number, name in enumerate(series)})
    return (
        f'{keys}<div class="axis">{escape(y_label)} over {escape(x_label)}</div><div class="plot">'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(y_label)}">'
        f"{grid}{''.join(lines)}</svg>{labels}</div>"
    )


def _share(value: float, ticks: Sequence[float]) -> float:
    return 100 * (value - ticks[0]) / (ticks[-1] - ticks[0])


def _scale(values: Sequence[float], from_zero: bool) -> list[float]:
    """Round tick values that cover `values`: four to seven of them."""
    low, high = min(values), max(values)
    low = min(0.0, low) if from_zero else low
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 4))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return escape(str(value))
