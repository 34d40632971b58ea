from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import jieba
import polars as pl
import pytest

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.filtering.filter import measure
from corpus.filtering.rule_files import built_in_names, load_rule_sets
from corpus.filtering.rules import Rule, decide, from_json, to_json
from corpus.text.words import split_words
from tests.corpus.plain_signals import plain_signals

Builder = Callable[["Words", int], str]


class Words:
    """Words that never repeat: invented English ones of five letters, or Chinese ones of jieba's dictionary."""

    def __init__(self, chinese: bool) -> None:
        self.chinese, self.used = chinese, 0

    def take(self, count: int) -> list[str]:
        first, self.used = self.used, self.used + count
        if self.chinese:
            return list(chinese_words()[first : first + count])
        return [invented(number) for number in range(first, first + count)]

    def text(self, count: int) -> str:
        return " ".join(self.take(count))


def invented(number: int) -> str:
    letters = [chr(ord("a") + number // 26**place % 26) for place in range(3)]
    return "qz" + "".join(letters)


@lru_cache(maxsize=1)
def chinese_words() -> tuple[str, ...]:
    """Words of two ideographs that stay one word."""
    jieba.setLogLevel(60)
    found = []
    for line in Path(jieba.__file__).with_name("dict.txt").read_text("utf-8").splitlines():
        word, frequency, _ = line.split(" ")
        if len(word) == 2 and int(frequency) >= 500 and list(jieba.cut(word)) == [word]:
            found.append(word)
    return tuple(found)


def mixed(special: Sequence[str], words: Words, total: int) -> str:
    """The special words spread among others, `total` in all."""
    plain = words.take(total - len(special))
    return " ".join([*special, *plain])


def repeated_parts(separator: str, size: int) -> Builder:
    """41 parts, the last k of which repeat the first."""

    def build(words: Words, k: int) -> str:
        parts = [words.text(size) for _ in range(41 - k)]
        return separator.join([*parts, *[parts[0]] * k])

    return build


def repeated_phrase(n: int) -> Builder:
    """A phrase of n words k times, kept apart by other words, among others."""

    def build(words: Words, k: int) -> str:
        phrase = words.text(n)
        runs = [f"{phrase} {words.text(1)}" for _ in range(k)]
        return " ".join([*runs, words.text((45 - k) * (n + 1))])

    return build


def lines_with(begin: str, end: str, otherwise: str = "") -> Builder:
    """40 lines of six words, k of which begin and end so, the others end `otherwise`."""

    def build(words: Words, k: int) -> str:
        lines = [begin + words.text(6) + end for _ in range(k)]
        return "\n".join([*lines, *(words.text(6) + otherwise for _ in range(40 - k))])

    return build


def short_lines(words: Words, k: int) -> str:
    return "\n".join([words.text(5) for _ in range(k)] + [words.text(20) for _ in range(40 - k)])


def line_breaks(words: Words, k: int) -> str:
    """130 words in k + 1 lines, three at least to a line."""
    plain = words.take(130)
    lines = [" ".join(plain[3 * line : 3 * line + 3]) for line in range(k)]
    return "\n".join([*lines, " ".join(plain[3 * k :])])


def duplicate_line(words: Words, k: int) -> str:
    """A line of three words twice, in a text that shrinks with k."""
    line = words.text(3)
    return "\n".join([line, words.text(400 - 4 * k), line])


def many_words(words: Words, k: int) -> str:
    return (words.text(90) + "\n") * 1111 + words.text(5 + k)


def letters(count: int) -> Builder:
    """A text of `count` characters less k."""
    return lambda words, k: words.text(count)[: count - k]


def sentences(words: Words, k: int) -> str:
    if words.chinese:
        return "".join(words.text(5) + "。" for _ in range(40 - k))
    return " ".join(words.text(5).capitalize() + "." for _ in range(40 - k))


def one_word_lines(words: Words, k: int) -> str:
    return "\n".join([words.text(1) for _ in range(k)] + [words.text(5) for _ in range(40 - k)])


def in_brackets(words: Words, k: int) -> str:
    return f"【{words.text(k)}】{words.text(120 - k)}"


def one_character_more(words: Words, k: int) -> str:
    """Ever more of one character."""
    return "".join(words.take(120)) + "一" * 10 * k


BUILDERS: dict[str, Builder] = {
    "duplicate_lines": repeated_parts("\n", 6),
    "duplicate_paragraphs": repeated_parts("\n\n", 6),
    "duplicate_paragraph_characters": repeated_parts("\n\n", 6),
    "top_2_gram": repeated_phrase(2),
    "top_3_gram": repeated_phrase(3),
    "top_4_gram": repeated_phrase(4),
    **{f"duplicate_{n}_grams": repeated_phrase(n) for n in range(5, 11)},
    "few_words": lambda words, k: words.text(80 - k),
    "many_words": many_words,
    "short_words": lambda words, k: mixed(["的" if words.chinese else "ox"] * k, words, 50),
    "long_words": lambda words, k: mixed(["w" * 20] * k, words, 60),
    "hashes": lambda words, k: mixed(["#"] * k, words, 60),
    "ellipses": lambda words, k: mixed(["..."] * k, words, 60),
    "bullet_line_fraction": lines_with("- ", ""),
    "list_marker_line_fraction": lines_with("* ", ""),
    "bullet_point_line_fraction": lines_with("• ", ""),
    "symbols": lambda words, k: mixed(["#", "..."] * (k // 2) + ["#"] * (k % 2), words, 60),
    "few_characters": lambda words, k: letters(320)(words, k),
    "many_characters": lambda words, k: letters(10_020)(words, 40 - k),
    "mean_line_length": one_word_lines,
    "chinese_characters": lambda words, k: mixed(["abcdefgh"] * k, words, 60),
    "repeated_characters": repeated_parts("\n", 6),
    "few_sentences": sentences,
    "bracketed_text": in_brackets,
    "digits": lambda words, k: mixed(["1234567"] * k, words, 60),
    "teaser_lines": lines_with("", "展开"),
    "punctuation": lambda words, k: words.text(60) + "。" * (40 - k),
    "unique_characters": lambda words, k: "\n".join([words.text(30)] * (k + 1)),
    "character_entropy": one_character_more,
    "language_score": lambda words, _: words.text(60),
    "ellipsis_lines": lines_with("", "..."),
    "alphabetic_words": lambda words, k: mixed(["12"] * k, words, 60),
    "lorem_ipsum": lambda words, k: words.text(60) + " Lorem Ipsum" * k,
    "curly_brackets": lambda words, k: words.text(60) + " {" * k,
    "line_punctuation": lambda words, k: lines_with("", "。" if words.chinese else ".")(words, 40 - k),
    "short_lines": short_lines,
    "newlines": line_breaks,
}
STOP_WORDS = {False: ["the", "with"], True: ["的", "为"]}
LISTS = ("bad", "sensitive")


def cases() -> list[tuple[str, str]]:
    """Every rule of every set, but for those on words of lists and on what edits took (see below)."""
    found = []
    for name in built_in_names():
        if name == "auto":
            continue
        # No word has less than a character, so this rule never fails.
        skipped = {"short_words"} if name == "fineweb2-zh" else {"edited_words"}
        found += [(name, rule.name) for rule in load_rule_sets([name])[-1].rules if rule.name not in skipped]
    return found


def build(name: str, rule: Rule, k: int, chinese: bool) -> str:
    words = Words(chinese)
    if rule.signal == "characters":
        limit = int(rule.threshold)
        return letters(limit + 20)(words, 40 - k if rule.name == "many_characters" else k)
    if rule.name == "duplicate_line_characters":
        return duplicate_line(words, k) if rule.threshold == 0.01 else repeated_parts("\n", 6)(words, k)
    if rule.name == "stop_words":
        return mixed(STOP_WORDS[chinese][: 2 - min(k, 2)], words, 60)
    text = (BUILDERS.get(rule.signal) or BUILDERS[rule.name])(words, k)
    # C4 keeps lines that end in a full stop.
    return text + "." if name.startswith("c4") and rule.name != "few_sentences" else text


def plain_value(rule: Rule, text: str, k: int, score: float) -> float:
    """The signal by its plain definition, or as the document was built."""
    if rule.signal == "lang_score":
        return score
    if rule.signal == "sentence_count":
        return 40 - k
    words = split_words(text)
    if rule.signal == "word_count":
        return sum(any(character.isalnum() for character in word) for word in words)
    return plain_signals(text, words)[rule.signal]


KEEPS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def documents(texts: Sequence[str], language: str, scores: Sequence[float]) -> pl.DataFrame:
    return pl.DataFrame({"text": texts, "lang": [language] * len(texts), "lang_score": scores})


@pytest.mark.parametrize(("name", "rule_name"), cases())
def test_documents_just_inside_and_just_outside_every_threshold(name: str, rule_name: str) -> None:
    """k makes a document worse step by step: the decision flips where the plain definition says."""
    sets = load_rule_sets([name])
    rule = next(rule for rule in sets[-1].rules if rule.name == rule_name)
    language = sets[-1].languages[0] if sets[-1].languages else "en"
    steps = range(4, 8) if rule_name == "many_words" else range(10 if rule_name == "stop_words" else 41)
    texts = [build(name, rule, k, language == "zh") for k in steps]
    scores = [1 - k / 50 if rule.signal == "lang_score" else 1.0 for k in steps]
    frame = documents(texts, language, scores)
    edited, signals, _ = measure(frame, sets)
    assert edited == texts  # none of the edits touches these
    decision = decide(signals, sets, frame["lang"])
    failed = [sets[-1].label(rule) in failing for failing in decision["failed_rules"].to_list()]
    values = [plain_value(rule, text, k, score) for text, k, score in zip(texts, steps, scores, strict=True)]
    assert failed == [not KEEPS[rule.comparison](float(value), rule.threshold) for value in values]
    assert set(failed) == {False, True}
    flip = failed.index(True)
    assert flip > 0
    inside, outside = values[flip - 1], values[flip]
    assert min(inside, outside) <= rule.threshold <= max(inside, outside)


@pytest.mark.parametrize("name", ["refinedweb", "dclm"])
def test_a_page_that_loses_too_many_words_by_edits(name: str) -> None:
    """k lines of one word go from a page of 200 words: 10 of 210 are less than 5 %, 11 of 211 more."""
    sets = load_rule_sets([name])
    texts = []
    for k in range(20):
        words = Words(chinese=False)
        texts.append("\n".join([*(words.text(5) for _ in range(40)), *(words.text(1) for _ in range(k))]))
    frame = documents(texts, "en", [1.0] * len(texts))
    edited, signals, edits = measure(frame, sets)
    assert [text.count("\n") for text in edited] == [39] * 20
    assert edits[f"{name}:edit.drop_lines_with_few_words"].to_list() == list(range(20))
    assert edits[f"{name}:edited_out"][2] == "\n".join(texts[2].split("\n")[-2:])
    failed = decide(signals, sets, frame["lang"])["failed_rules"].to_list()
    assert [f"{name}.edited_words" in failing for failing in failed] == [k / (200 + k) > 0.05 for k in range(20)]


@pytest.mark.parametrize(("name", "rule"), [("c4", "bad_words"), ("c4@paper", "bad_words")])
def test_bad_words_remove_a_page_where_there_is_a_list(name: str, rule: str) -> None:
    sets = load_rule_sets([name], lists=LISTS)
    sentence = "It rained all through the long grey day. "
    texts = [sentence * 6 + end for end in ("The badger came home again late.", "It was a BAD, bad day for it.")]
    frame = documents(texts, "en", [1.0] * 2)
    failed = decide(measure(frame, sets, {"bad": ("bad",)})[1], sets, frame["lang"])["failed_rules"].to_list()
    assert [f"c4.{rule}" in failing for failing in failed] == [False, True]
    assert rule not in [rule.name for rule in load_rule_sets([name])[-1].rules]


def test_sensitive_words_a_line() -> None:
    """Two different words in four lines pass, three do not; how often each stands does not matter."""
    sets = load_rule_sets(["chinesewebtext"], lists=LISTS)
    texts = ["甲词甲词甲词\n乙词\n天气\n很好", "甲词\n乙词\n丙词\n很好"]
    frame = documents(texts, "zh", [1.0] * 2)
    signals = measure(frame, sets, {"sensitive": ("丙词", "乙词", "甲词")})[1]
    failed = decide(signals, sets, frame["lang"])["failed_rules"].to_list()
    assert ["chinesewebtext.sensitive_words" in failing for failing in failed] == [False, True]


def test_two_definitions_of_gopher_count_differently() -> None:
    """A line of 41 stands 7 times: datatrove counts 6 repeats, the paper's reading all 7."""
    words = Words(chinese=False)
    lines = [words.text(6) for _ in range(34)]
    text = "\n".join([*lines, *[words.text(6)] * 7])
    frame = documents([text], "en", [1.0])
    code, paper = (measure(frame, load_rule_sets([name]))[1] for name in ("gopher@code", "gopher@paper"))
    assert code["duplicate_line_fraction"][0] == 6 / 41
    assert paper["repeated_line_fraction"][0] == 7 / 41


def test_all_failing_rules_are_listed_in_their_order() -> None:
    sets = load_rule_sets(["gopher"])
    frame = documents(["1 2 3 4 5", "# # # 天"], "en", [1.0, 1.0])
    decision = decide(measure(frame, sets)[1], sets, frame["lang"])
    assert decision["kept"].to_list() == [False, False]
    first = decision["failed_rules"][0].to_list()
    expected = ["top_2_gram", "top_3_gram", "top_4_gram"]  # one 2-gram of five words is much of so short a text
    expected += ["few_words", "short_words", "alphabetic_words", "stop_words"]
    assert first == [f"gopher.{rule}" for rule in expected]
    assert decision["reason"].to_list() == [failing[0] for failing in decision["failed_rules"].to_list()]


def test_a_missing_signal_keeps_a_document() -> None:
    sets = load_rule_sets(["fineweb"])
    frame = documents(["x"], "en", [1.0]).with_columns(pl.lit(None, dtype=pl.Float64).alias("lang_score"))
    failed = decide(measure(frame, sets)[1], sets, frame["lang"])["failed_rules"][0].to_list()
    assert "fineweb.language_score" not in failed
    assert "fineweb.few_sentences" in failed


def test_auto_chooses_by_language() -> None:
    sets = load_rule_sets(["auto"])
    text = "x y z " * 9
    frame = documents([text] * 5, "", [0.1] * 5).with_columns(
        pl.Series("lang", ["zh", "zh-Hant", "en", "de", None])
    )
    failed = decide(measure(frame, sets)[1], sets, frame["lang"])["failed_rules"].to_list()
    prefixes = [{rule.split(".")[0] for rule in failing} for failing in failed]
    neutral = {"gopher-repetition"}
    assert prefixes == [{"fineweb2-zh"}, {"fineweb2-zh"}, {"gopher", "fineweb"}, neutral, neutral]


def test_a_set_looks_at_the_text_that_the_sets_before_it_leave() -> None:
    text = "\n".join(["Menu"] * 30 + [f"This is line number {number} of the text." for number in range(6)])
    for names, lines in ((["gopher", "c4"], True), (["c4", "gopher"], False)):
        sets = load_rule_sets(names)
        frame = documents([text], "en", [1.0])
        edited, signals, edits = measure(frame, sets)
        failed = decide(signals, sets, frame["lang"])["failed_rules"][0].to_list()
        assert ("gopher.duplicate_lines" in failed) == lines
        assert "Menu" not in edited[0]
        assert edits["c4:edit.drop_lines_without_end_punctuation"].to_list() == [30]


def test_settings_change_one_threshold() -> None:
    before = load_rule_sets(["fineweb"])
    after = load_rule_sets(["fineweb"], ["few_words=7", "gopher.stop_words=0"])
    changed = {
        (new.label(a), a.threshold, b.threshold)
        for old, new in zip(before, after, strict=True)
        for b, a in zip(old.rules, new.rules, strict=True)
        if a != b
    }
    assert changed == {("gopher.few_words", 7.0, 50.0), ("gopher.stop_words", 0.0, 2.0)}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("few_word=3", "no such rule; near it: few_words"),
        ("few_words=many", "write RULE=NUMBER"),
        ("few_words", "write RULE=NUMBER"),
        ("duplicate_line_characters=0.1", "say which: gopher.duplicate_line_characters, fineweb.dup"),
    ],
)
def test_wrong_settings(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_rule_sets(["fineweb"], [setting])


def test_rule_sets_survive_json() -> None:
    for name in built_in_names():
        sets = load_rule_sets([name])
        assert from_json(to_json(sets)) == sets


RULE = '{name: few, signal: word_count, comparison: ">=", threshold: 5}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: mine\nrules: [\n  - x", r"mine.yaml:3: invalid YAML"),
        ("just text", r"mine.yaml: a rule set is a mapping"),
        (f"name: mine\nrules:\n  - {RULE}\n  - {RULE}", r"mine.yaml:4: a second rule `few`"),
        (
            f"rules:\n  - {RULE.replace('word_count', 'words_count')}",
            r"mine.yaml:2: rule `few`: unknown signal .*word_count.*column.NAME",
        ),
        (
            f"rules:\n  - {RULE.replace('word_count', 'words.bad')}",
            r"mine.yaml:2: rule `few` needs .*--words bad=FILE",
        ),
        (f"rules:\n  - {RULE.replace('>=', '=>')}", r"mine.yaml:2: unknown comparison `=>`; there are >=, <="),
        (f"rules:\n  - {RULE.replace('5', 'five')}", r"mine.yaml:2: threshold `five` is not a number"),
        ("rules:\n  - {name: few}", r"mine.yaml:2: a rule has name, signal, comparison and threshold"),
        ("name: mine\nrule: []", r"mine.yaml:2: unknown key `rule`; near it: rules"),
        ("edits:\n  - remove_citation", r"mine.yaml:2: unknown edit `remove_citation`; near it: remove_citations"),
        ("edits:\n  - drop_lines_with_few_words: few", r"mine.yaml:2: threshold `few` is not a whole number"),
        ("edits: remove_citations", r"mine.yaml:1: `edits` needs a list"),
        ("name: a.b\nrules: []", r"mine.yaml:1: `name` needs a word"),
        ("include: [mine.yaml]", r"mine.yaml: includes itself"),
        ("include: [gofer]", r"unknown rule set .*near it: gopher"),
        ("by_language: {zh: auto}", r"mine.yaml:1: `auto` chooses by language itself"),
        ("by_language: [zh]", r"mine.yaml:1: needs `language: rule set` lines"),
    ],
)
def test_a_wrong_rule_file_is_one_line_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ZeroToOneError, match=message) as caught:
        load_rule_sets([str(path)])
    assert "\n" not in str(caught.value)


