"""The verb: every document stays, counts and places agree, and no identifier is written anywhere."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from corpus.core.errors import UsageError
from corpus.privacy.redact import redact_documents

TEXTS = [
    "Nothing here.",
    "Ask ann@mail.org or bob@mail.org, +44 20 7946 0958.",
    "张三，身份证11010519491231002X，手机13812345678，卡号4111111111111111。",
    "",
    "服务器 93.184.216.34 与 10.0.0.1",
]
SECRETS = ("ann@", "bob@", "7946", "19491231", "13812345678", "41111111", "93.184")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for part in range(3):
        rows = pl.DataFrame(
            {"id": [f"{part}-{n}" for n in range(len(TEXTS))], "text": TEXTS, "mine": range(len(TEXTS))}
        )
        rows.write_parquet(tmp_path / "in" / f"{part}.parquet")
    return tmp_path / "in"


def table(directory: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(directory / name / "*.parquet")


def tree(directory: Path) -> dict[str, bytes]:
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_documents_ledger_and_places(source: Path, tmp_path: Path) -> None:
    manifest = redact_documents([source], tmp_path / "out", workers=1)
    documents = table(tmp_path / "out", "documents").filter(pl.col("id").str.starts_with("0"))
    assert documents["mine"].to_list() == list(range(len(TEXTS)))
    assert documents["text"].to_list() == [
        TEXTS[0],
        "Ask <EMAIL_ADDRESS> or <EMAIL_ADDRESS>, <PHONE_NUMBER>.",
        "张三，身份证<CN_ID_CARD>，手机<CN_MOBILE>，卡号<CREDIT_CARD>。",
        "",
        "服务器 <IP_ADDRESS> 与 10.0.0.1",
    ]
    ledger, places = table(tmp_path / "out", "ledger"), table(tmp_path / "out", "redactions")
    assert ledger.filter(id="0-1").select("email", "phone", "ip").row(0) == (2, 1, 0)
    assert ledger.height == 9
    per_kind = {name.removeprefix("redacted:"): n for name, n in manifest["counts"].items() if ":" in name}
    assert per_kind == {kind: ledger[kind].sum() for kind in per_kind}
    assert per_kind == dict(places["kind"].value_counts().iter_rows())
    found = [TEXTS[1][row["offset"] :][: row["length"]] for row in places.filter(id="0-1").iter_rows(named=True)]
    assert found == ["ann@mail.org", "bob@mail.org", "+44 20 7946 0958"]


def test_identifiers_are_nowhere_in_the_output(source: Path, tmp_path: Path) -> None:
    redact_documents([source], tmp_path / "out", workers=1)
    for name in ("documents", "ledger", "redactions"):
        values = str(table(tmp_path / "out", name).to_dicts())
        assert not [secret for secret in SECRETS if secret in values]


def test_the_same_bytes_for_any_number_of_workers(source: Path, tmp_path: Path) -> None:
    redact_documents([source], tmp_path / "one", workers=1)
    redact_documents([source], tmp_path / "two", workers=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_only_the_kinds_asked_for(source: Path, tmp_path: Path) -> None:
    redact_documents([source], tmp_path / "out", kinds=["cn_mobile"], workers=1)
    texts = table(tmp_path / "out", "documents")["text"].to_list()
    assert texts[1] == TEXTS[1]
    assert texts[2] == TEXTS[2].replace("13812345678", "<CN_MOBILE>")
    with pytest.raises(UsageError, match="unknown kind `mail`"):
        redact_documents([source], tmp_path / "other", kinds=["mail"])
    assert not (tmp_path / "other").exists()
