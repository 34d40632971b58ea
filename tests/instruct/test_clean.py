"""`instruct clean`: pages of chats to conversations, with an account of every round."""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from corpus.core.conversations import conversation_error
from corpus.core.errors import UsageError, ZeroToOneError
from instruct.clean import clean_conversations
from instruct.clean_conversation import CleanOptions
from tests.instruct.sharegpt_pages import CHATS, chat, page
from tests.programs import kill_at_stages

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "instruct"


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(rows: list[Any], folder: Path, **options: Any) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """The manifest, the kept and the removed rows."""
    folder.mkdir(exist_ok=True)
    source = write(folder / "in.jsonl", rows)
    manifest = clean_conversations([source], folder / "out", CleanOptions(**options), workers=1)
    return manifest, read(folder / "out" / "conversations.jsonl"), read(folder / "out" / "removed.jsonl")


def reasons(removed: list[Any]) -> dict[str, list[tuple[str, list[int]]]]:
    found: dict[str, list[tuple[str, list[int]]]] = {}
    for row in removed:
        found.setdefault(row["id"], []).append((row["reason"], row["rounds"]))
    return found


def texts(rows: list[Any]) -> dict[str, list[str]]:
    return {row["id"]: [message["content"] for message in row["messages"]] for row in rows}


def test_pages_become_conversations(tmp_path: Path) -> None:
    manifest, kept, removed = run(CHATS, tmp_path)
    assert all(conversation_error(row) is None for row in kept)
    found = texts(kept)
    assert found["code"] == [
        CHATS[0]["conversations"][0]["value"],
        "Install the package, then:\n\n```python\nimport openai\n\ndef ask(x):\n    if x < 3 and x > 1:\n"
        "        return x ** 2  # __init__\n```\n\n"
        "OpenAI was founded in 2015; `a < b` and 5 * 3 * 2 stay as they are.",
    ]
    assert found["lists"][1] == (
        "### Overview\n\nTwo **main** points:\n\n1. Speed\n\n   - fast reads\n   - slow writes\n\n2. Price\n\n"
        "| Name | Price \\| unit |\n| --- | --- |\n| A | 1<br>per month |\n| B | 2 |\n\n"
        "> Prices change.\n\n---\n\n"
        "See [the list](https://example.org/p)."
    )
    assert found["maths"][0] == CHATS[2]["conversations"][0]["value"]
    assert found["maths"][1] == "From $x^2 = 4$ follows $x = \\pm 2$."
    assert found["versions"][0] == "Write a haiku about rain"
    assert found["again"] == ["Explain entropy", "It counts arrangements.", "In one word?", "Disorder."]
    assert found["html_question"][0] == CHATS[14]["conversations"][0]["value"]
    assert found["markdown"][1] == CHATS[15]["conversations"][1]["value"]
    assert found["glued"][1] == "Run:\n\n```bash\nls -l\n```\n\nDone."
    assert found["bare_html"][1] == CHATS[17]["conversations"][1]["value"]
    assert reasons(removed) == {
        "leading": [("leading_reply", [])],
        "trailing": [("no_reply", [2])],
        "again": [("error_reply", [1])],
        "error": [("error_reply", [2]), ("context_lost", [3])],
        "identity": [("identity", [2]), ("context_lost", [3])],
        "身份": [("identity", [1])],
        "two_questions": [("roles_do_not_alternate", [2, 3])],
        "twice": [("repeated_turn", [1])],
        "empty": [("empty_reply", [1])],
        "grown": [("same_first_turns", [1])],
    }
    assert "plain_model" in found
    counts = manifest["counts"]
    assert (counts["rounds_in"], counts["rounds_out"], counts["rounds_removed"]) == (32, 20, 12)
    assert counts["turns edited: html"] == 23
    assert next(row["detail"] for row in removed if row["id"] == "grown") == "grown_longer (in.jsonl:21)"


def test_lineage_and_fields_survive(tmp_path: Path) -> None:
    row = {**CHATS[7], "lineage": {"shared": "yes"}, "model": "x", "lang": "en"}
    _, (kept,), (removed,) = run([row], tmp_path)
    assert kept["lineage"] == {
        "shared": "yes",
        "clean": {"conversation": "again", "place": "in.jsonl:1", "rounds": [2, 3], "edits": {"html": 2}},
    }
    assert (kept["model"], kept["lang"], kept["source"]) == ("x", "en", "in.jsonl")
    assert removed["lineage"]["clean"]["rounds"] == [1]
    assert removed["messages"][1]["content"] == "network error"


TEXTS = st.sampled_from(["Hi", "Hi there", "你好", "network error", "", "I'm ChatGPT.", "a b c d e f g h " * 9])
TURNS = st.lists(
    st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "GPT", "system", "?"]), "value": TEXTS}),
    max_size=9,
)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5).map(
    lambda pairs: chat("", *(text for pair in pairs for text in pair))["conversations"]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(TURNS | PAIRS | st.none(), max_size=8), st.sampled_from([None, 8, 30, 90]), st.booleans())
