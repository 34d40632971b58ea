"""The program `instruct`: instruction and conversation data."""

import typer

from corpus.core.console import program, run


def app() -> typer.Typer:
    """The program. Its verbs are imported here, where `run` already answers Ctrl-C."""
    from instruct.commands.answer import answer
    from instruct.commands.clean import clean
    from instruct.commands.convert import convert
    from instruct.commands.decontaminate import decontaminate
    from instruct.commands.evolve import evolve
    from instruct.commands.explain import explain
    from instruct.commands.generate import generate
    from instruct.commands.judge import judge
    from instruct.commands.report import report
    from instruct.commands.score import score
    from instruct.commands.select import select
    from instruct.commands.template import template
    from instruct.commands.translate import translate

    return program(
        "Instruction and conversation data, from documents, seeds and models.",
        (
            template,
            clean,
            convert,
            generate,
            evolve,
            answer,
            translate,
            score,
            select,
            decontaminate,
            judge,
            explain,
            report,
        ),
    )


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
