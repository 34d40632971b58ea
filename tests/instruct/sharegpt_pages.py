"""Conversations as a browser's extension took them from a chat's pages, written by hand."""

from __future__ import annotations

from typing import Any

MARKDOWN = '<div class="markdown prose w-full break-words dark:prose-invert light">'


def code(language: str, text: str) -> str:
    """A code block with its header and button."""
    header = (
        f'<div class="flex items-center"><span>{language}</span><button class="flex ml-auto gap-2">'
        '<svg viewBox="0 0 24 24"><path d="M16 4"></path></svg>Copy code</button></div>'
    )
    return (
        f'<pre><div class="bg-black rounded-md mb-4">{header}<div class="p-4 overflow-y-auto">'
        f'<code class="!whitespace-pre hljs language-{language}">{text}</code></div></div></pre>'
    )


def formula(source: str) -> str:
    """An inline formula as KaTeX draws it."""
    return (
        '<span class="math math-inline"><span class="katex"><span class="katex-mathml"><math><semantics>'
        f'<mrow><mi>x</mi></mrow><annotation encoding="application/x-tex">{source}</annotation></semantics>'
        "</math></span>"
        '<span class="katex-html" aria-hidden="true"><span class="base"><span class="mord">x</span></span></span>'
        "</span></span>"
    )


def chat(id: str, *turns: str, first: str = "human") -> dict[str, Any]:
    """A row of turns that alternate."""
    names = ("human", "gpt") if first == "human" else ("gpt", "human")
    return {
        "id": id,
        "conversations": [{"from": names[place % 2], "value": text} for place, text in enumerate(turns)],
    }


def page(body: str) -> str:
    """A reply as its page has it."""
    return f"{MARKDOWN}{body}</div>"


CHATS: list[dict[str, Any]] = [
    chat(
        "code",
        "How do I call the API in Python? I tried `openai.Completion` and if (a < b && c > d) it fails.",
        page(
            "<p>Install the package, then:</p>"
            + code(
                "python",
                '<span class="hljs-keyword">import</span> openai\n\n<span class="hljs-kw">def</span> ask(x):\n'
                "    <span>if</span> x &lt; 3 and x &gt; 1:\n        <span>return</span> x ** 2  # __init__",
            )
            + "<p>OpenAI was founded in 2015; <code>a &lt; b</code> and 5 * 3 * 2 stay as they are.</p>"
        ),
    ),
    chat(
        "lists",
        "Compare two databases",
        page(
            "<h3>Overview</h3><p>Two <strong>main </strong>points:</p><ol><li><p>Speed</p><ul><li>fast reads</li>"
            "<li>slow writes</li></ul></li><li><p>Price</p></li></ol>"
            "<table><thead><tr><th>Name</th><th>Price | unit</th></tr></thead><tbody>"
            "<tr><td>A</td><td>1<br>per month</td></tr><tr><td>B</td><td>2</td></tr></tbody></table>"
            "<blockquote><p>Prices change.</p></blockquote><hr><p>See <a href='https://example.org/p'>the "
            "list</a>.</p>"
        ),
    ),
    chat(
        "maths",
        "Solve x^2 = 4 for me; is 1 / 2 + 1 / 3 more than that?",
        page("<p>From " + formula("x^2 = 4") + " follows " + formula("x = \\pm 2") + ".</p>"),
    ),
    chat("zh", "什么是内存泄漏？", page("<p>内存泄漏是指程序没有释放<strong>不再使用</strong>的内存。</p>")),
    chat(
        "versions",
        "2 / 3\n\nWrite a haiku about rain",
        page("<p>Rain on the tin roof<br>counting what the night forgot<br>one drop at a time</p>"),
    ),
    chat(
        "leading",
        page("<p>Hello!</p>"),
        "What is a prime?",
        page("<p>A number with two divisors.</p>"),
        first="gpt",
    ),
    chat("trailing", "Name a river", page("<p>The Elbe.</p>"), "And another?"),
    chat(
        "again",
        "Explain entropy",
        "network error",
        "Explain entropy",
        page("<p>It counts arrangements.</p>"),
        "In one word?",
        page("<p>Disorder.</p>"),
    ),
    chat(
        "error",
        "Name three trees",
        page("<p>Oak, ash, elm.</p>"),
        "And shrubs?",
        "!Too many requests in 1 hour. Try again later.",
        "Go on",
        page("<p>Hazel, broom, box.</p>"),
    ),
    chat(
        "identity",
        "Name a fish",
        page("<p>Pike.</p>"),
        "Who are you?",
        page("<p>I am ChatGPT, a large language model trained by OpenAI.</p>"),
        "Thanks",
        page("<p>You are welcome.</p>"),
    ),
    chat("身份", "你是谁？", page("<p>我是由OpenAI训练的大型语言模型，可以回答问题。</p>")),
    chat("plain_model", "Do you sleep?", page("<p>As an AI language model, I do not sleep.</p>")),
    {
        "id": "two_questions",
        "conversations": [
            {"from": "user", "value": "Name a metal"},
            {"from": "chatgpt", "value": page("<p>Tin.</p>")},
            {"from": "user", "value": "Its symbol?"},
            {"from": "user", "value": "And its number?"},
            {"from": "chatgpt", "value": page("<p>50.</p>")},
        ],
    },
    {
        "id": "twice",
        "conversations": [
            {"from": "human", "value": "Name a gas"},
            {"from": "human", "value": "Name a gas"},
            {"from": "bard", "value": page("<p>Neon.</p>")},
        ],
    },
    chat("html_question", '<div class="a">Hi</div>\nWhy is this <b>not</b> centred?', page("<p>Add a rule.</p>")),
    chat(
        "markdown",
        "List<String> or String[]?",
        "Use `List<String>`:\n\n```java\nList<String> a;\n```\n\n* fast * safe",
    ),
    chat(
        "glued",
        "Show me ls",
        "Run:\n\n```\nbashCopy code\nls -l\n```\n\nDone.\n\nRegenerate response",
    ),
    chat("bare_html", "Give me a page", "<!DOCTYPE html>\n<html><body><p>Hi</p></body></html>"),
    chat("empty", "Say nothing", page("")),
    chat("grown", "Name a lake", page("<p>Müritz.</p>")),
    chat("grown_longer", "Name a lake", page("<p>Müritz.</p>"), "And a larger one?", page("<p>Constance.</p>")),
]
