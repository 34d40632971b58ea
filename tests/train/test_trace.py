import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import write_json
from corpus.core.shards import open_shards
from tests.train.small_shards import make_shards
from train.cli import app
from train.mixture import Mixture
from train.pretrain import PretrainConfig, pretrain, read_history
from train.sampler import Sampler
from train.trace import trace


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with shards/ and a finished run/."""
    work = tmp_path_factory.mktemp("work")
    make_shards(work / "shards", {"a": 60, "b": 30})
    model = work / "config.json"
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model.write_text(json.dumps({"model_type": "llama", **shape}), encoding="utf-8")
    config = PretrainConfig(str(model), tokens=2000, row_length=40, batch_rows=4, threads=1, seed=3)
    pretrain(work / "shards", work / "run", config, mixture=Mixture({"a": 0.4, "b": 0.6}))
    return work


def test_names_the_documents_of_the_tokens(work: Path) -> None:
    shards = open_shards(work / "shards")
    sampler = Sampler(shards, read_history(work / "run"), row_length=40, rows_per_step=4, seed=3)
    owners = {}
    for name, shard in shards.domains.items():
        documents = shard.documents()
        owners[name] = np.repeat(documents["id"].to_numpy(), documents["tokens"].to_numpy())
    for step in (0, 7, 12):
        entries = trace(work / "run", step)
        for number, row in enumerate(sampler.rows(step)):
            mine = [entry for entry in entries if entry["row"] == number]
            named = [entry["id"] for entry in mine for _ in range(entry["tokens"])]
            places = (row.start + 1 + np.arange(40)) % len(owners[row.domain])
            assert named == owners[row.domain][places].tolist()
            assert {entry["domain"] for entry in mine} == {row.domain}
        assert all(entry["url"] == f"https://{entry['domain']}/{entry['id'][2:]}" for entry in entries)


def test_command(work: Path) -> None:
    result = CliRunner().invoke(app(), ["trace", str(work / "run"), "--step", "4", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"] == trace(work / "run", 4)


def test_run_and_shards_may_move_together(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "elsewhere")
    assert trace(tmp_path / "elsewhere" / "run", 5) == trace(work / "run", 5)


def test_other_or_missing_shards_are_refused(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "run", tmp_path / "run")
    with pytest.raises(ZeroToOneError, match="not there any more"):
        trace(tmp_path / "run", 0)
    make_shards(tmp_path / "shards", {"a": 60, "b": 30}, seed=1)
    with pytest.raises(ZeroToOneError, match="the hash differs"):
        trace(tmp_path / "run", 0)


def test_steps_and_directories_that_do_not_exist(work: Path) -> None:
    with pytest.raises(UsageError, match="has steps 0 to 12, not 13"):
        trace(work / "run", 13)
    with pytest.raises(UsageError, match="not -1"):
        trace(work / "run", -1)
    with pytest.raises(ZeroToOneError, match="not a run directory"):
        trace(work / "shards", 0)


def test_run_over_conversations(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"kind": "sft", "parameters": {}})
    rows = [{"row": 0, "id": "c1", "lineage": {"operation": "evolve"}}, {"row": 1, "id": "c2", "lineage": {}}]
    lines = [{"step": 0, "rows": rows[:1]}, {"step": 1, "rows": rows}]
    (tmp_path / "plan.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert trace(tmp_path, 1) == rows
    with pytest.raises(UsageError, match="has steps 0 to 1, not 2"):
        trace(tmp_path, 2)
