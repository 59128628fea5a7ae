"""The compiled kernels against their slow twins, and the twins against finite differences."""

import itertools

import numpy as np
import pytest

from embedcli.kernels.alignment import ROW_ALIGNMENT, aligned, row_stride
from embedcli.kernels.intrinsics.lanes import LANES, host_lanes
from embedcli.kernels.intrinsics.matrix_rows import SPARE
from embedcli.kernels.loop import training_kernel
from embedcli.kernels.sampling import Noise, Staged, fill_pool, make_staged, stage
from embedcli.kernels.weights import Weights, make_scratch
from tests import reference

V = 40
SHAPES = {  # dim, negative, window: the lanes they are tried at, as each is a kernel to compile
    (1, 1, 1): (4, 8, 16),
    (7, 5, 2): (4, 16),
    (16, 7, 5): (8, 16),
    (33, 6, 3): (4, 16),
    (100, 5, 5): (8, 16),
    (50, 17, 4): (4, 8, 16),
    (8, 5, 30): (8,),  # parts of a window; stretches for more windows
}
CASES = [(lanes, *shape) for shape, tried in SHAPES.items() for lanes in tried]


def skipgram(*sizes, **kinds):
    return training_kernel(*sizes, is_cbow=False, **kinds)


def cbow(*sizes, **kinds):
    return training_kernel(*sizes, is_cbow=True, **kinds)


def make_weights(dim: int, seed: int = 3, size: float = 1.0) -> Weights:
    stride = row_stride(dim)
    weights = Weights(aligned(V * stride), aligned(V * stride), stride)
    generator = np.random.default_rng(seed)
    for matrix in (weights.syn0, weights.syn1neg):
        shape = (V, dim)
        matrix.reshape(V, stride)[:, :dim] = generator.normal(0, size / np.sqrt(dim), shape)
    return weights


def staged_sentences(seed: int = 5, n: int = 300) -> Staged:
    """Sentences of one to about forty words, some words repeated within a window."""
    generator = np.random.default_rng(seed)
    kept = np.r_[(generator.random(n) ** 2 * V).astype(np.int32), np.zeros(SPARE, np.int32)]
    cuts = np.unique(np.r_[0, 1, 2, generator.integers(0, n, 12), n])
    first, last = np.empty(n, np.int32), np.empty(n, np.int32)
    for begin, end in itertools.pairwise(cuts):
        first[begin:end], last[begin:end] = begin, end
    return Staged(kept, first, last)


def make_noise(seed: int = 7) -> Noise:
    pool = np.random.default_rng(seed).integers(0, V, 1 << 10).astype(np.int32)
    return Noise(pool, np.int64(700), np.uint64(11))  # wraps around soon


def copy(weights: Weights) -> Weights:
    twin = Weights(aligned(len(weights.syn0)), aligned(len(weights.syn0)), *weights[2:])
    twin.syn0[:] = weights.syn0
    twin.syn1neg[:] = weights.syn1neg
    return twin


