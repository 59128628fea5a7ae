"""The kernels that work on a hidden vector, against their slow twins and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from embedcli.kernels.alignment import aligned, row_stride
from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.intrinsics.matrix_rows import SPARE
from embedcli.kernels.loop import CENTRE_ROWS, CONTEXT_ROWS, SHARED, training_kernel
from embedcli.kernels.sampling import Noise, Staged
from embedcli.kernels.subwords import SubwordRows, cbow_scratch, skipgram_scratch
from embedcli.kernels.weights import Weights
from tests import reference
from tests.kernels.test_kernels import make_noise, numeric_gradient, staged_sentences
from tests.reference import hidden as reference_hidden

V, N_ROWS = 40, 90
MOST = 5
SHAPES = [  # lanes, dim, negative, window; each costs two compilations
    (4, 7, 2, 2),
    (8, 100, 5, 5),
    (16, 300, 17, 3),
    (16, 100, 5, 5),
]
KINDS = {
    "skipgram": {"is_cbow": False, "kind_of_inputs": CENTRE_ROWS, "kind_of_outputs": SHARED},
    "cbow": {"is_cbow": True, "kind_of_inputs": CONTEXT_ROWS},
}


def scratch_of(arch, lanes, negative, window, stride):
    if arch == "skipgram":
        return skipgram_scratch(1 + negative, window, MOST, stride)
    return cbow_scratch(lanes, 1 + negative, window, MOST, stride)


def make_weights(dim, size=1.0):
    stride = row_stride(dim)
    weights = Weights(aligned(N_ROWS * stride), aligned(V * stride), stride)
    generator = np.random.default_rng(3)
    for matrix in weights[:2]:
        rows = matrix.reshape(-1, stride)
        rows[:, :dim] = generator.normal(0, size / np.sqrt(dim), (len(rows), dim))
    return weights


def make_parts():
    """One to five rows a word, its own first, some rows twice."""
    generator = np.random.default_rng(8)
    rows = [
        [word, *generator.integers(V, N_ROWS, n).tolist()]
        for word, n in enumerate(generator.integers(0, MOST, V))
    ]
    rows[3] = [3, 50, 50, 51]
    flat = np.array([row for one in rows for row in one] + [0] * SPARE, np.int32)
    return SubwordRows(flat, np.cumsum([0, *map(len, rows)]).astype(np.int64))


def twin_of(weights):
    twin = Weights(aligned(len(weights.syn0)), aligned(len(weights.syn1neg)), weights.stride)
    twin.syn0[:], twin.syn1neg[:] = weights.syn0, weights.syn1neg
    return twin


@pytest.mark.parametrize(("lanes", "dim", "negative", "window"), SHAPES)
@pytest.mark.parametrize("arch", KINDS)
def test_kernels_equal_their_twins(arch, lanes, dim, negative, window):
    fast, staged, parts = make_weights(dim), staged_sentences(), make_parts()
    slow, noise = twin_of(fast), make_noise()
    n = negative if arch == "skipgram" else 1 + negative
    divide = () if arch == "skipgram" else (bool(negative % 2),)
    kernel = training_kernel(lanes, 1 + negative, -(-dim // lanes), **KINDS[arch])
    scratch = [scratch_of(arch, lanes, negative, window, fast.stride) for _ in range(2)]
    key, lr, shrink = np.uint64(99), 0.05, dim != 7
    for a, b in ((0, 130), (130, 131), (131, 300)):  # slices do not change the result
        kernel(
            staged, a, b, fast, noise, window, shrink, key, np.float32(lr), bool(negative % 2),
            scratch[0], (parts,),
        )  # fmt: skip
        reference_slice = getattr(reference_hidden, f"subword_{arch}_slice")
        reference_slice(
            staged, a, b, slow, noise, n, window, shrink, 99, lr, *divide, scratch[1], parts
        )
    np.testing.assert_allclose(fast.syn0, slow.syn0, rtol=2e-4, atol=3e-6)
    np.testing.assert_allclose(fast.syn1neg, slow.syn1neg, rtol=2e-4, atol=3e-6)
    np.testing.assert_allclose(scratch[0].tally, scratch[1].tally, rtol=1e-5)


def step_of(arch, weights, parts, n):
    """The step of word 0 between words 1 to 4, at learning rate 1, and its loss."""
    kept = np.arange(5 + SPARE, dtype=np.int32)
    staged = Staged(kept, np.zeros(5, np.int32), np.full(5, 5, np.int32))
    noise = Noise(np.arange(V - 1, -1, -1, dtype=np.int32), np.int64(0), np.uint64(0))
    lanes, negative = host_lanes(), n if arch == "skipgram" else n - 1
    scratch = scratch_of(arch, lanes, negative, 4, weights.stride)
    after = twin_of(weights)
    training_kernel(lanes, 1 + negative, -(-5 // lanes), **KINDS[arch])(
        staged, 0, 1, after, noise, 4, False, np.uint64(1), np.float32(1), True, scratch, (parts,)
    )  # fmt: skip
    return after.syn0 - weights.syn0, after.syn1neg - weights.syn1neg, scratch.tally[0]


@pytest.mark.parametrize("arch", KINDS)
def test_a_step_follows_the_finite_difference_gradient_of_the_loss(arch):
    dim, n = 5, 3 if arch == "skipgram" else 6
    weights, parts = make_weights(dim, size=0.5), make_parts()
    x = weights.syn0.reshape(N_ROWS, -1)[:, :dim].astype(float)
    o = weights.syn1neg.reshape(V, -1)[:, :dim].astype(float)
    rows = [parts.rows[parts.offsets[w] : parts.offsets[w + 1]] for w in range(5)]

    def loss():
        if arch == "cbow":  # h is the mean of all rows
            h = x[np.concatenate(rows[1:])].mean(axis=0, keepdims=True)
            return reference.loss(h, o[[0, *range(V - 1, V - n, -1)]], np.eye(1, n)[0])
        h = x[rows[0]].mean(axis=0, keepdims=True)
        noise = reference.loss(h, o[V - 1 : V - 13 : -1], np.zeros(12))
        return reference.loss(h, o[1:5], np.ones(4)) + 4 * n / 12 * noise

    syn0, syn1neg, value = step_of(arch, weights, parts, n)
    assert value == pytest.approx(loss(), rel=1e-5)
    expected = -numeric_gradient(loss, x)
    if arch == "skipgram":  # each row gets the whole gradient of the mean
        expected *= len(rows[0])
        assert len(set(rows[0].tolist())) == len(rows[0])
    np.testing.assert_allclose(syn0.reshape(N_ROWS, -1)[:, :dim], expected, atol=3e-6)
    expected = -numeric_gradient(loss, o)
    np.testing.assert_allclose(syn1neg.reshape(V, -1)[:, :dim], expected, atol=3e-6)


def test_nan_is_never_hidden():
    weights, parts = make_weights(5), make_parts()
    weights.syn0.reshape(N_ROWS, -1)[parts.rows[parts.offsets[1] - 1], 2] = np.nan
    assert np.isnan(step_of("skipgram", weights, parts, 3)[2])
