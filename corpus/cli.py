"""The program `corpus`: web pages → documents → token shards."""

from collections.abc import Callable

import typer

from corpus.commands.dedup import dedup
from corpus.commands.explain import explain
from corpus.commands.extract import extract
from corpus.commands.filter import filter as filter_documents
from corpus.commands.report import report
from corpus.commands.stats import stats
from corpus.commands.tokenize import tokenize
from corpus.commands.tokenizer import tokenizer
from corpus.console import run

VERBS: dict[str, Callable[..., None]] = {
    "extract": extract,
    "filter": filter_documents,
    "dedup": dedup,
    "tokenizer": tokenizer,
    "tokenize": tokenize,
    "stats": stats,
    "explain": explain,
    "report": report,
}

app = typer.Typer(
    help="Web pages to clean, accountable documents and token shards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for name, verb in VERBS.items():
    app.command(name)(verb)


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
