"""Texts of chats' pages: HTML, widgets, error replies, statements of identity."""

import html as entities
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html as lxml_html

from instruct.clean_html import HtmlError, html_turns, is_rendered, to_markdown
from instruct.clean_identity import identity_statement
from instruct.clean_text import ERROR, reply_fault, without_moderation_note, without_widgets
from tests.instruct.sharegpt_pages import code, formula, page


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>a &lt; b &amp; c_d_e * 2 \\n</p>", "a < b & c_d_e * 2 \\n"),
        ("<p>one</p>\n<p>two<br>three</p>", "one\n\ntwo\nthree"),
        ("<p>a <strong> b </strong>c <em>d</em> <del>e</del></p>", "a **b** c *d* ~~e~~"),
        ("<p><code>a  b</code> and <code>x`y</code></p>", "`a  b` and ``x`y``"),
        ("<h2>T <code>x</code></h2><p>p</p>", "## T `x`\n\np"),
        ("<ol start='3'><li>c</li><li>d</li></ol>", "3. c\n4. d"),
        ("<ul><li><p>a</p><p>b</p></li><li><p>c</p></li></ul>", "- a\n\n  b\n\n- c"),
        ("<ol><li>a<ol><li>b</li></ol></li></ol>", "1. a\n   1. b"),
        ("<blockquote><p>a</p><ul><li>b</li></ul></blockquote>", "> a\n>\n> - b"),
        ("<p><a href='https://e.org/'>e</a> <a href='javascript:x()'>f</a></p>", "[e](https://e.org/) f"),
        ("<p><img src='a.png' alt='A'></p>", "![A](a.png)"),
        ("<p>10<sup>3</sup></p>", "10<sup>3</sup>"),
        (
            "<table><tr><th>a</th></tr><tr><td>x|y</td><td>z</td></tr></table>",
            "| a |  |\n| --- | --- |\n| x\\|y | z |",
        ),
        ("<pre><code>  x\n\n    y\n</code></pre>", "```\n  x\n\n    y\n```"),
        ("<pre><code>a\n```\nb</code></pre>", "````\na\n```\nb\n````"),
        ("<pre>plain\n  text</pre>", "```\nplain\n  text\n```"),
        ("<pre><div>c++<button>Copy code</button></div><code>int x;</code></pre>", "```c++\nint x;\n```"),
        (f"<p>{formula('a^2')}</p>", "$a^2$"),
        (f"<div><span class='katex-display'>{formula('a')}</span></div>", "$$\na\n$$"),
        ("<p>x <script type='math/tex'>y^2</script></p>", "x $y^2$"),
        ("<div class='whitespace-pre-wrap'>a\n  b  c\n\nd</div>", "a\n  b  c\n\nd"),
        ("<p>a</p><!-- no --><style>p {}</style><script>x</script>", "a"),
    ],
)
def test_html_becomes_markdown(source: str, expected: str) -> None:
    assert to_markdown(source) == expected


CODE = st.text(st.characters(codec="utf-8", exclude_categories=["C"]) | st.sampled_from("\n `<>&"), max_size=80)


@given(CODE)
def test_code_comes_out_as_it_was(text: str) -> None:
    lines = text.split("\n")
    full = [number for number, line in enumerate(lines) if line.strip()]
    wanted = "\n".join(lines[full[0] : full[-1] + 1]) if full else ""
    if any(len(line.splitlines()) > 1 for line in lines):  # other ends of lines (U+2028) become plain ones
        return
    written = to_markdown(code("python", entities.escape(text)))
    assert written == "" if not full else re.fullmatch(r"(`{3,})python\n(.*)\n\1", written, re.DOTALL)[2] == wanted


WORDS = st.lists(st.sampled_from(["a", "<", ">", "&", "*", "_x_", "中", "b.", "#", "5"]), min_size=1, max_size=12)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_words_of_paragraphs_survive(paragraphs: list[list[str]]) -> None:
    texts = [" ".join(words) for words in paragraphs]
    source = "".join(f"<p>{entities.escape(text)}</p>" for text in texts)
    assert to_markdown(page(source)) == "\n\n".join(texts)
    assert lxml_html.fromstring(page(source)).text_content() == "".join(texts)


