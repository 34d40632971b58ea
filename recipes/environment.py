"""The main job's input: the documentation that lives in every Python environment.

Pages: pydoc's HTML of the standard library's and the installed packages' modules, as WARC with HTTP headers, so
that the job starts where a crawl starts. Guides: the long descriptions in package metadata. Code: the standard
library's sources. What was chosen is written down first (`modules.json`), so that a rerun sees the same input.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import Message
from itertools import zip_longest
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, text_hash, write_atomically, write_json
from corpus.core.workers import run_units

MODULE_SECONDS = 15
PAGE_BYTES = 250_000  # larger ones are inherited members, listed again and again
MODULES_OF_A_PACKAGE = 24
BATCH = 24
# These do something when they are imported (open a browser, print, start an editor), or are tests.
SKIPPED = {
    "antigravity",
    "this",
    "idlelib",
    "turtledemo",
    "test",
    "tests",
    "testing",
    "conftest",
    "lib2to3",
    "setup",
}


@dataclass(frozen=True)
class Batch:
    """Modules that one child process renders into one WARC file."""

    warc: str
    domain: str
    modules: tuple[tuple[str, str], ...]  # (name, date of its source)


def collect_environment(output: Path, *, pages: int, workers: int | None = None) -> dict[str, Any]:
    """Write the environment's pages, guides and code below `output` and return counts.

    `output/standard_library/*.warc.gz` and `output/packages/*.warc.gz` hold at most `pages` pages in all,
    `output/guides.parquet` and `output/code.parquet` documents. A rerun renders only what is missing.
    """
    plan = _plan(output / "modules.json", pages)
    tasks = [(output, batch) for batch in plan if not _done(output, batch).exists()]
    run_units(_render_batch, tasks, workers=workers, description="render pages")
    counts: Counter[str] = Counter()
    for batch in plan:
        counts.update(read_json(_done(output, batch)))
    if not counts["pages"]:
        raise ZeroToOneError(f"{output}: pydoc rendered no page at all ({dict(counts)})")
    for name, read in (("guides", _guides), ("code", _code)):
        path = output / f"{name}.parquet"
        if not path.exists():
            with write_atomically(path) as temporary:
                read().write_parquet(temporary, compression="zstd")
        counts[name] = pl.scan_parquet(path).select(pl.len()).collect().item()
    return dict(sorted(counts.items()))


def _plan(path: Path, pages: int) -> list[Batch]:
    """What to render: chosen once, then read back."""
    if not path.exists():
        library = _standard_library()
        packages = _packages()
        room = max(0, pages - len(library[: pages // 2]))
        chosen = {"standard_library": library[: pages // 2], "packages": packages[:room]}
        batches = []
        for domain, modules in chosen.items():
            modules = sorted(modules)  # neighbours share imports
            for first in range(0, len(modules), BATCH):
                name = f"{domain}/pages-{first // BATCH:03d}.warc.gz"
                batches.append(Batch(name, domain, tuple(modules[first : first + BATCH])))
        write_json(path, {"pages": pages, "batches": [asdict(batch) for batch in batches]})
    stored = read_json(path)
    if stored["pages"] != pages:
        raise ZeroToOneError(f"{path}: was made for {stored['pages']} pages, not {pages}; use another output")
    return [
        Batch(batch["warc"], batch["domain"], tuple((name, date) for name, date in batch["modules"]))
        for batch in stored["batches"]
    ]


def _standard_library() -> list[tuple[str, str]]:
    """The public modules of the standard library, top-level ones first."""
    root = Path(sysconfig.get_path("stdlib"))
    files = {name: path for path in root.rglob("*.py") if (name := _module_name(path.relative_to(root)))}
    for name in sys.stdlib_module_names:
        if not name.startswith("_") and name not in SKIPPED:
            files.setdefault(name, root / "os.py")  # built in: dated like the library
    return [(name, _date(files[name])) for name in sorted(files, key=lambda name: (name.count("."), name))]


def _packages() -> list[tuple[str, str]]:
    """Public modules of the installed distributions: of each the shallow ones, the distributions in turn."""
    columns = []
    for distribution in sorted(importlib.metadata.distributions(), key=lambda found: str(found.name).lower()):
        if distribution.name == "zero-to-one":
            continue
        files = {name: file for file in distribution.files or [] if (name := _module_name(Path(str(file))))}
        names = sorted(files, key=lambda name: (name.count("."), name))[:MODULES_OF_A_PACKAGE]
        columns.append([(name, _date(Path(str(files[name].locate())))) for name in names])
    rows = (row for turn in zip_longest(*columns) for row in turn if row is not None)
    return list(dict.fromkeys(rows))


def _module_name(path: Path) -> str | None:
    """The dotted name of a public module's file, or None for private ones, tests and other files."""
    if path.suffix != ".py" or "site-packages" in path.parts:
        return None
    parts = list(path.with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    named = all(part.isidentifier() and not part.startswith(("_", "test_")) for part in parts)
    return ".".join(parts) if parts and named and not SKIPPED & set(parts) else None


def _date(path: Path) -> str:
    seconds = path.stat().st_mtime if path.exists() else 0.0
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _done(output: Path, batch: Batch) -> Path:
    return output / f"{batch.warc}.json"


def _render_batch(task: tuple[Path, Batch]) -> None:
    output, batch = task
    counts: Counter[str] = Counter()
    with write_atomically(output / batch.warc) as temporary, tempfile.TemporaryDirectory() as scratch:
        pages = _render_isolated([name for name, _ in batch.modules], Path(scratch), counts)
        with temporary.open("wb") as handle:
            for name, date in batch.modules:
                if name in pages:
                    handle.write(_record(f"http://pydoc.localhost/{name}.html", date, pages[name]))
    write_json(_done(output, batch), dict(counts))


def _render_isolated(names: list[str], scratch: Path, counts: Counter[str]) -> dict[str, bytes]:
    """Render modules in child processes; after one that hangs or crashes, go on behind it."""
    pages: dict[str, bytes] = {}
    program = Path(__file__).with_name("render_pages.py")
    while names:
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            status = _run_child([str(program), directory, str(MODULE_SECONDS), *names], scratch, len(names))
            finished = len(names)
            for position, name in enumerate(names):
                page = Path(directory) / f"{position}.html"
                if page.exists():
                    content = page.read_bytes()
                    kept = len(content) <= PAGE_BYTES
                    counts["pages" if kept else "too_large"] += 1
                    if kept:
                        pages[name] = content
                elif (Path(directory) / f"{position}.failed").exists():
                    counts["not_importable"] += 1
                else:
                    counts["timed_out" if status == "timed_out" else "crashed"] += 1
                    finished = position + 1
                    break
            names = names[finished:]
    return pages


def _run_child(arguments: list[str], home: Path, modules: int) -> str:
    """Run the renderer with an environment that holds nothing of the user's: pydoc shows `os.environ`."""
    environment = {
        "PATH": os.defpath,
        "HOME": "/nonexistent",  # a name that is the same each time, and nowhere to write
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TZ": "UTC",
    }
    command = [sys.executable, "-s", "-P", "-B", "-W", "ignore", *arguments]
    process = subprocess.Popen(  # noqa: S603 - our own program, by this interpreter
        command,
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(timeout=MODULE_SECONDS * modules + 60)
    except subprocess.TimeoutExpired:
        return "timed_out"
    finally:
        _kill_group(process)
    return "timed_out" if status == -14 else "ended"  # 14: SIGALRM, the module's own time-out


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def _record(url: str, date: str, page: bytes) -> bytes:
    """A WARC 1.1 response record (ISO 28500), compressed by itself, the same bytes every time."""
    headers = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n\r\n"
    block = headers.encode("ascii") + page
    fields = {
        "WARC-Type": "response",
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url)}>",
        "WARC-Date": date,
        "WARC-Target-URI": url,
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(block)),
    }
    head = "WARC/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    return gzip.compress(head.encode("utf-8") + block + b"\r\n\r\n", 6, mtime=0)


