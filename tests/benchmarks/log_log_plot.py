"""A small SVG of measured points and a fitted line, both axes logarithmic."""

from __future__ import annotations

from html import escape

import numpy as np

WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 500, 320, 60, 45, 30


def log_log_plot(x: np.ndarray, y: np.ndarray, fitted: np.ndarray, names: tuple[str, str]) -> str:
    """The SVG of points (x, y) and of the line (x, fitted); `names` of the axes."""
    low, high = _decades(x), _decades(np.concatenate([y, fitted]))
    across = LEFT + (np.log10(x) - low[0]) / (low[-1] - low[0]) * (WIDTH - LEFT - MARGIN)
    drawn = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for at, decade in zip(np.linspace(LEFT, WIDTH - MARGIN, len(low)), low, strict=True):
        drawn.append(_line(at, MARGIN, at, HEIGHT - BOTTOM))
        drawn.append(_text(at, HEIGHT - BOTTOM + 16, f"{10.0**decade:,.0f}", "middle"))
    for at, decade in zip(np.linspace(HEIGHT - BOTTOM, MARGIN, len(high)), high, strict=True):
        drawn.append(_line(LEFT, at, WIDTH - MARGIN, at))
        drawn.append(_text(LEFT - 6, at + 4, f"{10.0**decade:,g}", "end"))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, _down(fitted, high), strict=True))
    drawn.append(f'<polyline points="{points}" fill="none" stroke="#888" stroke-dasharray="4 3"/>')
    for a, b in zip(across, _down(y, high), strict=True):
        drawn.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="#1b6ca8"/>')
    drawn.append(_text((LEFT + WIDTH - MARGIN) / 2, HEIGHT - 8, names[0], "middle"))
    drawn.append(f'<g transform="translate(14 {(HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)">')
    drawn += [_text(0, 0, names[1], "middle"), "</g>"]
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">\n' + (
        "\n".join(drawn) + "\n</svg>\n"
    )


def _decades(values: np.ndarray) -> np.ndarray:
    first, last = np.floor(np.log10(values.min()) + 1e-9), np.ceil(np.log10(values.max()) - 1e-9)
    return np.arange(first, max(last, first + 1) + 1)


def _down(values: np.ndarray, decades: np.ndarray) -> np.ndarray:
    share = (np.log10(values) - decades[0]) / (decades[-1] - decades[0])
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - MARGIN)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
