"""Data sets of the `datasets` package as inputs."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import fsspec
import polars as pl
import pyarrow as pa
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

from typer.testing import CliRunner  # noqa: E402

from corpus.cli import app  # noqa: E402
from corpus.core.documents import row_id  # noqa: E402
from corpus.core.errors import ZeroToOneError  # noqa: E402
from corpus.core.inputs import plan_units, read_documents  # noqa: E402
from corpus.core.locations import list_files  # noqa: E402
from corpus.core.output import input_entries, input_paths  # noqa: E402
from corpus.core.parquet_files import LONGEST_TEXT  # noqa: E402
from corpus.core.quarantine import Skipped  # noqa: E402

ROWS = 2500  # more than a batch of `datasets`, which has 1000


def texts(first: int = 0, rows: int = ROWS) -> list[str]:
    return [f"document {number} of a 数据集 with some words" for number in range(first, first + rows)]


def dataset(first: int = 0, rows: int = ROWS) -> datasets.Dataset:
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["good", "bad"]),
            "about": {"stars": datasets.Value("int32")},
            "tags": datasets.List(datasets.Value("string")),
        }
    )
    columns = {
        "text": texts(first, rows),
        "label": [number % 2 for number in range(rows)],
        "about": [{"stars": number % 5} for number in range(rows)],
        "tags": [["a"] * (number % 3) for number in range(rows)],
    }
    return datasets.Dataset.from_dict(columns, features=features)


def read(*inputs: Path | str, columns: list[str] | None = None) -> pl.DataFrame:
    units = plan_units(inputs)
    return pl.concat([frame for unit in units for frame in read_documents(unit, Skipped(strict=True), columns)])


def run(*arguments: object) -> dict:
    result = CliRunner().invoke(app(), [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def files(folder: Path, top: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / top).rglob("*.parquet"))}


def test_a_saved_data_set_is_what_its_parquet_is(tmp_path: Path) -> None:
    made = dataset()
    made.save_to_disk(tmp_path / "saved", num_shards=2)
    made.to_parquet(tmp_path / "same.parquet")
    found, same = read(tmp_path / "saved"), read(tmp_path / "same.parquet")
    columns = ["text", "label", "about", "tags"]
    assert found.select(columns).equals(same.select(columns))
    assert found.schema == same.schema
    shard = "saved/data-00001-of-00002.arrow"
    second = found.filter(pl.col("source") == shard)
    assert second.height == ROWS // 2
    assert second["origin"].to_list() == [f"{shard}#{row}" for row in range(ROWS // 2)]
    assert second["id"].to_list() == [row_id(shard, row) for row in range(ROWS // 2)]
    assert second["text"].to_list() == texts(ROWS // 2, ROWS // 2)


def test_own_ids_stay_and_columns_can_be_chosen(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"id": ["x", "y"], "n": [1, 2], "text": ["a", "b"]}).save_to_disk(tmp_path / "d")
    assert read(tmp_path / "d")["id"].to_list() == ["x", "y"]
    assert "n" in read(tmp_path / "d").columns
    assert "n" not in read(tmp_path / "d", columns=["id", "text"]).columns


def test_only_what_the_state_names_is_read(tmp_path: Path) -> None:
    dataset(rows=10).save_to_disk(tmp_path / "d")
    filtered = datasets.load_from_disk(tmp_path / "d").map(lambda row: {"text": row["text"] + "!"})
    caches = list((tmp_path / "d").glob("cache-*.arrow"))
    assert filtered.num_rows == 10
    assert len(caches) == 1
    (tmp_path / "d" / "data-00001-of-00002.arrow").write_bytes(caches[0].read_bytes())  # of an earlier saving
    for item in (tmp_path / "d", tmp_path, f"{tmp_path}/d/*.arrow"):
        assert read(item)["text"].to_list() == texts(0, 10)
    assert read(caches[0]).height == 10  # asked for by name


def test_the_splits_that_the_dictionary_names(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": dataset(rows=5), "test": dataset(5, 3)})
    both.save_to_disk(tmp_path / "d")
    dataset(8, 2).save_to_disk(tmp_path / "d" / "old")
    found = read(tmp_path / "d")
    assert found["text"].to_list() == texts(5, 3) + texts(0, 5)
    assert found["source"].unique().sort().to_list() == [
        f"d/{split}/data-00000-of-00001.arrow" for split in ("test", "train")
    ]
    assert read(tmp_path / "d" / "train").height == 5
    assert (
        read(f"{tmp_path}/d/old/").height == read(f"{tmp_path}/d/old/*.arrow").height == 2
    )  # a data set of its own


def test_a_url(tmp_path: Path) -> None:
    dataset(rows=4).save_to_disk(tmp_path / "d")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "d"), "/held/d", recursive=True)
    try:
        assert read("memory://held/d")["text"].to_list() == texts(0, 4)
    finally:
        memory.rm("/held", recursive=True)


def test_files_and_views_of_polars(tmp_path: Path) -> None:
    pl.DataFrame({"text": texts(0, 7), "n": range(7)}).write_ipc(tmp_path / "x.arrow", compression="zstd")
    assert (
        read(tmp_path / "x.arrow").select("text", "n").equals(pl.DataFrame({"text": texts(0, 7), "n": range(7)}))
    )


def test_large_batches_are_read_in_pieces(tmp_path: Path) -> None:
    long = ["x" * 9 * 2**20 + str(number) for number in range(5)]
    datasets.Dataset.from_dict({"text": long}).save_to_disk(tmp_path / "d")
    frames = [
        frame for unit in plan_units([tmp_path / "d"]) for frame in read_documents(unit, Skipped(strict=True))
    ]
    assert len(frames) > 1
    assert [text for frame in frames for text in frame["text"]] == long
    assert pl.concat(frames)["origin"].to_list() == [f"d/data-00000-of-00001.arrow#{row}" for row in range(5)]


class _Aside:
    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def set_aside(self, place: str, reason: str, record: str = "") -> None:
        self.found.append((place, reason))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_broken_texts_are_set_aside(tmp_path: Path, kind: pa.DataType) -> None:
    raw = pa.array([b"one", b"\xff\xfe", b"x" * (LONGEST_TEXT + 1), b"four"])
    broken = raw.cast(pa.large_binary()).view(kind) if pa.types.is_large_string(kind) else raw.view(kind)
    path = tmp_path / "x.arrow"
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, pa.schema([("text", kind)])) as writer:
        writer.write_batch(pa.record_batch([broken], names=["text"]))
    aside = _Aside()
    frames = [frame for unit in plan_units([path]) for frame in read_documents(unit, aside)]
    assert [row for frame in frames for row in frame.select("text", "origin").iter_rows()] == [
        ("one", "x.arrow#0"),
        ("four", "x.arrow#3"),
    ]
    assert sorted(aside.found) == [(f"{path}#1", "invalid_utf8"), (f"{path}#2", "text_too_long")]


def test_data_sets_without_rows(tmp_path: Path) -> None:
    datasets.DatasetDict({"train": dataset(rows=0), "test": dataset(rows=2)}).save_to_disk(tmp_path / "d")
    assert read(tmp_path / "d").height == 2
    with pytest.raises(ZeroToOneError, match="no documents"):
        read(tmp_path / "d" / "train")


def test_every_cut_of_a_file_is_an_error(tmp_path: Path) -> None:
    """Arrow itself reads a stream cut between two batches as a shorter one."""
    dataset().save_to_disk(tmp_path / "d")
    data = (tmp_path / "d" / "data-00000-of-00001.arrow").read_bytes()
    cut = tmp_path / "cut.arrow"
    starts = [place for place in range(0, len(data), 8) if data[place : place + 4] == b"\xff\xff\xff\xff"]
    assert len(starts) == 5  # the schema, three batches, the end
    for length in [*starts[1:], 1, 5, 100, len(data) // 2, len(data) - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(ZeroToOneError, match=r"cut\.arrow: not a readable Arrow file: ."):
            read(cut)
    cut.write_bytes(data)
    assert read(cut).height == ROWS


def test_damage_in_the_middle_is_one_line(tmp_path: Path) -> None:
    dataset(rows=50).save_to_disk(tmp_path / "d")
    path = tmp_path / "d" / "data-00000-of-00001.arrow"
    data = bytearray(path.read_bytes())
    second = data.index(b"\xff\xff\xff\xff", 8)
    data[second + 8 : second + 72] = b"\x7f" * 64
    path.write_bytes(bytes(data))
    with pytest.raises(ZeroToOneError, match=r"data-00000-of-00001\.arrow: not a readable Arrow file: .*$"):
        run("dedup", path, "-o", tmp_path / "out", "--method", "exact")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d/train/state.json", "{", "state.json: not of a saved data set: no list `_data_files`"),
        ("d/train/state.json", '{"_data_files": 5}', "no list `_data_files`"),
        ("d/train/state.json", '{"_data_files": [{"file": "x"}]}', "not the state of a saved data set"),
        ("d/train/state.json", '{"_data_files": [{"filename": 7}]}', "not the state of a saved data set"),
        (
            "d/train/state.json",
            '{"_data_files": [{"filename": "../../secret.arrow"}]}',
            r"names secret\.arrow, which is missing",
        ),
        ("d/dataset_dict.json", "[]", "dataset_dict.json: not of a saved data set: no list `splits`"),
    ],
)
def test_a_folder_that_is_none(tmp_path: Path, name: str, content: str, message: str) -> None:
    datasets.DatasetDict({"train": dataset(rows=5)}).save_to_disk(tmp_path / "d")
    dataset(rows=1).save_to_disk(tmp_path / "other")
    (tmp_path / "other" / "data-00000-of-00001.arrow").rename(tmp_path / "secret.arrow")
    (tmp_path / name).write_text(content)
    with pytest.raises(ZeroToOneError, match=message):
        list_files([tmp_path / "d"])


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    dataset(rows=6).save_to_disk(tmp_path / "d", num_shards=3)
    (tmp_path / "d" / "data-00001-of-00003.arrow").unlink()
    with pytest.raises(ZeroToOneError, match=r"d/state\.json: names data-00001-of-00003\.arrow, which is missing"):
        list_files([tmp_path / "d"])


def test_any_number_of_workers_and_explain(tmp_path: Path) -> None:
    again = datasets.concatenate_datasets([dataset(), dataset(0, 7)])  # seven duplicates
    again.save_to_disk(tmp_path / "d", num_shards=3)
    for workers in (1, 2):
        manifest = run(
            "dedup",
            tmp_path / "d",
            "-o",
            tmp_path / f"out{workers}",
            "--method",
            "exact",
            "--workers",
            workers,
            "--json",
        )
        counts = manifest["counts"]
        assert (counts["documents_in"], counts["documents_kept"]) == (ROWS + 7, ROWS)
        assert manifest["inputs"][0]["path"] == "../d"
        assert manifest["inputs"][0]["bytes_of_all"] == sum(
            path.stat().st_size for path in (tmp_path / "d").glob("data-*.arrow")
        )
    first = files(tmp_path / "out1", "")
    assert first
    assert first == files(tmp_path / "out2", "")
    name = row_id("d/data-00002-of-00003.arrow", 3)
    findings = run("explain", name, tmp_path / "out1", "--json")
    assert "d/data-00002-of-00003.arrow#3" in json.dumps(findings)


def test_changed_data_are_other_input(tmp_path: Path) -> None:
    dataset(rows=5).save_to_disk(tmp_path / "d")
    command = ["dedup", tmp_path / "d", "-o", tmp_path / "out", "--method", "exact", "--json"]
    run(*command)
    dataset(1, 5).save_to_disk(tmp_path / "d")
    with pytest.raises(ZeroToOneError, match="its input has changed"):
        run(*command)


CONFIGS = """---
configs:
- config_name: english
  data_files:
  - {split: train, path: en/train-*}
  - {split: test, path: en/test-*}
