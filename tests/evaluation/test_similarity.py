"""Rank correlation and its interval, against scipy; whole files against gensim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.embeddings import Embeddings
from embedcli.evaluation import evaluate
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.protocols import resolve
from embedcli.evaluation.similarity import (
    bootstrap_interval,
    pearson,
    score_similarity,
    spearman,
)
from embedcli.vocabulary import Vocabulary

stats = pytest.importorskip("scipy.stats")

few = st.integers(-3, 3).map(float)  # few values: many ties


@given(st.lists(st.tuples(few, few), min_size=2, max_size=40))
def test_equals_scipy_with_ties(pairs):
    x, y = np.array(pairs).T
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert None is spearman(x, y)
        assert None is pearson(x, y)
    else:
        assert pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12) == spearman(x, y)
        assert pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12) == pearson(x, y)


@pytest.mark.parametrize("n", [0, 1])
def test_undefined_for_fewer_than_two_pairs(n):
    assert None is spearman(np.ones(n), np.ones(n))
    assert None is pearson(np.ones(n), np.ones(n))
    assert None is bootstrap_interval(np.ones(n), np.ones(n), resamples=10, seed=1)


def test_interval_equals_drawing_the_pairs():
    generator = np.random.default_rng(5)
    x = generator.integers(0, 20, 65).astype(float)
    y = x + generator.normal(0, 8, 65)
    counts = np.random.default_rng(1).multinomial(65, np.full(65, 1 / 65), size=200)
    drawn = [np.repeat(np.arange(65), count) for count in counts]
    rho = [stats.spearmanr(x[i], y[i]).statistic for i in drawn]

    low, high = bootstrap_interval(x, y, resamples=200, seed=1)

    assert pytest.approx(np.quantile(rho, [0.025, 0.975]), abs=1e-12) == [low, high]
    assert (low, high) == bootstrap_interval(x, y, resamples=200, seed=1)
    assert (low, high) != bootstrap_interval(x, y, resamples=200, seed=2)
    assert low < spearman(x, y) < high


def test_interval_in_blocks_equals_interval_at_once(monkeypatch):
    x, y = np.random.default_rng(6).normal(size=(2, 30))
    whole = bootstrap_interval(x, y, resamples=50, seed=3)
    monkeypatch.setattr("embedcli.evaluation.bootstrap.COUNTS_AT_ONCE", 100)

    assert whole == bootstrap_interval(x, y, resamples=50, seed=3)


def test_interval_leaves_out_resamples_without_a_correlation():
    low, high = bootstrap_interval(np.array([1.0, 2.0]), np.array([1.0, 2.0]), resamples=99, seed=1)

    assert (1.0, 1.0) == (low, high)


SETS = {
    "EN-MTurk-771": 771,
    "EN-RG-65": 65,
    "EN-SIMLEX-999": 999,
    "EN-WS-353-ALL": 353,
    "EN-WS-353-REL": 252,
    "EN-WS-353-SIM": 203,
}


@pytest.mark.parametrize("name", SETS)
def test_the_sets_as_gensim_scores_them(shared, name):
    gensim = pytest.importorskip("gensim")
    path = shared / f"data/eval/{name}.txt"
    words = sorted({word for line in path.read_text().split("\n") for word in line.split("\t")[:2]})
    words = [word for word in words if word and not word.startswith(("s", "m"))]
    vectors = np.random.default_rng(9).standard_normal((len(words), 4), np.float32)
    keyed = gensim.models.KeyedVectors(4)
    keyed.add_vectors(words, vectors)
    embeddings = Embeddings(Vocabulary.from_words(words), vectors)

    (report,) = evaluate(embeddings, [str(path)], protocol="gensim", bootstrap=0)
    linear, ranks, oov = keyed.evaluate_word_pairs(str(path))
    linear_of_all, ranks_of_all, _ = keyed.evaluate_word_pairs(str(path), dummy4unknown=True)

    (of_all,) = evaluate(embeddings, [str(path)], protocol="gensim", bootstrap=0, oov="wrong")
    (part,), (whole,) = report.parts, of_all.parts

    assert SETS[name] == part.total
    assert pytest.approx(oov) == 100 * (part.total - part.seen) / part.total
    assert part.seen < part.total
    assert pytest.approx(100 * ranks.statistic, abs=1e-7) == part.score
    # gensim: float32 cosines
    assert pytest.approx(100 * linear.statistic, abs=1e-4) == part.more["pearson"]
    assert pytest.approx(100 * ranks_of_all.statistic, abs=1e-7) == part.more["score_of_all"]
    assert pytest.approx(100 * linear_of_all.statistic, abs=1e-4) == whole.more["pearson"]
    assert (None, None) == (part.low, part.high)


WORDS = FoldedWords.of(
    Embeddings(
        Vocabulary.from_words(["sun", "Sun", "moon", "star"]),
        np.array([[1, 0], [0, 1], [1, 1], [1, 2]], np.float32),
    ),
    None,
    str.upper,
)


def score(pairs, **rules):
    return score_similarity(WORDS, "x", pairs, resolve("word2vec", **rules), resamples=20)


def test_the_most_frequent_spelling_stands_for_all():
    report = score([("SUN", "moon", 9.0), ("sun", "Star", 5.0), ("moon", "star", 9.5)])

    assert 100.0 == report.score


def test_unknown_pairs_are_left_out_or_given_cosine_zero():
    pairs = [("sun", "moon", 9.0), ("sun", "star", 5.0), ("sun", "comet", 10.0)]
    skipped, counted = score(pairs), score(pairs, oov="wrong")

    (some,), (whole,) = skipped.parts, counted.parts
    assert (2, 3, 100.0) == (some.seen, some.total, skipped.score)
    assert -50.0 == counted.score
    assert -50.0 == some.more["score_of_all"] == whole.more["score_of_all"]
    # the linear correlation, as the interval, is of the pairs that the score is of
    human, cosines = counted.items.values.T
    assert pytest.approx(100 * pearson(human[:2], cosines[:2])) == some.more["pearson"]
    assert pytest.approx(100 * pearson(human, cosines)) == whole.more["pearson"]


@pytest.mark.parametrize(
    ("pairs", "covered"),
    [
        ([("sun", "moon", 1.0)], 1),
        ([("sun", "moon", 1.0), ("sun", "star", 1.0)], 2),
        ([("sun", "moon", 1.0), ("moon", "sun", 2.0)], 2),
        ([("sun", "comet", 1.0), ("comet", "sun", 2.0)], 0),
    ],
)
def test_undefined_correlations_are_none(pairs, covered):
    report = score(pairs)

    (part,) = report.parts
    assert (covered, None, None, None) == (part.seen, report.score, part.low, part.high)
    assert {"score_of_all": None, "pearson": None} == part.more
