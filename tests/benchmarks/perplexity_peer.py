"""datatrove's perplexity (its KenlmModel, CCNet's procedure) of documents; runs in an environment with datatrove.

python perplexity_peer.py documents.parquet model.arpa pieces.model answer.json
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import kenlm
import pyarrow.parquet as pq
import sentencepiece
from datatrove.utils.perplexity import KenlmModel


def main(documents: str, arpa: str, pieces: str, answer: str) -> None:
    """Write the perplexities (to one place, datatrove's) of `text`, of `normalized` as it is, and the seconds."""
    model = KenlmModel("none", "en")
    model._model = kenlm.Model(arpa)
    model.tokenizer._model = sentencepiece.SentencePieceProcessor(model_file=pieces)
    table = pq.read_table(documents, columns=["text", "normalized"]).to_pydict()
    start = time.process_time()
    found = [model.get_perplexity(text) for text in table["text"]]
    seconds = time.process_time() - start
    given = [model.get_perplexity(text, normalize_cc_net=False) for text in table["normalized"]]
    values = {"text": found, "normalized": given, "seconds": seconds, "version": version("datatrove")}
    Path(answer).write_text(json.dumps(values))


if __name__ == "__main__":
    main(*sys.argv[1:])
