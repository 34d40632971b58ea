"""Render modules' pydoc pages; run as a program of its own, since importing a strange package may do anything.

usage: render_pages.py OUTPUT SECONDS MODULE...

Writes `<position>.html` or `<position>.failed` (why) for each module into OUTPUT, by rename. A module whose
import or rendering takes longer than SECONDS ends the whole process by SIGALRM, also inside C code; the caller
sees which position is missing and starts again behind it.
"""

import importlib
import os
import pydoc
import re
import signal
import sys

ADDRESS = re.compile(r"(?: |&nbsp;)at(?: |&nbsp;)0x[0-9a-fA-F]+")
POINTER = re.compile(r"\b(?:7f[0-9a-f]{10}|1[34]\d{13})\b")  # addresses shown bare, in hexadecimal or decimal
UNORDERED = re.compile(r"\{&lt;code object.*")  # a set whose order follows memory addresses


def render(name: str) -> str:
    """The pydoc page of a module as HTML, without what differs between runs or installations."""
    module = importlib.import_module(name)
    page = str(pydoc.html.page(pydoc.describe(module), pydoc.html.document(module, name)))
    page = UNORDERED.sub("{...}", ADDRESS.sub("", page))
    page = POINTER.sub("0", re.sub(rf"\b{os.getpid()}\b", "0", page))
    for prefix in sorted({*sys.path, sys.prefix, sys.base_prefix}, key=len, reverse=True):
        if len(prefix) > 1:
            page = page.replace(f"file:{prefix}", "file:").replace(f"{prefix}/", "")
    return page


def main(output: str, seconds: str, names: list[str]) -> None:
    """Render all `names` (see the module's docstring)."""
    sys.argv = sys.orig_argv = ["pydoc"]  # some pages show them
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for position, name in enumerate(names):
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
        try:
            content, suffix = render(name), "html"
        except BaseException as error:  # noqa: BLE001 - a module may raise anything, SystemExit included
            content, suffix = f"{type(error).__name__}: {error}"[:500], "failed"
        signal.setitimer(signal.ITIMER_REAL, 0)
        temporary = os.path.join(output, f"{position}.tmp")
        with open(temporary, "w", encoding="utf-8", errors="replace") as handle:  # noqa: PTH123
            handle.write(content)
        os.replace(temporary, os.path.join(output, f"{position}.{suffix}"))
    os._exit(0)  # threads that a module started must not keep the process


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
