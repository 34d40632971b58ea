"""The program `train`: shards and conversations → models."""

import typer

from corpus.core.console import program, run


def app() -> typer.Typer:
    """The program. Its verbs are imported here, where `run` already answers Ctrl-C."""
    return program(
        "Token shards and conversations to language models.",
        "train.commands",
        ("pretrain", "sft", "evaluate", "chat", "trace"),
    )


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
