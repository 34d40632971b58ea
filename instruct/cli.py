"""The program `instruct`: instruction and conversation data."""

import typer

from corpus.console import run
from instruct.commands.convert import convert
from instruct.commands.evolve import evolve
from instruct.commands.generate import generate
from instruct.commands.template import template

app = typer.Typer(
    help="Instruction and conversation data, from documents, seeds and models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _verb in (template, convert, generate, evolve):
    app.command()(_verb)


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
