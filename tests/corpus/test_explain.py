from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from corpus.commands.explain import explain as explain_verb
from corpus.contamination.decontaminate import decontaminate_documents
from corpus.core.engine import Step, UnitOutput, run_step
from corpus.core.errors import ZeroToOneError
from corpus.core.inputs import Unit, read_documents
from corpus.core.output import input_paths
from corpus.duplicates.whole.dedup import dedup_documents
from corpus.filtering.filter import filter_documents
from corpus.filtering.signals import SIGNALS
from corpus.filtering.what_if import ask
from corpus.filtering.what_if_output import write_what_if
from corpus.privacy.redact import redact_documents
from corpus.quality.perplexity import PerplexityOptions, add_perplexities
from corpus.reporting.explain import explain_document
from tests.corpus.language_models import write_arpa
from tests.corpus.test_filter import CHINESE, PROSE
from tests.programs import write_jsonl


def first_step(unit: Unit, parameters: dict, output: UnitOutput) -> None:
    """Stands for `corpus extract`: drops empty pages."""
    for frame in read_documents(unit, output):
        empty = pl.col("text") == ""
        output.write("documents", frame.filter(~empty))
        output.write("removed", frame.filter(empty).with_columns(pl.lit("no_text").alias("reason")))
        output.count("pages_in", frame.height)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pages → extracted → filtered → deduped, as `deduped` alone is named."""
    top = tmp_path_factory.mktemp("chain")
    texts = {"good": PROSE, "copy": PROSE, "zh": CHINESE, "menu": "Menu [1]\n" * 30 + "{ Home", "empty": ""}
    pages = [
        {"id": name, "url": f"https://example.org/{name}", "text": text, "lang": "zh" if name == "zh" else "en"}
        for name, text in texts.items()
    ]
    (top / "pages.jsonl").write_text("\n".join(map(json.dumps, pages)), "utf-8")
    run_step(Step("corpus extract", {}, first_step), [top / "pages.jsonl"], top / "extracted", workers=1)
    filter_documents([top / "extracted"], top / "filtered", ["auto"], workers=1)
    dedup_documents([top / "filtered" / "documents"], top / "deduped", method="exact", workers=1)
    return top


def test_a_kept_document_shows_every_step(chain: Path) -> None:
    found = explain_document("good", [chain / "deduped"])
    assert [finding.command for finding in found] == ["corpus extract", "corpus filter", "corpus dedup"]
    assert all(finding.kept for finding in found)
    assert found[1].failed_rules == []
    assert {verdict.rule.split(".")[0] for verdict in found[1].rules} == {"gopher", "fineweb"}
    assert all(verdict.passed for verdict in found[1].rules)
    assert [member["id"] for member in found[2].cluster["others"]] == ["copy"]


def test_a_duplicate_names_the_one_that_was_kept(chain: Path) -> None:
    last = explain_document("https://example.org/copy", [chain / "deduped"])[-1]
    assert not last.kept
    assert last.document["reason"] == "exact_duplicate"
    assert last.cluster["kept_id"] == "good"
    assert last.cluster["members"] == 2


def test_a_dropped_page_shows_every_failing_rule_with_value_and_threshold(chain: Path) -> None:
    found = explain_document("menu", [chain / "deduped"])
    assert [finding.command for finding in found] == ["corpus extract", "corpus filter"]
    verdicts = {verdict.rule: verdict for verdict in found[1].rules}
    failing = [verdict.rule for verdict in found[1].rules if not verdict.passed]
    assert set(failing) == set(found[1].failed_rules)
    assert found[1].document["reason"] == found[1].failed_rules[0]
    # 31 lines, 29 of them repeats; the brackets count in the text as edited, where no line has three words.
    assert verdicts["gopher.duplicate_lines"].value == pytest.approx(29 / 31)
    assert verdicts["gopher.duplicate_lines"].threshold == 0.3
    assert verdicts["fineweb.curly_brackets"].value == 0
    assert found[1].edits == {"fineweb.remove_citations": 30, "fineweb.drop_lines_with_few_words": 31}


def test_only_rules_for_the_documents_language_are_shown(chain: Path) -> None:
    finding = explain_document("zh", [chain / "filtered" / "documents"])[-1]
    assert {verdict.rule.split(".")[0] for verdict in finding.rules} == {"fineweb2-zh"}


def test_a_page_that_extraction_dropped_has_its_reason(chain: Path) -> None:
    found = explain_document("empty", [chain / "deduped"])
    assert [(finding.command, finding.kept, finding.document["reason"]) for finding in found] == [
        ("corpus extract", False, "no_text")
    ]


def test_unknown_documents_and_directories_are_one_line(chain: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match=r"nowhere: no such id or URL in .*extracted, .*filtered, .*deduped"):
        explain_document("nowhere", [chain / "deduped"])
    with pytest.raises(ZeroToOneError, match="not a finished step's directory"):
        explain_document("good", [tmp_path])
    broken = tmp_path / "broken"
    (broken / "documents").mkdir(parents=True)
    (broken / "documents" / "part-00000.parquet").write_bytes(b"PAR1 nothing")
    (broken / "manifest.json").write_text('{"command": "corpus extract"}')
    with pytest.raises(ZeroToOneError, match=r"part-00000.parquet"):
        explain_document("good", [broken])


def test_an_id_with_one_wrong_character_finds_those_near_it(chain: Path) -> None:
    for wrong, near in (("coopy", "copy"), ("https://example.org/goood", "https://example.org/good")):
        with pytest.raises(ZeroToOneError, match=f"{wrong}: no such id or URL in .*; near it: {near}"):
            explain_document(wrong, [chain / "deduped"])


def test_every_signal_is_there_whether_a_rule_looks_at_it_or_not(chain: Path) -> None:
    finding = explain_document("good", [chain / "filtered"])[-1]
    ledger = pl.read_parquet(chain / "filtered" / "ledger" / "*.parquet").filter(pl.col("id") == "good")
    row = ledger.row(0, named=True)
    signals = {name for name in row if name.rpartition(":")[2] in SIGNALS and row[name] is not None}
    looked_at = {verdict.signal for verdict in finding.rules}
    assert {name.rpartition(":")[2] for name in finding.other_signals} | looked_at >= set(SIGNALS)
    assert set(finding.other_signals) < signals
    assert all(row[name] == value for name, value in finding.other_signals.items())
    assert "han_character_fraction" in finding.other_signals
    assert "word_count" not in finding.other_signals


@pytest.mark.parametrize("documents", [False, True])
def test_a_what_if_is_explained_behind_the_filter_whose_ledger_it_decided(
    documents: bool, chain: Path, tmp_path: Path
) -> None:
    question = ask(chain / "filtered" / "ledger", [], ["gopher.few_words=1000"], None)
    write_what_if(question, tmp_path / "again", documents=documents, workers=1)
    found = explain_document("good", [tmp_path / "again"])
    assert [(finding.command, finding.kept) for finding in found] == [
        ("corpus extract", True),
        ("corpus filter", True),
        ("corpus filter", False),
    ]
    assert found[2].decided_again
    assert found[2].failed_rules == ["gopher.few_words"]
    assert found[2].rules[0].threshold == 1000
    assert (
        found[2].rules[0].value == found[1].rules[[v.rule for v in found[1].rules].index("gopher.few_words")].value
    )
    assert found[2].document["reason"] == "gopher.few_words"


def test_a_directory_explains_itself_where_its_inputs_are_gone(chain: Path, tmp_path: Path) -> None:
    (chain / "filtered").rename(tmp_path / "moved")
    assert not any(Path(path).exists() for path in input_paths(tmp_path / "moved"))
    try:
        assert [finding.command for finding in explain_document("good", [tmp_path / "moved"])] == ["corpus filter"]
        assert [finding.command for finding in explain_document("good", [chain / "deduped"])] == ["corpus dedup"]
    finally:
        (tmp_path / "moved").rename(chain / "filtered")


def test_token_shards_name_the_place_of_the_tokens(chain: Path, tmp_path: Path) -> None:
    domain = tmp_path / "train" / "web"
    domain.mkdir(parents=True)
    rows = {"id": ["a", "good"], "url": [None, "https://example.org/good"], "tokens": [7, 5], "bytes": [20, 10]}
    pl.DataFrame(rows).write_parquet(domain / "documents.parquet")
    (tmp_path / "manifest.json").write_text('{"command": "corpus tokenize", "inputs": []}')
    (finding,) = explain_document("good", [tmp_path])
    assert finding.tokens == {"split": "train", "shard": "web", "first": 7, "tokens": 5}


def test_the_verb_prints_tables_or_json(chain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain_verb("menu", [chain / "deduped"])
    shown = capsys.readouterr().out
    assert "gopher.duplicate_lines" in shown
    assert "0.9355" in shown
    assert "<= 0.3" in shown
    explain_verb("menu", [chain / "deduped"], as_json=True)
    steps = json.loads(capsys.readouterr().out)["steps"]
    rule = next(rule for rule in steps[1]["rules"] if rule["rule"] == "gopher.duplicate_lines")
    assert rule["passed"] is False
    assert (rule["signal"], rule["comparison"], rule["threshold"]) == ("duplicate_line_fraction", "<=", 0.3)


SECRET = "Write to jane.doe@example.org or john@example.net about this bridge."
ITEM = "How many foxes live below the third arch of the old stone bridge when the river is low in autumn?"


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pages → scored → redacted → cut → filtered, as `filtered` alone is named."""
    top = tmp_path_factory.mktemp("later")
    rows = [
        {"id": "hit", "text": f"{SECRET}\n{ITEM}\n{PROSE}", "lang": "en", "rank": 0.5},
        {"id": "clean", "text": PROSE, "lang": "en", "rank": 0.9},
        {"id": "short", "text": ITEM, "lang": "zh", "rank": 0.1},
    ]
    pages, items = (
        write_jsonl(top / "pages.jsonl", [*rows]),
        write_jsonl(top / "items.jsonl", [{"question": ITEM}]),
    )
    arpa = write_arpa(top / "tiny.arpa")
    add_perplexities([pages], top / "scored", PerplexityOptions([f"en={arpa}"]), workers=1)
    redact_documents([top / "scored"], top / "redacted", workers=1)
    decontaminate_documents([top / "redacted"], top / "cut", [items], remove="span", workers=1)
    (top / "mine.yaml").write_text(
        "name: mine\nrules:\n"
        '  - {name: rank, signal: column.rank, comparison: ">=", threshold: 0.2}\n'
        '  - {name: bridges, signal: words.bridges, comparison: "<=", threshold: 9}\n'
    )
    (top / "bridges.txt").write_text("bridge\n")
    filter_documents(
        [top / "cut"],
        top / "filtered",
        ["c4", str(top / "mine.yaml")],
        words=[f"bridges={top / 'bridges.txt'}"],
        workers=1,
    )
    return top


