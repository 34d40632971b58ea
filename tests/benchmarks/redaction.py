"""Identifiers planted in real documents and found; what is found in the documents as they are; the rate.

    python -m tests.benchmarks.redaction [--data ../shared/data] [--datatrove-python PATH] [--read 10] [--write]

Planted: of every kind, in English and Chinese sentences, put at a line end of a document. An identifier counts as
found where it is found whole, as its kind. Hits in the documents as they are get printed with what stands around
them (`--read` of each kind and domain), to be read: nothing here can say whether they are right.
datatrove's PIIFormatter (e-mail and public IP) runs in its own environment, on the same documents.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import random
import string
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from corpus.privacy.identifiers import PLACEHOLDERS, Identifier
from corpus.privacy.redact import find_in_documents
from tests.benchmarks.inputs import DATA
from tests.benchmarks.results import at_least, leave_headlines, made_with, table, without_goal, write_section

TITLE = "Personal identifiers"
PLANTED = 100  # of each kind and language
SEED = 20
SENTENCES = {
    "en": ("You can reach me: {} any day.", "The record lists {}, nothing else.", "See {} for more."),
    "zh": ("请联系我：{}，谢谢。", "记录里有{}这一条。", "（{}）是登记的内容。"),
}
# Numbers of these forms are told from others only by the word in front of them.
NAMED = {"en": "Phone: {}.", "zh": "电话：{}。"}
TYPOGRAPHY = str.maketrans(string.digits + "@.-", "０１２３４５６７８９＠．－")

# Run by datatrove's Python: reads a Parquet file's texts, prints seconds and which of the strings were left.
_PEER = """
import json, sys, time
import pyarrow.parquet as pq
from datatrove.pipeline.formatters import PIIFormatter
texts = pq.read_table(sys.argv[1])["text"].to_pylist()
formatter = PIIFormatter()
formatter.format("a@b.com 8.8.8.8")
began = time.process_time()
written = [formatter.format(text) for text in texts]
seconds = time.process_time() - began
json.dump({"seconds": seconds, "texts": written}, open(sys.argv[2], "w"))
"""


def luhn(body: str) -> str:
    """The body with the digit that makes the sum of digits, every second doubled, end in 0."""
    for check in string.digits:
        doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(body + check))]
        if sum(sum(map(int, str(value))) for value in doubled) % 10 == 0:
            return body + check
    raise AssertionError


def resident(draw: random.Random) -> str:
    """An identity number by ISO 7064 MOD 11-2, the check character by trial."""
    birth = f"{draw.randint(1930, 2020)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
    body = f"{draw.choice(('110105', '440524', '650102', '310104'))}{birth}{draw.randint(0, 999):03}"
    rest = sum(int(digit) * 2**power for power, digit in enumerate(reversed(body), 1))
    return body + next("0123456789X"[value] for value in range(11) if (value + rest) % 11 == 1)


def identifier(kind: str, draw: random.Random) -> str:
    """An identifier of the kind, of the forms that people write."""
    if kind == "email":
        name = "".join(draw.choices(string.ascii_lowercase + string.digits + "._+-", k=9)).replace("..", ".")
        host = draw.choice(("mail.com", "cs.uni-x.edu", "firm.co.uk", "qq.com", "firm.cn", "post.de"))
        return f"a{name}z@{host}"
    if kind == "ip":
        if draw.random() < 0.3:
            return str(ipaddress.IPv6Address((0x26064700 << 96) | draw.getrandbits(96)))
        while not (address := ipaddress.IPv4Address(draw.randint(64 << 24, 223 << 24))).is_global:
            pass
        return str(address)
    if kind == "cn_id_card":
        return resident(draw)
    if kind == "cn_mobile":
        number = draw.choice(("138", "159", "186", "199")) + f"{draw.randint(10**7, 10**8 - 2)}"
        spaced = f"{number[:3]} {number[3:7]} {number[7:]}"
        return draw.choice((number, spaced, spaced.replace(" ", "-"), f"+86 {number}"))
    if kind == "phone":
        local = f"{draw.randint(200, 999)}-{draw.randint(1000, 9999)}"
        london = f"+44 20 7{draw.randint(200, 999)} {draw.randint(1000, 9999)}"
        return draw.choice((london, f"(212) {local}", f"212-{local}", f"010-6{draw.randint(10**6, 10**7 - 1)}"))
    prefix, length = draw.choice((("4", 16), ("51", 16), ("34", 15), ("6011", 16)))
    if kind == "cn_bank_card":
        prefix, length = "62", draw.choice((16, 19))
    number = luhn(prefix + "".join(draw.choices(string.digits, k=length - len(prefix) - 1)))
    groups = " ".join(number[at : at + 4] for at in range(0, length, 4))
    return draw.choice((number, groups, groups.replace(" ", "-"))) if length != 15 else number


def plant(texts: Sequence[str], language: str, draw: random.Random) -> tuple[list[str], list[Identifier]]:
    """A copy of the texts with PLANTED identifiers of every kind, one in a text at most, and where they are."""
    planted, places = list(texts), []
    kinds = [kind for kind in PLACEHOLDERS for _ in range(PLANTED)]
    for text, kind in zip(draw.sample(range(len(texts)), len(kinds)), kinds, strict=True):
        lines = planted[text].splitlines(keepends=True)
        at = sum(map(len, lines[: draw.randint(0, len(lines))]))
        written = identifier(kind, draw)
        written = (
            written.translate(TYPOGRAPHY) if language == "zh" and draw.random() < 0.2 and kind != "ip" else written
        )
        before, after = draw.choice(SENTENCES[language]).split("{}")
        if kind == "phone" and draw.random() < 0.3:
            before, after = NAMED[language].split("{}")
        planted[text] = f"{planted[text][:at]}\n{before}{written}{after}\n{planted[text][at:]}"
        first = at + 1 + len(before)
        places.append(Identifier(text, kind, first, first + len(written)))
    return planted, places


def read_texts(data: Path) -> dict[str, list[str]]:
    """Every domain's texts, whole."""
    files = sorted((data / "text").glob("*.parquet"))
    return {file.stem: pl.read_parquet(file, columns=["text"])["text"].to_list() for file in files}


