"""What a chat's page puts into texts that nobody wrote: buttons, counters of versions, error messages.

A widget is cut only where it can be nothing else: on a line of its own, at the edge of a reply. People speak of
"Copy code" buttons and of 1 / 2.
"""

from __future__ import annotations

import re

# The whole of a reply. What could also begin an answer must go on as the messages of pages do.
_AGAIN = (
    r"(?:.{0,300}\b(?:try again|please wait|if this issue persists|help cent(?:er|re)|reload the|slow down"
    r"|upgrade to)\b.{0,200})"
)
_ERRORS = (
    r"network error",
    r"load failed",
    r"failed to fetch",
    r"(?:the )?request timed out",
    r"internal server error",
    r"(?:50[0234]|429):? (?:bad gateway|internal server error|service unavailable|too many requests)",
    r"error in (?:body|message) stream",
    r"(?:unable|failed) to load (?:the )?conversation\b.{0,80}",
    rf"an? (?:unknown |unexpected )?error (?:has )?occurred{_AGAIN}?",
    r"an error occurred\W{1,3}either the engine you requested\b.{0,300}",
    rf"(?:oops|hmm)?\W{{0,6}}something (?:went|seems to have gone) wrong{_AGAIN}?",
    rf"too many requests(?: in \d+ hours?\b.{{0,100}}|{_AGAIN})?",
    rf"(?:our systems are a bit busy|we're experiencing .{{0,20}}high demand){_AGAIN}",
    r"chatgpt is at capacity right now\b.{0,200}",
    rf"you(?:'|’)?ve (?:reached|hit) (?:the|our|your) (?:current )?(?:usage cap|\w{{0,10}} ?limit)\b{_AGAIN}",
    r"only one message at a time\b.{0,200}",
    r"the message you submitted was too long\b.{0,200}",
    r"that model is currently overloaded with other requests\b.{0,300}",
    r"the model:? \W?[\w.:-]{1,40}\W? does not exist",
    r"the server (?:had|experienced) an error while processing\b.{0,300}",
    r"rate limit reached for\b.{0,300}",
    r"incorrect api key provided\b.{0,200}",
    r"this (?:content|prompt) may violate our (?:content|usage) polic(?:y|ies)\b.{0,300}",
    r"this model's maximum context length is\b.{0,300}",
    r"(?:网络|服务器|系统|未知)(?:连接)?(?:错误|异常|超时|繁忙|开小差了).{0,10}(?:再试|重试|刷新|尝试).{0,20}",
    r"网络错误|请求超时|服务器错误|服务器繁忙|网络异常",
    r"(?:您的?|你的?)?(?:请求|操作|访问)(?:过于|太)频繁.{0,40}",
    r"(?:此|该)内容可能违反.{0,20}(?:政策|规定|准则).{0,60}",
)
ERROR = re.compile(rf"\W{{0,6}}(?:{'|'.join(_ERRORS)})\W{{0,6}}", re.IGNORECASE | re.DOTALL)
_CUT_SHORT = re.compile(r"(?:network error|error in (?:body|message) stream|网络错误)\W{0,3}", re.IGNORECASE)
_MODERATION = re.compile(
    r"\W{0,3}this (?:content|prompt) may violate our (?:content|usage) polic.{0,300}", re.IGNORECASE
)

_VERSIONS = re.compile(r"\A(\d{1,3}) / (\d{1,3})(?=\s*\n\s*\S|[A-Z][a-z]|[\u4e00-\u9fff])\s*")
_COPY_CHARS = re.compile(r"(?m)(?:^|(?<=\S))[ \t]?Copy ?\d+ chars / \d+ words$\n?|^Copy ?\d+ chars$\n?")
_GLUED_LANGUAGE = re.compile(
    r"(?m)^([ \t]*`{3,})[ \t]*\n?[ \t]*([\w+#.-]{0,20}?)(?:\n[ \t]*)?Copy code(?:\n|(?=\S))"
)
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_BUTTONS = (
    "copy code", "copy", "regenerate response", "regenerate", "continue generating", "stop generating",
    "share prompt", "save & submit", "save &amp; submit", "betterworsesame", "view other drafts", "google it",
    "was this response better or worse?", "was this response better or worse?betterworsesame",
    "new chat", "edit message", "复制代码", "复制", "重新生成", "重新回答", "继续生成", "停止生成",
)  # fmt: skip
_INNER_BUTTONS = ("copy code", "复制代码")
_NOTICE = re.compile(
    r"(?:free research preview\b|chatgpt (?:can|may) (?:make mistakes|produce inaccurate information)\b"
    r"|chatgpt \w{3,9} \d{1,2} version\b).{0,200}",
    re.IGNORECASE,
)


def without_widgets(text: str, role: str) -> str:
    """A turn's text without the page's widgets; of a user's turn only what no user types.

    Counters of versions (`2 / 3`) before the text, `Copy 120 chars / 20 words`; of replies also `Copy code` behind
    a fence, and buttons and notices on lines of their own, not in code.
    """
    text = _COPY_CHARS.sub("", _without_versions(text))
    if role != "assistant":
        return text
    return _without_buttons(_GLUED_LANGUAGE.sub(r"\1\2\n", text))


def _without_versions(text: str) -> str:
    found = _VERSIONS.match(text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        return text
    return text[found.end() :]


def _without_buttons(text: str) -> str:
    """Without lines that are a button; most only behind the text, and none in a fence."""
    lines = text.split("\n")
    while lines and (
        not lines[-1].strip() or _is_button(lines[-1], _BUTTONS) or _NOTICE.fullmatch(lines[-1].strip())
    ):
        lines.pop()
    fence = ""
    kept = []
    for line in lines:
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        if fence or not _is_button(line, _INNER_BUTTONS):
            kept.append(line)
    return "\n".join(kept) if len(kept) < len(text.split("\n")) else text


def _is_button(line: str, names: tuple[str, ...]) -> bool:
    return line.strip().lower() in names


def reply_fault(reply: str) -> tuple[str, str]:
    """Why a reply is none (`empty_reply`, `error_reply`, `cut_by_error`) and the words that say so; "" for both.

    An error that stands behind the beginning of a reply cut it short.
    """
    bare = reply.strip()
    if not bare:
        return "empty_reply", ""
    if len(bare) <= 600 and ERROR.fullmatch(bare):
        return "error_reply", bare[:200]
    last = bare.rpartition("\n")[2].strip()
    return ("cut_by_error", last[:200]) if _CUT_SHORT.fullmatch(last) else ("", "")


def without_moderation_note(reply: str) -> str:
    """A reply without the note of the page's moderation behind it."""
    before, newline, last = reply.rstrip().rpartition("\n")
    return before.rstrip() if newline and before.strip() and _MODERATION.fullmatch(last.strip()) else reply
