"""The program `corpus`: web pages → documents → token shards."""

import typer

from corpus.console import run

app = typer.Typer(
    help="Web pages to clean, accountable documents and token shards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
