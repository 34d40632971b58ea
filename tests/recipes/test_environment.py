"""The main job's input: isolation of strange packages, WARC that another library reads, the same bytes again."""

import io
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from warcio.archiveiterator import ArchiveIterator

from recipes import environment
from recipes.environment import _record, _render_isolated, collect_environment

PACKAGES = {
    "good_one": '"""A good module."""\ndef greet(name="x"):\n    """Return a greeting."""\n',
    "hangs": "import time\nwhile True: time.sleep(1)\n",
    "crashes": "import os\nos.kill(os.getpid(), 11)\n",
    "leaves": "import os\nos._exit(0)\n",
    "quits": "raise SystemExit(3)\n",
    "prints": "import sys\nprint('x' * 10**6)\nprint('y' * 10**6, file=sys.stderr)\nsys.stdin.read()\n",
    "good_two": '"""Shows its surroundings."""\nimport os\nENVIRONMENT = dict(os.environ)\nMARK = object()\n',
}


def test_strange_packages_are_skipped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for name, source in PACKAGES.items():
        (site / f"{name}.py").write_text(source)
    monkeypatch.setattr(environment, "MODULE_SECONDS", 3)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    renderer = environment.Path(environment.__file__).with_name("render_pages.py").read_text()
    program = tmp_path / "render_pages.py"
    program.write_text(renderer.replace("import sys\n", f"import sys\nsys.path.insert(0, {str(site)!r})\n", 1))
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    counts: Counter[str] = Counter()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    pages = _render_isolated(list(PACKAGES), scratch, counts)
    assert set(pages) == {"good_one", "prints", "good_two"}
    assert counts == {"pages": 3, "timed_out": 1, "crashed": 2, "not_importable": 1}
    shown = pages["good_two"].decode()
    assert "sk-secret" not in shown
    assert "0x" not in shown
    assert str(tmp_path) not in shown
    assert "Return&nbsp;a&nbsp;greeting" in pages["good_one"].decode()


def test_records_are_read_by_warcio() -> None:
    page = "<html>标题</html>".encode()
    data = _record("http://pydoc.localhost/a.html", "2024-01-02T03:04:05Z", page) * 2
    records = [
        (
            record.rec_headers["WARC-Target-URI"],
            record.http_headers["Content-Type"],
            record.content_stream().read(),
        )
        for record in ArchiveIterator(io.BytesIO(data), check_digests=True)
    ]
    assert records == [("http://pydoc.localhost/a.html", "text/html; charset=utf-8", page)] * 2


def test_collection_is_the_same_again_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "BATCH", 4)
    counts = collect_environment(tmp_path / "one", pages=12, workers=1)
    assert 6 <= counts["pages"] <= 12
    assert counts["code"] > 100
    assert counts["guides"] > 10
    collect_environment(tmp_path / "two", pages=12, workers=1)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)
    lost = next((tmp_path / "two").glob("packages/*.warc.gz.json"))
    lost.unlink()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("*.warc.gz")}
    assert collect_environment(tmp_path / "two", pages=12, workers=1) == counts
    changed = [path for path, at in before.items() if path.stat().st_mtime_ns != at]
    assert [f"{path.name}.json" for path in changed] == [lost.name]


def test_code_and_guides_are_documents(tmp_path: Path) -> None:
    code = environment._code()
    assert code["id"].n_unique() == code.height
    assert code.filter(pl.col("url").str.ends_with("Lib/textwrap.py")).height == 1
    assert not code["url"].str.contains("/test/").any()
    assert "zero-to-one" not in environment._guides()["url"].str.split("/").list.get(4).to_list()
    assert sys.version.split()[0] in code["url"][0]
