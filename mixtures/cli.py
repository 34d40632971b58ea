"""The program `mixtures`: how much of each domain a model should see."""

import typer

from corpus.core.console import program, run


def app() -> typer.Typer:
    """The program. Its verbs are imported here, where `run` already answers Ctrl-C."""
    from mixtures.commands.doremi import doremi
    from mixtures.commands.plan import plan

    return program("Domain weights: what they mean for a run, and which to choose.", (plan, doremi))


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
