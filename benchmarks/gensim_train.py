"""gensim as its users run it at its fastest: from a file, in its own format.

``gensim_train.py train CORPUS MODEL SETTINGS`` trains and prints a line of JSON;
``gensim_train.py export MODEL VECTORS`` writes word2vec binary, for scoring, when no clock runs.
"""

from __future__ import annotations

import json
import sys
import time

from gensim.models import Word2Vec


def train(corpus: str, output: str, settings: str) -> None:
    """Train and save; `corpus_file` is gensim's fast way, several times its way with iterators."""
    wanted = json.loads(settings)
    began = time.perf_counter()
    model = Word2Vec(
        sg=int(wanted["arch"] == "skipgram"),
        vector_size=wanted["dim"],
        window=wanted["window"],
        hs=int(wanted["loss"] == "hs"),
        negative=0 if wanted["loss"] == "hs" else wanted["negative"],
        sample=wanted["sample"],
        min_count=wanted["min_count"],
        alpha=wanted["lr"],
        min_alpha=wanted["min_lr"],
        epochs=wanted["epochs"],
        seed=wanted["seed"],
        workers=wanted["threads"],
    )
    model.build_vocab(corpus_file=corpus)
    read = time.perf_counter()
    model.train(
        corpus_file=corpus,
        total_words=model.corpus_total_words,
        total_examples=model.corpus_count,
        epochs=model.epochs,
    )
    trained = time.perf_counter()
    model.save(output)
    told = {
        "reading": read - began,
        "training": trained - read,
        "tokens": model.corpus_total_words,
        "words": len(model.wv),
    }
    print(json.dumps(told))


def export(model: str, output: str) -> None:
    """Write the vectors as word2vec binary."""
    Word2Vec.load(model).wv.save_word2vec_format(output, binary=True)


if __name__ == "__main__":
    _, command, *arguments = sys.argv
    (train if command == "train" else export)(*arguments)
