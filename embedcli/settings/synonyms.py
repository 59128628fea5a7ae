"""The names that other tools use for embed's settings, options and commands.

Read by every place that meets an unknown name: options, keys of YAML, keywords of Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

__all__ = ["COMMANDS", "hint"]

# gensim's, fastText's, word2vec.c's and GloVe's names of settings, in lower case without _ and -
_SETTINGS: Final = {
    "size": "dim",
    "vectorsize": "dim",
    "dimension": "dim",
    "dimensions": "dim",
    "layersize": "dim",
    "layer1size": "dim",
    "workers": "threads",
    "thread": "threads",
    "numthreads": "threads",
    "iter": "epochs",
    "epoch": "epochs",
    "maxiter": "epochs",
    "sg": "arch",
    "cbow": "arch",
    "model": "arch",
    "ws": "window",
    "windowsize": "window",
    "neg": "negative",
    "negatives": "negative",
    "learningrate": "lr",
    "startingalpha": "lr",
    "eta": "lr",
    "minalpha": "min_lr",
    "hs": "loss",
    "t": "sample",
    "subsample": "sample",
    "mincount": "min_count",
    "vocabmincount": "min_count",
    "maxvocabsize": "max_vocab",
    "maxfinalvocab": "max_vocab",
    "maxvocabulary": "max_vocab",
    "minn": "subword",
    "maxn": "subword",
    "bucket": "buckets",
    "nsexponent": "ns_exponent",
    "cbowmean": "cbow_gradient",
    "pretrainedvectors": "init",
    "shrinkwindows": "shrink_window",
    "xmax": "x_max",
    "topn": "k",
    "top": "k",
    "train": "CORPUS",
    "input": "CORPUS",
    "corpusfile": "CORPUS",
}
_VALUES: Final = {
    "sg": "skipgram or cbow",
    "cbow": "skipgram or cbow",
    "hs": "hs or ns",
    "minn": "shortest:longest",
    "maxn": "shortest:longest",
}
_FEW: Final = 12  # options that are listed

COMMANDS: Final = {
    "nn": "neighbors",
    "similar": "neighbors",
    "mostsimilar": "neighbors",
    "nearest": "neighbors",
    "analogies": "analogy",
    "distance": "neighbors",
    "skipgram": "train --arch skipgram",
    "cbow": "train --arch cbow",
    "glove": "train --arch glove",
    "word2vec": "train",
    "convert": "export",
    "test": "evaluate",
    "eval": "evaluate",
    "printwordvectors": "vectors",
    "printsentencevectors": "vectors --sentences",
    "printngrams": "subwords",
    "doesntmatch": "odd",
    "visualize": "plot",
    "help": "--help",
    "version": "--version",
}


def hint(name: str, known: Iterable[str], *, dashes: bool = False) -> str:
    """What to say after an unknown `name`: the one of `known` that was meant, or all of them.

    Nothing, where none was meant and there are more options than anybody would read.

    Args:
        name: as it was written; case, dashes and underscores do not matter.
        known: the names that there are.
        dashes: whether they are shown as options of a command: ``--min-count``.
    """
    names = list(known)
    plain = name.lstrip("-").replace("-", "").replace("_", "").lower()
    ours = _SETTINGS.get(plain)
    if ours is None or (ours not in names and ours.upper() != ours):
        same = [each for each in names if each.replace("_", "") == plain]
        close = same or get_close_matches(name.lstrip("-").replace("-", "_"), names, 1)
        if not close:
            few = len(names) <= _FEW or not dashes
            return f"there are {', '.join(_shown(each, dashes) for each in names)}" if few else ""
        return f"did you mean {_shown(close[0], dashes)}?"
    values = f" ({_VALUES[plain]})" if plain in _VALUES else ""
    shown = ours if ours.upper() == ours else _shown(ours, dashes)
    return f"embed calls it {shown}{values}"


def _shown(name: str, dashes: bool) -> str:
    if not dashes:
        return name
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
