"""The program `corpus`: web pages → documents → token shards."""

import typer

from corpus.core.console import program, run


def app() -> typer.Typer:
    """The program. Its verbs are imported here, where `run` already answers Ctrl-C."""
    return program(
        "Web pages to clean, accountable documents and token shards.",
        "corpus.commands",
        (
            "extract",
            "filter",
            "dedup",
            "redact",
            "decontaminate",
            "tokenizer",
            "tokenize",
            "stats",
            "explain",
            "report",
        ),
        groups=("quality",),
    )


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
