import json
import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from corpus.core.conversations import conversation_error
from corpus.core.errors import UsageError, ZeroToOneError
from instruct.cli import app
from instruct.tables.build import MIXING_CAP, TableOptions, build_from_tables
from instruct.tables.phrase import MOST_TURNED, Forms, Pool, exemplar_layouts, phrase
from instruct.tables.super_ni import show_examples
from instruct.tables.templates import (
    built_in_kinds,
    fill,
    load_templates,
    parse_templates,
    with_mappings,
)
from instruct.tables.values import LeftOutError, read_row

# Fields of each kind, written down here again so that a misspelt one is found.
FIELDS = {
    "classification": {"text", "answer", "options"},
    "closed_qa": {"context", "question", "answer"},
    "data_to_text": {"data", "text"},
    "multiple_choice": {"question", "options", "answer", "rationale"},
    "nli": {"premise", "hypothesis", "options", "answer"},
    "open_qa": {"question", "answer", "rationale"},
    "paraphrase": {"first", "second", "options", "answer"},
    "sentiment": {"text", "answer", "options"},
    "summarisation": {"text", "summary"},
    "super_ni": {"definition", "input", "output", "examples"},
    "title": {"text", "title"},
    "translation": {"text", "translation", "source_language", "target_language"},
}
REVIEWS = "templates: {en: [{input: 'Mood of {{text}}?', target: '{{answer}}'}]}"


def reviews(count: int) -> list[dict[str, object]]:
    return [{"id": f"r{n}", "text": f"Film number {n} was long.", "label": n % 2} for n in range(count)]


def write(path: Path, rows: list) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sentiment():
    return with_mappings(load_templates("sentiment"), {}, {"0": "negative", "1": "positive"}, {})


def texts(rows: list[dict]) -> set[tuple[str, str]]:
    return {tuple(message["content"] for message in row["messages"]) for row in rows}


def test_kinds_are_all_here():
    assert set(built_in_kinds()) == set(FIELDS)


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_phrasings(kind, language):
    """FLAN: ten templates a task, of which at most three turn it round."""
    own = [item for item in load_templates(kind).templates if item.language == language]
    plain = [item for item in own if "rationale" not in item.fields]
    assert len(plain) >= 10
    assert 1 <= sum(item.turned for item in plain) <= 0.3 * len(plain)
    assert len({item.input for item in own}) == len(own)
    for item in own:
        assert set(item.fields) <= FIELDS[kind]
        inputs, targets = (set(parse_fields(part)) for part in (item.input, item.target))
        assert not inputs & targets
        assert not (item.turned and "options" in inputs)
        assert (
            any("\u4e00" <= sign <= "\u9fff" for sign in item.input) == (language == "zh")
            or kind == "super_ni"
            or not inputs - {"question", "context", "options"}
        )


def parse_fields(part: str) -> list[str]:
    return [piece.partition("}}")[0] for piece in part.split("{{")[1:]]


@given(value=st.text(alphabet="{}ab \\1", max_size=20))
def test_braces_in_a_field_stay(value):
    assert fill("<{{ a }}|{{b}}>", {"a": value, "b": "{{a}}"}) == f"<{value}|{{{{a}}}}>"


CELLS = st.text(alphabet="ab{}() \n茶热。", min_size=1, max_size=30).filter(str.strip)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(set(FIELDS) - {"super_ni", "nli", "paraphrase"})))
def test_every_field_is_filled(data, kind):
    """Whatever the cells hold, prompt and answer are those of the template with the cells in place."""
    templates = load_templates(kind)
    names = [name for name in templates.read_fields() if name != "choices"]
    rows = [{templates.column(name): data.draw(CELLS) for name in names} for _ in range(3)]
    for row in rows:
        row["choices"] = (
            list(dict.fromkeys([row[templates.column("answer")].strip(), "x", "y"])) if "answer" in names else []
        )
    made = [read_row(row, templates, "d", f"t:{n}", False) for n, row in enumerate(rows)]
    pool = Pool(made, [row.fields["answer"] for row in made if "answer" in row.fields], 0)
    forms = Forms(
        ("en", "zh"), data.draw(st.sampled_from([0.0, 1.0])), 2, 0.5, 8000, data.draw(st.integers(0, 99))
    )
    for row in made:
        found = phrase(row, templates, pool, forms)
        if found is None:
            assert kind == "classification"  # whose options need two different answers
            continue
        fields = {
            **row.fields,
            **{name: words[found.template.language] for name, words in templates.values.items()},
        }
        for name in set(parse_fields(found.template.input)) - {"options"}:
            assert fields[name] in found.prompt
        if "options" in found.template.fields and not found.template.turned:
            shown = found.prompt.split("OPTIONS:" if found.template.language == "en" else "选项：")[-1]
            mark = found.answer.split("(")[-1][:1] if f"({found.answer.split('(')[-1][:1]})" in shown else ""
            assert fields["answer"] in shown
            assert not mark or f"({mark}) {fields['answer']}" in shown or fields["answer"] in found.answer
        else:
            assert found.answer == fill(found.template.target, fields).strip()
        assert row.place not in found.exemplars