def test_what_is_html() -> None:
    assert is_rendered(page("<p>x</p>"))
    assert is_rendered("<p>x</p>\n<ul><li>y</li></ul>\n")
    for text in (
        "List<String> and <p>x</p>",
        "<p>x</p> is a paragraph",
        "a < b > c",
        "<html><body><p>x</p></body></html>",
        "<p>x</p>\n```html\n<p>y</p>\n```\n<p>z</p>",
        "<form><input></form>",
        "",
    ):
        assert not is_rendered(text), text


def test_a_question_about_html_stays_and_so_does_a_conversation_of_markdown() -> None:
    rendered, plain = "<p>x</p>", "Use `<p>x</p>`"
    turns = [("user", "<div>x</div>"), ("assistant", rendered), ("user", "?"), ("assistant", "network error")]
    assert html_turns(turns, "auto", ERROR) == [False, True, False, False]
    assert html_turns([*turns, ("user", "?"), ("assistant", plain)], "auto", ERROR) == [False] * 6
    wrapped = '<div class="min-h-[20px] whitespace-pre-wrap">why?</div>'
    assert html_turns([("user", wrapped), ("assistant", rendered)], "auto", ERROR) == [True, True]
    assert html_turns([("user", "a"), ("assistant", "b")], "always", ERROR) == [True, True]


def test_html_that_would_take_too_long_is_refused() -> None:
    for source in ("<div>" * 300 + "x", "<p>" + "<b>" * 400 + "x", "<ul><li>" * 200):
        with pytest.raises(HtmlError, match="html_too_complex"):
            to_markdown(source)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("2 / 3\n\nHello", "Hello"),
        ("1 / 1Sure", "Sure"),
        ("2 / 2你好", "你好"),
        ("Run:\n```\nbashCopy code\nls\n```", "Run:\n```bash\nls\n```"),
        ("```pythonCopy code\nx = 1\n```", "```python\nx = 1\n```"),
        ("```\nCopy code\nls\n```", "```\nls\n```"),
        ("a\nCopy code\nb", "a\nb"),
        ("Done.\n\nRegenerate response", "Done."),
        ("text.Copy120 chars / 20 words", "text."),
        ("答案如下。\n复制代码", "答案如下。"),
        ("Yes.\nChatGPT can make mistakes. Consider checking important information.", "Yes."),
    ],
)
def test_widgets_go_from_replies(text: str, left: str) -> None:
    assert without_widgets(text, "assistant") == left


@pytest.mark.parametrize(
    "text",
    [
        "1 / 2",
        "1 / 2 + 1 / 3 = 5 / 6",
        "1 / 2x + 3 = 5",
        "3 / 2\n\nis more than one",
        'The "Copy code" button copies the code.',
        "```\nCopy\nRegenerate response\n```",
        "```html\n<button>\nCopy code\n</button>\n```",
        "Copy 3 files",
    ],
)
def test_what_people_write_is_no_widget(text: str) -> None:
    assert without_widgets(text, "assistant") == text
    assert without_widgets(text, "user") == text


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("network error", "error_reply"),
        ("Network Error.", "error_reply"),
        ("!Too many requests in 1 hour. Try again later.", "error_reply"),
        ("Something went wrong. If this issue persists please contact us through our help center.", "error_reply"),
        (
            "An error occurred. Either the engine you requested does not exist or there was another issue.",
            "error_reply",
        ),
        ("You've reached our limit of messages per hour. Please try again later.", "error_reply"),
        (
            "This content may violate our content policy. If you believe this to be in error, tell us.",
            "error_reply",
        ),
        ("服务器繁忙，请稍后再试。", "error_reply"),
        ("网络错误", "error_reply"),
        ("The first half of\n\nnetwork error", "cut_by_error"),
        (" \n", "empty_reply"),
        ("500", ""),
        ("Network errors are common.", ""),
        ("An error occurred in line 3, since x is None.", ""),
        ("You've reached the limit of this approach.", ""),
        ("The model does not exist in nature.", ""),
        ("Something went wrong in the war of 1812, and historians disagree.", ""),
        ("网络错误是指连接失败。", ""),
    ],
)
def test_error_replies(reply: str, reason: str) -> None:
    assert reply_fault(reply)[0] == reason


