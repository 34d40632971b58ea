"""A ledger decided again gives what a full run with those rules gives, on every document."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.filtering.filter import filter_documents
from corpus.filtering.rule_files import load_rule_sets
from corpus.filtering.signals import SIGNALS_VERSION
from corpus.filtering.what_if import ask, compare
from corpus.filtering.what_if_output import write_what_if
from tests.corpus.test_filter import table, tree
from tests.programs import call

MENU = ["Home", "Sign in", "Read the privacy policy.", "We use cookies [1]", "- one", "{ }", "Enable javascript"]
STOP_WORDS = ["the", "of", "and", "to", "that", "have"]
CHINESE_WORDS = [*"的是在和了有河山桥", "城市", "许多", "人们", "年代", "故事", "采石场", "春天", "纸船", "磨坊"]


def sentence(draw: random.Random, chinese: bool) -> str:
    if chinese:
        return "".join(draw.choices(CHINESE_WORDS, k=draw.randrange(4, 25))) + draw.choice("。。。！，")
    invented = ["".join(draw.choices("abcdefghilmnorstu", k=draw.randrange(2, 9))) for _ in range(9)]
    words = [*invented, *draw.choices(STOP_WORDS, k=4)]
    draw.shuffle(words)
    return " ".join(words).capitalize() + draw.choice([". ", ". ", "! ", " ... "])


def varied_rows(count: int) -> list[dict[str, Any]]:
    """Documents of menus and sentences in all shares, English, Chinese and of unknown language."""
    draw = random.Random(5)
    rows = []
    for number in range(count):
        lang = draw.choice(["en", "en", "zh", "zh-Hant", "fr", "en-GB"])
        poor = draw.choice([0, 0, 0.1, 0.5])
        lines = [
            draw.choice(MENU)
            if draw.random() < poor
            else "".join(sentence(draw, lang.startswith("zh")) for _ in range(draw.randrange(1, 6)))
            for _ in range(draw.randrange(1, 12))
        ]
        row = {"id": f"mine-{number % (count - 3)}", "url": f"https://example.org/{number}", "lang": lang}
        more = {"lang_score": 0.6 + 0.4 * draw.random(), "domain": draw.choice(["a", "b", None]), "extra": number}
        rows.append({**row, **more, "text": "\n".join(lines)})
    return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`source/` with three files of documents, and what filters made of them."""
    top = tmp_path_factory.mktemp("what-if")
    (top / "source").mkdir()
    rows = varied_rows(150)
    for part in range(3):
        lines = [json.dumps(row) for row in rows[part::3]]
        (top / "source" / f"{part}.jsonl").write_text("\n".join([*lines, *["broken"][:part]]), "utf-8")
    for name, sets in {"gopher": ["gopher"], "fineweb": ["fineweb"], "auto": ["auto"]}.items():
        filter_documents([top / "source"], top / name, sets, workers=1)
    return top


def full_and_again(
    place: Path, output: Path, before: str, rules: list[str], sets: list[str], languages: list[str]
) -> tuple[Path, Path]:
    full, again = output / "full", output / "again"
    for directory in (full, again):
        shutil.rmtree(directory, ignore_errors=True)
    with none_may_be_left():
        filter_documents([place / "source"], full, rules, settings=sets, languages=languages, workers=1)
    with none_may_be_left():
        question = ask(place / before / "ledger", rules, sets, languages)
        write_what_if(question, again, documents=True, workers=1)
    return full, again


@contextmanager
def none_may_be_left() -> Iterator[None]:
    try:
        yield
    except ZeroToOneError as error:
        if "no documents left" not in str(error):
            raise


def limits(name: str) -> st.SearchStrategy[list[str]]:
    """Other thresholds for some rules of a set: near the old ones, and far away."""
    labels = [
        (rule_set.label(rule), rule.threshold) for rule_set in load_rule_sets([name]) for rule in rule_set.rules
    ]
    one = st.tuples(st.sampled_from(labels), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.1, 2.0, 1e9]))
    return st.lists(one.map(lambda pair: f"{pair[0][0]}={pair[0][1] * pair[1]}"), max_size=4)


