"""`instruct report`: what each step kept and removed and what it cost, as one HTML file."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, write_atomically
from corpus.reporting import report_page as html
from corpus.reporting.steps import step_label, steps_behind
from instruct.costs import money
from instruct.prompt import LANGUAGES
from instruct.report_numbers import DirectoryNumbers, NearPair, count_directory, parts_of, read_directory
from instruct.report_sunburst import most_common_pairs, sunburst
from instruct.rows import CONVERSATIONS
from instruct.seed_tasks import BUILTIN, read_seed_tasks

_BINS = 30
_MARKED = 3000  # characters of a text that are compared
_TOKEN = re.compile(r"[A-Za-z0-9]+|\s+|.", re.DOTALL)


def write_report(directories: Sequence[Path], output: Path) -> list[dict[str, Any]]:
    """Write the report of directories of `instruct` and of those that they were made from, in their order.

    Returns for each its directory, command, rows kept, removed, and removed by reason. Raises ZeroToOneError where
    no directory holds rows.
    """
    steps = [step for step in steps_behind(directories) if (step / CONVERSATIONS).is_file()]
    if not steps:
        raise ZeroToOneError(f"{', '.join(map(str, directories))}: no directory with {CONVERSATIONS}")
    manifests = {
        step_label(read_json(step / "manifest.json"), step): read_json(step / "manifest.json") for step in steps
    }
    numbers = {label: count_directory(step) for label, step in zip(manifests, steps, strict=True)}
    page = html.Page("Instruction data report", "What each step kept and removed, why, and what it cost.")
    sections = {
        "Funnel": _funnel(numbers),
        "Costs": _costs(manifests),
        "Use cases": _use_cases(manifests),
        "Verbs and their objects": _verbs(numbers),
        "Lengths": _lengths(numbers),
        "Languages": _languages(numbers),
        "Nearest pairs": _pairs(numbers, steps),
        "Samples": _samples(numbers),
    }
    for title, content in sections.items():
        if content:
            page.add(title, content)
    with write_atomically(output) as temporary:
        temporary.write_text(page.render(), encoding="utf-8")
    return [
        {
            "directory": str(step),
            "command": manifests[label].get("command", ""),
            "kept": numbers[label].kept,
            "removed": numbers[label].removed.total(),
            "reasons": dict(sorted(numbers[label].removed.items())),
        }
        for label, step in zip(manifests, steps, strict=True)
    ]


def _funnel(numbers: Mapping[str, DirectoryNumbers]) -> str:
    bars = [(label, *_kept_of(one.kept, one.removed.total())) for label, one in numbers.items()]
    parts = [html.bars(bars, legend=True)]
    for label, one in numbers.items():
        if len(one.rounds) > 1:
            rounds = sorted(one.rounds.items())
            lines = [
                (f"round {number}", *_kept_of(counts[""], counts.total() - counts[""]))
                for number, counts in rounds
            ]
            parts += [html.heading(f"Rounds: {label}"), html.bars(lines)]
        if one.removed:
            reasons = [(reason, [("dropped", n)], f"{n:,}") for reason, n in one.removed.most_common()]
            parts += [html.heading(f"Why rows were removed: {label}"), html.bars(reasons)]
    return "".join(parts)


def _kept_of(kept: int, removed: int) -> tuple[list[tuple[str, float]], str]:
    share = f" ({kept / (kept + removed):.1%})" if kept + removed else ""
    return [("kept", kept), ("dropped", removed)], f"{kept:,} of {kept + removed:,}{share}"


def _costs(manifests: Mapping[str, Mapping[str, Any]]) -> str:
    parts = []
    for label, manifest in manifests.items():
        costs = manifest.get("costs")
        if isinstance(costs, dict):
            lines = {"all": costs, **costs.get("stages", {})}
            rows = [{"stage": name, **_cost_cells(one, costs.get("currency"))} for name, one in lines.items()]
            parts += [html.heading(label), html.table(rows)]
    return "".join(parts)


def _cost_cells(line: Mapping[str, Any], currency: str | None) -> dict[str, object]:
    cells: dict[str, object] = {"tokens": line.get("tokens"), "tokens a kept row": line.get("tokens_per_kept_row")}
    for name, key in (("cost", "cost"), ("a kept row", "cost_per_kept_row")):
        if currency and key in line:
            cells[name] = money(Decimal(str(line[key])), currency)
    return cells


def _use_cases(manifests: Mapping[str, Mapping[str, Any]]) -> str:
    parts = []
    for label, manifest in manifests.items():
        shares = manifest.get("use_cases")
        if isinstance(shares, dict) and shares:
            bars = [
                (
                    name,
                    [("kept", one["held"]), ("line", one["wanted"] - one["held"])],
                    f"{one['held']:,} of {one['wanted']:,}",
                )
                for name, one in shares.items()
            ]
            parts += [html.heading(label), html.bars(bars)]
    return html.paragraph("Rows held of those wanted.", soft=True) + "".join(parts) if parts else ""


def _verbs(numbers: Mapping[str, DirectoryNumbers]) -> str:
    parts = []
    for label, one in numbers.items():
        if not one.kept:
            continue
        nouns = most_common_pairs(one.pairs)
        note = f"{one.without_verb:,} of {one.kept:,} kept instructions begin with no known verb."
        rows = [
            {
                "verb": verb,
                "rows": sum(count for (name, _), count in one.pairs.items() if name == verb),
                "objects": ", ".join(f"{noun} {count:,}" for noun, count in objects.items()),
            }
            for verb, objects in nouns.items()
        ]
        drawn = html.card(sunburst(one.pairs)) if nouns else ""
        parts += [html.heading(label), html.paragraph(note, soft=True), drawn]
        parts.append(html.details("As a table", html.table(rows)) if rows else "")
    return "".join(parts)


def _lengths(numbers: Mapping[str, DirectoryNumbers]) -> str:
    parts = []
    for label, one in numbers.items():
        drawings = [_drawing(name, values) for name, values in one.lengths.items() if values]
        if drawings:
            parts += [html.heading(label), html.small_multiples(drawings)]
    note = "Words of kept rows, of Chinese its characters; heights are square roots of counts."
    return html.paragraph(note, soft=True) + "".join(parts) if parts else ""


def _drawing(name: str, values: Sequence[int]) -> str:
    ordered = sorted(values)
    width = max(1, -(-ordered[int(0.99 * (len(ordered) - 1))] // _BINS))
    bins = Counter(min(value // width, _BINS) for value in ordered)
    counts = [bins[number] for number in range(_BINS + 1)]
    median = ordered[len(ordered) // 2]
    title = f"{name}: {len(ordered):,} rows, median {median:,}, longest {ordered[-1]:,}"
    return html.histogram(html.Drawing(title, 0, width, counts, [True] * len(counts), []))


def _languages(numbers: Mapping[str, DirectoryNumbers]) -> str:
    parts = []
    for label, one in numbers.items():
        bars = [(name, [("s0", n)], f"{n:,}") for name, n in one.languages.most_common(20)]
        parts += [html.heading(label), html.bars(bars)] if bars else []
    return "".join(parts)


def _pairs(numbers: Mapping[str, DirectoryNumbers], steps: Sequence[Path]) -> str:
    pairs = {label: [*one.near[True], *one.near[False]] for label, one in numbers.items()}
    texts = _texts({name for found in pairs.values() for pair in found for name in (pair.row, pair.other)}, steps)
    parts = []
    for label, found in pairs.items():
        cards = [_pair_card(pair, texts) for pair in found if pair.row in texts and pair.other in texts]
        parts += [html.heading(label), *cards] if cards else []
    note = "The kept rows that are nearest to an earlier one, and the removed ones that came closest to staying."
    return html.paragraph(note, soft=True) + "".join(parts) if parts else ""


def _texts(names: Collection[str], steps: Sequence[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for step in steps if names else ():
        for row, _ in read_directory(step):
            if str(row.get("id")) in names:
                found.setdefault(str(row["id"]), parts_of(row)[0])
    for language in LANGUAGES if set(names) - set(found) else ():
        for seed in read_seed_tasks(BUILTIN, language)[0]:
            if seed.id in names:
                found.setdefault(seed.id, seed.task.instruction)
    return found


def _pair_card(pair: NearPair, texts: Mapping[str, str]) -> str:
    left, right = shared_pieces(texts[pair.row], texts[pair.other])
    outcome = "kept" if pair.kept else "removed"
    return html.card(
        html.paragraph(f"likeness {pair.likeness:.3f}", soft=True),
        html.side_by_side((f"{pair.row} ({outcome})", left), (pair.other, right)),
    )


def shared_pieces(left: str, right: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Two texts in pieces, each with whether the other has it, too, in the same order (words, characters)."""
    both = [_TOKEN.findall(text[:_MARKED]) for text in (left, right)]
    matcher = difflib.SequenceMatcher(None, both[0], both[1], autojunk=False)
    pieces: tuple[list[tuple[str, bool]], list[tuple[str, bool]]] = ([], [])
    for kind, first, last, start, stop in matcher.get_opcodes():
        for side, tokens in zip(pieces, (both[0][first:last], both[1][start:stop]), strict=True):
            if tokens:
                side.append(("".join(tokens), kind == "equal"))
    return pieces


def _samples(numbers: Mapping[str, DirectoryNumbers]) -> str:
    parts = []
    for label, one in numbers.items():
        parts.append(html.heading(label))
        for reason in sorted(one.samples):
            count = one.removed[reason] if reason else one.kept
            shown = [_sample_card(row) for _, _, row in sorted(one.samples[reason], key=lambda kept: kept[:2])]
            parts.append(html.details(f"{reason or 'kept'} ({count:,})", *shown))
    return "".join(parts)


def _sample_card(row: Mapping[str, Any]) -> str:
    texts = [html.quotation(text) for text in parts_of(dict(row)) if text]
    detail = html.paragraph(str(row["detail"])[:300], soft=True) if row.get("detail") else ""
    lineage = json.dumps(row.get("lineage", {}), ensure_ascii=False, indent=1)
    return html.card(
        html.paragraph(str(row.get("id", ""))),
        detail,
        *texts,
        html.details("Lineage", html.quotation(lineage, 3000)),
    )