def test_every_round_is_written_once(rows: list[Any], most: int | None, keep: bool) -> None:
    """Of all rounds that came in, each is in one row: kept, removed or set aside; told by place and number."""
    good = chat("good", "Why is that so?", "It is so because of that.")["conversations"]
    given_rows = [{"conversations": turns} for turns in [*rows, good]]
    options = {
        "max_tokens": most,
        "too_long": "keep" if keep else "remove",
        "duplicates": ("exact", "first_turns"),
    }
    with TemporaryDirectory() as folder:
        try:
            manifest, kept, removed = run(given_rows, Path(folder), **options)
        except ZeroToOneError:  # of a limit below every round
            assert most == 8
            assert not keep
            return
        aside = read(Path(folder) / "out" / "set_aside.jsonl")
    written = Counter(
        (row["lineage"]["clean"]["place"], number)
        for row in kept + removed
        for number in row["lineage"]["clean"]["rounds"]
    )
    places = {row["place"] for row in aside}
    wanted = Counter(
        (f"in.jsonl:{line}", number)
        for line, row in enumerate(given_rows, 1)
        for number in range(1, 1 + sum(turn["from"] == "human" for turn in row["conversations"] or []))
        if f"in.jsonl:{line}" not in places
    )
    assert written == wanted
    for row in kept:
        assert conversation_error(row) is None
    counts = manifest["counts"]
    assert counts["rounds_in"] == counts["rounds_out"] + counts["rounds_removed"] + counts["rounds_set_aside"]


LONG = [
    {"role": role, "content": f"{role} {number} " + "words and more words " * (8 + 5 * (number % 3))}
    for number in range(9)
    for role in ("user", "assistant")
]


def test_parts_fit_the_tokenizer_with_its_template(good: Path, tmp_path: Path) -> None:
    """Counted by another library: transformers, with the tokenizer's own chat template."""
    system = {"role": "system", "content": "Be brief."}
    rows = [{"id": "a", "messages": [system, *LONG]}, {"id": "b", "messages": LONG[:2]}]
    tokenizer = good / "tokenizer"
    reference = AutoTokenizer.from_pretrained(tokenizer)

    def length(messages: list[Any]) -> int:
        return len(reference.apply_chat_template(messages, tokenize=True, return_dict=False))

    most = length([system, *LONG[:6]])
    options = {"max_tokens": most, "tokenizer": str(tokenizer), "duplicates": ()}
    manifest, kept, removed = run(rows, tmp_path, **options)
    assert not removed
    assert manifest["counts"]["conversations_split"] == 1
    parts = [row for row in kept if row["lineage"]["clean"]["conversation"] == "a"]
    assert [row["id"] for row in kept] == [*(f"a#{part}" for part in range(1, len(parts) + 1)), "b"]
    assert [number for row in parts for number in row["lineage"]["clean"]["rounds"]] == list(range(1, 10))
    assert [message for row in parts for message in row["messages"][1:]] == LONG
    assert parts[0]["lineage"]["clean"]["rounds"] == [1, 2, 3]
    for row in kept:
        assert row["id"] == "b" or row["messages"][0] == system
        assert length(row["messages"]) <= most


def test_a_round_that_is_too_long_alone(tmp_path: Path) -> None:
    long = chat("a", "q1", "a1", "q2", "word " * 200, "q3", "a3")
    options = {"max_tokens": 60, "duplicates": ()}
    _, kept, (removed,) = run([long], tmp_path / "1", **options)
    assert [row["lineage"]["clean"]["rounds"] for row in kept] == [[1], [3]]
    assert (removed["reason"], removed["rounds"], removed["detail"]) == ("too_long", [2], "213 tokens")
    _, kept, removed = run([long], tmp_path / "2", **options, too_long="keep")
    assert [row["lineage"]["clean"]["rounds"] for row in kept] == [[1], [2], [3]]
    assert not removed


def test_languages(tmp_path: Path) -> None:
    english = "The river runs under old trees where foxes sleep and birds sing in the morning."
    german = "Der Fluss fließt unter alten Bäumen, wo die Füchse schlafen und morgens die Vögel singen."
    chinese = "河水在老树下流过，狐狸在那里睡觉，早上鸟儿在那里唱歌。"
    rows = [chat(name, text, text + " ") for name, text in (("en", english), ("de", german), ("zh", chinese))]
    rows += [{**chat("told", german, german + " "), "lang": "zh-Hant"}, chat("code", "x", "```\nx = 1\n```")]
    _, kept, removed = run(rows, tmp_path, languages=("en", "zh"), duplicates=())
    assert {row["id"]: row["lang"] for row in kept if row["id"] != "code"} == {
        "en": "en",
        "zh": "zh",
        "told": "zh-Hant",
    }
    assert "code" in texts(kept)
    (row,) = removed
    assert (row["id"], row["reason"], row["detail"][:3]) == ("de", "other_language", "de ")


