"""`instruct report`: verbs and objects, marked pairs, counts, and a page that runs nothing from outside."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct.report import shared_pieces
from instruct.report_numbers import count_directory
from instruct.report_sunburst import sunburst
from instruct.verb_noun import verb_and_noun
from tests.programs import call, write_jsonl


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Write a short story about a fox.", ("write", "story")),
        ("Please, give me three tips for better sleep", ("give", "tip")),
        ("Can you explain the difference between a bee and a wasp?", ("explain", "difference")),
        ("Create a list of ten cities.", ("create", "list")),
        ("Classify these addresses by country", ("classify", "address")),
        ("Name two countries, and say why.", ("name", "country")),
        ("Rewrite, if you can.", ("rewrite", "")),
        ("What is the capital of Chad?", None),
        ("", None),
        ("请写一首关于秋天的诗歌。", ("写", "诗歌")),
    ],
)
def test_verb_and_object(instruction: str, expected: tuple[str, str] | None) -> None:
    assert verb_and_noun(instruction) == expected


@given(st.text("ab c，中", max_size=40), st.text("ab c，中", max_size=40))
def test_pieces_are_the_texts_and_share_what_is_marked(left: str, right: str) -> None:
    pieces = shared_pieces(left, right)
    assert ["".join(text for text, _ in side) for side in pieces] == [left, right]
    marked = ["".join(text for text, shared in side if shared) for side in pieces]
    assert marked[0] == marked[1]


def test_the_rings_hold_twenty_verbs_and_four_objects() -> None:
    pairs = Counter(
        {(f"verb{verb}", f"noun{noun}"): 60 - 2 * verb - noun for verb in range(25) for noun in range(6)}
    )
    titles = re.findall("<title>(verb|noun)", sunburst(pairs))
    assert Counter(titles) == {"verb": 20, "noun": 80}
    assert "NaN" not in sunburst(Counter({("only", "one"): 1}))


def chat(name: str, question: str, **lineage: object) -> dict[str, object]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "Yes, it is."}]
    return {"id": name, "messages": turns, "lang": "en", "source": "x", "lineage": lineage}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "made"
    directory.mkdir()
    attack = "Write a story <script>alert(1)</script> & more"
    kept = [
        chat("a", "Write a story about foxes.", round=1),
        chat("b", attack, round=2, nearest=[["a", 0.65]]),
        chat("c", "Sum up a text.\n\nThe text.", round=2, alpaca_input="The text."),
    ]
    write_jsonl(directory / "conversations.jsonl", [*kept])
    gone = {"reason": "not_novel", "similar_to": "a", "instruction": "Write a story about a fox.", "input": ""}
    removed = [
        {"id": "d", **gone, "lineage": {"round": 1, "nearest": [["a", 0.8]]}},
        {"id": "e", "reason": "<b>cut</b>", "text": "?", "lineage": {"round": 2}},
    ]
    write_jsonl(directory / "removed.jsonl", [*removed])
    stage = {"requests": 5, "tokens": 80, "tokens_per_kept_row": 26.7, "cost": 0.5, "cost_per_kept_row": 0.1667}
    manifest = {
        "command": "instruct generate",
        "inputs": [],
        "costs": {"kept": 3, **stage, "currency": "USD", "stages": {"evolve": stage}},
        "use_cases": {"chat": {"wanted": 5, "held": 2}},
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def test_the_numbers_are_the_rows(made: Path) -> None:
    numbers = count_directory(made)
    assert (numbers.kept, dict(numbers.removed)) == (3, {"not_novel": 1, "<b>cut</b>": 1})
    assert numbers.rounds == {1: {"": 1, "not_novel": 1}, 2: {"": 2, "<b>cut</b>": 1}}
    assert numbers.lengths == {"instruction": [5, 6, 4], "input": [2], "output": [3, 3, 3]}
    assert numbers.pairs == {("write", "story"): 2, ("sum", ""): 1}
    assert [(pair.row, pair.other, pair.likeness) for pair in numbers.near[True]] == [("b", "a", 0.65)]
    assert [(pair.row, pair.other, pair.likeness) for pair in numbers.near[False]] == [("d", "a", 0.8)]


def test_the_page_is_whole_and_escaped(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    outcome = call("instruct", "report", made, "-o", page, "--json")
    assert outcome.status == 0, outcome.err
    [step] = json.loads(outcome.out)["steps"]
    assert (step["kept"], step["removed"]) == (3, 2)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>cut" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", text)
    for heading in ("Funnel", "Costs", "Use cases", "Verbs", "Lengths", "Languages", "Nearest pairs", "Samples"):
        assert f"<h2>{heading}" in text
    assert "0.167 USD" in text
    assert "2 of 5" in text
    assert "<mark>Write</mark>" in text or "<mark>Write a story" in text


def test_without_rows_there_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"command": "corpus filter", "inputs": []}')
    outcome = call("instruct", "report", tmp_path, "-o", tmp_path / "report.html")
    assert outcome.status == 1
    assert "no directory with conversations.jsonl" in outcome.message