def lenient(name: str) -> list[str]:
    """Settings of the sets of a name that let everything through."""
    rules = [(s.label(rule), rule.comparison) for s in load_rule_sets([name]) for rule in s.rules]
    return [f"{label}={1e9 if comparison == '<=' else 0}" for label, comparison in rules]


@pytest.mark.parametrize("name", ["gopher", "auto", "fineweb"])
def test_the_same_decisions_as_a_full_run_with_that_threshold(name: str, place: Path, tmp_path: Path) -> None:
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(limits(name), st.sampled_from([[], ["en"], ["zh", "fr"]]))
    def check(sets: list[str], languages: list[str]) -> None:
        full, again = full_and_again(place, tmp_path, name, [name], sets, languages)
        assert table(full, "ledger").equals(table(again, "ledger"))
        numbers = compare(ask(place / name / "ledger", [name], sets, languages))
        manifest = json.loads((full / "manifest.json").read_text("utf-8"))
        assert numbers["kept_now"] == manifest["counts"].get("documents_kept", 0)
        takes = {row["rule"]: row["takes_now"] for row in numbers["rules"] if row["takes_now"]}
        assert takes == manifest["reasons"]
        fail = {f"failed:{row['rule']}": row["fail_now"] for row in numbers["rules"] if row["fail_now"]}
        counts = manifest["counts"]
        assert fail == {name: number for name, number in counts.items() if name.startswith("failed:")}
        written = json.loads((again / "manifest.json").read_text("utf-8"))["counts"]
        assert {name: number for name, number in written.items() if name in counts} == counts

    check()


@pytest.mark.parametrize("sets", [[], ["few_words=80"], ["few_words=20", "stop_words=1", "top_2_gram=0.5"]])
def test_the_same_bytes_as_a_full_run_where_no_edit_is_involved(
    sets: list[str], place: Path, tmp_path: Path
) -> None:
    full, again = full_and_again(place, tmp_path, "gopher", ["gopher"], sets, [])
    assert (full / "set_aside").is_dir()
    whole = {name: data for name, data in tree(full).items() if not name.startswith(".state")}
    assert whole == {name: data for name, data in tree(again).items() if not name.startswith(".state")}
    two = tmp_path / "two"
    write_what_if(ask(place / "gopher" / "ledger", ["gopher"], sets, []), two, documents=True, workers=2)
    assert tree(two) == tree(again)


def test_another_rule_set_decides_from_the_same_ledger(place: Path, tmp_path: Path) -> None:
    for rules in (["gopher-repetition"], ["fineweb2-zh"], ["gopher"]):
        full, again = full_and_again(place, tmp_path, "gopher", rules, [], [])
        for name in ("ledger", "documents", "removed"):
            if (full / name).exists():
                assert table(full, name).equals(table(again, name)), name