def test_duplicates(tmp_path: Path) -> None:
    long = " ".join(f"word{number}" for number in range(300))
    rows = [
        chat("1", "Tell me all words", long),
        chat("2", "TELL  me all words", long),
        chat("3", "Tell me every word", long + " more"),
        chat("1", "Something else", "Entirely new"),
        chat("4", "Another", "Answer", "And?", "More"),
        chat("5", "Another", "Answer", "And so?", "Others"),
    ]
    _, kept, removed = run(rows, tmp_path / "all", duplicates=("exact", "first_turns", "near", "id"))
    assert [row["lineage"]["clean"]["place"] for row in kept] == ["in.jsonl:1", "in.jsonl:5"]
    assert [(row["lineage"]["clean"]["place"], row["reason"], row["detail"]) for row in removed] == [
        ("in.jsonl:2", "duplicate", "1 (in.jsonl:1)"),
        ("in.jsonl:3", "near_duplicate", "1 (in.jsonl:1)"),
        ("in.jsonl:4", "same_id", "1 (in.jsonl:1)"),
        ("in.jsonl:6", "same_first_turns", "4 (in.jsonl:5)"),
    ]
    assert len(run(rows, tmp_path / "exact", duplicates=("exact",))[1]) == 5
    assert len(run(rows, tmp_path / "none", duplicates=())[1]) == 6


def test_the_same_bytes_for_any_units_and_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(
        tmp_path / "in.jsonl", [{**row, "id": f"{row['id']}{copy}"} for copy in range(3) for row in CHATS]
    )
    options = CleanOptions(max_tokens=40)
    clean_conversations([source], tmp_path / "whole", options, workers=1)
    monkeypatch.setattr("instruct.rows.UNIT_BYTES", 3000)
    clean_conversations([source], tmp_path / "parts", options, workers=2)
    for name in ("conversations.jsonl", "removed.jsonl", "set_aside.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == [
        ".state", "conversations.jsonl", "manifest.json", "removed.jsonl", "set_aside.jsonl",
    ]  # fmt: skip
    assert not list((tmp_path / "parts").rglob("*.parquet"))


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.jsonl", [{**row, "id": f"{row['id']}{copy}"} for copy in range(40) for row in CHATS]
    )
    command = ["instruct", "clean", source, "--workers", "1", "-o", str(tmp_path / "out")]
    stages = [".state/claim.json", ".state/rows/*", ".state/near/near/documents/*", "removed.jsonl"]
    kill_at_stages(command, tmp_path / "out", stages)
    again = clean_conversations([source], tmp_path / "out", CleanOptions(), workers=1)
    whole = clean_conversations([source], tmp_path / "whole", CleanOptions(), workers=1)
    assert again["counts"] == whole["counts"]
    for name in ("conversations.jsonl", "removed.jsonl", "set_aside.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_other_forms_and_broken_rows(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "1 2", "output": "3"},
        {
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
            ]
        },
        {"text": "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"},
        {"text": "<|im_start|>user\nq<|im_end|>\nrest"},
        {"conversations": []},
        {"something": 1},
    ]
    manifest, kept, _ = run(rows, tmp_path, duplicates=())
    assert [row["messages"][1]["content"] for row in kept] == ["3", "a", "b"]
    aside = read(tmp_path / "out" / "set_aside.jsonl")
    assert [(row["place"], row["reason"]) for row in aside] == [
        ("in.jsonl:4", "broken_chatml"),
        ("in.jsonl:5", "no_messages"),
        ("in.jsonl:6", "unknown_form"),
    ]
    assert manifest["counts"]["rounds_set_aside"] == 1
    with pytest.raises(ZeroToOneError, match=r"in\.jsonl:4: broken_chatml"):
        clean_conversations(
            [str(tmp_path / "in.jsonl")], tmp_path / "strict", CleanOptions(), workers=1, strict=True
        )


def test_nothing_left_says_why(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroToOneError, match="no conversation is left; error_reply took 1"):
            run([chat("a", "q", "network error")], tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"html": "x"},
        {"duplicates": ("x",)},
        {"threshold": 0.0},
        {"max_tokens": 0},
        {"tokenizer": "x"},
        {"too_long": "x"},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--"):
        CleanOptions(**options)


def test_a_page_stays_one_when_its_replies_are_marked_always(tmp_path: Path) -> None:
    row = chat("a", "q", page("<p>x</p>"), "q2", "Use <p> for it")
    assert texts(run([row], tmp_path / "auto")[1])["a"][1] == page("<p>x</p>")
    assert texts(run([row], tmp_path / "always", html="always")[1])["a"][1] == "x"
    assert texts(run([row], tmp_path / "never", html="never")[1])["a"][1] == page("<p>x</p>")


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_real_moss_conversations(tmp_path: Path) -> None:
    source = str(SHARED / "moss_conversations_zh.jsonl")
    manifest = clean_conversations([source], tmp_path / "out", CleanOptions(max_tokens=1500), workers=1)
    counts = manifest["counts"]
    assert (counts["rows_in"], counts["rounds_in"]) == (605, 2284)
    rows = read(tmp_path / "out" / "conversations.jsonl")
    assert sum(len(row["lineage"]["clean"]["rounds"]) for row in rows) == counts["rounds_out"]
    assert counts["rounds_in"] == counts["rounds_out"] + counts["rounds_removed"]
    assert not any("复旦" in reason for reason in manifest["reasons"])
