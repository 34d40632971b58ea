from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
import yaml

from corpus.commands.filter import filter as filter_verb
from corpus.core.console import run
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.filtering.filter import filter_documents
from corpus.filtering.rule_files import load_rule_sets
from corpus.filtering.rules import decide, from_json

PROSE = (
    "The river rises in the hills to the north of the town and flows south with many turns. "
    "People have built five bridges over it, and each of them tells of another age. "
    "The oldest has stood for six hundred years. It is made of a grey stone that comes from a quarry nearby! "
    "Who would want to be without it? Every spring the water climbs up to the arches of the smallest one. "
    "Then the children come with paper boats and let them race down to the mill."
)
CHINESE = (
    "这条河发源于城北的山中，向南流去，一路转了许多弯。人们在河上建了五座桥，每一座都讲着不同年代的故事。"
    "最老的一座已经站了六百年，是用附近采石场的灰色石头砌成的。没有它，这座城会是什么样子呢？"
    "每年春天，河水都会涨到最小那座桥的桥拱。孩子们带着纸船来到岸边，看谁的船先漂到磨坊。"
)


def rows() -> list[dict[str, Any]]:
    english = [
        {"text": f"{PROSE} Visitor number {n} said so.", "lang": "en", "lang_score": 0.9} for n in range(40)
    ]
    chinese = [{"text": f"{CHINESE}第{n}位客人这样说。", "lang": "zh", "lang_score": 0.9} for n in range(20)]
    poor = [{"text": "Menu\n" * 30 + f"Page {n}", "lang": "en", "lang_score": 0.4} for n in range(15)]
    odd = [{"text": text, "lang": "en", "lang_score": 0.9} for text in ("", "\x00", " \n ", "a\ud800b", "{" * 999)]
    every = [*english, *poor, *chinese, *odd]
    return [
        {"id": f"mine-{n}", "url": f"https://example.org/{n}", "extra": n, **row} for n, row in enumerate(every)
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    every = rows()
    for part in range(3):
        lines = [json.dumps(row) for row in every[part::3]]
        (directory / f"{part}.jsonl").write_text("\n".join(lines), "utf-8")
    return directory


def table(directory: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(directory / name / "*.parquet")


def tree(directory: Path) -> dict[str, bytes]:
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_the_ledger_has_a_row_for_every_document(source: Path, tmp_path: Path) -> None:
    manifest = filter_documents([source], tmp_path / "out", ["auto"], workers=1)
    kept, removed, ledger = (table(tmp_path / "out", name) for name in ("documents", "removed", "ledger"))
    assert ledger["id"].sort().to_list() == sorted(row["id"] for row in rows())
    assert kept["id"].sort().to_list() == ledger.filter("kept")["id"].sort().to_list()
    assert removed["id"].sort().to_list() == ledger.filter(~pl.col("kept"))["id"].sort().to_list()
    assert kept.height == 60  # the English and the Chinese prose
    assert set(kept["lang"]) == {"en", "zh"}
    assert manifest["counts"]["documents_in"] == ledger.height
    assert manifest["counts"]["documents_kept"] == kept.height
    assert sum(manifest["reasons"].values()) == removed.height == manifest["counts"]["documents_removed"]
    failed = ledger["failed_rules"].explode().drop_nulls().value_counts()
    found = {f"failed:{rule}": n for rule, n in failed.iter_rows()}
    assert found == {name: n for name, n in manifest["counts"].items() if name.startswith("failed:")}
    first = ledger.filter(pl.col("failed_rules").list.len() > 0)
    assert first["reason"].to_list() == first["failed_rules"].list.first().to_list()


def test_ids_and_columns_of_ones_own_survive(source: Path, tmp_path: Path) -> None:
    filter_documents([source], tmp_path / "out", ["fineweb"], workers=1)
    kept, removed = table(tmp_path / "out", "documents"), table(tmp_path / "out", "removed")
    mine = {row["id"]: row["extra"] for row in rows()}
    assert {
        name: extra for frame in (kept, removed) for name, extra in frame.select("id", "extra").iter_rows()
    } == mine
    assert kept.columns[:2] == ["id", "text"]
    assert {"reason", "failed_rules"} <= set(removed.columns)
    assert not {"reason", "failed_rules"} & set(kept.columns)


def test_the_ledger_decides_as_the_run_did(source: Path, tmp_path: Path) -> None:
    filter_documents([source], tmp_path / "out", ["fineweb"], workers=1)
    ledger = table(tmp_path / "out", "ledger")
    rule_sets = from_json(yaml.safe_load((tmp_path / "out" / "rules.yaml").read_text("utf-8")))
    assert rule_sets == load_rule_sets(["fineweb"])
    again = decide(ledger, rule_sets, ledger["lang"])
    assert again.equals(ledger.select("kept", "reason", "failed_rules"))


def test_the_same_bytes_for_any_number_of_workers(source: Path, tmp_path: Path) -> None:
    filter_documents([source], tmp_path / "one", ["auto"], workers=1)
    filter_documents([source], tmp_path / "two", ["auto"], workers=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_another_threshold_keeps_others(source: Path, tmp_path: Path) -> None:
    settings = ["gopher.duplicate_lines=1", "gopher.duplicate_line_characters=1", "gopher.few_words=0"]
    before = filter_documents([source], tmp_path / "before", ["gopher"], workers=1)
    after = filter_documents([source], tmp_path / "after", ["gopher"], settings=settings, workers=1)
    assert (
        before["counts"]["failed:gopher.duplicate_lines"] == 16
    )  # the poor ones, and two lines of one space each
    assert "failed:gopher.duplicate_lines" not in after["counts"]
    assert "failed:gopher.few_words" not in after["counts"]
    text = (tmp_path / "after" / "rules.yaml").read_text("utf-8")
    assert {rule["name"]: rule["threshold"] for rule in yaml.safe_load(text)[0]["rules"]}["duplicate_lines"] == 1.0
    with pytest.raises(
        ZeroToOneError, match=r"rules\[gopher\].rules\[few_words\].threshold was 50.0, is 7.0.*overwrite"
    ):
        filter_documents([source], tmp_path / "before", ["gopher"], settings=["few_words=7"], workers=1)


def test_other_languages_are_removed_for_that_reason(source: Path, tmp_path: Path) -> None:
    manifest = filter_documents([source], tmp_path / "out", ["fineweb2-zh"], languages=["zh"], workers=1)
    assert manifest["reasons"] == {"language": 60}
    removed = table(tmp_path / "out", "removed")
    assert removed.filter(pl.col("failed_rules").list.first() != "language").height == 0
    assert removed.filter(pl.col("failed_rules").list.len() > 1).height  # the rules that fail besides are there
    assert table(tmp_path / "out", "documents")["lang"].unique().to_list() == ["zh"]


def test_documents_without_a_language_get_one(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}) for text in (PROSE, CHINESE)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), "utf-8")
    filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["auto"], workers=1)
    kept = table(tmp_path / "out", "documents")
    assert kept["lang"].to_list() == ["en", "zh"]
    assert kept["lang_score"].min() > 0.65


