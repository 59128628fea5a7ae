"""fastText, by default without subwords: then it trains what word2vec trains.

Called as gensim_train.py is, but it has nothing to export: embed reads fastText's files. fastText
reads and trains in one call, so it tells no time of the training loop alone, and its Python module
takes no seed.

With fewer than ten threads fastText 0.9.3 leaves most of its input matrix as malloc() gave it, and
without subwords often ends with "Encountered NaN". So it is run with a low MALLOC_MMAP_THRESHOLD_
(trainers.py), which makes that memory zeros.
"""

from __future__ import annotations

import json
import sys

import fasttext


def train(corpus: str, output: str, settings: str) -> None:
    """Train and save in fastText's own format."""
    wanted = json.loads(settings)
    shortest, longest = map(int, (wanted["subword"] or "0:0").split(":"))
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
        minn=shortest,
        maxn=longest,
        verbose=0,
    )
    model.save_model(output)
    print(json.dumps({"reading": None, "training": None, "words": len(model.words)}))


if __name__ == "__main__":
    train(*sys.argv[2:])
