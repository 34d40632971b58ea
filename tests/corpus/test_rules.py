from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import jieba
import polars as pl
import pytest

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.filtering.filter import measure
from corpus.filtering.rules import built_in_names, decide, from_json, load_rule_sets, to_json
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


BUILDERS: dict[str, Builder] = {
    "duplicate_lines": repeated_parts("\n", 6),
    "duplicate_paragraphs": repeated_parts("\n\n", 6),
    "duplicate_paragraph_characters": repeated_parts("\n\n", 6),
    "top_2_gram": repeated_phrase(2),
    "top_3_gram": repeated_phrase(3),
    "top_4_gram": repeated_phrase(4),
    **{f"duplicate_{n}_grams": repeated_phrase(n) for n in range(5, 11)},
    "few_words": lambda words, k: words.text(80 - k),
    "many_words": lambda words, k: (words.text(90) + "\n") * 1111 + words.text(5 + k),
    "short_words": lambda words, k: mixed(["ox"] * k, words, 50),
    "long_words": lambda words, k: mixed(["w" * 20] * k, words, 60),
    "hashes": lambda words, k: mixed(["#"] * k, words, 60),
    "ellipses": lambda words, k: mixed(["..."] * k, words, 60),
    "bullet_lines": lines_with("- ", ""),
    "ellipsis_lines": lines_with("", "..."),
    "alphabetic_words": lambda words, k: mixed(["12"] * k, words, 60),
    "lorem_ipsum": lambda words, k: words.text(60) + " Lorem Ipsum" * k,
    "curly_brackets": lambda words, k: words.text(60) + " {" * k,
    "line_punctuation": lambda words, k: lines_with("", "。" if words.chinese else ".")(words, 40 - k),
    "short_lines": short_lines,
    "newlines": line_breaks,
}
GOPHER_CHARACTERS = repeated_parts("\n", 6)
STOP_WORDS = {False: ["the", "with"], True: ["的", "为"]}


def cases() -> list[tuple[str, str]]:
    found = []
    for name in ("gopher", "fineweb", "fineweb2-zh"):
        rule_set = load_rule_sets([name])[-1]
        # No word has less than a character, so this rule never fails.
        skipped = {"short_words"} if name == "fineweb2-zh" else set()
        found += [(name, rule.name) for rule in rule_set.rules if rule.name not in skipped]
    return found


def build(name: str, rule: str, k: int) -> str:
    words = Words(chinese=name == "fineweb2-zh")
    if rule == "duplicate_line_characters":
        gopher = name == "gopher"
        return GOPHER_CHARACTERS(words, k) if gopher or words.chinese else duplicate_line(words, k)
    if rule == "stop_words":
        return mixed(STOP_WORDS[words.chinese][: 2 - min(k, 2)], words, 60)
    if rule == "few_sentences":
        return " ".join(words.text(5).capitalize() + "." for _ in range(40 - k))
    if rule == "language_score":
        return words.text(60)
    return BUILDERS[rule](words, k)


def documents(texts: Sequence[str], language: str, scores: Sequence[float]) -> pl.DataFrame:
    return pl.DataFrame({"text": texts, "lang": [language] * len(texts), "lang_score": scores})


@pytest.mark.parametrize(("name", "rule_name"), cases())
def test_documents_just_inside_and_just_outside_every_threshold(name: str, rule_name: str) -> None:
    """k makes a document worse step by step: the decision flips where the plain definition says."""
    sets = load_rule_sets([name])
    rule = next(rule for rule in sets[-1].rules if rule.name == rule_name)
    steps = 10 if rule_name in ("many_words", "stop_words") else 40
    texts = [build(name, rule_name, k) for k in range(steps + 1)]
    scores = [1 - k / 100 for k in range(steps + 1)] if rule_name == "language_score" else [1.0] * (steps + 1)
    frame = documents(texts, "zh" if name == "fineweb2-zh" else "en", scores)
    edited, signals, _ = measure(frame, sets)
    assert edited == texts  # none of the edits touches these
    decision = decide(signals, sets, frame["lang"])
    failed = [sets[-1].label(rule) in failing for failing in decision["failed_rules"].to_list()]
    if rule_name == "language_score":
        values = scores
    elif rule_name == "few_sentences":
        values = [40.0 - k for k in range(steps + 1)]
    else:
        values = [plain_signals(text, split_words(text))[rule.signal] for text in texts]
    keeps = {">=": float.__ge__, "<=": float.__le__}[rule.comparison]
    assert failed == [not keeps(float(value), rule.threshold) for value in values]
    assert set(failed) == {False, True}
    flip = failed.index(True)
    assert flip > 0
    inside, outside = values[flip - 1], values[flip]
    assert min(inside, outside) <= rule.threshold <= max(inside, outside)


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
        (f"rules:\n  - {RULE.replace('word_count', 'words_count')}", r"mine.yaml:2: unknown signal .*word_count"),
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


def test_unknown_names_and_combinations() -> None:
    with pytest.raises(UsageError, match="unknown rule set `finweb`; near it: fineweb"):
        load_rule_sets(["finweb"])
    with pytest.raises(UsageError, match="stands alone"):
        load_rule_sets(["gopher", "auto"])
    with pytest.raises(ZeroToOneError, match="no such file"):
        load_rule_sets(["missing.yaml"])
    with pytest.raises(UsageError, match="no rule set"):
        load_rule_sets([])
