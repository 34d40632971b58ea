"""The verb `train chat`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from corpus.core.console import log, print_summary
from corpus.core.errors import UsageError


def chat(
    model: Annotated[Path, typer.Argument(help="A model's folder or a run directory.")],
    prompt: Annotated[str | None, typer.Option(help="Print the answer to this and end.")] = None,
    system: Annotated[str | None, typer.Option(help="What the model is told before the conversation.")] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="0 always takes the likeliest token; higher is more varied.")
    ] = 0.7,
    maximum_new_tokens: Annotated[int, typer.Option(min=1, help="The longest reply.")] = 256,
    repetition_penalty: Annotated[
        float, typer.Option(min=1, help="Above 1, tokens already in the reply become less likely.")
    ] = 1.1,
    seed: Annotated[int, typer.Option(min=0, help="Draws other tokens.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="With --prompt: print one JSON object.")] = False,
) -> None:
    """Talk to a model; Ctrl-C ends a reply, Ctrl-D the conversation. A base model goes on with your text.

    Example: train chat tuned/ --prompt "What does os.path.join do?"
    """
    from train.chat import Reply, converse, is_tuned, stream_reply, valid_text
    from train.generation import Sampling
    from train.saved_model import open_model

    if as_json and prompt is None:
        raise UsageError("--json needs --prompt")
    if prompt is not None and not prompt.strip():
        raise UsageError("--prompt is empty")
    opened, tokenizer = open_model(model)
    tuned = is_tuned(opened, tokenizer)
    if not tuned:
        log(f"{model}: a base model, not tuned to answer; it goes on with the text")
        if system:
            log("--system is ignored")
    sampling = Sampling(maximum_new_tokens, temperature, repetition_penalty, seed)

    def write(text: str) -> None:
        if not as_json:
            sys.stdout.write(text)
            sys.stdout.flush()

    if prompt is None:
        if sys.stdin.isatty():
            importlib.import_module("readline")  # its import makes input() edit whole characters
        converse(opened, tokenizer, system, sampling, lambda: input("> " if sys.stdin.isatty() else ""), write)
        return
    messages = [{"role": "system", "content": valid_text(system)}] if system else []
    messages.append({"role": "user", "content": valid_text(prompt)})
    reply = Reply()
    for piece in stream_reply(opened, tokenizer, messages, sampling, reply):
        write(piece)
    write("\n")
    if as_json:
        row = {
            "prompt": prompt,
            "reply": reply.text,
            "tokens": reply.tokens,
            "stopped": reply.stopped,
            "tuned": tuned,
        }
        print_summary("chat", row, as_json=True)
