"""The program `corpus`: web pages → documents → token shards."""

import typer

from corpus.core.console import program, run


def app() -> typer.Typer:
    """The program. Its verbs are imported here, where `run` already answers Ctrl-C."""
    from corpus.commands.decontaminate import decontaminate
    from corpus.commands.dedup import dedup
    from corpus.commands.explain import explain
    from corpus.commands.extract import extract
    from corpus.commands.filter import filter as filter_documents
    from corpus.commands.quality import quality
    from corpus.commands.redact import redact
    from corpus.commands.report import report
    from corpus.commands.stats import stats
    from corpus.commands.tokenize import tokenize
    from corpus.commands.tokenizer import tokenizer

    corpus = program(
        "Web pages to clean, accountable documents and token shards.",
        (extract, filter_documents, dedup, redact, decontaminate, tokenizer, tokenize, stats, explain, report),
    )
    corpus.add_typer(quality(), name="quality")
    return corpus


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
