"""A killed run leaves no process behind and no half-written file in the way of the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from corpus.core.output import claim_output

_SLOW = """
import os, sys, time
from pathlib import Path
from corpus.core.workers import run_units

def wait_long(item):
    Path(item).write_text(str(os.getpid()))
    time.sleep(120)

if __name__ == "__main__":
    run_units(wait_long, sys.argv[1:], workers=2, description="wait")
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(_SLOW)
    places = [tmp_path / "one", tmp_path / "two"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "slow.py", *map(str, places)]
    parent = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        _await(lambda: all(place.exists() and place.read_text() for place in places))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    _await(lambda: not any(_alive(int(place.read_text())) for place in places))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_resuming_removes_half_written_files(tmp_path: Path) -> None:
    assert claim_output(tmp_path / "out", "step", {}, [], False) == "new"
    leftover = tmp_path / "out" / "documents" / ".part-00000.parquet.1234.tmp"
    finished = tmp_path / "out" / "documents" / "part-00001.parquet"
    leftover.parent.mkdir()
    leftover.write_text("half")
    finished.write_text("whole")
    assert claim_output(tmp_path / "out", "step", {}, [], False) == "resume"
    assert not leftover.exists()
    assert finished.exists()