- config_name: chinese
  data_files:
  - {split: train, path: zh/train-*}
---
"""


def repository(folder: Path) -> Path:
    """A data set as it lies on the hub: two configurations, splits of several files."""
    folder.mkdir()
    (folder / "README.md").write_text(CONFIGS)
    for config in ("en", "zh"):
        (folder / config).mkdir()
    for number in range(3):
        dataset(number * 1200, 1200).to_parquet(folder / "en" / f"train-{number}.parquet")
        dataset(number * 5, 5).to_parquet(folder / "zh" / f"train-{number}.parquet")
    dataset(7000, 4).to_parquet(folder / "en" / "test-0.parquet")
    return folder


def test_a_split_of_a_named_data_set(tmp_path: Path) -> None:
    repository(tmp_path / "d")
    found = read(f"datasets:{tmp_path}/d/english:train")
    assert found["text"].to_list() == texts(0, 3600)
    assert found["origin"].to_list() == [
        f"d/english:train@{shard}-of-3#{row}" for shard in range(3) for row in range(1200)
    ]
    assert found["id"].n_unique() == 3600
    chinese = read(f"datasets:{tmp_path}/d/chinese")
    expected = read(tmp_path / "d" / "zh")
    columns = ["text", "label", "about", "tags"]
    assert chinese.select(columns).equals(expected.select(columns))
    assert chinese.schema == expected.schema
    both = read(f"datasets:{tmp_path}/d/english", columns=["id", "text"])
    assert both["text"].to_list() == texts(7000, 4) + texts(0, 3600)
    assert "label" not in both.columns


def test_a_named_data_set_with_any_number_of_workers(tmp_path: Path) -> None:
    repository(tmp_path / "d")
    item = f"datasets:{tmp_path}/d/chinese:train"
    for workers in (1, 2):
        manifest = run(
            *("dedup", item, "-o", tmp_path / f"out{workers}", "--method", "exact", "--workers", workers, "--json")
        )
        assert manifest["counts"]["documents_in"] == 15
        assert manifest["inputs"][0]["path"] == "datasets:../d/chinese:train"
    assert files(tmp_path / "out1", "")
    assert files(tmp_path / "out1", "") == files(tmp_path / "out2", "")
    assert input_paths(tmp_path / "out1") == [item]
    findings = run("explain", row_id("d/chinese:train@1-of-3", 2), tmp_path / "out1", "--json")
    assert "d/chinese:train@1-of-3#2" in json.dumps(findings)
    dataset(100, 5).to_parquet(tmp_path / "d" / "zh" / "train-1.parquet")
    with pytest.raises(ZeroToOneError, match="its input has changed"):
        run("dedup", item, "-o", tmp_path / "out1", "--method", "exact", "--json")


def test_a_data_set_that_changes_between_planning_and_reading(tmp_path: Path) -> None:
    repository(tmp_path / "d")
    units = plan_units([f"datasets:{tmp_path}/d/chinese:train"])
    dataset(rows=5).to_parquet(tmp_path / "d" / "zh" / "train-9.parquet")
    with pytest.raises(ZeroToOneError, match="other files than when this began"):
        list(read_documents(units[0], Skipped()))


def test_a_format_that_only_the_package_reads(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.csv").write_text('n,text\n1,"a, b"\n2,c\n')
    found = read(f"datasets:{tmp_path}/d")
    assert found.select("n", "text", "origin").rows() == [
        (1, "a, b", "d:train@0-of-1#0"),
        (2, "c", "d:train@0-of-1#1"),
    ]


def test_names_of_the_hub_stay_as_they_are(tmp_path: Path) -> None:
    items = ["datasets:owner/name/config:train", "datasets:name"]
    entries = input_entries(items, tmp_path / "out", 0)
    assert [entry["path"] for entry in entries] == items
    (tmp_path / "manifest.json").write_text(json.dumps({"inputs": entries}))
    assert input_paths(tmp_path) == items


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("datasets:{}/d/english:dev", "no split `dev`; it has train, test"),
        ("datasets:{}/d", "Config name is missing"),
        ("datasets:{}/d/fr", "BuilderConfig 'fr' not found"),
        ("datasets:a/b/c/d", "no such folder, and not datasets:OWNER/NAME"),
        ("datasets:", "no such folder, and not datasets:OWNER/NAME"),
        ("datasets:{}/gone/x", "no such folder"),
        ("datasets:nobody/nothing", "nobody/nothing"),
        ("datasets:{}/text/", "no column `text`; it has content"),
        ("datasets:{}/broken", "broken: Parquet magic bytes not found"),
    ],
)
def test_data_sets_that_cannot_be_read(tmp_path: Path, item: str, message: str) -> None:
    repository(tmp_path / "d")
    for name, content in (("text", b"content\na\n"), ("broken", b"PAR1 of nothing")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"train.{'csv' if name == 'text' else 'parquet'}").write_bytes(content)
    with pytest.raises(ZeroToOneError, match=re.escape(message)) as caught:
        read(item.format(tmp_path))
    assert "\n" not in str(caught.value)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        ZeroToOneError, match=r"datasets:some/name: needs the extra: pip install 'zero-to-one\[datasets\]'"
    ):
        plan_units(["datasets:some/name"])
