"""The output directory of a command that asks a model: claimed, resumed, written whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpus.core.console import log, print_summary
from corpus.core.conversations import Conversation, write_conversations
from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_json_lines
from corpus.core.output import Claim, Manifest
from instruct.costs import Tally, Usage, costs, money, summary_rows
from instruct.prices import Price

Row = dict[str, Any]


@dataclass(frozen=True)
class SetAside:
    """An input record that could not be used: where it stands and why."""

    place: str
    reason: str
    record: str


@dataclass
class RunResult:
    """What a command made: rows kept, rows removed with reasons, input set aside, and counts.

    `usage` is what they rest on; where it was added to by stage (`usage.add(reply, "judge")`), the manifest and
    the summary have the price of a kept row by stage. `price` makes money of the tokens.
    """

    kept: list[Conversation] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    price: Price | None = None


class Run(Claim):
    """The claim of a command that asks a model: a directory with failed requests is not finished."""

    def finished(self, overwrite: bool) -> Manifest | None:
        """Claim the directory; the manifest of an earlier run that finished without a failed request."""
        manifest = super().finished(overwrite)
        return None if manifest is None or manifest["usage"]["failed"] else manifest

    def write(self, result: RunResult) -> Manifest:
        """Write `conversations.jsonl`, `removed.jsonl`, `set_aside.jsonl`, then `manifest.json`."""
        write_conversations(self.output / "conversations.jsonl", result.kept)
        write_json_lines(self.output / "removed.jsonl", result.removed)
        write_json_lines(self.output / "set_aside.jsonl", map(asdict, result.set_aside))
        reasons = Counter(row["reason"] for row in result.removed)
        return self.write_manifest(
            counts={**result.counts, "rows_kept": len(result.kept), "rows_removed": len(result.removed)},
            reasons=dict(sorted(reasons.items())),
            usage=result.usage.numbers(),
            costs=costs(result.usage, len(result.kept), result.price),
            **result.details,
        )


def refuse_if_strict(set_aside: Sequence[SetAside], strict: bool) -> None:
    """With `strict`, raise ZeroToOneError for the first record that was set aside."""
    if strict and set_aside:
        first = set_aside[0]
        raise ZeroToOneError(f"{first.place}: {first.reason} (--strict)")


def print_run(title: str, manifest: Manifest, output: Path, tally: Tally | None, *, as_json: bool) -> None:
    """Print what a command did; `tally` is None where an earlier run had done everything."""
    usage, sent = manifest["usage"], tally or Tally()
    rows = {
        **manifest["counts"],
        "reasons": manifest["reasons"],
        **{name: manifest[name] for name in ("rounds", "stopped", "use_cases", "scores") if name in manifest},
        "tokens": usage["prompt_tokens"] + usage["completion_tokens"],
        **summary_rows(manifest.get("costs", {"stages": {}})),
        **({"spent": money(sent.cost, sent.price.currency)} if sent.price else {}),
        "requests_sent": sent.requests_sent,
        "retries": sent.retries,
        "from_cache": sent.from_cache,
        "requests_failed": usage["failed"],
        "output": str(output),
    }
    print_summary(title, rows, as_json=as_json)
    if usage["failed"]:
        log(f"{usage['failed']:,} requests failed; the same command asks them again, and nothing else")


def total_size(inputs: Sequence[str | Path]) -> int:
    """Bytes of the inputs that are files."""
    return sum(Path(item).stat().st_size for item in inputs if Path(item).is_file())
