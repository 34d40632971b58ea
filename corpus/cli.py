"""The program `corpus`: web pages → documents → token shards."""

from corpus.commands.dedup import dedup
from corpus.commands.explain import explain
from corpus.commands.extract import extract
from corpus.commands.filter import filter as filter_documents
from corpus.commands.report import report
from corpus.commands.stats import stats
from corpus.commands.tokenize import tokenize
from corpus.commands.tokenizer import tokenizer
from corpus.core.console import program, run

app = program(
    "Web pages to clean, accountable documents and token shards.",
    (extract, filter_documents, dedup, tokenizer, tokenize, stats, explain, report),
)


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
