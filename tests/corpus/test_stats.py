from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus.commands.stats import stats as stats_verb
from corpus.core.errors import ZeroToOneError
from corpus.reporting.stats import document_stats


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [
        {"text": "One two, three.", "domain": "web", "lang": "en"},
        {"text": "Four", "domain": "web", "lang": "en"},
        {"text": "今天天气很好。", "domain": "web", "lang": "zh"},
        {"text": "x y", "domain": "code"},
        {"text": "", "domain": "code"},
    ]
    lines = [json.dumps(row) for row in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(lines[:3]) + "\nbroken\n", "utf-8")
    (tmp_path / "b.jsonl").write_text("\n".join(lines[3:]), "utf-8")
    return tmp_path


def test_counts_by_domain_and_language(source: Path) -> None:
    rows = document_stats([source], workers=1)
    names = ("domain", "lang", "documents", "characters", "bytes", "words", "mean_characters")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("code", "", 2, 3, 3, 2, 1.5),
        ("web", "en", 2, 19, 19, 4, 9.5),
        ("web", "zh", 1, 7, 21, 3, 7.0),  # 今天天气 很 好
        ("total", "", 5, 29, 43, 9, 5.8),
    ]
    assert rows[-1]["set_aside"] == 1
    assert document_stats([source], workers=2) == rows


def test_nothing_to_count_and_broken_records(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match=r"a.jsonl:4: invalid_json"):
        document_stats([source], workers=1, strict=True)
    (tmp_path / "c.jsonl").write_text("broken\n", "utf-8")
    with pytest.raises(ZeroToOneError, match="no documents to read"):
        document_stats([tmp_path / "c.jsonl"], workers=1)


def test_the_verb_prints_a_table_or_json(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stats_verb([str(source)], workers=1)
    assert "total" in capsys.readouterr().out
    stats_verb([str(source)], workers=1, as_json=True)
    assert json.loads(capsys.readouterr().out)["rows"][0]["domain"] == "code"
