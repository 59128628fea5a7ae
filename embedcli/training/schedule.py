"""The learning rate over a run: a warm-up, then one of three ways down.

With p the share of the run that is over, w the warm-up's share and q = (p - w) / (1 - w)::

    p < w        min_lr + (lr - min_lr) p / w
    linear       lr - (lr - min_lr) q                          word2vec, fastText, gensim
    constant     lr
    cosine       min_lr + (lr - min_lr) (1 + cos(pi q)) / 2    Loshchilov & Hutter 2017, no restarts
"""

from __future__ import annotations

import math

from embedcli.settings.config import TrainConfig

__all__ = ["learning_rate"]


def learning_rate(progress: float, config: TrainConfig) -> float:
    """The learning rate when the share `progress` (0 to 1; cut to that) of the run is over."""
    lr, min_lr, warmup = config.starting_lr, config.min_lr, config.warmup
    p = min(1.0, max(0.0, progress))
    if p < warmup:
        return min_lr + (lr - min_lr) * p / warmup
    q = (p - warmup) / (1 - warmup) if warmup < 1 else 0.0
    if config.schedule == "constant":
        return lr
    if config.schedule == "cosine":
        return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * q)) / 2
    return lr - (lr - min_lr) * q
