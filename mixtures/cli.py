"""The program `mixtures`: how much of each domain a model should see."""

from corpus.core.console import program, run
from mixtures.commands.doremi import doremi
from mixtures.commands.plan import plan

app = program("Domain weights: what they mean for a run, and which to choose.", (plan, doremi))


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