@pytest.mark.parametrize(
    ("sentences", "kept"),
    [
        (["It rained all day."] * 5, True),
        (["It rained all day."] * 4, False),
        (["整天都在下雨。"] * 5, True),
        (["整天都在下雨。"] * 4, False),
        ([*["It rained all day."] * 4, "Home", "And then { it stopped"], False),
    ],
)
def test_c4_keeps_pages_of_five_sentences(tmp_path: Path, sentences: list[str], kept: bool) -> None:
    pages = [{"text": "\n".join(["Menu", *sentences])}, {"text": "\n".join(["It rained all day."] * 9)}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, pages)), "utf-8")
    filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["c4"], workers=1)
    ledger = table(tmp_path / "out", "ledger")
    assert ledger["kept"].to_list() == [kept, True]
    assert "Menu" not in table(tmp_path / "out", "documents")["text"][0]
    if not kept:
        assert table(tmp_path / "out", "removed")["text"][0] == pages[0]["text"]  # as it came in


def test_no_documents_left_names_the_rules_and_keeps_the_output(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "Too short."}\n{"text": ""}\n', "utf-8")
    for _ in range(2):  # the second run finds it done
        with pytest.raises(ZeroToOneError, match=r"no documents left; gopher.few_words took 1, gopher.top_2"):
            filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["gopher"], workers=1)
    assert table(tmp_path / "out", "ledger").height == table(tmp_path / "out", "removed").height == 2


OWN_RULE = 'rules:\n  - {name: good, signal: column.quality, comparison: ">=", threshold: 0.5}\n'


def test_a_column_of_the_documents_is_a_signal(tmp_path: Path) -> None:
    pages = [{"text": PROSE, "quality": value} for value in (0.4, 0.5, 1, None)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, pages)), "utf-8")
    (tmp_path / "mine.yaml").write_text(OWN_RULE, "utf-8")
    filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", [str(tmp_path / "mine.yaml")], workers=1)
    ledger = table(tmp_path / "out", "ledger")
    assert ledger["kept"].to_list() == [False, True, True, True]
    assert ledger["column.quality"].to_list() == [0.4, 0.5, 1.0, None]
    assert ledger["failed_rules"][0].to_list() == ["mine.good"]
    assert table(tmp_path / "out", "documents")["quality"].to_list() == [0.5, 1.0, None]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ({"text": PROSE}, r"in.jsonl: no column `quality`, which the rule mine.good needs; it has id, text"),
        (
            {"text": PROSE, "quality": "high"},
            r"in.jsonl: column `quality` holds String, the rule mine.good needs num",
        ),
    ],
)
def test_a_column_that_is_missing_or_no_number(tmp_path: Path, page: dict[str, Any], message: str) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps(page), "utf-8")
    (tmp_path / "mine.yaml").write_text(OWN_RULE, "utf-8")
    with pytest.raises(ZeroToOneError, match=message) as caught:
        filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", [str(tmp_path / "mine.yaml")], workers=1)
    assert "\n" not in str(caught.value)


