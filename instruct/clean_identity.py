"""Replies in which a model says which one it is or who made it.

Only a sentence in which the speaker names itself counts: "As an AI language model trained by OpenAI, I ...", "I'm
ChatGPT", 我是由OpenAI训练的语言模型. `import openai`, "OpenAI was founded in 2015" and a bare "As an AI language
model" do not. Code is not read, and names that the conversation's own system turn gives are its role, not a slip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MODEL = (
    r"(?:ChatGPT|InstructGPT|GPT[- ]?\d(?:\.\d)?(?:[- ]?turbo|o)?|Bing Chat|Bing AI|LLaMA|ChatGLM|(?-i:MOSS)|Qwen"
    r"|(?-i:ERNIE)(?: Bot)?|DeepSeek|文心一言|通义千问|讯飞星火|豆包|盘古大?模型|悟道)"
)
# Names of people, animals and places too: these count only beside words that say what is named.
_SHARED_NAME = r"(?-i:Sydney|Bard|Gemini|Claude|Kimi|Alpaca|Koala|Vicuna|Copilot|Cortana|Bing)"
_MAKER = (
    r"(?:Open ?AI|Google|DeepMind|Microsoft|Anthropic|(?-i:Meta)(?: AI)?|Facebook|Baidu|Alibaba|Tencent|Fudan"
    r"|Zhipu|Tsinghua|Hugging ?Face|LMSYS|百度|阿里|腾讯|复旦|清华|智谱|科大讯飞|字节跳动|谷歌|微软|华为)"
)
_NAMED = f"(?:{_MODEL}|{_SHARED_NAME}|{_MAKER})"
_MADE = "(?:trained|developed|created|made|built|designed|fine-tuned|programmed|provided|maintained|owned)"
_KIND = (
    "(?:just|only|actually|simply|an?|the|your|large|advanced|artificial|intelligence|AI|A\\.I\\.|language|model"
    "|assistant|chat|bot|chatbot|virtual|digital|program|system|natural|processing|computer|conversational|text|based"
    "|generative|deep|machine|learning|neural|network|powered|helpful|pre-?trained|transformer|LLM|software|tool)"
)
_SELF = rf"(?:{_KIND}[ ,-]{{1,2}}){{0,14}}"
_SOMETHING = rf"(?:{_KIND}[ ,-]{{1,2}}){{1,14}}"
_BY = (
    rf"(?:(?:that|which|who)(?: was| is| has been)? )?{_MADE}(?: and \w{{2,12}})? by "
    "(?:the )?(?:(?:team|researchers?|engineers?|people|company|folks)(?: at| from| of)? )?"
)
_CALLED = "(?:(?:called|named|known as|from|based on(?: the)?|powered by)[ ,]{1,2})"
_I_AM = r"\bI(?: am|['’]m)"
_EN = (
    rf"{_I_AM} (?:not human,? but )?{_SELF}{_CALLED}?{_MODEL}\b(?! users?\b)",
    rf"{_I_AM} {_SOMETHING}{_CALLED}{_SHARED_NAME}\b",
    rf"{_I_AM} {_SHARED_NAME}, {_SELF}(?:AI|model|assistant|chatbot)\b",
    rf"\bI(?: am|['’]m| was|['’]ve been| have been) {_SELF}{_BY}{_NAMED}",
    rf"{_I_AM} {_SELF}{_MAKER}(?:['’]s)? {_SELF}(?:AI|model|assistant|chatbot)\b",
    rf"{_I_AM} {_SOMETHING}{_CALLED}{_MAKER}\b",
    rf"\bAs {_SOMETHING}(?:{_BY}|{_CALLED}){_NAMED}[^.!?\n]{{0,60}}\b(?:I|my)\b",
    rf"\bAs {_MODEL},[^.!?\n]{{0,40}}\b(?:I|my)\b",
    rf"\b(?:my name is|(?:you can|please) call me|this is) {_MODEL}\b",
    rf"\b{_MAKER} (?:has )?{_MADE} me\b",
    rf"\bmy (?:creators?|developers?|makers?|parent company)(?:,| at| is| are)? {_MAKER}\b",
    rf"\bI, {_MODEL},",
)
_ZH_KIND = (
    "(?:一个|一款|一种|一名|一位|个|名|款|叫做?|名为|名字叫|人工智能|AI|大型|大规模|大|预训练|自然语言|处理|生成式?"
    "|语言|模型|聊天|对话|智能|机器人|助手|助理|程序|系统|基于|来自|的|中文|虚拟|深度学习|计算机|并且)"
)
_ZH_MADE = "(?:训练|开发|研发|创造|创建|制作|设计|打造|推出|提供|构建|研制|发布|创立)"
_ZH_SELF = rf"(?:{_ZH_KIND}[ ，“\"]?){{0,12}}"
_ZH_BY = rf"[由被] ?{_NAMED} ?[^。！？\n，]{{0,16}}?{_ZH_MADE}"
_ZH = (
    rf"我(?:就)?(?:是|叫|名叫|的名字(?:是|叫)) ?{_ZH_SELF}{_MODEL}",
    rf"我(?:就)?(?:是|的确是)? ?{_ZH_SELF}{_ZH_BY}",
    rf"我(?:就)?是 ?{_ZH_SELF}{_MAKER} ?[^。！？\n，]{{0,10}}?(?:{_ZH_MADE}|语言模型|人工智能|助手|机器人)",
    rf"作为 ?{_ZH_SELF}(?:{_ZH_BY}|{_MODEL})[^。！？\n]{{0,40}}?我",
    rf"{_MAKER} ?[^。！？\n，]{{0,8}}?{_ZH_MADE}了我",
)
_STATEMENTS = re.compile("|".join(_EN + _ZH), re.IGNORECASE)
_NAME = re.compile(_NAMED, re.IGNORECASE)
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,}).*?(?:^[ \t]*\1|\Z)", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")


def identity_statement(reply: str, system: str = "") -> str:
    """The first statement in which a reply says which model it is or who made it, or "".

    Names that the system turn `system` has are allowed.
    """
    given = {name.lower() for name in _NAME.findall(system)}
    for statement in _statements(reply):
        if not {name.lower() for name in _NAME.findall(statement)} <= given:
            return statement
    return ""


def _statements(reply: str) -> Iterator[str]:
    text = without_code(reply)
    return (match[0] for match in _STATEMENTS.finditer(text)) if _NAME.search(text) else iter(())


def without_code(text: str) -> str:
    """A text without fenced blocks and inline code."""
    return _CODE.sub(" ", _FENCED.sub("\n", text)) if "`" in text or "~~~" in text else text
