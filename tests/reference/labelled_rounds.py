"""One round of `kernels/labelled_rounds.py` with softmax, in NumPy."""

from __future__ import annotations

import numpy as np


def softmax_round(inputs, outputs, features, labels, lr):
    """Rows of features and of labels after a round, float64; `features` are lists of rows."""
    changed_inputs, changed_outputs = inputs.copy(), outputs.copy()
    loss = 0.0
    for rows, label in zip(features, labels, strict=True):
        hidden = inputs[rows].mean(axis=0)
        scores = outputs @ hidden
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        loss -= np.log(chances[label])
        steps = lr * ((np.arange(len(outputs)) == label) - chances)
        np.add.at(changed_inputs, rows, steps @ outputs / len(rows))
        changed_outputs += np.outer(steps, hidden)
    return changed_inputs, changed_outputs, loss