def test_share_of_turned_prompts(tmp_path):
    manifest = build_from_tables(
        [write(tmp_path / "t.jsonl", reviews(2000))], tmp_path / "out", sentiment(), TableOptions(), workers=1
    )
    rows = read(tmp_path / "out" / "conversations.jsonl")
    turned = [row for row in rows if row["lineage"]["turned"]]
    assert 0.15 < len(turned) / len(rows) < 0.25  # two templates of ten
    for row in turned:
        prompt, answer = (message["content"] for message in row["messages"])
        assert ("negative" in prompt) != ("positive" in prompt)
        assert answer.startswith("Film number")
    assert len([name for name in manifest["templates"] if "-en-" in name]) == 10
    items = [f"{{input: '{n} {{{{a}}}}', target: '{{{{b}}}}', turned: {str(n > 0).lower()}}}" for n in range(4)]
    three_of_four = f"templates: {{en: [{', '.join(items)}]}}"
    table = write(tmp_path / "u.jsonl", [{"a": f"a{n}", "b": "b"} for n in range(2000)])
    build_from_tables(
        [table], tmp_path / "two", parse_templates(three_of_four, "x.yaml"), TableOptions(), workers=1
    )
    rows = read(tmp_path / "two" / "conversations.jsonl")
    assert sum(row["lineage"]["turned"] for row in rows) / len(rows) < MOST_TURNED + 0.05


def test_order_and_workers_change_nothing(tmp_path):
    rows = reviews(300)
    options = TableOptions(cap=100, few_shot=0.5, held_out=0.2)
    found = []
    for number, workers in enumerate((1, 2)):
        (tmp_path / str(number) / "t").mkdir(parents=True)
        random.Random(number).shuffle(rows)
        for part in range(3):
            write(tmp_path / str(number) / "t" / f"{part}.jsonl", rows[part * 100 : part * 100 + 100])
        output = tmp_path / f"out{number}"
        build_from_tables([str(tmp_path / str(number) / "t")], output, sentiment(), options, workers=workers)
        found.append([texts(read(output / f"{part}.jsonl")) for part in ("conversations", "held_out")])
    assert found[0] == found[1]
    again = tmp_path / "again"
    build_from_tables([str(tmp_path / "1" / "t")], again, sentiment(), options, workers=1)
    for name in ("conversations.jsonl", "held_out.jsonl", "removed.jsonl"):
        assert (again / name).read_bytes() == (tmp_path / "out1" / name).read_bytes()


def test_rows_add_up_and_caps_hold(tmp_path):
    rows = [*reviews(80), *reviews(5), {"text": "", "label": 1}, {"label": 0}, {"text": "x", "label": 7}]
    rows.append({"text": "y" * 9000, "label": 1})
    table = write(tmp_path / "t.jsonl", rows)
    other = write(tmp_path / "other.jsonl", [{**row, "text": f"Other {row['text']}"} for row in reviews(10)])
    Path(table).write_text(Path(table).read_text() + "{broken\n")
    options = TableOptions(cap=50)
    manifest = build_from_tables([table, other], tmp_path / "out", sentiment(), options, workers=1)
    counts, data_sets = manifest["counts"], manifest["datasets"]
    assert (counts["rows_in"], counts["set_aside"]) == (99, 1)
    assert data_sets["t"]["conversations"] + data_sets["t"]["held_out"] <= 50
    kept = counts["conversations"] + counts["held_out"]
    assert kept + counts["removed"] + manifest["reasons"]["over_cap"] == 99
    removed = read(tmp_path / "out" / "removed.jsonl")
    assert len(removed) == counts["removed"]
    reasons = Counter(row["reason"] for row in removed)
    assert {
        name: reasons[name] for name in ("empty_column", "missing_column", "unknown_label", "repeated_row")
    } == {"empty_column": 1, "missing_column": 1, "unknown_label": 1, "repeated_row": 5}
    numbers = {name: entry["conversations"] for name, entry in data_sets.items()}
    for name, entry in data_sets.items():
        assert entry["weight"] == pytest.approx(numbers[name] / sum(numbers.values()), abs=1e-5)


