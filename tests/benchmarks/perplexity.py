"""Perplexity: does it part unseen texts of a domain from others, at what rate, and does datatrove have the same?

    python -m tests.benchmarks.perplexity --datatrove-python PATH

For each of two domains, a SentencePiece and a Kneser-Ney 5-gram model are trained on half a million characters of
every other document; texts of the documents between, and of other domains, are scored and bucketed together.
Writes its section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import sentencepiece

from corpus.quality.ccnet_text import normalize
from corpus.quality.language_model import LanguageModel
from corpus.quality.measures import roc_auc
from corpus.quality.perplexity import PerplexityOptions, add_perplexities
from tests.benchmarks.inputs import DATA, ENGLISH, domains, pieces
from tests.benchmarks.kneser_ney import write_kneser_ney
from tests.benchmarks.results import made_with, table, write_section

COMMAND = "python -m tests.benchmarks.perplexity --datatrove-python PATH"
PEER = Path(__file__).with_name("perplexity_peer.py")
TRAINED = ("peps_en", "wiki_en")
TRAINING, CHARACTERS, ORDER, VOCABULARY = 500_000, 2300, 5, 2000


def train(texts: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """The two models of some texts: SentencePiece's, and the ARPA file over its pieces."""
    lines = [line for text in texts for line in map(normalize, text.split("\n")) if line]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=VOCABULARY, minloglevel=2, num_threads=1
    )
    tokenizer, arpa = folder / "en.sp.model", folder / "en.arpa"
    tokenizer.write_bytes(model.getvalue())
    write_kneser_ney(arpa, LanguageModel("", "", str(tokenizer)).token_lines(lines), ORDER)
    return tokenizer, arpa


def documents(data: Path, own: str, most: int) -> tuple[list[str], pl.DataFrame]:
    """Texts of a domain to train on, and others to score: columns `id`, `text`, `domain`, `lang`."""
    whole = domains(data, [own], 10**9)
    training = whole.gather_every(2).filter(pl.col("text").str.len_chars().cum_sum() <= TRAINING)
    frames = {own: pieces(whole.gather_every(2, 1), CHARACTERS)}
    frames |= {name: pieces(domains(data, [name], 200), CHARACTERS) for name in ENGLISH if name != own}
    parts = [
        frame.gather_every(max(1, frame.height // most))
        .head(most)
        .with_columns(domain=pl.lit(name), lang=pl.lit("en"))
        for name, frame in frames.items()
    ]
    return training["text"].to_list(), pl.concat(parts)


def domain_rows(own: str, found: pl.DataFrame) -> list[list[object]]:
    """A row for each domain: documents, median perplexity, share of each bucket, ROC AUC against `own`."""
    rows: list[list[object]] = []
    best = _values(found, own)
    for name in found["domain"].unique(maintain_order=True):
        part = found.filter(pl.col("domain") == name)
        shares = [f"{(part['perplexity_bucket'] == bucket).mean():.0%}" for bucket in ("head", "middle", "tail")]
        other = _values(found, name)
        auc = "" if name == own else f"{roc_auc(-best, -other):.3f}"
        rows.append([own, name, part.height, f"{np.median(other):,.0f}", *shares, auc])
    return rows


def _values(found: pl.DataFrame, domain: str) -> npt.NDArray[np.float64]:
    return found.filter(pl.col("domain") == domain)["perplexity"].drop_nulls().to_numpy()


def rate(model: LanguageModel, texts: Sequence[str]) -> tuple[float, list[float | None]]:
    """Processor seconds of this process for the perplexities of texts, models loaded before."""
    model.perplexities(texts[:1])
    start = time.process_time()
    found = model.perplexities(texts)
    return time.process_time() - start, found


def against_datatrove(python: str, scored: pl.DataFrame, tokenizer: Path, arpa: Path, folder: Path) -> str:
    """Agreement with datatrove's KenlmModel, and the ratio of rates, one process after the other."""
    normalized = pl.col("text").map_elements(normalize, return_dtype=pl.String).alias("normalized")
    scored.with_columns(normalized).write_parquet(folder / "peer.parquet")
    seconds, ours = rate(LanguageModel(str(arpa), "", str(tokenizer), by_line=False), scored["text"].to_list())
    command = [python, str(PEER), *map(str, (folder / "peer.parquet", arpa, tokenizer, folder / "peer.json"))]
    subprocess.run(command, check=True, capture_output=True)
    theirs = json.loads((folder / "peer.json").read_text())
    same, given = (
        sum(one is not None and round(one, 1) == other for one, other in zip(ours, theirs[kind], strict=True))
        for kind in ("text", "normalized")
    )
    return (
        f"datatrove {theirs['version']}'s `KenlmModel` against `--sentence document`: {same:,} of "
        f"{scored.height:,} perplexities the same to one place, {given:,} when given our normalised text: there a "
        f"whole number becomes one 0, in CCNet each digit. Ours is {theirs['seconds'] / seconds:.1f} × as fast."
    )


def _wrapped(line: str) -> str:
    """A paragraph in lines of the file's width, with the empty lines around it."""
    before, after = ("\n" * line.startswith("\n")), ("\n" * line.endswith("\n"))
    return before + textwrap.fill(line.strip(), 118) + after


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--most", type=int, default=200, help="documents of a domain")
    parser.add_argument("--datatrove-python", help="of an environment with datatrove, kenlm and sentencepiece")
    options = parser.parse_args()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as place:
        for own in TRAINED:
            folder = Path(place) / own
            folder.mkdir()
            texts, scored = documents(options.data, own, options.most)
            tokenizer, arpa = train(texts, folder)
            scored.write_parquet(folder / "scored.parquet")
            chosen = PerplexityOptions([f"en={arpa}"], [f"en={tokenizer}"])
            add_perplexities([folder / "scored.parquet"], folder / "out", chosen, workers=1)
            rows += domain_rows(own, pl.read_parquet(folder / "out" / "documents" / "*.parquet"))
        seconds, _ = rate(LanguageModel(str(arpa), "", str(tokenizer)), scored["text"].to_list())
        python = options.datatrove_python
        peer = [against_datatrove(python, scored, tokenizer, arpa, folder)] if python else []
    characters = int(scored["text"].str.len_chars().sum())
    header = ["trained on", "domain", "documents", "median", "head", "middle", "tail", "ROC AUC of the trained"]
    lines = [
        made_with(COMMAND, ["ufal-kenlm", "sentencepiece"], {}),
        f"Trained on every other document, {TRAINING:,} characters at most: {VOCABULARY:,} pieces, Kneser-Ney "
        f"{ORDER}-grams. Texts of about {CHARACTERS:,} characters, none of them trained on, cut at percentiles 30 "
        "and 60 of all. The Wikipedia texts are WikiText, with blanks around all punctuation: an easy case.\n",
        table(header, rows),
        f"\nOne core: {scored.height / seconds:,.0f} documents a second, {characters / seconds / 1e6:.2f} million "
        "characters; normalisation, SentencePiece and KenLM, models loaded.",
        *peer,
    ]
    body = "\n".join(line if line.startswith("|") else _wrapped(line) for line in lines)
    print(body)
    write_section("Perplexity", body)


if __name__ == "__main__":
    main()