def _guides() -> pl.DataFrame:
    """The long descriptions of the installed distributions, one document each."""
    rows = []
    for distribution in sorted(importlib.metadata.distributions(), key=lambda found: str(found.name).lower()):
        metadata: Message = distribution.metadata  # type: ignore[assignment]
        text = str(metadata.get_payload() or metadata.get("Description") or "").strip()
        if distribution.name != "zero-to-one" and text and text != "UNKNOWN":
            url = f"https://pypi.org/project/{distribution.name}/{distribution.version}/"
            rows.append(_document(url, text, "guides", str(distribution.name)))
    return pl.DataFrame(rows).unique("id", keep="first", maintain_order=True)


def _code() -> pl.DataFrame:
    """The public sources of the standard library, one document a file."""
    root = Path(sysconfig.get_path("stdlib"))
    tag = f"v{platform.python_version()}"
    rows = []
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if _module_name(name):
            url = f"https://github.com/python/cpython/blob/{tag}/Lib/{name.as_posix()}"
            rows.append(_document(url, path.read_text("utf-8", errors="replace"), "code", name.as_posix()))
    return pl.DataFrame(rows)


def _document(url: str, text: str, domain: str, title: str) -> dict[str, str]:

    return {
        "id": text_hash(url)[:32],
        "text": text,
        "url": url,
        "domain": domain,
        "source": domain,
        "origin": url,
        "metadata": json.dumps({"title": title}, ensure_ascii=False),
    }
