"""The program `corpus`: web pages → documents → token shards."""

import typer

from corpus.commands.dedup import dedup
from corpus.commands.extract import extract
from corpus.commands.report import report
from corpus.commands.tokenize import tokenize
from corpus.commands.tokenizer import tokenizer
from corpus.console import run

app = typer.Typer(
    help="Web pages to clean, accountable documents and token shards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for verb in (extract, dedup, tokenizer, tokenize, report):
    app.command()(verb)


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
