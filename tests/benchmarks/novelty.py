"""Novelty of instructions: the time that 52,000 accepted ones take, and decisions beside rouge-score's.

    python -m tests.benchmarks.novelty --novelty-python PATH [--data ../shared/data] [--accepted 52000] [--write]

Instructions are made from the real English ones of `--data`: the beginning of one, the middle of another and the
end of a third, each cut at random words, of 5 to 60 words in all. So their words, their lengths and the words that
many share are those of real ones; that many share a piece makes more near pairs than real ones have. Each is asked
for its ten nearest of all accepted before it and accepted if the nearest is not above 0.7, on one core.

The peers (rouge-score, rapidfuzz) run in an environment of their own, PATH, on the same core: a sample of the
candidates, each against all that had been accepted when its turn came, scaled up by the number of pairs.
Decisions: Self-Instruct's loop by rouge-score itself over all instructions of wild_instructions.jsonl, begun with
the English seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instruct.novelty import THRESHOLD, RougeIndex, tokens
from tests.benchmarks.inputs import DATA
from tests.benchmarks.peers import PEERS
from tests.benchmarks.results import (
    at_least,
    at_most,
    leave_headlines,
    made_with,
    table,
    without_goal,
    write_section,
)

TITLE = "Novelty of instructions"
ACCEPTED = 52_000
GOAL_SECONDS = 30
NAMES = {
    "pairs": "rouge-score",
    "brute-force": "rapidfuzz, all pairs",
    "bounds": "index in plain Python, then rapidfuzz",
}
PEER = Path(__file__).with_name("novelty_peer.py")
_CHINESE = re.compile("[\u4e00-\u9fff]")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def real_instructions(data: Path) -> list[str]:
    """English instructions of 5 to 60 words from four sets."""
    texts = [row["instruction"] for row in lines(data / "instruct" / "wild_instructions.jsonl")]
    texts += [row["instruction"] for row in lines(data / "instruct" / "self_instruct_seeds_en.jsonl")]
    for name in ("vicuna_questions_en", "mt_bench_questions_en"):
        texts += [turn for row in lines(data / "instruct" / f"{name}.jsonl") for turn in row["turns"]]
    english = (text for text in texts if not _CHINESE.search(text))
    return sorted({" ".join(text.split()) for text in english if 5 <= len(text.split()) <= 60})


def recombined(real: Sequence[str], seed: int = 0) -> Iterator[str]:
    """Instructions without end, of pieces of three real ones."""
    draws, words = random.Random(seed), [text.split() for text in real]
    while True:
        first, second, third = draws.choices(words, k=3)
        low, high = sorted(draws.sample(range(len(second) + 1), 2))
        made = [
            *first[: draws.randint(1, len(first) // 2)],
            *second[low:high],
            *third[-draws.randint(1, len(third) // 2) :],
        ]
        if 5 <= len(made) <= 60:
            yield " ".join(made)


@dataclass
class Run:
    """What the index did: seconds, pairs (candidates times texts before them), and the candidates' turns.

    A turn is the candidate, how many had been accepted before it, and whether it was.
    """

    seconds: float = 0.0
    pairs: int = 0
    pool: list[str] = field(default_factory=list)
    turns: list[tuple[str, int, bool]] = field(default_factory=list)


def accept(candidates: Iterator[str], count: int) -> Run:
    """Accept `count` of the candidates."""
    index, run = RougeIndex("en"), Run()
    warm = RougeIndex("en")
    warm.add("a", "compile the functions first")
    warm.nearest("compile the functions first")
    started = time.process_time()
    while len(run.pool) < count:
        text = next(candidates)
        near = index.nearest(text)
        novel = not near or near[0].score <= THRESHOLD
        run.turns.append((text, len(run.pool), novel))
        run.pairs += len(run.pool)
        if novel:
            index.add(str(len(run.pool)), text)
            run.pool.append(text)
    run.seconds = time.process_time() - started
    return run


def numbered(texts: Sequence[str]) -> list[list[int]]:
    """The texts' tokens as whole numbers."""
    numbers: dict[str, int] = {}
    return [[numbers.setdefault(word, len(numbers)) for word in tokens(text, "en")] for text in texts]


