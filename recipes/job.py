"""What one run of the main job is: its options, its directories, and how long each stage took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corpus.core.console import log
from corpus.core.errors import UsageError
from corpus.core.files import read_json, write_json

STAGES = (
    "collect",
    "extract",
    "filter",
    "exact dedup",
    "near dedup",
    "tokenizer",
    "tokenize",
    "doremi",
    "plan",
    "pretrain",
    "instruct",
    "sft",
    "evaluate",
    "report",
)


@dataclass(frozen=True)
class Job:
    """The options of a run; every directory is below `output`."""

    output: Path
    inputs: tuple[str, ...] = ()
    rules: str | None = None
    pages: int = 1000
    vocabulary_size: int = 8192
    model: str = "mini"
    tokens: int = 1_000_000
    proxy_steps: int = 150
    epochs: int = 2
    conversations_per_task: int = 400
    seed: int = 0
    workers: int | None = None
    threads: int | None = None
    base_url: str | None = None
    endpoint_model: str | None = None
    generate_count: int = 20

    def __post_init__(self) -> None:
        for name in ("pages", "tokens", "proxy_steps", "epochs", "conversations_per_task", "generate_count"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1")
        if (self.base_url is None) != (self.endpoint_model is None):
            raise UsageError("--base-url and --endpoint-model belong together")

    def at(self, *names: str) -> Path:
        """A path below the output."""
        return self.output.joinpath(*names)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage, and add its seconds to `stages.json`: what a killed run spent before is not lost."""
        log(f"[{STAGES.index(name) + 1}/{len(STAGES)}] {name}")
        started = time.monotonic()
        try:
            yield
        finally:
            seconds = self.seconds()
            seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - started, 1)
            write_json(self.at("stages.json"), seconds)

    def seconds(self) -> dict[str, float]:
        """Seconds by stage, over all runs into this output."""
        path = self.at("stages.json")
        return dict(read_json(path)) if path.exists() else {}
