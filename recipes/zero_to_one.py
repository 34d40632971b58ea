"""The main job: from web pages to a model that answers, with every step on record.

    python recipes/zero_to_one.py -o zero_to_one_run

Without `--input` it reads the documentation that lives in this Python environment (see environment.py). The
stages call the functions behind the four programs' verbs, in this order, each into a directory of its own:

    collect      pages as WARC, package guides, library sources                     input/
    extract      pages to documents, with their language                            extract/<domain>/
    filter       rules decide, the ledger records                                   filter/
    exact dedup  equal documents                                                    dedup_exact/
    near dedup   MinHash, verified                                                  dedup_near/
    tokenizer    byte-level BPE                                                     tokenizer/
    tokenize     token shards by domain, held-out documents aside                   shards/
    doremi       reference and proxy: the weights of the domains                    doremi/
    plan         what the weights mean in tokens and epochs                         plan.yaml
    pretrain     a small GPT on the mixture                                         pretrain/
    instruct     templates over the documents, hand-written seeds                   instruct/
    sft          the same model, tuned                                              sft/
    evaluate     base against tuned                                                 evaluation/
    report       all of it on one page                                              report.html

Every stage can be interrupted; the same command goes on where it stopped, and a finished job returns in seconds.
The sizes are chosen for two cores and ten minutes. A model of this size learns the form of answers and when to
stop, not facts: it is there to show that every part works, and to be replaced by larger numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core.console import print_summary, run
from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, write_json
from recipes import data_stages
from recipes.job import Job
from recipes.report import summary_rows, write_job_report

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def run_job(job: Job) -> dict[str, Any]:
    """Run all stages and return the paths of what came out. Raises ZeroToOneError where a stage cannot go on."""
    _claim(job)
    with job.stage("collect"):
        inputs = data_stages.collect(job)
    with job.stage("extract"):
        documents = data_stages.extract_pages(job, inputs)
    with job.stage("filter"):
        filtered = data_stages.filter_all(job, documents)
    with job.stage("exact dedup"):
        unique = data_stages.dedup_exact(job, filtered)
    with job.stage("near dedup"):
        clean = data_stages.dedup_near(job, unique)
    with job.stage("tokenizer"):
        tokenizer = data_stages.train_tokenizer(job, clean)
    with job.stage("tokenize"):
        shards = data_stages.tokenize(job, clean, tokenizer)
    # Here, since worker processes load this file again and have no use for torch.
    from recipes import model_stages

    with job.stage("doremi"):
        weights = model_stages.optimise_mixture(job, shards)
    with job.stage("plan"):
        mixture = model_stages.plan_mixture(job, shards, weights)
    with job.stage("pretrain"):
        base = model_stages.pretrain_model(job, shards, mixture)
    with job.stage("instruct"):
        conversations, held_out = data_stages.instruct(job, clean)
    with job.stage("sft"):
        tuned = model_stages.tune(job, base, conversations)
    with job.stage("evaluate"):
        model_stages.evaluate_models(job, base, tuned, shards, held_out)
    with job.stage("report"):
        write_job_report(job)
    return {
        "documents": str(clean / "documents"),
        "ledger": ", ".join(str(path / "ledger") for path in filtered),
        "mixture": str(mixture),
        "shards": str(shards),
        "base model": str(base),
        "tuned model": str(tuned),
        "report": str(job.at("report.html")),
        "talk to it": f"train chat {tuned}",
    }


def _claim(job: Job) -> None:
    """One output holds one job: other options need another output."""
    path = job.at("job.json")
    options = {
        "inputs": list(job.inputs),
        "rules": job.rules,
        "pages": job.pages,
        "vocabulary_size": job.vocabulary_size,
        "model": job.model,
        "tokens": job.tokens,
        "proxy_steps": job.proxy_steps,
        "epochs": job.epochs,
        "conversations_per_task": job.conversations_per_task,
        "seed": job.seed,
        "endpoint": [job.base_url, job.endpoint_model, job.generate_count] if job.base_url else None,
    }
    if not path.exists():
        if job.output.exists() and any(job.output.iterdir()):
            raise ZeroToOneError(f"{job.output}: not empty, and not made by this recipe; choose another -o")
        write_json(path, options)
        return
    before = read_json(path)
    different = [name for name, value in options.items() if before.get(name) != value]
    if different:
        name = different[0]
        raise ZeroToOneError(
            f"{job.output}: holds a job with {name} {before.get(name)!r}, not {options[name]!r}; choose another -o"
        )


@app.command()
def zero_to_one(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where everything goes.")] = Path(
        "zero_to_one_run"
    ),
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="Your own WARC, HTML, text, JSONL or Parquet, as PATH or DOMAIN=PATH; repeat it for more. "
            "Without it: the documentation in this Python environment.",
        ),
    ] = None,
    rules: Annotated[
        str | None, typer.Option(help="Rule set for the documents: a name (gopher, c4, fineweb, auto) or a file.")
    ] = None,
    pages: Annotated[int, typer.Option(help="At most this many pages of the environment.")] = 1000,
    vocabulary_size: Annotated[int, typer.Option(help="Tokens in the tokenizer.")] = 8192,
    model: Annotated[str, typer.Option(help="The model to pre-train: tiny, mini, small, …")] = "mini",
    tokens: Annotated[int, typer.Option(help="Tokens of pre-training.")] = 1_000_000,
    proxy_steps: Annotated[int, typer.Option(help="Steps of DoReMi's reference and of its proxy.")] = 150,
    epochs: Annotated[int, typer.Option(help="Epochs of tuning.")] = 2,
    conversations_per_task: Annotated[int, typer.Option(help="At most this many of each template task.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Worker processes; all processors by default.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of training; all processors by default.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="An OpenAI-compatible endpoint, to generate and evolve instructions too.")
    ] = None,
    endpoint_model: Annotated[str | None, typer.Option(help="The model's name at the endpoint.")] = None,
    generate_count: Annotated[int, typer.Option(help="Tasks to generate in each language.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """From web pages to a model that answers, in some ten minutes on two cores. A rerun goes on or returns.

    Example: python recipes/zero_to_one.py -o run --input news=crawl.warc.gz --input books=books.parquet
    """
    job = Job(
        output=output,
        inputs=tuple(inputs or ()),
        rules=rules,
        pages=pages,
        vocabulary_size=vocabulary_size,
        model=model,
        tokens=tokens,
        proxy_steps=proxy_steps,
        epochs=epochs,
        conversations_per_task=conversations_per_task,
        seed=seed,
        workers=workers,
        threads=threads,
        base_url=base_url,
        endpoint_model=endpoint_model,
        generate_count=generate_count,
    )
    paths = run_job(job)
    rows = summary_rows(job)
    if as_json:
        print_summary("zero to one", {"stages": rows, "paths": paths}, as_json=True)
        return
    print_summary("stages", rows, as_json=False)
    print_summary("what came out", paths, as_json=False)


if __name__ == "__main__":
    run(lambda: app)