@pytest.mark.parametrize(("lanes", "dim", "negative", "window"), CASES)
@pytest.mark.parametrize("shrink", [True, False])
def test_skipgram_equals_its_twin(lanes, dim, negative, window, shrink):
    fast, staged, n_outputs = make_weights(dim), staged_sentences(), 1 + negative
    slow, noise = copy(fast), make_noise()
    key, lr = np.uint64(99), 0.05
    scratch = [make_scratch(n_outputs, window, fast.stride) for _ in range(2)]
    kernel = skipgram(lanes, n_outputs, -(-dim // lanes))
    common = (window, shrink)
    for a, b in ((0, 130), (130, 131), (131, 300)):  # slices do not change the result
        kernel(staged, a, b, fast, noise, *common, key, np.float32(lr), False, scratch[0], None)
    reference.skipgram_slice(staged, 0, 300, slow, noise, n_outputs, *common, 99, lr, scratch[1])
    np.testing.assert_allclose(fast.syn0, slow.syn0, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(fast.syn1neg, slow.syn1neg, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(scratch[0].tally, scratch[1].tally, rtol=1e-5)


@pytest.mark.parametrize(("lanes", "dim", "negative", "window"), CASES)
@pytest.mark.parametrize("divide", [True, False])
def test_cbow_equals_its_twin(lanes, dim, negative, window, divide):
    fast, staged, n_outputs = make_weights(dim), staged_sentences(), 1 + negative
    slow, noise = copy(fast), make_noise()
    key, lr = np.uint64(99), 0.05
    scratch = [make_scratch(n_outputs, window, fast.stride) for _ in range(2)]
    kernel = cbow(lanes, n_outputs, -(-dim // lanes))
    common = (window, True)
    for a, b in ((0, 200), (200, 300)):
        kernel(staged, a, b, fast, noise, *common, key, np.float32(lr), divide, scratch[0], None)
    reference.cbow_slice(
        staged, 0, 300, slow, noise, n_outputs, *common, 99, lr, divide, scratch[1]
    )
    np.testing.assert_allclose(fast.syn0, slow.syn0, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(fast.syn1neg, slow.syn1neg, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(scratch[0].tally, scratch[1].tally, rtol=1e-5)


def one_window(n_inputs: int) -> Staged:
    kept = np.arange(n_inputs + 1 + SPARE, dtype=np.int32)
    bounds = np.zeros(n_inputs + 1, np.int32), np.full(n_inputs + 1, n_inputs + 1, np.int32)
    return Staged(kept, *bounds)


def step_of(kernel, weights: Weights, n_outputs: int):
    """The gradient step (as float64 matrices) of the first word's window, at learning rate 1."""
    noise = Noise(np.arange(V - 1, -1, -1, dtype=np.int32), np.int64(0), np.uint64(0))
    scratch = make_scratch(n_outputs, 4, weights.stride)
    after = copy(weights)
    kernel(
        one_window(4), 0, 1, after, noise, 4, False, np.uint64(1), np.float32(1.0),
        True, scratch, None,
    )  # fmt: skip
    return (
        after.syn0.astype(float) - weights.syn0,
        after.syn1neg.astype(float) - weights.syn1neg,
        scratch.tally[0],
    )


def numeric_gradient(loss, matrix: np.ndarray) -> np.ndarray:
    gradient = np.zeros(matrix.shape)
    for place in np.ndindex(matrix.shape):
        before = matrix[place]
        values = []
        for step in (1e-6, -1e-6):
            matrix[place] = before + step
            values.append(loss())
        matrix[place] = before
        gradient[place] = (values[0] - values[1]) / 2e-6
    return gradient


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_a_step_follows_the_finite_difference_gradient_of_the_loss(arch):
    dim, n_outputs, contexts = 5, 6, [1, 2, 3, 4]
    weights = make_weights(dim, size=0.5)
    outputs = [0, *range(V - 1, V - n_outputs, -1)]
    stride = weights.stride
    x = weights.syn0.reshape(V, stride)[:, :dim].astype(float)
    o = weights.syn1neg.reshape(V, stride)[:, :dim].astype(float)
    labels = np.eye(1, n_outputs)[0]

    def loss() -> float:
        inputs = x[contexts] if arch == "skipgram" else x[contexts].mean(axis=0, keepdims=True)
        return reference.loss(inputs, o[outputs], labels)

    make = skipgram if arch == "skipgram" else cbow
    kernel = make(host_lanes(), 6, -(-dim // host_lanes()))
    syn0, syn1neg, value = step_of(kernel, weights, n_outputs)
    assert value == pytest.approx(loss(), rel=1e-5)
    expected = -numeric_gradient(loss, x)
    np.testing.assert_allclose(syn0.reshape(V, stride)[:, :dim], expected, atol=2e-6)
    expected = -numeric_gradient(loss, o)
    # Skip-gram reads each input before its own update, so the outputs' sum uses the old inputs.
    np.testing.assert_allclose(syn1neg.reshape(V, stride)[:, :dim], expected, atol=2e-6)


@pytest.mark.parametrize("lanes", LANES)
def test_loss_and_gradient_are_right_at_the_extremes(lanes):
    """Dots of +-1000 neither overflow nor lose their sign, in the loss and in the gradient."""
    for value, expected_loss in ((1000.0, 0.0), (-1000.0, 1000.0), (0.0, np.log(2.0))):
        weights = make_weights(1)
        weights.syn0[:] = 0
        weights.syn1neg[:] = 0
        weights.syn0.reshape(V, -1)[1, 0] = 1.0
        weights.syn1neg.reshape(V, -1)[0, 0] = value
        scratch = make_scratch(2, 1, weights.stride)
        staged = one_window(1)
        skipgram(lanes, 2, 1)(
            staged,
            0,
            1,
            weights,
            make_noise(),
            1,
            False,
            np.uint64(0),
            np.float32(0.5),
            False,
            scratch,
            None,
        )
        expected_loss += np.log(2.0)  # of the negative, whose vector is zero
        assert pytest.approx(expected_loss, abs=1e-6) == scratch.tally[0]
        gradient = 0.5 * (1 - reference.sigmoid(np.array(value)))
        expected = np.float32(value + gradient)
        assert pytest.approx(expected, abs=1e-6) == weights.syn1neg.reshape(V, -1)[0, 0]


@pytest.mark.parametrize("lanes", LANES)
def test_nan_is_never_hidden(lanes):
    weights = make_weights(4)
    weights.syn0.reshape(V, -1)[1, 3] = np.nan
    scratch = make_scratch(2, 1, weights.stride)
    skipgram(lanes, 2, 1)(
        one_window(1), 0, 1, weights, make_noise(), 1, False, np.uint64(0), np.float32(0.5),
        False, scratch, None,
    )  # fmt: skip
    assert np.isnan(scratch.tally[0])


def test_padding_stays_zero():
    weights, staged = make_weights(33), staged_sentences()
    scratch = make_scratch(7, 5, weights.stride)
    skipgram(host_lanes(), 7, -(-33 // host_lanes()))(
        staged, 0, 300, weights, make_noise(), 5, True, np.uint64(0), np.float32(0.5), False,
        scratch, None,
    )  # fmt: skip
    assert not weights.syn0.reshape(V, -1)[:, 33:].any()
    assert not weights.syn1neg.reshape(V, -1)[:, 33:].any()


def test_rows_begin_on_cache_lines():
    assert 64 == ROW_ALIGNMENT * 4
    for n in (1, 17, 1000):
        assert 0 == aligned(n).ctypes.data % 64


def test_stage_equals_its_twin():
    generator = np.random.default_rng(1)
    tokens = generator.integers(0, V, 500).astype(np.int32)
    offsets = np.array([0, 0, 1, 17, 400, 500])
    keep = generator.integers(0, 1 << 32, V).astype(np.uint32)
    fast, slow = make_staged(500), make_staged(500)
    n = stage(tokens, offsets, keep, np.uint64(12345), fast)
    assert n == reference.stage(tokens, offsets, keep, 12345, slow)
    for column in range(3):
        np.testing.assert_array_equal(fast[column][:n], slow[column][:n])


def test_subsampling_keeps_the_share_it_should():
    n = 1_000_000
    tokens = np.zeros(n, np.int32)
    staged = make_staged(n)
    for share in (0.001, 0.1, 0.5, 0.99):
        keep = np.array([int(share * 0xFFFFFFFF)], np.uint32)
        kept = stage(tokens, np.array([0, n]), keep, np.uint64(3), staged)
        assert abs(kept - n * share) < 5 * np.sqrt(n * share * (1 - share))


def test_the_pool_holds_every_word_in_proportion():
    weights = np.arange(1, 101, dtype=float)
    cumulative = np.cumsum(weights) / weights.sum()
    cumulative[-1] = 1.0
    pool = np.full(1 << 14, -1, np.int32)
    fill_pool(cumulative, 0.25, np.uint64(42), pool)
    shares = np.bincount(pool, minlength=100) / len(pool)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=1 / len(pool))


def test_the_pool_is_scattered():
    """No run of neighbours: pairs of places next to each other are nearly independent."""
    cumulative = np.arange(1, 65) / 64
    pool = np.empty(1 << 16, np.int32)
    fill_pool(cumulative, 0.0, np.uint64(42), pool)
    for distance in (1, 2, 5, 64):
        pairs = np.bincount(pool[:-distance] * 64 + pool[distance:], minlength=64 * 64)
        expected = (len(pool) - distance) / 64**2
        chi_square = ((pairs - expected) ** 2 / expected).sum()
        freedom = 64**2 - 1
        assert abs(chi_square - freedom) < 8 * np.sqrt(2 * freedom)


def test_all_other_words_can_be_negatives():
    """V = 1 + K and a pool that holds one word alone: the draw still ends, without repeats."""
    weights, staged = make_weights(4), staged_sentences()
    staged.kept[:] %= 4
    small = Weights(weights.syn0[: 4 * 16], weights.syn1neg[: 4 * 16], 16)
    twin = Weights(aligned(64), aligned(64), 16)
    twin.syn0[:], twin.syn1neg[:] = small.syn0, small.syn1neg
    noise = Noise(np.zeros(1 << 8, np.int32), np.int64(0), np.uint64(0))
    scratch = [make_scratch(4, 2, 16) for _ in range(2)]
    skipgram(host_lanes(), 4, 1)(
        staged,
        0,
        40,
        small,
        noise,
        2,
        True,
        np.uint64(0),
        np.float32(0.1),
        False,
        scratch[0],
        None,
    )
    reference.skipgram_slice(staged, 0, 40, twin, noise, 4, 2, True, 0, 0.1, scratch[1])
    np.testing.assert_allclose(small.syn0, twin.syn0, rtol=2e-4, atol=2e-6)
