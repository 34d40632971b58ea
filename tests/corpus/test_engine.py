"""Units, resumption, output directories and bad input."""

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from corpus.core.engine import Step, UnitOutput, run_step
from corpus.core.errors import ZeroToOneError
from corpus.core.inputs import Unit, plan_units, read_documents

REPOSITORY = Path(__file__).parents[2]


def copy_documents(unit: Unit, parameters: dict, output: UnitOutput) -> None:
    for frame in read_documents(unit, output):
        output.count("documents_in", frame.height)
        short = frame["text"].str.len_chars() < parameters["minimum"]
        output.write("documents", frame.filter(~short))
        output.write("removed", frame.filter(short))
        output.reason("short", int(short.sum()))


def copy_slowly(unit: Unit, parameters: dict, output: UnitOutput) -> None:
    time.sleep(0.2)
    copy_documents(unit, parameters, output)


def tree(directory: Path) -> dict[str, bytes]:
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    for part in range(5):
        rows = [{"text": "x" * n, "mine": n, "nested": {"n": n}} for n in range(part, 40 + part)]
        (directory / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return directory


def test_the_same_bytes_for_any_number_of_workers(source: Path, tmp_path: Path) -> None:
    step = Step("test", {"minimum": 7}, copy_documents)
    first = run_step(step, [source], tmp_path / "one", workers=1)
    run_step(step, [source], tmp_path / "two", workers=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    kept = pl.read_parquet(tmp_path / "one" / "documents" / "*.parquet")
    assert first["counts"]["documents_in"] == 200
    assert kept.height + first["reasons"]["short"] == 200
    assert kept.columns[:10] == [
        "id",
        "text",
        "url",
        "domain",
        "source",
        "origin",
        "date",
        "lang",
        "lang_score",
        "metadata",
    ]
    assert set(kept.columns[10:]) == {"mine", "nested"}
    assert kept["id"].n_unique() == kept.height


def test_a_killed_run_goes_on_and_a_finished_one_returns(source: Path, tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\nimport sys\nfrom corpus.core.engine import Step, run_step\n"
        "from tests.corpus.test_engine import copy_slowly\n"
        "run_step(Step('test', {'minimum': 7}, copy_slowly), [Path(sys.argv[1])], Path(sys.argv[2]), workers=1)\n"
    )
    killed = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", program, str(source), str(killed)], cwd=REPOSITORY)
    for _ in range(1200):
        if len(list((killed / ".state").glob("unit-*.json"))) >= 2 or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in (killed / ".state").glob("unit-*.json")}
    assert 2 <= len(done) < 5
    step = Step("test", {"minimum": 7}, copy_slowly)
    manifest = run_step(step, [source], killed, workers=1)
    assert all((killed / ".state" / name).stat().st_mtime_ns == at for name, at in done.items())
    run_step(step, [source], tmp_path / "whole", workers=1)
    assert tree(killed) == tree(tmp_path / "whole")
    assert run_step(step, [source], killed, workers=1) == manifest


def test_other_parameters_need_overwrite(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_step(Step("test", {"minimum": 7}, copy_documents), [source], output, workers=1)
    with pytest.raises(ZeroToOneError, match="minimum was 7, is 8"):
        run_step(Step("test", {"minimum": 8}, copy_documents), [source], output, workers=1)
    manifest = run_step(Step("test", {"minimum": 8}, copy_documents), [source], output, workers=1, overwrite=True)
    assert manifest["parameters"] == {"minimum": 8}
    (source / "0.jsonl").write_text('{"text": "changed"}\n')
    with pytest.raises(ZeroToOneError, match="input has changed"):
        run_step(Step("test", {"minimum": 8}, copy_documents), [source], output, workers=1)


def test_a_strangers_directory_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    for overwrite in (False, True):
        with pytest.raises(ZeroToOneError, match="not made by this program"):
            run_step(Step("t", {}, copy_documents), [source], tmp_path / "photos", overwrite=overwrite)
    assert (tmp_path / "photos" / "cat.png").read_bytes() == b"cat"


def test_broken_lines_are_set_aside_and_named(tmp_path: Path) -> None:
    lines = [b'{"text": "good"}', b"{broken", b'{"text": "bad \xff byte"}', b"[1]", b'{"text": "also good"}']
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join(lines))
    manifest = run_step(Step("t", {"minimum": 0}, copy_documents), [file], tmp_path / "out", workers=1)
    assert manifest["counts"] == {"documents_in": 2, "set_aside": 3}
    aside = pl.read_parquet(tmp_path / "out" / "set_aside" / "*.parquet")
    assert [place.rsplit(":", 1)[1] for place in aside["place"]] == ["2", "3", "4"]
    assert aside["reason"].to_list() == ["invalid_json", "invalid_utf8", "not_an_object"]
    with pytest.raises(ZeroToOneError, match=r"rows\.jsonl:2: invalid_json"):
        run_step(Step("t", {"minimum": 0}, copy_documents), [file], tmp_path / "s", workers=1, strict=True)


def test_a_truncated_gzip_keeps_what_was_read(tmp_path: Path) -> None:
    rows = b"".join(
        json.dumps({"text": f"row {n} " + str(hash(n * 7919)) * 9}).encode() + b"\n" for n in range(5000)
    )
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(rows)[:-4000])
    manifest = run_step(Step("t", {"minimum": 0}, copy_documents), [file], tmp_path / "out", workers=1)
    assert 1000 < manifest["counts"]["documents_in"] < 5000
    assert manifest["counts"]["set_aside"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, "no such file"),
        ("empty.jsonl", b"", "empty file"),
        ("blank.jsonl", b"\n\n", "no documents to read"),
        ("other.pdf", b"%PDF", "unknown format"),
        ("column.jsonl", b'{"body": "x"}\n', "no field `text`; its objects have body"),
        ("broken.parquet", b"PAR1 nothing here", "not a readable Parquet file"),
    ],
)
def test_bad_input_is_one_line_that_names_the_file(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ZeroToOneError, match=message) as caught:
        run_step(Step("t", {"minimum": 0}, copy_documents), [tmp_path / name], tmp_path / "out", workers=1)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_units_are_row_group_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"id": [f"mine-{n}" for n in range(100)], "text": [f"text {n}" for n in range(100)]})
    frame.write_parquet(tmp_path / "rows.parquet", row_group_size=10)
    monkeypatch.setattr("corpus.core.inputs.UNIT_BYTES", 1)
    units = plan_units([tmp_path])
    assert [(unit.start, unit.stop) for unit in units] == [(n, n + 1) for n in range(10)]
    out = UnitOutput(tmp_path / "out", 0)
    ids = [value for unit in units for batch in read_documents(unit, out) for value in batch["id"]]
    assert ids == frame["id"].to_list()


def test_names_in_lineage_do_not_depend_on_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web" / "deep").mkdir(parents=True)
    (tmp_path / "web" / "deep" / "a.txt").write_text("a")
    absolute = plan_units([tmp_path / "web"])
    monkeypatch.chdir(tmp_path)
    relative = plan_units(["web"])
    assert (
        [unit.members[0][1] for unit in absolute]
        == [unit.members[0][1] for unit in relative]
        == ["web/deep/a.txt"]
    )
    assert plan_units(["web/deep/a.txt"])[0].name == "a.txt"


def test_a_dead_worker_is_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match="worker process died"):
        run_step(Step("t", {}, die), [source], tmp_path / "out", workers=2)


def die(unit: Unit, parameters: dict, output: UnitOutput) -> None:
    import os

    os.kill(os.getpid(), signal.SIGKILL)


def test_documents_open_with_datasets(source: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    run_step(Step("test", {"minimum": 7}, copy_documents), [source], tmp_path / "out", workers=1)
    found = load_dataset(
        "parquet", data_dir=str(tmp_path / "out" / "documents"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert found.to_list() == pl.read_parquet(tmp_path / "out" / "documents").to_dicts()