def ask_peer(python: str, way: str, given: dict[str, Any]) -> Any:
    """Run the peer on this process's core."""
    ended = subprocess.run([python, str(PEER), way], input=json.dumps(given), capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{way}: {ended.stderr.strip()[-300:]}")
    return json.loads(ended.stdout)


def beside_peers(python: str, run: Run, samples: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Each peer on its sample of the candidates; raises SystemExit where a decision differs."""
    encoded = numbered([*run.pool, *(text for text, _, _ in run.turns)])
    pool, asked = encoded[: len(run.pool)], encoded[len(run.pool) :]
    results = {}
    for way, size in samples.items():
        places = random.Random(size).sample(range(len(run.turns)), size)
        texts = way == "pairs"
        queries = [(run.turns[place][0] if texts else asked[place], run.turns[place][1]) for place in places]
        found = ask_peer(python, way, {"queries": queries, "pool": run.pool if texts else pool})
        if found["novel"] != [run.turns[place][2] for place in places]:
            raise SystemExit(f"{way}: another decision than the index")
        results[way] = {"queries": size, **found}
    return results


def equal_decisions(python: str, data: Path) -> tuple[int, int, int]:
    """(equal decisions, all, kept) on real instructions after the English seeds, beside rouge-score."""
    seeds = [row["instruction"] for row in lines(data / "instruct" / "self_instruct_seeds_en.jsonl")]
    texts = [row["instruction"] for row in lines(data / "instruct" / "wild_instructions.jsonl")]
    theirs = ask_peer(python, "decisions", {"seeds": seeds, "texts": texts})
    index, ours = RougeIndex("en"), []
    for place, seed in enumerate(seeds):
        index.add(f"seed {place}", seed)
    for place, text in enumerate(texts):
        near = index.nearest(text)
        ours.append(not near or near[0].score <= THRESHOLD)
        if ours[-1]:
            index.add(str(place), text)
    return sum(a == b for a, b in zip(ours, theirs, strict=True)), len(texts), sum(ours)


def report(run: Run, real: int, peers: dict[str, dict[str, Any]], decisions: tuple[int, int, int]) -> str:
    """The section of RESULTS.md."""
    rate = run.pairs / run.seconds
    rows = [
        ["RougeIndex, with the ten nearest", f"{len(run.turns):,}", f"{rate / 1e6:,.1f}", f"{run.seconds:,.1f}", 1]
    ]
    for way, found in peers.items():
        theirs = found["pairs"] / found["seconds"]
        scaled = f"{run.pairs / theirs:,.0f} (scaled)"
        rows.append([NAMES[way], str(found["queries"]), f"{theirs / 1e6:,.3f}", scaled, f"{rate / theirs:,.0f}"])
    words = [text.split() for text in run.pool]
    mean, vocabulary = sum(map(len, words)) / len(words), len({word for text in words for word in text})
    equal, texts, kept = decisions
    peer_versions = dict(package.split("==") for package in PEERS["novelty"])
    return "\n\n".join(
        [
            made_with(
                "python -m tests.benchmarks.novelty --novelty-python PATH --write",
                ["numba", "numpy"],
                peer_versions,
            ),
            f"{len(run.turns):,} candidates made of pieces of {real:,} real instructions ({mean:.1f} words in the "
            f"mean, {vocabulary:,} different words), {len(run.pool):,} accepted, {run.pairs / 1e9:.2f} G pairs, "
            "seconds of one core. The decisions of the peers on their samples are the same.",
            table(["", "candidates asked", "M pairs/s", "seconds for all", "times as long"], rows),
            f"Decisions equal to rouge-score's over {texts} instructions of wild_instructions.jsonl after "
            f"175 seeds: {equal} ({kept} kept).",
        ]
    )


def main() -> None:
    """Measure, print, and with --write put the section into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--novelty-python", required=True, help="a Python with rouge-score and rapidfuzz")
    parser.add_argument("--accepted", type=int, default=ACCEPTED)
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    real = real_instructions(options.data)
    run = accept(recombined(real), options.accepted)
    print(f"{len(run.turns):,} candidates, {run.seconds:.1f} s", flush=True)
    peers = beside_peers(options.novelty_python, run, {"pairs": 4, "brute-force": 200, "bounds": 200})
    equal, texts, kept = equal_decisions(options.novelty_python, options.data)
    body = report(run, len(real), peers, (equal, texts, kept))
    print(body)
    if options.write:
        write_section(TITLE, body)
    leave_headlines(
        "novelty",
        [
            at_most(f"{options.accepted:,} accepted, one core, seconds", run.seconds, GOAL_SECONDS, "{:.1f}"),
            at_least("decisions equal to rouge-score's, share", equal / texts, 1.0, "{:.3f}"),
            without_goal(
                "faster than rapidfuzz over all pairs",
                run.pairs / run.seconds * peers["brute-force"]["seconds"] / peers["brute-force"]["pairs"],
                "{:.0f} ×",
            ),
        ],
    )


if __name__ == "__main__":
    main()
