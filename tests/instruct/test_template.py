import json
import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from corpus.core.conversations import conversation_error, read_conversations
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import stable_fraction
from instruct.candidates import BLANK, LANGUAGES, MAKERS, Document, read_document
from instruct.cli import app
from instruct.phrasings import PLACEHOLDER, load_phrasings
from instruct.template import LONGEST_ANSWER, make_conversations

# Fields of each task, written down here again so that a misspelt placeholder is found.
FIELDS = {
    "describe": {"signature", "description"},
    "name": {"name", "signature", "description"},
    "summarise": {"text", "summary", "next"},
    "title": {"text", "title", "lead"},
    "classify": {"text", "domain", "options"},
    "fill_in": {"blanked", "context", "word", "choices", "sentence"},
}
NOUNS = [
    "kettle",
    "lantern",
    "harbour",
    "violin",
    "glacier",
    "orchard",
    "compass",
    "saddle",
    "whistle",
    "meadow",
    "furnace",
    "ladder",
]
VERBS = ["carries", "follows", "measures", "repairs", "protects", "surrounds", "borrows", "imitates"]
ENGLISH_FILLER = [
    "Every {0} in the valley {1} another {2} before the evening comes.",
    "Nobody remembers who built the {0} that {1} the {2} beside the road.",
    "A {0} without a {2} seldom {1} anything of value to the village.",
    "In winter the old {0} {1} whatever the {2} has left behind.",
]
CHINESE_FILLER = [
    "村口的{0}常常在傍晚照亮回家的小路，老人们都很喜欢。",
    "没有人记得这座{0}是谁在什么时候修建起来的。",
    "孩子们把{0}画在墙上，颜色比真正的还要鲜艳。",
    "下雪以后，{0}看起来像一位沉默的老朋友。",
]
CHINESE_NOUNS = ["灯塔", "石桥", "果园", "水车", "钟楼", "码头", "渡船", "城墙"]


def english_document(number: int) -> dict[str, str | None]:
    draw = random.Random(number)
    lines = [
        draw.choice(ENGLISH_FILLER).format(draw.choice(NOUNS), draw.choice(VERBS), draw.choice(NOUNS))
        for _ in range(9)
    ]
    lead = f"Report number {number} explains how people of the coast lived with tools and weather."
    return {
        "id": f"story-{number}",
        "text": "\n\n".join([lead, *lines]),
        "url": f"http://stories.example/{number}",
        "domain": "stories",
        "lang": "en",
        "metadata": json.dumps({"title": f"Coastal chronicle part {number}"}),
    }


def chinese_document(number: int) -> dict[str, str | None]:
    draw = random.Random(number)
    lines = [draw.choice(CHINESE_FILLER).format(draw.choice(CHINESE_NOUNS)) for _ in range(9)]
    text = f"# 山村见闻之{number}\n\n第{number}篇文章介绍了山里人家一年四季的生活和习惯。\n\n" + "\n\n".join(lines)
    return {"id": f"zh-{number}", "text": text, "url": "", "domain": "village", "lang": "zh", "metadata": None}


def reference_document(number: int) -> dict[str, str | None]:
    draw = random.Random(number)
    entries = [
        f"{draw.choice(VERBS)}_{place}(left, right={number})\n"
        f"    Combine the {draw.choice(NOUNS)} of area {number} with part {place} of the store of {place}.\n"
        f"\n    The {draw.choice(NOUNS)} is taken first and then weighed twice by two people. After that the "
        f"result number {number} is written into the book of the harbour, where it stays for years.\n"
        for place in range(4)
    ]
    text = "\n".join(["__repr__(self)\n    Return repr(self).\n", *entries])
    return {
        "id": f"reference-{number}",
        "text": text,
        "url": f"http://docs.example/{number}",
        "domain": "reference",
        "lang": None,
        "metadata": json.dumps({"title": f"Python: module area{number}"}),
    }


@pytest.fixture(scope="module")
def documents() -> list[dict[str, str | None]]:
    makers = (english_document, chinese_document, reference_document)
    copies = [{**reference_document(number), "id": f"copy-{number}"} for number in range(5)]
    return [make(number) for number in range(40) for make in makers] + copies