def test_weights_are_capped(tmp_path, monkeypatch):
    """FLAN: a data set's rows count up to a cap for its weight."""
    assert MIXING_CAP == 3000
    monkeypatch.setattr("instruct.tables.build.MIXING_CAP", 30)
    inputs = [write(tmp_path / "big.jsonl", reviews(200)), write(tmp_path / "small.jsonl", reviews(10))]
    manifest = build_from_tables(inputs, tmp_path / "out", sentiment(), TableOptions(held_out=0), workers=1)
    assert {name: entry["weight"] for name, entry in manifest["datasets"].items()} == {"big": 0.75, "small": 0.25}


def test_exemplars_are_other_training_rows(tmp_path):
    table = write(tmp_path / "t.jsonl", reviews(200))
    options = TableOptions(few_shot=1.0, shots=2, held_out=0.3)
    build_from_tables([table], tmp_path / "out", sentiment(), options, workers=1)
    training, held_out = (read(tmp_path / "out" / f"{part}.jsonl") for part in ("conversations", "held_out"))
    trained = {row["lineage"]["row"] for row in training}
    assert not trained & {row["lineage"]["row"] for row in held_out}
    by_place = {f"t.jsonl:{number}": row for number, row in enumerate(reviews(200), 1)}
    for row in [*training, *held_out]:
        lineage, prompt = row["lineage"], row["messages"][0]["content"]
        assert conversation_error(row) is None
        assert lineage["form"] == "few_shot"
        assert len(set(lineage["exemplars"])) == 2
        assert set(lineage["exemplars"]) <= trained - {lineage["row"]}
        for place in lineage["exemplars"]:
            assert by_place[place]["text"] in prompt
        assert lineage["row_id"] == by_place[lineage["row"]]["id"]
        whole = prompt + row["messages"][1]["content"]
        assert whole.count("Film number") == 3  # two exemplars and the row


def test_exemplars_give_way_to_the_longest(tmp_path):
    table = write(tmp_path / "t.jsonl", reviews(50))
    options = TableOptions(few_shot=1.0, shots=20, longest=300)
    build_from_tables([table], tmp_path / "out", sentiment(), options, workers=1)
    rows = read(tmp_path / "out" / "conversations.jsonl")
    assert all(sum(len(message["content"]) for message in row["messages"]) <= 300 for row in rows)
    assert 0 < max(len(row["lineage"]["exemplars"]) for row in rows) < 20


@pytest.mark.parametrize("language", ["en", "zh"])
def test_layouts(language):
    for layout in exemplar_layouts(language):
        assert layout.example.startswith(layout.query)
        assert layout.example.endswith("{{target}}")


def test_held_out_groups_are_not_trained_on(tmp_path):
    rows = [
        {"context": f"Tea {n} is hot.", "question": f"What is {q} of tea {n}?", "answer": "hot"}
        for n in range(60)
        for q in range(3)
    ]
    table = write(tmp_path / "t.jsonl", rows)
    build_from_tables(
        [table], tmp_path / "out", load_templates("closed_qa"), TableOptions(held_out=0.3), workers=1
    )
    training, held_out = (
        {
            int(row["lineage"]["row"].partition(":")[2]) // 3.0001 // 1
            for row in read(tmp_path / "out" / f"{part}.jsonl")
        }
        for part in ("conversations", "held_out")
    )
    assert held_out
    assert not training & held_out