def test_what_redaction_and_decontamination_found(later: Path) -> None:
    steps = {finding.command: finding for finding in explain_document("hit", [later / "filtered"])}
    redacted = steps["corpus redact"]
    assert redacted.redactions == {"email": 2}
    text = f"{SECRET}\n{ITEM}\n{PROSE}"
    found = [text[place["offset"] : place["offset"] + place["length"]] for place in redacted.places]
    assert found == ["jane.doe@example.org", "john@example.net"]
    (hit,) = steps["corpus decontaminate"].hits
    assert (Path(hit["file"]).name, hit["row"], hit["field"], hit["share"]) == ("items.jsonl", 0, "question", 1.0)
    scored = steps["corpus quality perplexity"].scores
    assert set(scored) == {"perplexity", "perplexity_bucket"}
    assert scored["perplexity"] > 1
    clean = {finding.command: finding for finding in explain_document("clean", [later / "filtered"])}
    assert not clean["corpus redact"].redactions
    assert not clean["corpus redact"].places
    assert not clean["corpus decontaminate"].hits


def test_a_removed_document_shows_the_item_that_removed_it(later: Path) -> None:
    last = explain_document("short", [later / "filtered"])[-1]
    assert (last.command, last.kept, last.document["reason"]) == ("corpus decontaminate", False, "contaminated")
    assert [hit["share"] for hit in last.hits] == [1.0]


def test_a_filters_own_signals_and_dropped_lines(later: Path) -> None:
    last = explain_document("hit", [later / "filtered"])[-1]
    own = {verdict.rule: verdict.value for verdict in last.rules if verdict.rule.startswith("mine.")}
    assert own == {"mine.rank": 0.5, "mine.bridges": 1}
    ledger = pl.read_parquet(later / "filtered" / "ledger" / "*.parquet")
    row = ledger.filter(pl.col("id") == "hit").row(0, named=True)
    lists = {name: row[name] for name in row if "words." in name and name != "c4:words.bridges"}
    assert lists["words.bridges"] == 1
    assert {name: last.other_signals.get(name) for name in lists} == lists  # no rule looks at these
    assert last.edited_out == {"c4": row["c4:edited_out"]}
    assert row["c4:edited_out"]


def test_the_verb_prints_what_later_steps_found(later: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain_verb("hit", [later / "filtered"])
    shown = capsys.readouterr().out
    for part in (
        "email 2",
        "identifiers, in the text",
        "evaluation items, in the text",
        "perplexity_bucket",
        "column.rank",
    ):
        assert part in shown, part
