"""How wide the first vectors are spread."""

import numpy as np
import pytest

from embedcli import TrainConfig
from embedcli.training.initial_weights import WIDTHS, initial_weights, kind_of_inputs


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, "skipgram"),
        ({"arch": "cbow"}, "cbow"),
        ({"loss": "hs"}, "skipgram hs"),
        ({"arch": "cbow", "subword": "3:4"}, "cbow subword"),
    ],
)
@pytest.mark.parametrize("dim", [1, 8, 100])
def test_components_are_uniform_by_the_kind_of_run_and_the_dimensions(settings, kind, dim):
    config = TrainConfig(dim=dim, **settings)
    weights = initial_weights(4000, config, n_parts=1000, n_copies=3)
    rows = weights.syn0.reshape(-1, weights.stride)
    vectors, widest = rows[:5000, :dim], WIDTHS[kind] / np.sqrt(dim)
    assert kind_of_inputs(config) == kind
    assert np.abs(vectors).max() == pytest.approx(widest, rel=0.01)
    assert vectors.std() == pytest.approx(widest / np.sqrt(3), rel=0.03)
    assert rows[:5000, dim:].any() == rows[5000:].any() == weights.syn1neg.any() == np.False_


def test_they_repeat_by_the_seed():
    first, again, other = (
        initial_weights(50, TrainConfig(dim=8, seed=seed)).syn0.tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