def test_splits_for_evaluation_are_held_out(tmp_path):
    (tmp_path / "t").mkdir()
    rows = reviews(40)
    pl.DataFrame(rows[:30]).write_parquet(tmp_path / "t" / "train-00000-of-00001.parquet")
    pl.DataFrame(rows[20:]).write_parquet(tmp_path / "t" / "validation-00000-of-00001.parquet")
    options = TableOptions(held_out=0)
    manifest = build_from_tables([str(tmp_path / "t")], tmp_path / "out", sentiment(), options, workers=1)
    ids = [
        {row["lineage"]["row_id"] for row in read(tmp_path / "out" / f"{p}.jsonl")}
        for p in ("conversations", "held_out")
    ]
    assert ids[0].isdisjoint({row["id"] for row in rows[20:]})
    assert manifest["counts"]["conversations"] == manifest["counts"]["held_out"] == 20
    assert manifest["reasons"] == {"also_held_out": 10}
    capped = TableOptions(held_out=0, cap=5)
    build_from_tables([str(tmp_path / "t")], tmp_path / "capped", sentiment(), capped, workers=1)
    trained = {row["lineage"]["row_id"] for row in read(tmp_path / "capped" / "conversations.jsonl")}
    assert trained <= {row["id"] for row in rows[:20]}
    alone = tmp_path / "t" / "validation-00000-of-00001.parquet"
    manifest = build_from_tables([str(alone)], tmp_path / "alone", sentiment(), options, workers=1)
    assert manifest["counts"]["conversations"] == 20


@pytest.mark.parametrize("form", ["arrow", "parquet", "datasets"])
def test_other_tables_give_the_same(tmp_path, form):
    datasets = pytest.importorskip("datasets")
    rows = reviews(30)
    reference = tmp_path / "reference"
    build_from_tables([write(tmp_path / "t.jsonl", rows)], reference, sentiment(), TableOptions(), workers=1)
    folder = tmp_path / form / "t"
    folder.mkdir(parents=True)
    if form == "arrow":
        datasets.Dataset.from_list(rows).save_to_disk(str(folder))
    else:
        pl.DataFrame(rows).write_parquet(folder / "a.parquet")
    item = f"datasets:{folder}" if form == "datasets" else str(folder)
    build_from_tables([item], tmp_path / "out", sentiment(), TableOptions(), workers=1)
    for part in ("conversations", "held_out"):
        assert texts(read(tmp_path / "out" / f"{part}.jsonl")) == texts(read(reference / f"{part}.jsonl"))


@pytest.mark.parametrize(
    ("answer", "choices"),
    [
        (1, ["red", "blue"]),
        ("B", ["red", "blue"]),
        ("blue", ["red", "blue"]),
        ("2", {"text": ["red", "blue"], "label": ["1", "2"]}),
    ],
)
def test_answers_of_multiple_choice(answer, choices):
    row = read_row(
        {"question": "Sky?", "answer": answer, "choices": choices},
        load_templates("multiple_choice"),
        "d",
        "p",
        False,
    )
    assert (row.choices, row.fields["answer"]) == (("red", "blue"), "blue")
    for seed in range(20):
        found = phrase(row, load_templates("multiple_choice"), Pool([], [], 0), Forms(("en",), 0, 1, 0, 999, seed))
        if found.template.turned:
            assert "blue" in found.prompt
            assert found.answer == "Sky?"
        else:
            assert "(A) red\n(B) blue" in found.prompt
            assert found.answer == "(B)"


@pytest.mark.parametrize("answer", [2, -1, True, "green", "C", None])
def test_answers_that_are_no_choice(answer):
    record = {"question": "Sky?", "answer": answer, "choices": ["red", "blue"]}
    with pytest.raises(LeftOutError):
        read_row(record, load_templates("multiple_choice"), "d", "p", False)


def test_reasoning_where_there_is_a_rationale():
    rows = [{"question": "2+2?", "answer": "4", **more} for more in ({}, {"rationale": "Two and two make four."})]
    templates = load_templates("open_qa")
    for record, wanted in zip(rows, (False, True), strict=True):
        row = read_row(record, templates, "d", "p", False)
        for seed in range(30):
            found = phrase(row, templates, Pool([], [], 0), Forms(("en",), 0, 1, 1.0, 999, seed))
            assert ("rationale" in found.template.fields) == wanted
            assert ("Two and two" in found.answer) == wanted


TASK = {
    "Contributors": ["nobody"],
    "Definition": ["Say the opposite of the word."],
    "Positive Examples": [
        {"input": "hot", "output": "cold", "explanation": "Cold is the opposite of hot."},
        {"input": "word 3", "output": "drow", "explanation": "Also an instance."},
    ],
    "Negative Examples": [{"input": "big", "output": "large", "explanation": "That means the same."}],
    "Instances": [
        {"id": f"task1-{n}", "input": f"word {n}", "output": [f"one {n}", f"two {n}"]} for n in range(60)
    ],
}


