"""How the time and the memory of MinHash dedup grow, on synthetic documents; called by `dedup_speed`."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.benchmarks.log_log_plot import log_log_plot
from tests.benchmarks.processes import Used, run_alone
from tests.benchmarks.results import at_most, leave_headlines, made_with, table, without_goal, write_section
from tests.benchmarks.synthetic_documents import MEAN_LENGTH, SHARE, write_synthetic

PLOT = Path(__file__).with_name("dedup_growth.svg")
SMALLEST = 10_000
FACTOR = 4  # signatures are so many times the memory
BANDING = ("--bands", "14", "--rows", "8")

Run = Callable[[Path, Path], tuple[float, float]]  # documents and an empty folder; processor seconds and megabytes


def growth(largest: int, run: Run) -> None:
    """Time against the number of documents, fitted by a power; writes the table and the plot."""
    sizes = np.unique(np.geomspace(SMALLEST, largest, 5).round(-3).astype(int)).tolist()
    measured = []
    for count in sizes:
        with tempfile.TemporaryDirectory() as directory:
            text, _ = write_synthetic(Path(directory) / "documents", count)
            seconds, megabytes = run(Path(directory) / "documents", Path(directory) / "run")
        measured.append((count, text, seconds, megabytes))
        print(f"{count:,} documents: {seconds:.1f} s", file=sys.stderr, flush=True)
    counts, _, seconds, _ = (np.array(column) for column in zip(*measured, strict=True))
    exponent, constant = np.polyfit(np.log(counts), np.log(seconds), 1)
    fitted = np.exp(constant) * counts**exponent
    PLOT.write_text(log_log_plot(counts, seconds, fitted, ("documents", "processor seconds")), "utf-8")
    rows = [
        [f"{count:,}", f"{text / 1e6:,.0f}", f"{took:.1f}", f"{line:.1f}", f"{count / took:,.0f}", f"{peak:,.0f}"]
        for (count, text, took, peak), line in zip(measured, fitted, strict=True)
    ]
    body = [
        made_with("python -m tests.benchmarks.dedup_speed --growth", ["numba", "polars"], {}),
        f"Synthetic documents of {MEAN_LENGTH} words, {SHARE:.0%} of them changed copies; 14 bands of 8, pairs "
        f"verified, one core. Time grows with the documents to the power of {exponent:.2f}.\n",
        table(["documents", "MB", "processor s", "fitted", "documents/s", "peak MB"], rows),
        f"\n![processor seconds against documents]({PLOT.name})",
    ]
    print("\n".join(body))
    write_section("Near duplicates: time against documents", "\n".join(body))
    leave_headlines(
        "dedup-growth", [at_most("MinHash: time grows with documents to the power of", exponent, 1.05)]
    )


def memory_bound(count: int) -> None:
    """`corpus dedup` on documents whose signatures are four times `--memory`, and without a bound."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        text, _ = write_synthetic(folder / "documents", count)
        write_synthetic(folder / "few", 200)
        base, _ = _dedup(folder / "few", folder / "out", "4G")
        unbound, signatures = _dedup(folder / "documents", folder / "out", "1T")
        mebibytes = max(1, round(signatures / FACTOR / 2**20))
        bound, _ = _dedup(folder / "documents", folder / "out", f"{mebibytes}M")
    given = mebibytes * 2**20 / 1e6
    runs = {f"{mebibytes}M ({given:,.0f} MB)": bound, "none": unbound, "none, 200 documents": base}
    rows = [
        [name, f"{one.megabytes:,.0f}", f"{one.cpu_seconds:.1f}", f"{one.seconds:.1f}"]
        for name, one in runs.items()
    ]
    ratio = bound.cpu_seconds / unbound.cpu_seconds
    body = [
        made_with("python -m tests.benchmarks.dedup_speed --memory-bound", ["numba", "polars"], {}),
        f"{count:,} synthetic documents ({text / 1e6:,.0f} MB), signatures and sets of {signatures / 1e6:,.0f} "
        f"MB, {FACTOR} times `--memory`; one worker, which is the only process; {ratio:.2f} times the processor "
        "time of the run without a bound, programs loaded included.\n",
        table(["`--memory`", "peak MB", "processor s", "s"], rows),
    ]
    print("\n".join(body))
    write_section("Near duplicates: memory bound", "\n".join(body))
    leave_headlines(
        "dedup-memory",
        [
            at_most(f"MinHash: peak MB with --memory {mebibytes}M", bound.megabytes, given, "{:,.0f}"),
            without_goal("the same with 200 documents and no bound", base.megabytes, "{:,.0f}"),
            at_most("MinHash: time with the bound, without it 1", ratio, 2),
        ],
    )


def _dedup(documents: Path, output: Path, memory: str) -> tuple[Used, int]:
    """Run the command; what it took, and the most bytes that its stage of signatures had on disk."""
    command = ["dedup", documents, "-o", output, *BANDING, "--memory", memory, "--workers", "1"]
    ended, most = threading.Event(), [0]

    def watch() -> None:
        while not ended.wait(0.05):
            most[0] = max(most[0], sum(file.stat().st_size for file in (output / ".state").glob("signed/unit-*")))

    watching = threading.Thread(target=watch)
    watching.start()
    used = run_alone([sys.executable, "-m", "corpus.cli", *command])
    ended.set()
    watching.join()
    if used.status:
        raise SystemExit(f"corpus dedup: exit status {used.status}: {used.error[-300:]}")
    shutil.rmtree(output)
    print(f"--memory {memory}: {used.megabytes:,.0f} MB, {used.cpu_seconds:.1f} s", file=sys.stderr, flush=True)
    return used, most[0]
