"""The program `train`: shards and conversations → models."""

import typer

from corpus.core.console import program, run


def app() -> typer.Typer:
    """The program. Its verbs are imported here, where `run` already answers Ctrl-C."""
    from train.commands.chat import chat
    from train.commands.evaluate import evaluate
    from train.commands.pretrain import pretrain
    from train.commands.sft import sft
    from train.commands.trace import trace

    return program("Token shards and conversations to language models.", (pretrain, sft, evaluate, chat, trace))


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