def test_task_file(tmp_path):
    (tmp_path / "task001_opposites.json").write_text(json.dumps(TASK))
    options = TableOptions(few_shot=0.5, held_out=0)
    source = str(tmp_path / "task001_opposites.json")
    manifest = build_from_tables([source], tmp_path / "out", load_templates("super_ni"), options, workers=1)
    assert list(manifest["datasets"]) == ["task001_opposites"]
    rows = read(tmp_path / "out" / "conversations.jsonl")
    assert len(rows) == 60
    shown = 0
    for row in rows:
        prompt, answer = (message["content"] for message in row["messages"])
        lineage = row["lineage"]
        number = lineage["row_id"].partition("-")[2]
        assert "Say the opposite of the word." in prompt
        if lineage["turned"]:
            assert answer == f"word {number}"
            assert f"one {number}" in prompt or f"two {number}" in prompt
        else:
            assert answer in (f"one {number}", f"two {number}")
        if lineage["form"] == "task_examples":
            shown += 1
            assert "Positive example 1\nInput: hot\nOutput: cold" in prompt
            assert ("large" in prompt) == ("negative 1" in lineage["exemplars"])
            assert number != "3" or "drow" not in prompt
        else:
            assert "cold" not in prompt
    assert 15 < shown < 45


def test_examples_of_a_task():
    known = json.dumps([{"kind": "positive", "input": "a", "output": "b", "explanation": ""}])
    assert show_examples(known, "x", "zh", "key", 3, 0) == ("正例 1\n输入: a\n输出: b", ["positive 1"])
    assert show_examples(known, "a", "en", "key", 3, 0) == ("", [])


def test_a_column_that_is_in_no_row_is_named(tmp_path):
    table = write(tmp_path / "t.jsonl", [{"review": "Good.", "label": 1}])
    with pytest.raises(ZeroToOneError, match=r"t\.jsonl: no column `text`, which template sentiment-en-01 needs"):
        build_from_tables([table], tmp_path / "out", sentiment(), TableOptions(), workers=1)
    mapped = with_mappings(sentiment(), {"text": "review"}, {}, {})
    build_from_tables([table], tmp_path / "two", mapped, TableOptions(held_out=0), workers=1)
    assert len(read(tmp_path / "two" / "conversations.jsonl")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "x.yaml:1: not valid YAML"),
        ("[]", "no key `templates`"),
        ("templates: {}", "no `templates` by language"),
        ("templates: {en: []}", "en: not a list"),
        ("templates: {en: [{input: a}]}", "x-en-01: needs `input` and `target`"),
        ("templates: {en: [{input: a, target: b}]}", "`target` has no field"),
        ("templates: {en: [{input: '{{a', target: '{{b}}'}]}", "braces that hold no field"),
        ("templates: {en: [{input: a, target: '{{b}}', turned: 3}]}", "`turned` must be"),
        (f"{REVIEWS}\noptions: maybe", "options `maybe`"),
        (f"{REVIEWS}\nlabel: {{}}", "unknown key `label`"),
        (f"{REVIEWS}\nlabels: 3", "labels: not values"),
        (f"{REVIEWS}\ncolumns: [a]", "columns: not names"),
        (f"{REVIEWS}\njoined: a", "joined: not a list"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_broken_template_files(text, expected):
    with pytest.raises(ZeroToOneError) as error:
        parse_templates(text, "x.yaml")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_command(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"{REVIEWS}\ncolumns: {{answer: label}}\nlabels: {{0: bad, 1: good}}\n")
    table = write(tmp_path / "t.jsonl", reviews(20))
    arguments = ["template", table, "-o", str(tmp_path / "out"), "--templates", str(tmp_path / "mine.yaml")]
    result = CliRunner().invoke(app(), [*arguments, "--held-out", "0", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["counts"]["conversations"] == 20
    wanted = {(f"Mood of {row['text']}?", "good" if row["label"] else "bad") for row in reviews(20)}
    assert texts(read(tmp_path / "out" / "conversations.jsonl")) == wanted
    with pytest.raises(UsageError, match="--tasks"):
        CliRunner().invoke(app(), [*arguments, "--tasks", "title"], standalone_mode=False, catch_exceptions=False)
