"""`instruct decontaminate`: conversations with evaluation items go, and what was made from them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.decontaminate import ancestors_of, decontaminate_conversations, descendants
from tests.programs import write_jsonl

QUESTION = (
    "A farmer has seventeen baskets and puts twelve pears into each of them before noon. How many pears are there?"
)
CHINESE = "一位农民有十七个篮子，中午之前在每个篮子里放了十二个梨，请问一共有多少个梨？"
EVALUATION = [
    {"id": "q7", "question": QUESTION, "answer": "204"},
    {"id": "q8", "question": CHINESE, "answer": "204"},
]


def row(id: str, question: str, reply: str = "I see.", **lineage: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
    return {"id": id, "messages": messages, "lineage": lineage}


def run(folder: Path, rows: list[Any], **options: Any) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """The manifest, ids of kept rows, and removed rows by id."""
    folder.mkdir(exist_ok=True)
    source = write_jsonl(folder / "in.jsonl", rows)
    against = write_jsonl(folder / "eval.jsonl", [*EVALUATION])
    manifest = decontaminate_conversations([str(source)], folder / "out", [against], workers=1, **options)
    kept = [json.loads(line)["id"] for line in (folder / "out" / "conversations.jsonl").read_text().splitlines()]
    removed = [json.loads(line) for line in (folder / "out" / "removed.jsonl").read_text().splitlines()]
    return manifest, kept, {found["id"]: found for found in removed}


def test_both_languages_in_any_turn(tmp_path: Path) -> None:
    rows = [
        row("en", f"Please solve: {QUESTION.upper()}"),
        row("zh", f"请解答：{CHINESE.replace('，', ' ')}"),
        row("reply", "Give me a problem", f"Here is one. {QUESTION}"),
        row("half", " ".join(QUESTION.split()[:12])),
        row("none", "How many pears are there?"),
    ]
    manifest, kept, removed = run(tmp_path, rows)
    assert kept == ["half", "none"]
    assert {name: found["reason"] for name, found in removed.items()} == dict.fromkeys(
        ("en", "zh", "reply"), "contaminated"
    )
    (hit,) = removed["reply"]["hits"]
    assert (hit["file"], hit["item"], hit["field"], hit["message"], hit["overlap"]) == (
        "eval.jsonl", "q7", "question", 1, 1.0,
    )  # fmt: skip
    assert hit["text"] == QUESTION.removesuffix("?")
    assert removed["zh"]["hits"][0]["item"] == "q8"
    counts = manifest["counts"]
    assert (counts["rounds_in"], counts["rounds_out"], counts["rounds_removed"]) == (5, 2, 3)
    assert manifest["reasons"] == {"contaminated": 3}


def test_descendants_go_as_well(tmp_path: Path) -> None:
    rows = [
        row("s1+2", "A rewritten rewriting", parent="s1+1", root="s1"),  # before its parent
        row("s1+1", "A rewritten task", parent="s1", root="s1"),
        row("s2+1", "Another task", parent="s2", root="s2"),
        row("made", "Made beside it", seeds=["s2", "s1"]),
        row("cut", "Cleaned", clean={"conversation": "s1+2", "rounds": [1]}),
        row("own", QUESTION, parent="s2"),
        row("own+1", "From it", parent="own"),
    ]
    seeds = write_jsonl(
        tmp_path / "seeds.jsonl",
        [
            {"id": "s1", "instruction": "Solve this.", "instances": [{"input": QUESTION, "output": "204"}]},
            {"id": "s2", "instruction": "Name a river."},
        ],
    )
    manifest, kept, removed = run(tmp_path, rows, ancestors=[str(seeds)])
    assert kept == ["s2+1"]
    assert {name: found["reason"] for name, found in removed.items() if name != "own"} == dict.fromkeys(
        ("s1+2", "s1+1", "made", "cut", "own+1"), "descends_from_contaminated"
    )
    assert removed["own"]["reason"] == "contaminated"
    assert (removed["s1+1"]["ancestor"], removed["cut"]["ancestor"]) == ("s1", "s1+2")
    assert all(found["hits"][0]["item"] == "q7" for found in removed.values())
    assert manifest["counts"]["ancestor_rows_in"] == 2
    without_seeds = run(tmp_path / "alone", rows)
    assert without_seeds[1] == ["s1+2", "s1+1", "s2+1", "made", "cut"]
    assert without_seeds[2]["own+1"]["ancestor"] == "own"


GRAPH = st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=3), st.booleans()), max_size=10)


@given(GRAPH)
def test_descendants_are_those_that_reach_a_hit(graph: list[tuple[list[int], bool]]) -> None:
    """Against the closure of the relation, by repeated squaring of nothing but sets."""
    ids = [str(number) for number in range(len(graph))]
    ancestors = [[str(name) for name in named] for named, _ in graph]
    hit = [own for _, own in graph]
    reach = {name: set(named) for name, named in zip(ids, ancestors, strict=True)}
    for _ in ids:
        reach = {name: found.union(*(reach.get(other, set()) for other in found)) for name, found in reach.items()}
    bad = {name for name, own in zip(ids, hit, strict=True) if own}
    wanted = {row for row, name in enumerate(ids) if not hit[row] and reach[name] & bad}
    found = descendants(ids, ancestors, hit)
    assert set(found) == wanted
    assert all(found[row] in ancestors[row] for row in found)


def test_ancestors_of_nested_lineage() -> None:
    lineage = {"parent": "a", "seeds": ["b", 3], "clean": {"conversation": "c", "place": "x"}, "model": "d"}
    assert sorted(ancestors_of(lineage)) == ["3", "a", "b", "c"]
    assert ancestors_of(None) == ancestors_of("a") == []


def test_the_same_bytes_for_any_units_and_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(f"r{n}", QUESTION if n % 7 == 0 else f"Question {n}", parent=f"r{n - 1}") for n in range(60)]
    rows[30]["lineage"] = {}
    rows[33]["messages"] = []
    source, against = write_jsonl(tmp_path / "in.jsonl", rows), write_jsonl(tmp_path / "eval.jsonl", [*EVALUATION])
    decontaminate_conversations([str(source)], tmp_path / "whole", [against], workers=1)
    monkeypatch.setattr("instruct.rows.UNIT_BYTES", 1500)
    decontaminate_conversations([str(source)], tmp_path / "parts", [against], workers=2)
    for name in ("conversations.jsonl", "removed.jsonl", "set_aside.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    aside = json.loads((tmp_path / "parts" / "set_aside.jsonl").read_text())
    assert (aside["place"], aside["reason"]) == ("in.jsonl:34", "no_messages")


def test_wrong_use_and_nothing_left(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--ngram"):
        run(tmp_path, [row("a", "b")], ngram=0)
    with pytest.raises(UsageError, match="--from"):
        run(tmp_path, [row("a", "b")], source_form="x")
    with pytest.raises(ZeroToOneError, match="no conversation is left; 1 removed"):
        run(tmp_path, [row("a", QUESTION)])
    with pytest.raises(ZeroToOneError, match=r"missing\.jsonl: no such file"):
        run(tmp_path, [row("a", "b")], ancestors=[str(tmp_path / "missing.jsonl")])
