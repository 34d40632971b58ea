"""The program `mixtures`: how much of each domain a model should see."""

import typer

from corpus.console import run
from mixtures.commands.doremi import doremi
from mixtures.commands.plan import plan

app = typer.Typer(
    help="Domain weights: what they mean for a run, and which to choose.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


app.command()(plan)
app.command()(doremi)


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
