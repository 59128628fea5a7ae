"""How long rounds are, and what small texts become by them."""

import itertools

import numpy as np
import pytest

from embedcli import TrainConfig, train
from embedcli.kernels.streams import HOT, ROUND
from embedcli.training.chunks import Chunks
from embedcli.training.round_length import moved_shares, round_length_of


def zipf(n_words, n_tokens):
    counts = n_tokens / np.arange(1, n_words + 1)
    return np.ceil(counts / counts.sum() * n_tokens).astype(np.int64)


@pytest.mark.parametrize(
    ("counts", "settings", "length"),
    [
        (zipf(50_000, 10**7), {}, ROUND),
        (zipf(50_000, 10**7), {"arch": "cbow"}, ROUND),
        (zipf(50_000, 10**7), {"sample": 0}, 16),
        (np.full(28, 1000), {"sample": 0}, 4),
        (np.full(2, 1000), {"sample": 0, "lr": 1.0}, 1),
    ],
)
def test_rounds_are_shorter_where_few_words_are_most_of_the_text(counts, settings, length):
    pace = round_length_of(counts, 6.0, 5, TrainConfig(**settings).resolve())
    assert length == pace.length
    assert min(len(counts), HOT) <= pace.n_hot <= len(counts)


def context_by_counting(lines, radii):
    counted = [
        min(i, radius) + min(n - 1 - i, radius) for n in lines for i in range(n) for radius in radii
    ]
    return np.mean(counted)


@pytest.mark.parametrize("shrinks", [True, False])
@pytest.mark.parametrize("window", [1, 4, 30])
def test_the_mean_context_is_that_of_all_words(window, shrinks):
    lines = [1, 2, 3, 7, 7, 20, 1]
    offsets = np.cumsum([0, *lines])
    chunks = Chunks(np.zeros(offsets[-1], np.int32), offsets)
    radii = range(1, window + 1) if shrinks else [window]
    expected = context_by_counting(lines, radii)
    assert np.isclose(expected, chunks.mean_context(window, 1.0, shrinks=shrinks))
    assert chunks.mean_context(window, 0.5, shrinks=shrinks) < expected


def test_more_uses_move_a_row_further_but_never_beyond():
    moved = moved_shares(6.0, 0.05, 10_000)
    assert (np.diff(moved) >= 0).all()
    assert (0, 1) == (moved[0], moved[-1])


TOPICS = [list("abcdef"), list("uvwxyz")]


def of_two_topics(path):
    generator = np.random.default_rng(3)
    lines = [" ".join(generator.choice(TOPICS[i % 2], 8)) for i in range(3000)]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
@pytest.mark.parametrize("lr", [0.025, 0.2])
def test_a_text_of_few_words_is_learnt_as_without_rounds(tmp_path, arch, lr):
    """With rounds of the same length for all texts, this one diverges."""
    path = of_two_topics(tmp_path / "topics.txt")
    shared = {"dim": 16, "epochs": 8, "sample": 0, "threads": 1, "lr": lr, "arch": arch}
    losses = {}
    for deterministic in (True, False):
        model = train([path], TrainConfig(**shared, deterministic=deterministic))
        losses[deterministic] = model.metadata["loss"][-1]
        unit = {w: model[w] / np.linalg.norm(model[w]) for w in itertools.chain(*TOPICS)}
        within = [unit[a] @ unit[b] for t in TOPICS for a, b in itertools.combinations(t, 2)]
        between = [unit[a] @ unit[b] for a, b in itertools.product(*TOPICS)]
        assert np.mean(within) > np.mean(between) + 0.5
    assert losses[True] < 1.02 * losses[False]
