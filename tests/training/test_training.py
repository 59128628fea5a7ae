"""The trainer: what it learns, what it accounts for, what repeats, and what it refuses."""

import itertools
import re
import threading
import time

import numpy as np
import pytest

import embedcli
from embedcli import TrainConfig, train
from embedcli.errors import TrainingError, UsageError
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.pieces import Pieces
from embedcli.training.chunks import chunk_bounds, chunk_size, sentences_within
from embedcli.training.run import Run
from embedcli.training.sampling import (
    keep_thresholds,
    kept_share,
    noise_distribution,
    pool_size,
    random_key,
)
from embedcli.training.versions import versions
from embedcli.training.worker import pool_of
from embedcli.training.workers import run_workers

SMALL = {"dim": 16, "min_count": 1, "epochs": 8, "sample": 0, "window": 3, "threads": 1}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two topics that never share a sentence, 12 words each, and 4 words that go with both."""
    generator = np.random.default_rng(0)
    topics = [[f"{letter}{i}" for i in range(12)] for letter in "ab"]
    both = ["the", "of", "and", "to"]
    lines = []
    for _ in range(3000):
        topic = topics[generator.integers(2)]
        words = generator.choice(topic + both, generator.integers(4, 12))
        lines.append(" ".join(words))
    path = tmp_path_factory.mktemp("corpus") / "topics.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def mean_cosines(embeddings):
    """Mean cosine within a topic and between the two."""
    unit = {
        word: embeddings[word] / np.linalg.norm(embeddings[word])
        for word in embeddings.vocabulary
        if word[0] in "ab" and word != "and"
    }
    within, between = [], []
    for one, other in itertools.combinations(unit, 2):
        (within if one[0] == other[0] else between).append(unit[one] @ unit[other])
    return np.mean(within), np.mean(between)


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
@pytest.mark.parametrize("threads", [1, 3])
def test_words_of_one_topic_come_together(corpus, arch, threads):
    config = TrainConfig(**SMALL | {"arch": arch, "threads": threads, "lr": 0.1})
    embeddings = train([corpus], config)
    within, between = mean_cosines(embeddings)
    assert within > between + 0.3
    losses = embeddings.metadata["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_one_thread_and_one_seed_give_the_same_bytes(corpus, arch):
    config = TrainConfig(**SMALL | {"arch": arch, "sample": 1e-2})
    first, second = train([corpus], config), train([corpus], config)
    assert first.vectors.tobytes() == second.vectors.tobytes()
    assert first.output_vectors.tobytes() == second.output_vectors.tobytes()
    other = train([corpus], TrainConfig(**SMALL | {"arch": arch, "sample": 1e-2, "seed": 2}))
    assert not np.array_equal(first.vectors, other.vectors)


def test_samples_do_not_depend_on_the_number_of_threads(corpus):
    """Same tokens kept and same pairs, whatever thread trains which chunk."""
    seen = []
    for threads in (1, 2, 5):
        config = TrainConfig(**SMALL | {"sample": 1e-2, "threads": threads})
        epochs = train([corpus], config).metadata["epochs"]
        seen.append([(e["trained"], e["subsampled"], e["alone"], e["pairs"]) for e in epochs])
    assert seen[0] == seen[1] == seen[2]


def test_every_token_is_accounted_for(tmp_path):
    path = tmp_path / "text"
    long_word = "x" * 300
    path.write_text(f"a b a c\nalone\nrare a b {long_word}\n\nb a\na\n" * 3)
    config = TrainConfig(**SMALL | {"min_count": 4, "epochs": 2})
    with pytest.warns(UserWarning, match="3 tokens of more than 256 bytes, which are left out"):
        embeddings = train([path], config)
    corpus, epochs = embeddings.metadata["corpus"], embeddings.metadata["epochs"]
    assert (36, 24, 9, 3) == (corpus["read"], corpus["kept"], corpus["oov"], corpus["too_long"])
    for epoch in epochs:
        assert 24 == epoch["tokens"]
        assert 24 == epoch["trained"] + epoch["subsampled"] + epoch["alone"]
        assert 3 == epoch["alone"]  # the lines "a"; "alone" is out of the vocabulary


def test_the_metadata_says_how_it_was_made(corpus):
    config = TrainConfig(**SMALL | {"epochs": 2})
    metadata = train([corpus], config).metadata
    expected = config.settled(prose=False).resolve().as_dict() | {"threads": None}
    assert metadata["settings"] == expected
    assert 1 == metadata["seed"]
    assert metadata["versions"]["embed"] == embedcli.__version__
    assert 64 == len(metadata["corpus"]["sha256"])
    assert 2 == len(metadata["loss"])


def test_output_vectors_can_be_left_out(corpus):
    config = TrainConfig(**SMALL | {"epochs": 1, "output_vectors": False})
    assert train([corpus], config).output_vectors is None


def test_a_given_vocabulary_is_the_one_trained(corpus):
    vocabulary = embedcli.Vocabulary.from_words(["b1", "a1", "a2", "the"])
    embeddings = train([corpus], TrainConfig(**SMALL | {"epochs": 1}), vocabulary=vocabulary)
    assert ["b1", "a1", "a2", "the"] == list(embeddings.vocabulary)


def test_a_sentence_longer_than_a_chunk_is_trained_whole(tmp_path):
    path = tmp_path / "line"
    words = np.random.default_rng(1).integers(0, 50, 30_000)
    path.write_text(" ".join(f"w{word}" for word in words))
    epoch = train([path], TrainConfig(**SMALL | {"epochs": 1})).metadata["epochs"][0]
    assert 30_000 == epoch["trained"]


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
@pytest.mark.parametrize(("dim", "negative", "window"), [(1, 1, 1), (3, 64, 100), (2000, 2, 1)])
def test_extreme_settings_stay_finite(corpus, arch, dim, negative, window):
    chosen = {"arch": arch, "dim": dim, "negative": negative, "window": window, "epochs": 1}
    embeddings = train([corpus], TrainConfig(**SMALL | chosen))
    assert np.isfinite(embeddings.vectors).all()
    assert embeddings.dim == dim


def test_divergence_ends_the_run(corpus):
    with pytest.raises(TrainingError, match=r"diverged.*--lr"):
        train([corpus], TrainConfig(**SMALL | {"arch": "cbow", "lr": 10, "epochs": 60}))


def test_an_epoch_worse_than_untrained_is_divergence(corpus, monkeypatch):
    """Vectors that are finite and all alike expect every negative."""
    original = Run.check

    def after_an_epoch(run):
        original(run)
        for matrix in run.matrices():
            matrix[:] = 2

    monkeypatch.setattr(Run, "check", after_an_epoch)
    with pytest.raises(TrainingError, match=r"in epoch 2: the mean loss is .*, untrained 0\.6931"):
        train([corpus], TrainConfig(**SMALL | {"epochs": 3, "lr": 1e-4}))


@pytest.mark.parametrize(
    ("chosen", "advised"),
    [
        ({"lr": 0.1}, 0.025),
        ({"lr": 9.0}, 0.05),
        ({"lr": 9.0, "min_lr": 1.0, "arch": "cbow"}, 0.075),
        ({}, 0.0125),
    ],
)
def test_the_rate_that_is_advised_is_no_higher_than_the_default(chosen, advised):
    assert TrainConfig(**chosen).lower_lr == advised


@pytest.mark.parametrize("deterministic", [True, False])
def test_lines_that_are_windows_and_repeat_one_word_are_trained(tmp_path, deterministic):
    """Sessions of ten topics, in which one event is six words in ten."""
    generator, lines = np.random.default_rng(1), []
    for topic in generator.integers(10, size=200):
        session = [f"{topic}_{i}" for i in generator.integers(10, size=generator.integers(30, 60))]
        lines.append(" ".join(word if generator.random() < 0.4 else "ping" for word in session))
    path = tmp_path / "sessions"
    path.write_text("\n".join(lines))
    chosen = {"items": True, "window": None, "deterministic": deterministic}
    embeddings = train([path], TrainConfig(**SMALL | chosen))
    words = [word for word in embeddings.vocabulary if word != "ping"]
    unit = embeddings.vectors / np.linalg.norm(embeddings.vectors, axis=1, keepdims=True)
    unit = unit[embeddings.vocabulary.find(words)]
    nearest = (unit @ unit.T - 2 * np.eye(len(unit))).argmax(axis=1)
    assert [words[i][0] for i in nearest] == [word[0] for word in words]
    assert embeddings.metadata["loss"][-1] < 0.3
    assert np.linalg.norm(embeddings.vectors, axis=1).max() < 30


def test_a_single_word_cannot_be_trained(tmp_path):
    path = tmp_path / "same"
    path.write_text("word word word word word word\n")
    with pytest.raises(TrainingError, match="'word'"):
        train([path], TrainConfig(**SMALL))


def test_a_corpus_of_lone_words_cannot_be_trained(tmp_path):
    path = tmp_path / "lone"
    path.write_text("a\nb\na\nb\n")
    with pytest.raises(TrainingError) as caught:
        train([path], TrainConfig(**SMALL | {"sample": 0}))
    assert (
        "nothing to train: 4 tokens = 0 subsampled + 4 alone in their line; "
        "put a sentence or document on a line"
    ) == str(caught.value)


def test_a_text_of_which_all_is_subsampled_is_told_what_keeps_it(tmp_path):
    path = tmp_path / "short"
    path.write_text("a b c d " * 7 + "\n")
    with pytest.raises(TrainingError) as caught:
        train([path], TrainConfig(**SMALL | {"sample": 1e-12}))
    assert (
        "nothing to train: 28 tokens = 28 subsampled + 0 alone in their line; "
        "--sample 0 keeps all of them"
    ) == str(caught.value)
    assert train([path], TrainConfig(**SMALL | {"sample": 0})).metadata["loss"]


def test_two_words_are_enough(tmp_path):
    path = tmp_path / "two"
    path.write_text("a b a b a b\n" * 20)
    assert np.isfinite(train([path], TrainConfig(**SMALL)).vectors).all()


def test_bad_settings_are_usage_errors():
    for name, value in (("dim", 0), ("dim", 4097), ("negative", 65), ("window", 101), ("lr", 0.0)):
        with pytest.raises(UsageError, match=name):
            TrainConfig(**{name: value})


# Chunks


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_chunks_cover_every_token_once(size):
    generator = np.random.default_rng(size)
    lengths = generator.integers(1, 12, 40)
    offsets = np.r_[0, np.cumsum(lengths)]
    bounds = chunk_bounds(offsets, size)
    assert 0 == bounds[0]
    assert bounds[-1] == offsets[-1]
    assert (np.diff(bounds) > 0).all()
    assert (np.diff(bounds) <= size).all()
    pieces = [
        (begin + a, begin + b)
        for begin, end in itertools.pairwise(bounds)
        for a, b in itertools.pairwise(sentences_within(offsets, begin, end))
    ]
    assert 0 == pieces[0][0]
    assert [b for _, b in pieces[:-1]] == [a for a, _ in pieces[1:]]
    # No piece crosses a sentence, and only sentences longer than a chunk are cut.
    starts = set(offsets.tolist())
    for a, b in pieces:
        sentence = np.searchsorted(offsets, a, side="right") - 1
        assert b <= offsets[sentence + 1]
        assert a in starts or lengths[sentence] > size


def test_chunk_sizes():
    assert 2048 == chunk_size(100)
    assert 65_536 == chunk_size(17_000_000)
    assert 3906 == chunk_size(1_000_000)


# Probabilities


def test_keep_thresholds_are_those_of_word2vec():
    counts = np.array([500_000, 1000, 10])
    share = counts / counts.sum()
    expected = np.minimum(1, (np.sqrt(share / 1e-3) + 1) * 1e-3 / share)
    np.testing.assert_allclose(keep_thresholds(counts, 1e-3) / 0xFFFFFFFF, expected, rtol=1e-6)
    assert (keep_thresholds(counts, 0) == 0xFFFFFFFF).all()
    assert kept_share(counts, 1e-3) == pytest.approx((expected * share).sum())


@pytest.mark.parametrize("exponent", [0.75, 1.0, 0.0, -0.5])
def test_noise_distribution(exponent):
    counts = np.array([1000, 100, 1])
    cumulative = noise_distribution(counts, exponent)
    expected = counts.astype(float) ** exponent
    np.testing.assert_allclose(np.diff(np.r_[0, cumulative]), expected / expected.sum())
    assert 1.0 == cumulative[-1]


def test_noise_exponents_that_overflow_are_refused():
    with pytest.raises(TrainingError, match="ns_exponent"):
        noise_distribution(np.array([2**62, 1]), -100)


def test_pool_sizes_are_powers_of_two():
    for n_tokens, size in ((1, 16), (10**4, 16), (10**5, 19), (10**6, 22), (10**9, 22)):
        assert 1 << size == pool_size(n_tokens, 5, 1000)
    for n_words, size in ((262_144, 22), (262_145, 23), (2_000_000, 25), (10_000_000, 28)):
        assert 1 << size == pool_size(10**9, 5, n_words)
        assert 1 << 20 == pool_size(10**6, 1, n_words)  # no more than an epoch draws


def test_every_word_of_many_is_a_negative_in_its_proportion():
    falling = (np.arange(300_000) + 2.7) ** -1.07
    counts = np.floor(5 * falling / falling[-1]).astype(np.int64)
    config = TrainConfig()
    pool = pool_of(counts, 10**9, config).words
    shares = np.diff(noise_distribution(counts, config.ns_exponent), prepend=0)
    found = np.bincount(pool, minlength=len(counts)) / len(pool)
    assert found.all()
    assert 0.25 > np.abs(found / shares - 1).max()


def test_keys_differ_in_every_argument():
    keys = {
        int(random_key(seed, purpose, epoch, chunk))
        for seed in (0, 1, 2**63 - 1)
        for purpose in ("subsample", "window", "negatives", "pool")
        for epoch in range(5)
        for chunk in range(50)
    }
    assert 3 * 4 * 5 * 50 == len(keys)


# Threads


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_workers_do_every_item_once(n_threads):
    done: list[list[int]] = [[] for _ in range(n_threads)]
    reports: list[int] = []
    assert 100 == run_workers([mine.append for mine in done], 3, 100, reports.append)
    assert sorted(itertools.chain(*done)) == list(range(3, 100))
    assert all(3 <= n <= 100 for n in reports)


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_workers_pause_after_what_was_begun_and_go_on(n_threads):
    done: list[list[int]] = [[] for _ in range(n_threads)]
    slow = [lambda item, mine=mine: (time.sleep(1e-4), mine.append(item)) for mine in done]
    first, pauses = 0, 0
    while first < 3000:
        first = run_workers(slow, first, 3000, lambda n: True)
        pauses += 1
        assert sorted(itertools.chain(*done)) == list(range(first))
    assert pauses > 1 or n_threads == 7  # which may all be done at the first wake


def test_a_failing_worker_stops_the_others_and_is_heard():
    begun = threading.Event()
    released = []

    def waits(item):
        begun.set()
        released.append(item)

    def fails(item):
        begun.wait(10)
        raise ArithmeticError(f"item {item}")

    with pytest.raises(ArithmeticError, match="item"):
        run_workers([waits, fails], 0, 10**9, lambda n: False)
    assert threading.active_count() == 1 or all(
        not thread.name.startswith("embed-") for thread in threading.enumerate()
    )


def test_an_interrupt_of_the_main_thread_stops_the_workers():
    def interrupt(n_begun):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_workers([lambda item: None] * 2, 0, 10**9, interrupt)
    assert not [t for t in threading.enumerate() if t.name.startswith("embed-")]


def test_versions_are_those_of_what_the_settings_use():
    plain = versions(TrainConfig())
    assert ["embed", "python", "numpy", "numba", "llvmlite"] == list(plain)
    pytest.importorskip("icu4py")
    icu = versions(TrainConfig(tokenizer="unicode"))
    assert {"icu4py", "icu"} == set(icu) - set(plain)
    assert re.fullmatch(r"[0-9]+\.[0-9.]+", icu["icu"])
    pattern = {"tokenizer": "pattern", "pattern": "[a-z]+"}
    assert set(plain) == set(versions(TrainConfig(**pattern)))
    pytest.importorskip("regex")
    letters = versions(TrainConfig(**pattern | {"pattern": r"\p{L}+"}))
    assert {"regex"} == set(letters) - set(plain)
    pytest.importorskip("sentencepiece")
    pieces = versions(TrainConfig(), Pieces(b"", 1))
    assert {"sentencepiece"} == set(pieces) - set(plain)
    assert set(plain) == set(versions(TrainConfig(), NGrams(3, 6, 10)))
