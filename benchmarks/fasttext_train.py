"""fastText without subwords, which then trains what word2vec trains.

The commands are those of gensim_train.py. fastText reads and trains in one call, so it tells no
time of the training loop alone, and its Python module takes no seed.

With fewer than ten threads fastText 0.9.3 leaves most of its input matrix as malloc() gave it, and
without subwords often ends with "Encountered NaN". So it is run with a low MALLOC_MMAP_THRESHOLD_
(trainers.py), which makes that memory zeros.
"""

from __future__ import annotations

import json
import sys

import fasttext
import numpy as np

import embedcli


def train(corpus: str, output: str, settings: str) -> None:
    """Train and save in fastText's own format."""
    wanted = json.loads(settings)
    model = fasttext.train_unsupervised(
        corpus,
        model=wanted["arch"],
        dim=wanted["dim"],
        ws=wanted["window"],
        neg=wanted["negative"],
        t=wanted["sample"],
        minCount=wanted["min_count"],
        lr=wanted["lr"],
        epoch=wanted["epochs"],
        thread=wanted["threads"],
        maxn=0,
        verbose=0,
    )
    model.save_model(output)
    print(json.dumps({"reading": None, "training": None, "words": len(model.words)}))


def export(model: str, output: str) -> None:
    """Write the vectors as word2vec binary."""
    trained = fasttext.load_model(model)
    vocabulary = embedcli.Vocabulary.from_words(trained.get_words())
    matrix = np.ascontiguousarray(trained.get_input_matrix(), np.float32)
    embedcli.save(embedcli.Embeddings(vocabulary, matrix[: len(vocabulary)]), output)


if __name__ == "__main__":
    _, command, *arguments = sys.argv
    (train if command == "train" else export)(*arguments)
