"""All benchmarks of pages, languages, filtering, dedup and memory, one by one, and one table of their goals.

    python -m tests.benchmarks.goals [--data FOLDER] [--scorer FILE] [--peers DIR] [--only NAME,NAME]

Makes the peers' environments that are missing below `--peers`, runs each benchmark in a process of its own (one
that fails stops no other; its output is in DIR/logs), prints the table and writes it as the first section of
RESULTS.md. With `--only` the other rows come from the last run that has DIR, with its date. Exit status 1 where a
benchmark failed; a goal that is not met is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.inputs import DATA
from tests.benchmarks.peers import PEERS, PeerError, peer_python
from tests.benchmarks.results import HEADLINES, table, write_section

ROOT = Path(__file__).parents[2]
TITLE = "Goals of pages, filtering and the ledger"


class Benchmark(NamedTuple):
    """A module here and its arguments, in which {data}, {scorer} and {NAME of a peer} are filled in."""

    name: str
    module: str
    arguments: str = ""


BENCHMARKS = (
    Benchmark("extraction", "extraction", "--data {data} --scorer {scorer}"),
    Benchmark("languages", "languages", "--data {data} --peers {languages} --write"),
    Benchmark("agreement", "filter_conformance", "--data {data} --datatrove-python {datatrove} --most 150"),
    Benchmark("signals", "signals_speed", "--data {data} --datatrove-python {datatrove} --skip-memory"),
    Benchmark("what-if", "what_if"),
    Benchmark("quality", "quality", "--data {data}"),
    Benchmark("redaction", "redaction", "--data {data} --datatrove-python {datatrove} --write"),
    Benchmark("decontamination", "decontamination", "--data {data} --write"),
    Benchmark(
        "dedup",
        "dedup_speed",
        "--data {data} --python minhash={minhash} --python text-dedup={text-dedup} "
        "--python data-juicer={data-juicer} --python datatrove={datatrove}",
    ),
    Benchmark("dedup-growth", "dedup_speed", "--growth"),
    Benchmark("dedup-memory", "dedup_speed", "--memory-bound"),
    Benchmark("instruct-client", "instruct_client", "--write"),
    Benchmark("novelty", "novelty", "--data {data} --novelty-python {novelty} --write"),
    Benchmark("memory", "worker_memory", "--data {data}"),
)


def command(benchmark: Benchmark, options: argparse.Namespace) -> list[str]:
    """What runs a benchmark, its peers' environments made. Raises PeerError where one cannot be."""
    needed = [name for name in PEERS if f"{{{name}}}" in benchmark.arguments]
    filled = {name: str(peer_python(options.peers, name)) for name in needed}
    filled |= {"data": str(options.data), "scorer": str(options.scorer)}
    arguments = [argument.format(**filled) for argument in benchmark.arguments.split()]
    return [sys.executable, "-m", f"tests.benchmarks.{benchmark.module}", *arguments]


def run(benchmark: Benchmark, options: argparse.Namespace) -> str:
    """Run one; return why it failed, "" where it did not."""
    log, headlines = options.peers / "logs" / f"{benchmark.name}.log", options.peers / "headlines"
    for folder in (log.parent, headlines):
        folder.mkdir(parents=True, exist_ok=True)
    file = headlines / f"{benchmark.name}.json"
    file.unlink(missing_ok=True)
    try:
        line = command(benchmark, options)
    except PeerError as error:
        return str(error)
    with log.open("wb") as output:
        environment = {**os.environ, HEADLINES: str(headlines)}
        ended = subprocess.run(line, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
    if ended.returncode:
        last = (log.read_text("utf-8", "replace").strip().splitlines() or ["no output"])[-1]
        return f"exit status {ended.returncode}: {last[:200]} (all of it in {log})"
    return "" if file.exists() else "left no headlines"


def summary(folder: Path, benchmarks: Sequence[Benchmark], failed: Collection[str]) -> list[list[str]]:
    """The table's rows: benchmark, measure, goal, measured, met, date."""
    rows = []
    for name in (benchmark.name for benchmark in benchmarks):
        file = folder / f"{name}.json"
        if name in failed:
            rows.append([name, "", "", "failed", "**no**", ""])
        elif not file.exists():
            rows.append([name, "", "", "not measured", "", ""])
        else:
            about = json.loads(file.read_text("utf-8"))
            for one in about["headlines"]:
                met = {True: "yes", False: "**no**", None: ""}[one["met"]]
                rows.append([name, one["measure"], one["goal"], one["measured"], met, about["date"]])
    return rows


def main() -> int:
    """Run the benchmarks, print and write the table; the number of failures decides the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--scorer", type=Path, default=DATA.parent / "tools" / "score_extraction.py")
    parser.add_argument("--peers", type=Path, default=Path("peers"), metavar="DIR")
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--only", default=",".join(names), metavar="NAME,NAME", help=f"of {', '.join(names)}")
    options = parser.parse_args()
    for name in ("data", "scorer", "peers"):
        setattr(options, name, getattr(options, name).resolve())
    if not options.data.is_dir():
        parser.error(f"{options.data}: no such folder; --data names it")
    wanted = options.only.split(",")
    if unknown := sorted(set(wanted) - set(names)):
        parser.error(f"no benchmark `{unknown[0]}`; there are {', '.join(names)}")
    failed, started = set[str](), time.monotonic()
    for number, benchmark in enumerate(chosen := [one for one in BENCHMARKS if one.name in wanted], 1):
        began = time.monotonic()
        print(f"[{number}/{len(chosen)}] {benchmark.name} …", file=sys.stderr, flush=True)
        if problem := run(benchmark, options):
            failed.add(benchmark.name)
        told = problem or "done"
        print(f"    {told} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    rows = summary(options.peers / "headlines", BENCHMARKS, failed)
    body = table(["benchmark", "measure", "goal", "measured", "met", "date"], rows)
    minutes = (time.monotonic() - started) / 60
    about = (
        f"`python -m tests.benchmarks.goals`, {datetime.now(UTC):%Y-%m-%d}, two cores, CPU; polars "
        f"{version('polars')}; {len(chosen)} of {len(BENCHMARKS)} benchmarks in {minutes:.0f} minutes."
    )
    print(body)
    write_section(TITLE, f"{about}\n\n{body}", first=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