def test_the_same_edits_under_another_name_are_recognised(place: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    edits = "[{drop_lines_with_long_words: 1000}, remove_citations, {drop_lines_with_few_words: 3}, "
    mine.write_text(
        f"name: mine\nedits: {edits}drop_javascript_lines, drop_policy_lines]\n"
        "rules:\n  - {name: lines, signal: line_count, comparison: '>=', threshold: 3}\n"
    )
    full, again = full_and_again(place, tmp_path, "fineweb", [str(mine)], [], [])
    ledger = table(full, "ledger")
    assert {"mine:edit.remove_citations", "mine:line_count"} <= set(ledger.columns)
    assert ledger.equals(table(again, "ledger"))


def test_documents_come_with_the_texts_of_a_full_run_but_for_the_newly_dropped(
    place: Path, tmp_path: Path
) -> None:
    sets = [*lenient("gopher"), "fineweb.few_sentences=12"]
    full, again = full_and_again(place, tmp_path, "fineweb", ["fineweb"], sets, [])
    assert table(full, "documents").equals(table(again, "documents"))
    before = table(place / "fineweb", "ledger")
    newly = (before["kept"] & ~table(full, "ledger")["kept"]).sum()
    rescued = (~before["kept"] & table(full, "ledger")["kept"]).sum()
    assert newly
    assert rescued
    one, other = table(full, "removed"), table(again, "removed")
    assert one.drop("text").equals(other.drop("text"))
    counts = json.loads((again / "manifest.json").read_text("utf-8"))["counts"]
    assert (one["text"] != other["text"]).sum() <= counts["newly_dropped"] == newly
    assert counts["newly_kept"] == rescued
    assert 0 < counts["removed_as_edited"] <= newly


def test_edits_that_the_ledger_has_not_recorded_are_named(place: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ZeroToOneError, match=r"ledger: rule set `c4`.*edit `drop_lines_with_long_words: 1000`.*full"
    ):
        ask(place / "gopher" / "ledger", ["c4"], [], None)
    with pytest.raises(ZeroToOneError, match=r"`c4`.*edit `drop_lines_without_end_punctuation`"):
        ask(place / "fineweb" / "ledger", ["c4"], [], None)
    with pytest.raises(ZeroToOneError, match=r"in `(fr|zh)`"):  # edited for English documents only
        ask(place / "auto" / "ledger", ["fineweb"], [], None)
    plain = ask(place / "fineweb" / "ledger", ["gopher"], [], None)
    with pytest.raises(ZeroToOneError, match=r"texts of documents in `en` differ by the edit"):
        write_what_if(plain, tmp_path / "out", documents=True, workers=1)
    assert not (tmp_path / "out").exists()


def test_a_ledger_of_another_version_and_one_without_a_column(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "gopher", tmp_path / "other")
    file = tmp_path / "other" / "manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    for version in (0, None):
        manifest["parameters"]["signals_version"] = version
        file.write_text(json.dumps(manifest))
        outcome = call("corpus", "filter", tmp_path / "other" / "ledger", "--set", "few_words=1")
        assert (
            outcome.status,
            f"version {version}" in outcome.message,
            f"version {SIGNALS_VERSION};" in outcome.message,
        ) == (
            1,
            True,
            True,
        )
    shutil.copytree(place / "gopher", tmp_path / "narrow")
    for part in (tmp_path / "narrow" / "ledger").glob("*.parquet"):
        pl.read_parquet(part).drop("stop_words_en").write_parquet(part)
    with pytest.raises(ZeroToOneError, match=r"narrow/ledger: no column `stop_words_en`.*`gopher.stop_words`"):
        ask(tmp_path / "narrow" / "ledger", [], [], None)
    (tmp_path / "narrow" / "ledger" / "part-00001.parquet").unlink()
    with pytest.raises(ZeroToOneError, match=r"ledger: 1\d\d rows, but .*manifest.json counts 150 documents"):
        ask(tmp_path / "narrow" / "ledger", [], [], None)
    (tmp_path / "narrow" / "manifest.json").unlink()
    with pytest.raises(ZeroToOneError, match=r"without its filter's manifest\.json"):
        ask(tmp_path / "narrow" / "ledger", [], [], None)


def test_documents_that_are_gone_or_others_are_named(place: Path, tmp_path: Path) -> None:
    for name in ("gone", "mixed"):
        shutil.copytree(place / "gopher", tmp_path / name)
    shutil.rmtree(tmp_path / "gone" / "removed")
    with pytest.raises(ZeroToOneError, match=r"gone/removed: missing"):
        write_what_if(ask(tmp_path / "gone" / "ledger", [], [], None), tmp_path / "out", documents=True, workers=1)
    removed = tmp_path / "mixed" / "removed" / "part-00000.parquet"
    pl.read_parquet(removed).reverse().write_parquet(removed)
    with pytest.raises(ZeroToOneError, match="other documents than the ledger's"):
        write_what_if(
            ask(tmp_path / "mixed" / "ledger", [], [], None), tmp_path / "out", documents=True, workers=1
        )
    pl.read_parquet(removed).head(1).write_parquet(removed)
    with pytest.raises(ZeroToOneError, match="fewer documents than the ledger's"):
        write_what_if(
            ask(tmp_path / "mixed" / "ledger", [], [], None), tmp_path / "out", documents=True, workers=1
        )


def test_settings_name_rules_or_signals(place: Path) -> None:
    ledger = place / "gopher" / "ledger"
    by_rule, by_signal = (ask(ledger, [], [f"{name}=3"], None) for name in ("stop_words", "gopher.stop_words_en"))
    assert by_rule.rule_sets == by_signal.rule_sets != ask(ledger, [], [], None).rule_sets
    with pytest.raises(UsageError, match=r"no such rule; near it: .*stop_words_en"):
        ask(ledger, [], ["stop_word_en=3"], None)
    with pytest.raises(UsageError, match=r"say which: gopher.few_words, gopher.many_words"):
        ask(ledger, [], ["word_count=3"], None)


def test_reasons_from_elsewhere_stand(place: Path, tmp_path: Path) -> None:
    """As a step beside the rules would have written them: counted, and in the ledger before the rules' own."""
    shutil.copytree(place / "gopher", tmp_path / "url")
    part = tmp_path / "url" / "ledger" / "part-00000.parquet"
    frame = pl.read_parquet(part)
    blocked = pl.Series([n % 5 == 0 for n in range(frame.height)])
    lists = [
        ["url.blocked", *rules] if hit else rules
        for hit, rules in zip(blocked, frame["failed_rules"], strict=True)
    ]
    frame = frame.with_columns(pl.Series("failed_rules", lists, dtype=pl.List(pl.String)))
    frame = frame.with_columns(pl.col("failed_rules").list.first().alias("reason")).with_columns(
        pl.col("reason").is_null().alias("kept")
    )
    frame.write_parquet(part)
    file = tmp_path / "url" / "manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    manifest["counts"]["failed:url.blocked"] = manifest["reasons"]["url.blocked"] = int(blocked.sum())
    file.write_text(json.dumps(manifest))
    write_what_if(ask(tmp_path / "url" / "ledger", [], lenient("gopher"), None), tmp_path / "out", workers=1)
    ledger = table(tmp_path / "out", "ledger")
    assert ledger.filter(~pl.col("kept"))["failed_rules"].to_list() == [["url.blocked"]] * int(blocked.sum())


def test_the_verb_prints_what_changes_and_writes_only_with_an_output(place: Path, tmp_path: Path) -> None:
    ledger = place / "auto" / "ledger"
    before = tree(place)
    outcome = call("corpus", "filter", ledger, "--set", "gopher.few_words=100", "--json")
    assert outcome.status == 0, outcome.err
    changes = json.loads(outcome.out)
    old = table(place / "auto", "ledger")
    expected = old["kept"] & ((old["word_count"] >= 100) | ~old["lang"].is_in(["en", "en-GB"]))
    assert changes["newly_dropped"] == (old["kept"] & ~expected).sum() > 0
    assert changes["kept_now"] == expected.sum()
    assert sum(row["documents"] for row in changes["domains"]) == old.height
    assert {row["lang"] for row in changes["languages"]} == set(old["lang"])
    assert tree(place) == before
    shown = call("corpus", "filter", ledger, "--set", "gopher.few_words=100", "-o", tmp_path / "out")
    assert shown.status == 0, shown.err
    assert ">= 50 → >= 100" in shown.out
    assert not (tmp_path / "out" / "documents").exists()
    again = call("corpus", "filter", tmp_path / "out" / "ledger", "--set", "gopher.few_words=50", "--json")
    assert json.loads(again.out)["kept_now"] == old["kept"].sum()


def test_wrong_usage_of_ledgers(place: Path, tmp_path: Path) -> None:
    ledger = place / "gopher" / "ledger"
    for options in ([ledger, ledger], [ledger, "--documents"], [ledger / "part-00000.parquet"]):
        assert call("corpus", "filter", *options).status == 2
    assert call("corpus", "filter", place / "source").status == 2
    assert call("corpus", "filter", place / "source", "-o", tmp_path / "out", "--documents").status == 2
