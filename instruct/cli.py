"""The program `instruct`: instruction and conversation data."""

import typer

from corpus.core.console import program, run


def app() -> typer.Typer:
    """The program. Its verbs are imported here, where `run` already answers Ctrl-C."""
    return program(
        "Instruction and conversation data, from documents, seeds and models.",
        "instruct.commands",
        (
            "template",
            "clean",
            "convert",
            "generate",
            "evolve",
            "answer",
            "translate",
            "score",
            "select",
            "decontaminate",
            "judge",
            "explain",
            "report",
        ),
    )


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
