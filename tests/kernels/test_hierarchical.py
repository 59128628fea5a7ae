"""Hierarchical softmax: the tree, the kernels and their twins, and runs."""

import itertools

import numpy as np
import pytest

from embedcli import TrainConfig, train
from embedcli.formats import load, save
from embedcli.kernels.intrinsics.lanes import LANES, host_lanes
from embedcli.kernels.loop import PATH, training_kernel
from embedcli.kernels.paths import make_path_scratch
from embedcli.training.huffman import huffman_tree, longest_path
from embedcli.training.pretrained import load_pretrained
from tests import reference
from tests.kernels.test_kernels import (
    V,
    copy,
    make_weights,
    numeric_gradient,
    one_window,
    staged_sentences,
)
from tests.reference import hierarchical as twins

SHAPES = [(host_lanes(), 1, 1), *((lanes, 33, 3) for lanes in LANES)]  # lanes, dim, window


def make_tree(n_words=V - 1, seed=4):
    """For one word less than there are rows, as the last row must be no node's."""
    counts = np.random.default_rng(seed).zipf(1.2, n_words).astype(np.int64)
    return huffman_tree(counts)


def staged_words():
    staged = staged_sentences()
    staged.kept[:] %= V - 1
    return staged


# The tree


def code(word, tree):
    return tuple(tree.signs[tree.offsets[word] : tree.offsets[word + 1]])


@pytest.mark.parametrize("seed", range(5))
def test_the_tree_is_huffmans(seed):
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, 50, generator.integers(2, 200))
    tree = huffman_tree(counts)
    lengths = np.diff(tree.offsets)
    assert (counts * twins.path_lengths(counts)).sum() == (counts * lengths).sum()
    assert pytest.approx(1) == (2.0**-lengths).sum()  # Kraft: every turn leads somewhere
    codes = [code(word, tree) for word in range(len(counts))]
    assert len(counts) == len(set(codes))
    for one, other in itertools.permutations(codes, 2):
        assert one != other[: len(one)]
    assert set(range(len(counts) - 1)) == set(tree.nodes.tolist())


def test_nodes_of_a_path_come_from_the_root():
    tree = make_tree()
    roots = {int(tree.nodes[begin]) for begin in tree.offsets[:-1]}
    assert {V - 3} == roots  # the node that was made last
    shared = {}
    for word in range(V - 1):
        nodes, turns = twins.path_of(word, tree)[0], code(word, tree)
        for depth, node in enumerate(nodes):
            assert shared.setdefault(turns[:depth], node) == node


