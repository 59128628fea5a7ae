"""How many epochs a run has where nobody says: more for a little text, by its size alone.

What a word learns depends on how often it is trained, so a small text has to be passed over more
often; beyond some number it is learnt by heart (docs/training.md has the scores). The number
depends on the text alone, so bytes repeat.
"""

from __future__ import annotations

import math
from dataclasses import replace

from embedcli.settings.config import MOST_EPOCHS, USUAL_EPOCHS, TrainConfig

__all__ = ["epochs_for", "with_epochs"]

_MUCH_TEXT = 17_000_000  # tokens, for which the usual number is enough


def epochs_for(n_tokens: int) -> int:
    """Epochs of a text of `n_tokens` words of the vocabulary: half as many for ten times as much.

    At least `USUAL_EPOCHS`, at most `MOST_EPOCHS`.
    """
    tenfolds = math.log10(_MUCH_TEXT / max(1, n_tokens))
    return min(MOST_EPOCHS, max(USUAL_EPOCHS, round(USUAL_EPOCHS * 2**tenfolds)))


def with_epochs(config: TrainConfig, n_tokens: int) -> TrainConfig:
    """Resolved settings with those that depend on the text, of which `n_tokens` are trained."""
    if config.epochs is not None:
        return config
    return replace(config, epochs=epochs_for(n_tokens))
