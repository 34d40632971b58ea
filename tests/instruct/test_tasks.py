"""Reading tasks from replies, their filters, and the eliminations of evolutions."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct.elimination import answer_fault, is_equal, refuses, without_label
from instruct.filters import task_fault
from instruct.generate import PROMPTS as GENERATE_PROMPTS
from instruct.language import length
from instruct.prompt import Prompt, load_prompts
from instruct.tasks import Task, parse, render

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "instruct"
WORD = st.text("abcdefgXYZ写诗天地", min_size=1, max_size=8)
TEXT = st.lists(WORD, min_size=1, max_size=8).map(" ".join)
TASKS = st.lists(
    st.builds(Task, TEXT, st.one_of(st.just(""), TEXT), st.lists(TEXT, min_size=1, max_size=4).map("\n".join)),
    min_size=1,
    max_size=6,
)
STYLES = [
    "{n}. Instruction: {i}\n{n}. Input:\n{g}\n{n}. Output:\n{o}\n###\n",
    "**{n}. Instruction:** {i}\n**Input:** {g}\n**Output:** {o}\n\n---\n\n",
    "Task {n}:\nInstruction: {i}\nInput: {g}\nOutput: {o}\n\n",
    "### {n}\n指令：{i}\n输入：{g}\n输出：{o}\n\n",
    "（{n}） 任务: {i}\n输入: {g}\n输出: {o}\n",
]


@given(TASKS, st.sampled_from(["en", "zh"]))
def test_what_is_rendered_is_read_back(tasks: list[Task], language: str) -> None:
    assert parse(render(tasks, language)) == tasks


@given(TASKS, st.sampled_from(STYLES), st.booleans(), st.sampled_from(["<none>", "N/A", "<noinput>", "无"]))
def test_other_styles_are_read(tasks: list[Task], style: str, fenced: bool, nothing: str) -> None:
    blocks = [
        style.format(n=number, i=task.instruction, g=task.input or nothing, o=task.output)
        for number, task in enumerate(tasks, 1)
    ]
    text = "".join(blocks)
    reply = f"```text\n{text}\n```" if fenced else f"Sure! Here are the tasks:\n\n{text}"
    assert parse(reply) == tasks


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    for task in parse(text):
        assert task.output == task.output.strip()


def test_outputs_may_speak_of_inputs() -> None:
    text = "Instruction: Add them.\nInput: 1 2\nOutput: 3\n\nInput: 5 6\nOutput: 11"
    assert parse(text) == [Task("Add them.", "1 2", "3\n\nInput: 5 6\nOutput: 11")]


def test_years_at_the_end_of_a_line_cut_nothing() -> None:
    first = "Instruction: When was it?\nInput: <none>\nOutput: It was founded\nin 2020."
    text = f"{first}\n\n### 2\nInstruction: b\nOutput: c"
    assert [task.output for task in parse(text)] == ["It was founded\nin 2020.", "c"]


@pytest.mark.parametrize(
    ("task", "language", "reason"),
    [
        (Task("Name three rivers in Africa.", "", "Nile, Congo, Niger"), "en", ""),
        (Task("Say hi", "", "hi"), "en", "too_short"),
        (Task("word " * 151, "", "x"), "en", "too_long"),
        (Task("Describe the picture in a few words.", "", "x"), "en", "blacklisted"),
        (Task("Explain photography to a small child.", "", "x"), "en", ""),
        (Task("Write a program that adds numbers.", "", "x"), "en", "forbidden_start"),
        (Task("Écris une phrase en français.", "", "x"), "en", "bad_first_character"),
        (Task("- list three of them", "", "x"), "en", "bad_first_character"),
        (Task("Name three rivers in Africa.", "", " "), "en", "no_output"),
        (Task("Repeat the sentence as it is.", "abc", "abc "), "en", "output_equals_input"),
        (Task("Name three rivers in Africa.", "", "Here they are:"), "en", "output_ends_in_colon"),
        (Task("写一首关于春天的诗。", "", "春风"), "zh", ""),
        (Task("写诗", "", "春风"), "zh", "too_short"),
        (Task("描述这张图片的内容。", "", "春风"), "zh", "blacklisted"),
        (Task("Name three rivers in Africa.", "", "x"), "zh", "wrong_language"),
        (Task("列出三条河流。", "", "如下："), "zh", "output_ends_in_colon"),
        (Task("，列出三条河流。", "", "长江"), "zh", "bad_first_character"),
    ],
)
def test_filters(task: Task, language: str, reason: str) -> None:
    assert task_fault(task, language) == reason


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_no_real_chinese_seed_fails_on_length_or_characters() -> None:
    with (SHARED / "belle_seeds_zh.jsonl").open(encoding="utf-8") as handle:
        instructions = [json.loads(line)["instruction"].strip() for line in handle]
    assert len(instructions) == 175
    reasons = {task_fault(Task(instruction, "", "x"), "zh") for instruction in instructions}
    assert reasons <= {"", "blacklisted", "forbidden_start"}


def test_lengths_by_language() -> None:
    assert length("写一首关于 Python 3 的诗", "zh") == 9
    assert length("It's a well-known fact", "en") == 4


def test_sorry_counts_only_in_short_answers() -> None:
    assert answer_fault("Sorry, I cannot help.", "en") == "sorry_answer"
    assert answer_fault("I am sorry. " + "word " * 76, "en") == "sorry_answer"  # 79 words
    assert answer_fault("I am sorry. " + "word " * 77, "en") == ""
    assert answer_fault("很抱歉，我无法回答。", "zh") == "sorry_answer"
    assert answer_fault("他说了声对不起。" + "字" * 130, "zh") == ""


def test_answers_without_content() -> None:
    assert answer_fault("... - !", "en") == "answer_without_content"
    assert answer_fault("It is what it is.", "en") == "answer_without_content"
    assert answer_fault("的，了。", "zh") == "answer_without_content"
    assert answer_fault("It is 7.", "en") == ""
    assert answer_fault("七。", "zh") == ""


@pytest.mark.parametrize(
    ("verdict", "equal"),
    [
        ("Equal", True),
        ("**Different**.", False),
        ("Not equal", False),
        ("相同。", True),
        ("不相同", False),
        ("不同", False),
        ("Equal or different, hard to say", None),
        ("", None),
    ],
)
def test_verdicts(verdict: str, equal: bool | None) -> None:
    assert is_equal(verdict) is equal


def test_labels_before_an_evolution_are_dropped() -> None:
    assert without_label("**New task:** Write a poem.") == "Write a poem."
    assert without_label("新任务：写一首诗。") == "写一首诗。"
    assert without_label("Task management: explain it.") == "Task management: explain it."


def test_every_language_has_all_prompts() -> None:
    needed = {"equality", "answer", *(name for names in GENERATE_PROMPTS.values() for name in names)}
    hashes = set()
    for language in ("en", "zh"):
        prompts = load_prompts(language)
        assert set(prompts) == needed
        hashes |= {prompt.hash for prompt in prompts.values()}
        prompts["equality"].messages(first="a", second="b")
    assert len(hashes) == 2 * len(needed)


def test_the_hash_is_of_the_whole_prompt() -> None:
    assert len({Prompt("n", "a").hash, Prompt("n", "b").hash, Prompt("n", "a", "s").hash}) == 3


@pytest.mark.parametrize(
    "text", ["Sorry, I cannot do that.", "I am sorry, no.", "I can’t.", "很抱歉，我无法完成。", "“对不起”"]
)
def test_refusals_are_no_instructions(text: str) -> None:
    assert refuses(text, "Write a poem.")
    assert not refuses(text, text)


@pytest.mark.parametrize(
    "text", ["Write a letter that says sorry.", "I cantered home. Why?", "写一封道歉信，说对不起。"]
)
def test_apologies_inside_are_no_refusals(text: str) -> None:
    assert not refuses(text, "Write a poem.")