def test_the_tree_is_that_of_word2vec():
    """Codes and points as its CreateBinaryTree() makes them, by hand."""
    tree = huffman_tree(np.array([8, 4, 2, 2, 1]))
    codes = [tuple((1 - sign) // 2 for sign in code(word, tree)) for word in range(5)]
    assert [(0,), (1, 0), (1, 1, 0), (1, 1, 1, 1), (1, 1, 1, 0)] == codes
    assert [3, 2, 1, 0] == twins.path_of(4, tree)[0]


def test_the_order_of_the_words_does_not_matter():
    counts = np.array([5, 100, 1, 30, 2, 7])
    order = np.argsort(-counts)
    sorted_tree, tree = huffman_tree(counts[order]), huffman_tree(counts)
    assert [code(place, sorted_tree) for place in range(6)] == [code(word, tree) for word in order]


def test_two_words_are_a_tree():
    assert [1, 1] == np.diff(huffman_tree(np.array([3, 3])).offsets).tolist()


# The kernels


def kernel_of(arch, lanes, dim):
    return training_kernel(lanes, 0, -(-dim // lanes), is_cbow=arch == "cbow", kind_of_outputs=PATH)


@pytest.mark.parametrize(("lanes", "dim", "window"), SHAPES)
def test_skipgram_equals_its_twin(lanes, dim, window):
    fast, staged, tree = make_weights(dim), staged_words(), make_tree()
    fast.syn1neg.reshape(V, -1)[V - 1] = 0
    slow, key, lr = copy(fast), np.uint64(99), 0.05
    scratch = [make_path_scratch(longest_path(tree), window, fast.stride) for _ in range(2)]
    kernel = kernel_of("skipgram", lanes, dim)
    for a, b in ((0, 130), (130, 131), (131, 300)):  # slices do not change the result
        kernel(staged, a, b, fast, tree, window, True, key, np.float32(lr), False, scratch[0], None)
    twins.skipgram_hs_slice(staged, 0, 300, slow, tree, window, True, 99, lr, scratch[1])
    np.testing.assert_allclose(fast.syn0, slow.syn0, rtol=2e-4, atol=4e-6)
    np.testing.assert_allclose(fast.syn1neg, slow.syn1neg, rtol=2e-4, atol=4e-6)
    np.testing.assert_allclose(scratch[0].tally, scratch[1].tally, rtol=1e-5)


@pytest.mark.parametrize(("lanes", "dim", "window"), SHAPES)
@pytest.mark.parametrize("divide", [True, False])
def test_cbow_equals_its_twin(lanes, dim, window, divide):
    fast, staged, tree = make_weights(dim), staged_words(), make_tree()
    fast.syn1neg.reshape(V, -1)[V - 1] = 0
    slow, key, lr = copy(fast), np.uint64(99), 0.05
    scratch = [make_path_scratch(longest_path(tree), window, fast.stride) for _ in range(2)]
    kernel = kernel_of("cbow", lanes, dim)
    for a, b in ((0, 200), (200, 300)):
        kernel(
            staged, a, b, fast, tree, window, False, key, np.float32(lr), divide, scratch[0], None
        )
    twins.cbow_hs_slice(staged, 0, 300, slow, tree, window, False, 99, lr, divide, scratch[1])
    np.testing.assert_allclose(fast.syn0, slow.syn0, rtol=2e-4, atol=4e-6)
    np.testing.assert_allclose(fast.syn1neg, slow.syn1neg, rtol=2e-4, atol=4e-6)
    np.testing.assert_allclose(scratch[0].tally, scratch[1].tally, rtol=1e-5)


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_a_step_follows_the_finite_difference_gradient_of_the_loss(arch):
    dim, contexts, tree = 5, [1, 2, 3, 4], make_tree()
    weights = make_weights(dim, size=0.5)
    weights.syn1neg.reshape(V, -1)[V - 1] = 0
    x = weights.syn0.reshape(V, -1)[:, :dim].astype(float)
    o = weights.syn1neg.reshape(V, -1)[:, :dim].astype(float)
    nodes, labels = twins.path_of(0, tree)

    def loss() -> float:
        inputs = x[contexts] if arch == "skipgram" else x[contexts].mean(axis=0, keepdims=True)
        return reference.loss(inputs, o[nodes], labels)

    after, scratch = copy(weights), make_path_scratch(longest_path(tree), 4, weights.stride)
    kernel_of(arch, host_lanes(), dim)(
        one_window(4), 0, 1, after, tree, 4, False, np.uint64(1), np.float32(1.0), True, scratch,
        None,
    )  # fmt: skip
    assert scratch.tally[0] == pytest.approx(loss(), rel=1e-5)
    for new, old, matrix in ((after.syn0, weights.syn0, x), (after.syn1neg, weights.syn1neg, o)):
        step = (new.astype(float) - old).reshape(V, -1)[:, :dim]
        np.testing.assert_allclose(step, -numeric_gradient(loss, matrix), atol=2e-6)


@pytest.mark.parametrize("lanes", LANES)
def test_nan_is_never_hidden_and_the_row_of_no_node_stays(lanes):
    tree, dim = make_tree(), 33
    weights = make_weights(dim)
    weights.syn1neg.reshape(V, -1)[V - 1] = 0
    scratch = make_path_scratch(longest_path(tree), 3, weights.stride)
    kernel = kernel_of("skipgram", lanes, dim)
    common = tree, 3, True, np.uint64(0), np.float32(0.05), False, scratch, None
    kernel(staged_words(), 0, 300, weights, *common)
    assert not weights.syn1neg.reshape(V, -1)[V - 1].any()
    assert np.isfinite(scratch.tally[0])
    weights.syn0.reshape(V, -1)[1, 3] = np.nan
    kernel(one_window(1), 0, 1, weights, *common)
    assert np.isnan(scratch.tally[0])


# Runs


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two topics that never share a line."""
    generator = np.random.default_rng(0)
    topics = [[f"{letter}{i}" for i in range(12)] for letter in "ab"]
    lines = [" ".join(generator.choice(topics[i % 2], 9)) for i in range(2000)]
    path = tmp_path_factory.mktemp("corpus") / "topics.txt"
    path.write_text("\n".join(lines))
    return path


def config_of(**more):
    small = {"dim": 16, "min_count": 1, "epochs": 3, "sample": 0, "window": 3, "threads": 1}
    return TrainConfig(**small | {"loss": "hs", "lr": 0.1} | more).resolve()


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_words_of_one_topic_come_together(corpus, arch):
    embeddings = train([corpus], config_of(arch=arch, threads=2))
    unit = {w: embeddings[w] / np.linalg.norm(embeddings[w]) for w in embeddings.vocabulary}
    same = [unit[a] @ unit[b] for a, b in itertools.combinations(unit, 2) if a[0] == b[0]]
    other = [unit[a] @ unit[b] for a in unit for b in unit if (a[0], b[0]) == ("a", "b")]
    assert np.mean(same) > np.mean(other) + 0.3
    losses = embeddings.metadata["loss"]
    assert losses[-1] < losses[0]
    assert not embeddings.output_vectors[-1].any()  # V - 1 inner nodes


def test_the_command_says_what_decides_nothing(run_embed, corpus):
    done = run_embed(
        "train", corpus, "--loss", "hs", "--negative", "5", "--min-count", "1", "--dim", "8",
        "--threads", "1",
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "--negative decides nothing with --loss hs\n" in done.stderr


def test_the_vectors_of_nodes_are_no_words_output_vectors(corpus, tmp_path):
    save(train([corpus], config_of(epochs=1)), tmp_path / "hs.safetensors")
    given = load_pretrained(TrainConfig(dim=16, init=str(tmp_path / "hs.safetensors")))
    assert None is given.output_vectors
    read = load(tmp_path / "hs.safetensors")  # as the command does, to know its dimensions
    assert None is load_pretrained(TrainConfig(dim=16, init="i"), read).output_vectors
