"""GloVe: the kernel and its twin, the run, its checkpoints and its command."""

import itertools
import json

import numpy as np
import pytest

from embedcli import TrainConfig, load, train
from embedcli.errors import ConfigError, TrainingError
from embedcli.kernels.alignment import aligned
from embedcli.kernels.glove import HELD, Cells, GloveWeights, glove, order_cells
from embedcli.kernels.intrinsics.lanes import LANES, host_lanes
from embedcli.training.glove_work import CellChunks, initial_weights
from embedcli.training.trainer import train as train_guarded
from tests.reference import glove as reference

V = 30
SMALL = {
    "arch": "glove", "dim": 20, "min_count": 1, "epochs": 4, "window": 4, "threads": 1,
}  # fmt: skip


def make_weights(dim, seed=1):
    """As at the beginning, but with larger vectors and some steps behind them."""
    weights = initial_weights(V, dim, seed, 0.05)
    generator = np.random.default_rng(seed)
    for matrix, squares in zip(weights[:2], weights[2:4], strict=True):
        rows = matrix.reshape(V, -1)
        rows[:, :dim] = generator.normal(0, 1 / np.sqrt(dim), (V, dim))
        squares.reshape(V, -1)[:, :dim] += generator.random((V, dim))
    return weights


def make_cells(n=400, seed=2):
    generator = np.random.default_rng(seed)
    return Cells(
        generator.integers(0, V, n).astype(np.int32),
        generator.integers(0, V, n).astype(np.int32),
        generator.normal(0, 2, n).astype(np.float32),
        generator.random(n).astype(np.float32),
    )


def one_cell(row, column, target, weight):
    return Cells(
        np.array([row], np.int32),
        np.array([column], np.int32),
        np.array([target], np.float32),
        np.array([weight], np.float32),
    )


