"""The program `mixtures`: how much of each domain a model should see."""

import typer

from corpus.core.console import program, run


def app() -> typer.Typer:
    """The program. Its verbs are imported here, where `run` already answers Ctrl-C."""
    return program(
        "Domain weights: what they mean for a run, and which to choose.",
        "mixtures.commands",
        ("plan", "doremi"),
    )


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