def test_a_note_of_moderation_goes_from_behind_a_reply() -> None:
    note = "This content may violate our content policy. If you believe this to be in error, tell us."
    assert without_moderation_note(f"An answer.\n\n{note}") == "An answer."
    assert without_moderation_note("An answer.") == "An answer."


STATEMENTS = [
    "As an AI language model trained by OpenAI, I cannot do that.",
    "I am ChatGPT, a large language model trained by OpenAI.",
    "Hello! I'm an AI language model created by OpenAI.",
    "My name is ChatGPT.",
    "I was developed by OpenAI in 2022.",
    "i am trained by openai",
    "OpenAI created me.",
    "As a large language model, trained by OpenAI, I don't have feelings.",
    "I'm Claude, an AI assistant made by Anthropic.",
    "I am an artificial intelligence language model developed by researchers at OpenAI.",
    "我是由OpenAI训练的语言模型。",
    "你好！我是ChatGPT，一个大型语言模型",
    "作为一个由OpenAI开发的AI语言模型，我没有情感。",
    "我是一个由复旦大学自然语言处理实验室研发的对话机器人",
    "我叫文心一言",
    "OpenAI公司开发了我",
]
NO_STATEMENTS = [
    "import openai\nopenai.api_key = key",
    "OpenAI was founded in 2015.",
    "As an AI language model, I don't have feelings.",
    "ChatGPT is a model trained by OpenAI.",
    "Start the prompt with `I am ChatGPT`.",
    "```\nI am ChatGPT\n```",
    "I am using Google Sheets",
    "I'm not sure when OpenAI was founded",
    "I am a bard of the north, and I'm Claude, your waiter.",
    "I am happy to explain how ChatGPT was trained by OpenAI",
    "GPT-4是由OpenAI训练的模型。",
    "我是用百度查到的",
    "我是一个人工智能助手，可以帮助你",
    "我是清华大学的学生。",
    "作为OpenAI的竞争对手，Google发布了新模型。",
]


@pytest.mark.parametrize("reply", STATEMENTS)
def test_replies_that_say_who_they_are(reply: str) -> None:
    assert identity_statement(reply)
    assert identity_statement(f"Sure. {reply} Anything else?")
    assert not identity_statement(f"Print this:\n```text\n{reply}\n```\n")


@pytest.mark.parametrize("reply", NO_STATEMENTS)
def test_replies_that_speak_of_others(reply: str) -> None:
    assert not identity_statement(reply)


def test_a_role_that_the_system_turn_gives_is_no_slip() -> None:
    assert not identity_statement("I am MOSS.", "You are an AI assistant whose name is MOSS.")
    assert identity_statement("I am ChatGPT.", "You are an AI assistant whose name is MOSS.")


@pytest.mark.parametrize(
    "text",
    [
        "ChatGPT " + ("I am " + "text-based " * 14 + "x ") * 2000,
        "ChatGPT " + ("我是" + "大型语言" * 12 + "x ") * 2000,
        "ChatGPT " + "As an AI model trained and developed by OpenAI" * 2000,
        "GPT-4 " + "```\n" * 20_000,
        "something went wrong " * 25,
        "<p>" + " " * 100_000 + "<",
    ],
)
def test_patterns_end(text: str) -> None:
    """A pattern that blew up would not end within the suite's time limit."""
    identity_statement(text)
    reply_fault(text)
    without_widgets(text, "assistant")
    is_rendered(text)
