"""The same units on Ray as in local processes."""

from pathlib import Path

import pytest

from corpus.core.engine import Step, run_step
from corpus.core.errors import ZeroToOneError
from tests.corpus.test_engine import copy_documents, tree

ray = pytest.importorskip("ray")


def test_ray_writes_the_same_bytes_and_names_errors(tmp_path: Path) -> None:
    for part in range(3):
        (tmp_path / f"{part}.jsonl").write_text("".join(f'{{"text": "{"x" * n}"}}\n' for n in range(part, 30)))
    inputs = sorted(tmp_path.glob("*.jsonl"))
    step = Step("test", {"minimum": 5}, copy_documents)
    try:
        run_step(step, inputs, tmp_path / "ray", engine="ray", workers=1)
        run_step(step, inputs, tmp_path / "local", workers=1)
        assert tree(tmp_path / "ray") == tree(tmp_path / "local")
        (tmp_path / "3.jsonl").write_text("{broken")
        with pytest.raises(ZeroToOneError, match=r"3\.jsonl:1: invalid_json"):
            run_step(step, [tmp_path / "3.jsonl"], tmp_path / "strict", engine="ray", workers=1, strict=True)
    finally:
        ray.shutdown()