def test_lists_of_words(tmp_path: Path) -> None:
    texts = [PROSE.replace(". ", ".\n"), PROSE.replace(". ", ".\n") + " What a zounds!"]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts), "utf-8")
    (tmp_path / "bad.txt").write_text("category\tZounds\n\nrive\n", "utf-8")
    words = [f"bad={tmp_path / 'bad.txt'}"]
    manifest = filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["c4"], words=words, workers=1)
    ledger = table(tmp_path / "out", "ledger")
    assert ledger["c4:words.bad"].to_list() == [0, 1]
    assert ledger["c4:words.bad_per_line"][1] == pytest.approx(1 / (texts[1].count("\n") + 1))
    assert ledger["reason"].to_list() == [None, "c4.bad_words"]
    assert len(manifest["parameters"]["words"]["bad"]["sha256"]) == 64
    without = filter_documents([tmp_path / "in.jsonl"], tmp_path / "without", ["c4"], workers=1)
    assert without["counts"]["documents_kept"] == 2
    assert "words" not in without["parameters"]
    (tmp_path / "bad.txt").write_text("other\n", "utf-8")
    with pytest.raises(ZeroToOneError, match=r"words.*sha256"):
        filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["c4"], words=words, workers=1)


@pytest.mark.parametrize(
    ("setting", "content", "message"),
    [
        ("bad", None, "write NAME=FILE"),
        ("Bad words=x", None, "write NAME=FILE"),
        ("bad={}", None, "list.txt: no such file"),
        ("bad={}", b"\n \n", "list.txt: no words in it"),
        ("bad={}", b"a\xff", "list.txt: not UTF-8 at byte 1"),
    ],
)
def test_wrong_lists_of_words(tmp_path: Path, setting: str, content: bytes | None, message: str) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": PROSE}), "utf-8")
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    words = [setting.format(tmp_path / "list.txt")]
    with pytest.raises(ZeroToOneError, match=message):
        filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["c4"], words=words, workers=1)
    assert not (tmp_path / "out").exists()


def test_edited_words_and_dropped_lines_are_in_the_ledger(tmp_path: Path) -> None:
    text = PROSE + "\n3 likes"
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": text, "lang": "en", "lang_score": 0.9}), "utf-8")
    manifest = filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["refinedweb"], workers=1)
    ledger = table(tmp_path / "out", "ledger")
    assert ledger["refinedweb:edited_out"].to_list() == ["3 likes"]
    assert ledger["refinedweb:edited_word_fraction"][0] == pytest.approx(2 / (len(PROSE.split()) + 2))
    assert manifest["counts"]["refinedweb:edit.drop_counter_lines"] == 1
    assert table(tmp_path / "out", "documents")["text"].to_list() == [PROSE]


def test_broken_lines_are_set_aside_or_fatal(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": PROSE}) + "\nnot json\n", "utf-8")
    manifest = filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["gopher"], workers=1)
    assert manifest["counts"]["set_aside"] == 1
    with pytest.raises(ZeroToOneError, match=r"in.jsonl:2: invalid_json"):
        filter_documents([tmp_path / "in.jsonl"], tmp_path / "strict", ["gopher"], workers=1, strict=True)


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    pages = [{"text": "word " * 2_000_000}, {"text": "天气" * 1_700_000}, {"text": PROSE}]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(page, ensure_ascii=False) for page in pages), "utf-8")
    filter_documents([tmp_path / "in.jsonl"], tmp_path / "out", ["auto"], workers=1)
    assert table(tmp_path / "out", "ledger")["kept"].to_list() == [False, False, True]


def test_the_verb_prints_a_funnel_and_one_json_object(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer()
    app.command()(filter_verb)
    arguments = ["corpus", str(source), "-o", str(tmp_path / "out"), "--rules", "gopher,c4", "--workers", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--set", "c4.few_sentences=2", "--lang", "en"])
    with pytest.raises(SystemExit) as done:
        run(app)
    assert not done.value.code
    assert "gopher.duplicate_lines" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*arguments, "--set", "c4.few_sentences=2", "--lang", "en", "--json"])
    with pytest.raises(SystemExit):
        run(app)
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["counts"]["documents_in"] == len(rows())
    assert manifest["parameters"]["rules"][1]["rules"][2]["threshold"] == 2
    monkeypatch.setattr("sys.argv", [*arguments, "--set", "nothing=2"])
    with pytest.raises(SystemExit) as wrong:
        run(app)
    assert wrong.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_wrong_rules_write_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown rule set"):
        filter_documents([source], tmp_path / "out", ["gofer"], workers=1)
    assert not (tmp_path / "out").exists()
