"""The kernels that update rows by a optimizer, against their slow twins and finite differences."""

import numpy as np
import pytest

from embedcli.kernels.intrinsics.lanes import LANES, host_lanes
from embedcli.kernels.optimizer import Features, draw_mask, make_optimizer, make_optimizer_scratch
from embedcli.kernels.sampling import Noise
from embedcli.kernels.weights import make_scratch
from tests import reference
from tests.kernels.test_kernels import (
    V,
    cbow,
    copy,
    make_noise,
    make_weights,
    numeric_gradient,
    one_window,
    skipgram,
    staged_sentences,
)

ALL = Features(adagrad=1, dropout=1, max_norm=1, frozen=1)
CASES = [  # each is compiled: arch, dim, negative, window, features, lanes
    *(("skipgram", 33, 5, 3, ALL, lanes) for lanes in LANES),
    ("skipgram", 16, 7, 2, Features(frozen=1), host_lanes()),
    ("skipgram", 5, 13, 4, Features(max_norm=1, dropout=1), host_lanes()),
    ("cbow", 33, 5, 3, ALL, host_lanes()),
    ("cbow", 16, 7, 2, Features(frozen=1), host_lanes()),
]


def optimizer_of(features):
    frozen = np.arange(V) % 3 == 0
    return make_optimizer(V, features, l2=0.01, dropout=0.3, max_norm=1.2, frozen=frozen)


@pytest.mark.parametrize(("arch", "dim", "negative", "window", "features", "lanes"), CASES)
def test_a_kernel_equals_its_twin(arch, dim, negative, window, features, lanes):
    fast, staged, n_outputs = make_weights(dim), staged_sentences(), 1 + negative
    slow, noise = copy(fast), make_noise()
    optimizers = [optimizer_of(features) for _ in range(2)]
    scratch = [make_scratch(n_outputs, window, fast.stride) for _ in range(2)]
    extra = (True,) if arch == "cbow" else ()
    make = cbow if arch == "cbow" else skipgram
    kernel = make(lanes, n_outputs, -(-dim // lanes), features=features)
    more = make_optimizer_scratch(n_outputs, window, fast.stride)
    for a, b in ((0, 130), (130, 300)):  # slices do not change the result
        kernel(
            staged, a, b, fast, noise, window, True, np.uint64(99), np.float32(0.05), True,
            scratch[0], (dim, optimizers[0], more),
        )  # fmt: skip
    twin = reference.cbow_slice_by_optimizer if extra else reference.skipgram_slice_by_optimizer
    twin(
        staged, 0, 300, slow, noise, n_outputs, window, True, 99, 0.05, *extra, scratch[1],
        dim, features, optimizers[1],
    )  # fmt: skip
    np.testing.assert_allclose(fast.syn0, slow.syn0, rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(fast.syn1neg, slow.syn1neg, rtol=1e-3, atol=2e-5)
    np.testing.assert_allclose(scratch[0].tally, scratch[1].tally, rtol=1e-4)
    np.testing.assert_allclose(optimizers[0].squares0, optimizers[1].squares0, rtol=1e-3)
    np.testing.assert_allclose(optimizers[0].squares1, optimizers[1].squares1, rtol=1e-3)
    rows, before = (w.syn0.reshape(V, -1) for w in (fast, make_weights(dim)))
    assert not rows[:, dim:].any()
    trained = np.unique(staged.kept[:300])
    free = trained[trained % 3 > 0] if features.frozen else trained
    assert (rows[free] != before[free]).any(axis=1).all()
    if features.frozen:
        assert rows[::3].tobytes() == before[::3].tobytes()
    if features.max_norm:
        assert np.linalg.norm(rows[free], axis=1).max() <= 1.2 * (1 + 1e-6)


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_a_step_follows_the_gradient_of_the_loss_and_the_penalty(arch):
    """The loss, and l2 / 2 |row|^2 for each row of the window; no other row moves."""
    dim, n_outputs, contexts, l2 = 5, 8, [1, 2, 3, 4], 0.25
    features = Features(frozen=1)  # compiled above; none is marked
    weights, lanes = make_weights(dim, size=0.5), host_lanes()
    outputs = [0, *range(V - 1, V - n_outputs, -1)]
    stride = weights.stride
    x = weights.syn0.reshape(V, stride)[:, :dim].astype(float)
    o = weights.syn1neg.reshape(V, stride)[:, :dim].astype(float)
    labels = np.eye(1, n_outputs)[0]

    def loss():
        inputs = x[contexts] if arch == "skipgram" else x[contexts].mean(axis=0, keepdims=True)
        penalty = l2 / 2 * ((x[contexts] ** 2).sum() + (o[outputs] ** 2).sum())
        return reference.loss(inputs, o[outputs], labels) + penalty

    make = cbow if arch == "cbow" else skipgram
    noise = Noise(np.arange(V - 1, -1, -1, dtype=np.int32), np.int64(0), np.uint64(0))
    optimizer = make_optimizer(V, features, l2=l2, frozen=np.zeros(V, bool))
    after = copy(weights)
    make(lanes, n_outputs, -(-16 // lanes), features=features)(
        one_window(4), 0, 1, after, noise, 4, False, np.uint64(1), np.float32(1.0), True,
        make_scratch(n_outputs, 4, stride),
        (dim, optimizer, make_optimizer_scratch(n_outputs, 4, stride)),
    )  # fmt: skip
    for name, matrix in (("syn0", x), ("syn1neg", o)):
        step = (getattr(after, name).astype(float) - getattr(weights, name)).reshape(V, stride)
        np.testing.assert_allclose(step[:, :dim], -numeric_gradient(loss, matrix), atol=2e-6)


def test_a_mask_keeps_the_share_and_the_mean_it_should():
    masks = np.zeros(40_000, np.float32)
    for number in range(400):
        draw_mask(np.uint64(3), number, 99, np.float32(0.25), masks, 100 * number)
    masks = masks.reshape(400, 100)[:, :99]
    assert {0.0, float(np.float32(4 / 3))} == set(np.unique(masks).tolist())
    assert abs(masks.mean() - 1) < 5 * np.sqrt(0.25 / 0.75 / masks.size)
    for place in range(1, 5):  # neighbours, within a number of four and across
        pairs = (masks[:, :-place] == 0) & (masks[:, place:] == 0)
        assert abs(pairs.mean() - 1 / 16) < 5 * np.sqrt(1 / 16 / pairs.size)
    np.testing.assert_array_equal(masks[7], reference.draw_mask(3, 7, 99, np.float32(0.25)))


def test_a_rate_of_adagrad_falls_with_the_gradients_of_its_row():
    features = Features(adagrad=1)
    optimizer = make_optimizer(2, features)
    row, gradient = np.zeros(3, np.float32), np.array([3.0, 0.0, 0.0])
    for step in (1, 2, 3):
        before = row.copy()
        reference.update_row(row, gradient, 0.1, features, optimizer, optimizer.squares0, 1)
        expected = 0.1 * gradient / np.sqrt(step * 3.0)
        np.testing.assert_allclose(row - before, expected, rtol=1e-5)
    assert [0, 9] == optimizer.squares0.tolist()
