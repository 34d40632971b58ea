"""A full disk, Ctrl-C and a closed pipe: one line, the right status, and a rerun that finishes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_atomically
from tests.programs import FILES, ONE, WRITING, call, crawl, documents, start, write_jsonl, writing_verbs

WRITERS: dict[str, Callable[[Path], object]] = {
    "python": lambda path: path.write_bytes(bytes(100)),
    "polars": lambda path: pl.DataFrame({"a": range(1000)}).write_parquet(path),
    "arrow": lambda path: pq.write_table(pa.table({"a": range(1000)}), path),
    "numpy": lambda path: np.save(path.open("wb"), np.arange(100_000)),
}


def write_on_full_disk(path: Path, writer: Callable[[Path], object]) -> None:
    with write_atomically(path) as temporary:
        temporary.symlink_to("/dev/full")
        writer(temporary)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_told_from_every_library(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(ZeroToOneError, match=f"{path}: disk full"):
        write_on_full_disk(path, WRITERS[writer])
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A disk of its own and a function that changes its size."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)

    try:
        yield place, resize
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("verb", [verb for verb in WRITING if verb not in FILES])
def test_disk_full(verb: str, good: Path, tmp_path: Path, small_disk: tuple[Path, Callable[[str], None]]) -> None:
    place, resize = small_disk
    command = [*map(str, writing_verbs(good)[verb]), "-o", str(place / "out")]
    (place / "ballast").write_bytes(bytes(4096))
    outcome = call(*command)
    assert outcome.status == 1, outcome
    assert "disk full" in outcome.message
    assert str(place / "out") in outcome.message
    resize("100m")
    again = call(*command)
    assert again.status == 0, again.err
    assert not [path for path in place.rglob("*.tmp") if path.name.startswith(".")]


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".state" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != "manifest.json"}


@pytest.mark.parametrize("verb", ["extract", "filter", "dedup", "substring", "score", "perplexity", "tokenize"])
def test_ctrl_c(verb: str, good: Path, tmp_path: Path) -> None:
    """To the whole process group, as a terminal sends it, while the workers start and import."""
    for number in range(3):
        write_jsonl(tmp_path / f"{number}.jsonl", [*documents(300 + number)])
        (tmp_path / f"{number}.warc").write_bytes(crawl(50 + number))
    program, *words = map(str, writing_verbs(good)[verb])
    name, _, *options = [" ".join(words[:2]), *words[2:]] if words[0] == "quality" else words
    sources = sorted(map(str, tmp_path.glob("*.warc" if verb == "extract" else "*.jsonl")))
    out = tmp_path / "out"
    command = [program, *name.split(), *sources, *options, "-o", str(out)]
    process = start(*command, "--workers", "2")
    _await(lambda: (out / ".state" / "claim.json").exists() or process.poll() is not None)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err.strip().splitlines()[-1].startswith("interrupted; run the same command again")
    assert "Traceback" not in err
    assert call(*command).status == 0
    assert call(*command[:-1], tmp_path / "whole").status == 0
    assert content(out) == content(tmp_path / "whole")


def test_broken_pipe(good: Path) -> None:
    process = start("corpus", "stats", good / "docs.parquet", *ONE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
