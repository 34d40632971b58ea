"""The program `train`: shards and conversations → models."""

from corpus.core.console import program, run
from train.commands.chat import chat
from train.commands.evaluate import evaluate
from train.commands.pretrain import pretrain
from train.commands.sft import sft
from train.commands.trace import trace

app = program("Token shards and conversations to language models.", (pretrain, sft, evaluate, chat, trace))


def main() -> None:
    """Run the program."""
    run(app)


if __name__ == "__main__":
    main()