def copy(weights):
    twin = GloveWeights(*(aligned(len(matrix)) for matrix in weights[:4]), weights.stride)
    for mine, other in zip(twin[:4], weights[:4], strict=True):
        mine[:] = other
    return twin


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("dim", [1, 30, 113])
def test_the_kernel_equals_its_twin(lanes, dim):
    fast, cells = make_weights(dim), make_cells()
    slow, tallies = copy(fast), np.zeros((2, 4))
    kernel = glove(lanes, -(-(dim + 2) // lanes))
    for start, stop in ((0, 150), (150, 151), (151, 400)):
        kernel(cells, start, stop, fast, np.float32(0.05), tallies[0])
    reference.glove_slice(cells, 0, 400, slow, 0.05, tallies[1])
    for mine, twin in zip(fast[:4], slow[:4], strict=True):
        np.testing.assert_allclose(mine, twin, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(tallies[0], tallies[1], rtol=1e-5)


def test_a_step_follows_the_finite_difference_gradient_of_the_loss():
    """With sums of squares of 1 a step is the gradient times the rate."""
    dim, lr = 5, 1e-3
    weights = make_weights(dim)
    for squares in weights[2:4]:
        squares[squares < HELD] = 1
    cells = one_cell(3, 7, 1.5, 0.7)
    before, tally = copy(weights), np.zeros(4)
    glove(host_lanes(), -(-(dim + 2) // host_lanes()))(cells, 0, 1, weights, np.float32(lr), tally)
    rows = [
        matrix.reshape(V, -1)[word].astype(float)
        for matrix, word in zip(before[:2], (3, 7), strict=True)
    ]
    loss = lambda: reference.glove_loss(*rows, 1.5, 0.7)  # noqa: E731
    assert tally[0] == pytest.approx(loss(), rel=1e-5)
    for number, (word, bias) in enumerate([(3, dim), (7, dim + 1)]):
        step = weights[number].reshape(V, -1)[word] - before[number].reshape(V, -1)[word]
        for column in [*range(dim), bias]:
            kept, values = rows[number][column], []
            for side in (1e-6, -1e-6):
                rows[number][column] = kept + side
                values.append(loss())
            rows[number][column] = kept
            expected = -lr * (values[0] - values[1]) / 2e-6
            assert pytest.approx(expected, rel=2e-3, abs=2e-7) == step[column]


def test_held_columns_and_padding_never_move():
    dim = 21
    weights, cells = make_weights(dim), make_cells()
    kernel = glove(host_lanes(), -(-(dim + 2) // host_lanes()))
    for _ in range(20):
        kernel(cells, 0, 400, weights, np.float32(0.05), np.zeros(4))
    for number, held in ((0, dim + 1), (1, dim)):
        rows = weights[number].reshape(V, -1)
        assert (rows[:, held] == 1).all()
        assert not rows[:, dim + 2 :].any()


@pytest.mark.parametrize("lanes", LANES)
def test_nan_is_never_hidden(lanes):
    weights, tally = make_weights(20), np.zeros(4)
    weights.words_squares.reshape(V, -1)[3, 4] = np.nan
    cells = one_cell(3, 7, 1, 1)
    glove(lanes, -(-22 // lanes))(cells, 0, 1, weights, np.float32(0.05), tally)
    assert np.isnan(weights.words.reshape(V, -1)[3, 4])


@pytest.mark.parametrize("mirrored", [0, 1])
def test_the_order_of_cells_equals_its_twin_and_loses_none(mirrored):
    cells = make_cells()
    fast, slow = (Cells(*(np.zeros(800, part.dtype) for part in cells)) for _ in range(2))
    n = order_cells(cells, mirrored, np.uint64(5), fast)
    assert n == reference.order_cells(cells, mirrored, 5, slow)
    for mine, twin in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(mine[:n], twin[:n])
    turned = (cells.rows != cells.columns) if mirrored else np.zeros(400, bool)
    expected = [*zip(*(part.tolist() for part in cells), strict=True)]
    expected += [
        (c, r, t, w) for (r, c, t, w), is_turned in zip(expected, turned, strict=True) if is_turned
    ]
    assert sorted(expected) == sorted(zip(*(part[:n].tolist() for part in fast), strict=True))
    assert not np.array_equal(fast.targets[:400], cells.targets)


# Runs


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two topics: four of five words of a line are of the same. (Pairs that never occur are not in
    X, and nothing would be learnt of them.)
    """
    generator = np.random.default_rng(0)
    is_other = generator.random((2000, 10)) < 0.2
    letters = np.where(is_other ^ (np.arange(2000) % 2 == 0)[:, np.newaxis], "a", "b")
    numbers = generator.integers(0, 12, letters.shape)
    lines = [" ".join(map("{}{}".format, *line)) for line in zip(letters, numbers, strict=True)]
    path = tmp_path_factory.mktemp("corpus") / "topics.txt"
    path.write_text("\n".join([*lines, "a1"]) + "\n")
    return path


def config_of(**more):
    return TrainConfig(**SMALL | more).resolve()


@pytest.mark.parametrize("threads", [1, 3])
def test_words_of_one_topic_come_together(corpus, threads):
    embeddings = train([corpus], config_of(threads=threads, epochs=20))
    unit = {w: embeddings[w] / np.linalg.norm(embeddings[w]) for w in embeddings.vocabulary}
    same = [unit[a] @ unit[b] for a, b in itertools.combinations(unit, 2) if a[0] == b[0]]
    other = [unit[a] @ unit[b] for a in unit for b in unit if (a[0], b[0]) == ("a", "b")]
    assert np.mean(same) > np.mean(other) + 0.2
    assert embeddings.metadata["loss"][-1] < embeddings.metadata["loss"][0] / 10


def test_log_counts_are_what_is_fitted(corpus):
    """The vectors predict the co-occurrences: the sum of W and W~ is kept, and W~."""
    embeddings = train([corpus], config_of(epochs=60))
    contexts = embeddings.output_vectors
    words = embeddings.vectors - contexts
    a, b, c = (list(embeddings.vocabulary).index(word) for word in ("a1", "a2", "b1"))
    assert words[a] @ contexts[b] > words[a] @ contexts[c]


def test_every_pair_is_accounted_for(corpus):
    embeddings = train([corpus], config_of(epochs=2, window=3))
    meta = embeddings.metadata
    assert 2000 * (10 * 3 - 6) == meta["cooccurrences"]["pairs"]
    for epoch in meta["epochs"]:
        assert 20_001 == epoch["tokens"] == epoch["trained"] + epoch["alone"]
        assert 1 == epoch["alone"]
        assert meta["cooccurrences"]["cells"] == epoch["pairs"] == 24 * 24


def test_one_thread_and_one_seed_give_the_same_bytes(corpus):
    first, second = (train([corpus], config_of()) for _ in range(2))
    assert first.vectors.tobytes() == second.vectors.tobytes()
    assert first.output_vectors.tobytes() == second.output_vectors.tobytes()
    assert not np.array_equal(first.vectors, train([corpus], config_of(seed=2)).vectors)
    small = train([corpus], config_of(count_memory="1K"))
    assert first.vectors.tobytes() == small.vectors.tobytes()


def test_chunks_come_in_another_order_each_epoch_and_none_is_lost(corpus):
    cells = type("", (), {"__len__": lambda self: 100_000, "is_symmetric": True})()
    chunks = CellChunks(cells, 12_345, 112)
    orders = [[chunks.place(e, c, 1) for c in range(len(chunks))] for e in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert list(range(len(chunks))) == sorted(orders[0]) == sorted(orders[1])
    assert 12_345 == chunks.n_tokens(len(chunks))


def test_a_corpus_of_lone_words_cannot_be_trained(tmp_path):
    (tmp_path / "lone").write_text("a\nb\na\nb\n")
    with pytest.raises(TrainingError, match="nothing to train"):
        train([tmp_path / "lone"], config_of())


@pytest.mark.parametrize(
    ("name", "value"), [("valid_fraction", 0.1), ("init", "x.vec"), ("optimizer", "adagrad")]
)
def test_what_it_cannot_do_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}, but arch is glove"):
        config_of(**{name: value})


def test_divergence_ends_the_run(corpus, monkeypatch):
    monkeypatch.setattr("embedcli.training.glove_work.HELD", np.nan)
    with pytest.raises(TrainingError, match="diverged"):
        train_guarded([corpus], config_of())


def test_the_command(run_embed, corpus, tmp_path):
    given = ["--arch", "glove", "--dim", "8", "--min-count", "1", "--threads", "1"]
    done = run_embed("train", corpus, *given, "--negative", "3", "--asymmetric", "--x-max", "5")
    assert 0 == done.returncode, done.stderr
    assert "--negative decides nothing with --arch glove" in done.stderr
    assert "co-occurrences, all of them trained in every epoch" in done.stderr
    settings = load(tmp_path / "model.safetensors").metadata["settings"]
    assert (False, 5.0, "constant") == tuple(
        settings[n] for n in ("symmetric", "x_max", "schedule")
    )
    plan = run_embed("train", corpus, *given, "--dry-run", "--json")
    assert json.loads(plan.stdout)["seconds"] >= 0