def recall(domains: dict[str, list[str]]) -> tuple[list[list[object]], list[str], list[Identifier]]:
    """Rows (kind, English, Chinese) of what was found, and the texts with their identifiers for the peer."""
    chosen = {"en": ("peps_en", "rfcs_en"), "zh": ("tech_zh", "docs_zh")}
    found: Counter[tuple[str, str]] = Counter()
    texts: list[str] = []
    places: list[Identifier] = []
    for language, names in chosen.items():
        source = [text for name in names for text in domains[name]]
        planted, planned = plant(source, language, random.Random(f"{SEED} {language}"))
        hits = set(find_in_documents(planted))
        for one in planned:
            found[one.kind, language] += one in hits
            if one not in hits:
                print(f"missed: {one.kind}: {planted[one.text][one.first - 20 : one.end + 12]!r}")
        places += [one._replace(text=one.text + len(texts)) for one in planned]
        texts += planted
    rows: list[list[object]] = [
        [kind, *(f"{found[kind, language]} of {PLANTED}" for language in chosen)] for kind in PLACEHOLDERS
    ]
    return rows, texts, places


def natural(domains: dict[str, list[str]], read: int) -> tuple[list[list[object]], float]:
    """Rows (domain, MB, number of each kind) of the documents as they are, and megabytes a second over all."""
    rows: list[list[object]] = []
    megabytes = seconds = 0.0
    find_in_documents(["a@b.com 8.8.8.8 138"])
    for name, texts in domains.items():
        size = sum(len(text.encode()) for text in texts) / 1e6
        began = time.process_time()
        hits = find_in_documents(texts)
        seconds += time.process_time() - began
        megabytes += size
        numbers = Counter(hit.kind for hit in hits)
        rows.append([name, f"{size:.1f}", *(numbers[kind] for kind in PLACEHOLDERS)])
        for kind in PLACEHOLDERS:
            print_sample(name, texts, [hit for hit in hits if hit.kind == kind], read)
    return rows, megabytes / seconds


def print_sample(name: str, texts: Sequence[str], hits: Sequence[Identifier], read: int) -> None:
    """Some of the hits, evenly from all, with what stands around them."""
    for hit in hits[:: max(1, -(-len(hits) // max(read, 1)))] if read else ():
        text = texts[hit.text]
        before, after = text[max(0, hit.first - 50) : hit.first], text[hit.end : hit.end + 20]
        print(f"{name} {hit.kind}: {before!r} ⟦{text[hit.first : hit.end]}⟧ {after!r}")


def peer(python: Path, texts: Sequence[str], places: Sequence[Identifier]) -> tuple[float, dict[str, int]]:
    """Megabytes a second of datatrove's formatter, and how many planted e-mail and IP addresses it took out."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "texts.parquet"), Path(folder, "result.json")
        pl.DataFrame({"text": texts}).write_parquet(source)
        subprocess.run([python, "-c", _PEER, source, target], check=True)
        result = json.loads(target.read_text())
    taken = Counter(
        one.kind for one in places if texts[one.text][one.first : one.end] not in result["texts"][one.text]
    )
    return sum(len(text.encode()) for text in texts) / 1e6 / result["seconds"], taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--datatrove-python", type=Path, help="the Python of datatrove's environment")
    parser.add_argument("--read", type=int, default=10, help="hits of each kind and domain to print")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    domains = read_texts(arguments.data)
    rows, rate = natural(domains, arguments.read)
    found, texts, places = recall(domains)
    header = ["kind", "in English documents", "in Chinese documents"]
    body = [
        made_with(
            "python -m tests.benchmarks.redaction --datatrove-python PATH --write", ["phonenumberslite", "tld"], {}
        ),
        f"\nPlanted and found whole, as their kind ({PLANTED} of each, one in a document):\n",
        table(header, found),
        f"\nHits in the documents as they are ({rate:.0f} MB a second on one core, over all):\n",
        table(["domain", "MB", *PLACEHOLDERS], rows),
    ]
    if arguments.datatrove_python:
        began = time.process_time()
        find_in_documents(texts, ("email", "ip"))
        ours = sum(len(text.encode()) for text in texts) / 1e6 / (time.process_time() - began)
        theirs, taken = peer(arguments.datatrove_python, texts, places)
        body.append(
            f"\ndatatrove's PIIFormatter on the documents with planted identifiers: {theirs:.1f} MB a second, "
            f"ours for the same two kinds {ours:.0f} ({ours / theirs:.0f} ×). It took out {taken['email']} of "
            f"{2 * PLANTED} e-mail and {taken['ip']} of {2 * PLANTED} IP addresses."
        )
    worst = min(int(str(number).split()[0]) for row in found for number in row[1:])
    leave_headlines(
        "redaction",
        [
            at_least("planted identifiers found, worst kind and language", worst, PLANTED, "{:.0f}"),
            without_goal("MB a second on one core", rate, "{:.0f}"),
        ],
    )
    print("\n".join(body))
    if arguments.write:
        write_section(TITLE, "\n".join(body))


if __name__ == "__main__":
    main()