@pytest.fixture(scope="module")
def made(documents, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    pl.DataFrame(documents).write_parquet(folder / "documents.parquet")
    make_conversations([folder / "documents.parquet"], folder / "out", held_out=0.2, workers=1)
    return folder


def rows_of(folder: Path, part: str = "conversations") -> list[dict]:
    return list(read_conversations([folder / "out" / f"{part}.jsonl"]))


def prompt_and_answer(row: dict) -> tuple[str, str]:
    user, assistant = row["messages"]
    return user["content"], assistant["content"]


@pytest.mark.parametrize("task", MAKERS)
def test_phrasings(task):
    phrasings = load_phrasings(task)
    for language in LANGUAGES:
        own = [template for template in phrasings.templates if template.language == language]
        assert len(own) >= 10
        assert len({template.prompt for template in own}) == len(own)
        assert sum(template.turned for template in own) <= 3
        assert language in own[0].documents
    for template in phrasings.templates:
        assert template.placeholders() <= FIELDS[task]
        assert PLACEHOLDER.search(template.answer)
        assert not set(PLACEHOLDER.findall(template.answer)) & set(PLACEHOLDER.findall(template.prompt))


def test_all_tasks_make_conversations_in_both_languages(made):
    tasks = Counter((row["lineage"]["task"], row["lang"]) for row in rows_of(made))
    assert {task for task, _ in tasks} == set(MAKERS)
    assert all(tasks[task, language] for task in MAKERS for language in LANGUAGES)


def test_conversations_follow_the_contract(made, documents):
    known = {row["id"]: row for row in documents}
    for part in ("conversations", "held_out"):
        for row in rows_of(made, part):
            assert conversation_error(row) is None
            assert row["source"] == f"template:{row['lineage']['task']}"
            assert row["lineage"]["url"] == known[row["lineage"]["document"]]["url"]
            prompt, answer = prompt_and_answer(row)
            assert 0 < len(answer) <= LONGEST_ANSWER
            assert len(prompt) + len(answer) <= 1000
            assert not PLACEHOLDER.search(prompt + answer)


def test_answers_are_not_in_their_prompts(made):
    for row in rows_of(made) + rows_of(made, "held_out"):
        prompt, answer = prompt_and_answer(row)
        task = row["lineage"]["task"]
        if task == "classify":
            assert f"- {answer}" in prompt.split("\n")
        elif task == "fill_in" and not row["lineage"]["turned"]:
            assert prompt.count(answer) <= 1
            assert BLANK in prompt
        else:
            assert answer.lower() not in prompt.lower()


def test_answers_come_from_the_document(made, documents):
    texts = {row["id"]: " ".join(f"{row['text']} {row['metadata']} {row['domain']}".split()) for row in documents}
    for row in rows_of(made):
        _, answer = prompt_and_answer(row)
        last = answer.split("(")[0].rsplit(".", 1)[-1] if row["lineage"]["task"] == "name" else answer
        for piece in last.split(BLANK):
            assert piece.strip() in texts[row["lineage"]["document"]]


def test_blanks_are_filled_by_the_answer(made, documents):
    texts = {row["id"]: row["text"] for row in documents}
    for row in rows_of(made):
        if row["lineage"]["task"] == "fill_in" and not row["lineage"]["turned"]:
            prompt, answer = prompt_and_answer(row)
            line = next(line for line in prompt.split("\n") if BLANK in line)
            after = line.split(BLANK, 1)[1][:12]
            assert answer + after.strip("\n") in texts[row["lineage"]["document"]].replace("\n\n", " ")


def test_boilerplate_teaches_nothing(made):
    assert not any("repr" in answer for row in rows_of(made) for answer in prompt_and_answer(row))
    manifest = json.loads((made / "out" / "manifest.json").read_text())
    assert manifest["reasons"]["describe: dunder"] == 45


def test_held_out_documents_are_disjoint(made):
    tuned = {row["lineage"]["document"] for row in rows_of(made)}
    held = {row["lineage"]["document"] for row in rows_of(made, "held_out")}
    assert tuned
    assert held
    assert not tuned & held
    assert held == {name for name in tuned | held if stable_fraction(name, 0) < 0.2}


def test_prompt_and_answer_occur_once(made):
    pairs = [prompt_and_answer(row) for part in ("conversations", "held_out") for row in rows_of(made, part)]
    assert len(set(pairs)) == len(pairs)


def test_manifest_counts_what_was_written(made):
    manifest = json.loads((made / "out" / "manifest.json").read_text())
    assert manifest["counts"]["documents_in"] == 125
    for part in ("conversations", "held_out"):
        rows = rows_of(made, part)
        assert manifest["counts"][part] == len(rows)
        counted = Counter((row["lineage"]["task"], row["lang"]) for row in rows)
        listed = {(task, lang): n for task, langs in manifest["tasks"][part].items() for lang, n in langs.items()}
        assert listed == dict(counted)


def test_neither_order_nor_files_nor_workers_change_a_byte(made, documents, tmp_path):
    shuffled = random.Random(1).sample(documents, len(documents))
    (tmp_path / "in").mkdir()
    for number, part in enumerate((shuffled[:50], shuffled[50:])):
        pl.DataFrame(part).write_parquet(tmp_path / "in" / f"part-{number}.parquet")
    make_conversations([tmp_path / "in"], tmp_path / "out", held_out=0.2, workers=2)
    for name in ("conversations.jsonl", "held_out.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (made / "out" / name).read_bytes()


def test_another_seed_takes_other_phrasings(made, tmp_path):
    make_conversations([made / "documents.parquet"], tmp_path / "out", held_out=0.2, seed=1, workers=1)
    assert rows_of(tmp_path) != rows_of(made)


def test_cap_and_languages_and_tasks(made, tmp_path):
    options = {"tasks": ["describe", "classify"], "languages": ["zh"], "cap_per_task": 15, "held_out": 0}
    make_conversations([made / "documents.parquet"], tmp_path / "out", workers=1, **options)
    rows = rows_of(tmp_path)
    assert Counter(row["lineage"]["task"] for row in rows) == {"describe": 15, "classify": 15}
    assert {row["lang"] for row in rows} == {"zh"}
    domains = Counter(prompt_and_answer(row)[1] for row in rows if row["lineage"]["task"] == "classify")
    assert set(domains.values()) == {5}, "different answers take turns"
    assert rows_of(tmp_path, "held_out") == []


def test_repeated_answers_are_capped(tmp_path):
    text = "\n".join(f"tool_{number}(x)\n    Weigh the harvest of apples twice.\n" for number in range(30))
    pl.DataFrame({"id": ["a"], "text": [text], "domain": ["d"]}).write_parquet(tmp_path / "a.parquet")
    manifest = make_conversations(
        [tmp_path / "a.parquet"], tmp_path / "out", tasks=["describe"], held_out=0, workers=1
    )
    assert manifest["counts"]["conversations"] == load_phrasings("describe").repeats
    assert manifest["reasons"]["describe: repeated answer"] > 0


def test_what_is_asked_in_tuning_is_not_held_out(tmp_path):
    """The same description stands in many documents under different names."""
    rows = [
        {"id": f"d{number}", "text": f"tool_{number}(x)\n    Weigh the harvest of apples twice.\n"}
        for number in range(60)
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    manifest = make_conversations(
        [tmp_path / "a.parquet"], tmp_path / "out", tasks=["name"], held_out=0.3, workers=1, languages=["en"]
    )
    assert manifest["counts"]["held_out"] == 0
    assert manifest["reasons"]["held_out: asked about in tuning"] > 0


def test_descriptions_that_tell_the_name_are_dropped(tmp_path):
    told = "count_leaves(x)\n    Count leaves in the strainer of the pot.\n"
    text = f"{told}\nsip(x)\n    Drink a little of the hot tea.\n"
    pl.DataFrame({"id": ["a"], "text": [text]}).write_parquet(tmp_path / "a.parquet")
    manifest = make_conversations(
        [tmp_path / "a.parquet"], tmp_path / "out", tasks=["name"], held_out=0, workers=1
    )
    assert [prompt_and_answer(row)[1].split("(")[0] for row in rows_of(tmp_path)] == ["sip"]
    assert manifest["reasons"]["name: leak"] == 1


def test_words_of_the_phrasing_are_no_answers(tmp_path):
    """Prompts such as "Which word is missing?" hold these words themselves."""
    text = (
        "Seven words of text {0} are missing in the sentence.\n\n"
        "Where the blank stood {0} a word belongs in place of underscores.\n\n"
        "The correct answer is chosen by following these options."
    )
    rows = [{"id": f"d{number}", "text": text.format(number)} for number in range(40)]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    options = {"tasks": ["fill_in"], "languages": ["en"], "held_out": 0, "workers": 1}
    manifest = make_conversations([tmp_path / "a.parquet"], tmp_path / "out", **options)
    assert manifest["reasons"]["fill_in: leak"] > 0
    for row in rows_of(tmp_path):
        prompt, answer = prompt_and_answer(row)
        template = next(t for t in load_phrasings("fill_in").templates if t.id == row["lineage"]["template"])
        assert "{choices}" in template.prompt or answer.lower() not in prompt.lower()


def test_finished_output_is_left_alone_and_other_parameters_are_refused(made):
    before = (made / "out" / "conversations.jsonl").stat().st_mtime_ns
    make_conversations([made / "documents.parquet"], made / "out", held_out=0.2, workers=1)
    assert (made / "out" / "conversations.jsonl").stat().st_mtime_ns == before
    with pytest.raises(ZeroToOneError, match="seed was 0, is 5"):
        make_conversations([made / "documents.parquet"], made / "out", held_out=0.2, seed=5, workers=1)


def test_interrupted_run_goes_on(made, tmp_path, monkeypatch):
    def broken(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("instruct.template.write_conversations", broken)
    with pytest.raises(KeyboardInterrupt):
        make_conversations([made / "documents.parquet"], tmp_path / "out", held_out=0.2, workers=1)
    monkeypatch.undo()
    make_conversations([made / "documents.parquet"], tmp_path / "out", held_out=0.2, workers=1)
    assert rows_of(tmp_path) == rows_of(made)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["sing"]}, "sing: unknown among tasks"),
        ({"languages": ["fr"]}, "fr: unknown among languages"),
        ({"tasks": []}, "no tasks given"),
        ({"cap_per_task": 0}, "must be 1 or more"),
        ({"maximum_characters": 10}, "must be 700 or more"),
        ({"held_out": 1.0}, "less than 1"),
    ],
)
def test_wrong_usage(made, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        make_conversations([made / "documents.parquet"], tmp_path / "out", **options)


def test_nothing_to_ask_names_the_reasons(tmp_path):
    pl.DataFrame({"id": ["a"], "text": ["12345"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(ZeroToOneError, match=r"no conversation came of these.*other language \(1\)"):
        make_conversations([tmp_path / "a.parquet"], tmp_path / "out", workers=1)


def test_broken_line_is_set_aside_or_fatal(documents, tmp_path):
    lines = [json.dumps(row) for row in documents[:30]]
    (tmp_path / "a.jsonl").write_text("\n".join([lines[0], "{broken", *lines[1:]]))
    manifest = make_conversations([tmp_path / "a.jsonl"], tmp_path / "out", held_out=0, workers=1)
    assert manifest["counts"]["set_aside"] == 1
    assert pl.read_parquet(tmp_path / "out" / "set_aside")["place"].item().endswith("a.jsonl:2")
    with pytest.raises(ZeroToOneError, match=r"a\.jsonl:2"):
        make_conversations([tmp_path / "a.jsonl"], tmp_path / "strict", held_out=0, workers=1, strict=True)


def test_command_prints_one_object(made, tmp_path):
    arguments = [
        "template",
        str(made / "documents.parquet"),
        "-o",
        str(tmp_path / "out"),
        "--json",
        "--tasks",
        "fill_in",
    ]
    result = CliRunner().invoke(app(), arguments)
    assert result.exit_code == 0, result.output
    manifest = json.loads(result.stdout)
    assert manifest["command"] == "instruct template"
    assert manifest["parameters"]["tasks"] == ["fill_in"]


def read(text: str, lang: str | None = "en") -> Document | None:
    return read_document({"id": "x", "text": text, "url": None, "domain": "d", "lang": lang, "metadata": None})


def test_languages_of_documents():
    assert read("Der Tee ist heiß.", "de") is None
    assert read("茶很热。", "zh-cn").language == "zh"
    source = read('def pour(cup):\n    """Fill the cup with tea."""\n', "fr")
    assert (source.language, source.is_source) == ("en", True)


@settings(max_examples=80, deadline=None)
@given(
    text=st.text(alphabet="ab_fT.,()[]{}:=*/->'\"! \n|#`1茶热。，\x00\u2028\ud7ff", max_size=300),
    lang=st.sampled_from(["en", "zh", None]),
)
def test_odd_texts_make_sound_candidates_or_none(text, lang):
    document = read(text, lang)
    if document is None:
        return
    for task, maker in MAKERS.items():
        for candidate in maker(document, 0, 1000, Counter()):
            fields = {**candidate.fields, "options": "- d"}
            assert FIELDS[task] == set(fields) - (set() if task == "classify" else {"options"})
            for template in load_phrasings(task).templates:
                prompt, answer = template.fill(fields)
                assert answer
                assert prompt


@given(value=st.text(alphabet="{}ab \\1", max_size=20))
def test_braces_in_a_field_stay(value):
    template = load_phrasings("describe").templates[0]
    prompt, answer = template.fill({"signature": value, "description": value})
    assert answer == value
    assert prompt == template.prompt.replace("{signature}", value)