def test_a_file_of_ones_own_includes_built_in_sets(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"include: [c4, gopher]\nrules:\n  - {RULE}", "utf-8")
    sets = load_rule_sets([str(path)])
    assert [(rule_set.name, rule_set.text) for rule_set in sets] == [
        ("c4", "c4"),
        ("gopher", "c4"),
        ("mine", "c4"),
    ]


def test_a_definition_is_chosen_by_name() -> None:
    for name, limit in (("fineweb", 0.01), ("fineweb@code", 0.01), ("fineweb@paper", 0.1)):
        rule_set = load_rule_sets([name])[-1]
        assert rule_set.name == "fineweb"
        limits = {rule.name: rule.threshold for rule in rule_set.rules}
        assert limits["duplicate_line_characters"] == limit
    with pytest.raises(UsageError, match="unknown rule set `ccnet@paper`"):
        load_rule_sets(["ccnet@paper"])
    with pytest.raises(UsageError, match="`gopher@code` and `gopher@paper` are two definitions of one set"):
        load_rule_sets(["gopher", "gopher@paper"])


def test_every_set_names_its_source_and_its_definition() -> None:
    for name in built_in_names():
        if name != "auto":
            rule_set = load_rule_sets([name])[-1]
            assert rule_set.definition.partition("@")[2] in ("code", "paper")
            assert len(rule_set.source) > 40
            assert name in (rule_set.name, rule_set.definition)


def test_what_edits_took_needs_edits(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"rules:\n  - {RULE.replace('word_count', 'edited_word_fraction')}", "utf-8")
    with pytest.raises(UsageError, match=r"mine.few: `edited_word_fraction` needs edits"):
        load_rule_sets([str(path)])


def test_unknown_names_and_combinations() -> None:
    with pytest.raises(UsageError, match="unknown rule set `finweb`; near it: fineweb"):
        load_rule_sets(["finweb"])
    with pytest.raises(UsageError, match="stands alone"):
        load_rule_sets(["gopher", "auto"])
    with pytest.raises(ZeroToOneError, match="no such file"):
        load_rule_sets(["missing.yaml"])
    with pytest.raises(UsageError, match="no rule set"):
        load_rule_sets([])
