"""Commands in a process of their own: what they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

# A parent's memory counts as its child's until the child has loaded its program: so a small process starts it.
_WATCH = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
cpu = usage.ru_utime + usage.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, cpu, usage.ru_maxrss * 1024 / 1e6]))
"""


class Used(NamedTuple):
    """What a command took: megabytes are the largest of its processes, `error` what it wrote on stderr."""

    status: int
    seconds: float
    cpu_seconds: float
    megabytes: float
    error: str


def run_alone(command: Sequence[object], environment: dict[str, str] | None = None) -> Used:
    """Run a command to its end; `environment` is added to this process's."""
    watched = [sys.executable, "-c", _WATCH, *map(str, command)]
    given = {**os.environ, **(environment or {})}
    ended = subprocess.run(watched, check=True, capture_output=True, text=True, env=given)
    status, seconds, cpu_seconds, megabytes = json.loads(ended.stdout)
    return Used(status, seconds, cpu_seconds, megabytes, ended.stderr)
