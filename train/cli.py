"""The program `train`: shards and conversations → models."""

import typer

from corpus.console import run
from train.commands.chat import chat
from train.commands.evaluate import evaluate
from train.commands.pretrain import pretrain
from train.commands.sft import sft
from train.commands.trace import trace

app = typer.Typer(
    help="Token shards and conversations to language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(pretrain)
app.command()(sft)
app.command()(evaluate)
app.command()(chat)
app.command()(trace)


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
