"""Exact top k: equal to sorting everything, whatever the shape, the ties and the layout."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.embeddings import Embeddings
from embedcli.errors import InputError
from embedcli.lookup import exact
from embedcli.lookup.exact import cosines, nearest, unit_rows
from embedcli.vocabulary import Vocabulary


def norms_of(vectors):
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors)).astype(np.float32)


def naive(vectors, queries, k, excluded, restrict):
    """Sort all cosines, in float64: the specification."""
    n = len(vectors) if restrict is None else min(restrict, len(vectors))
    rows = unit_rows(vectors[:n])
    ids = np.full((len(queries), k), -1, np.int64)
    scores = np.zeros((len(queries), k))
    for q, unit in enumerate(unit_rows(queries)):
        exact = np.clip((rows * unit).sum(axis=1), -1, 1)
        order = [i for i in np.lexsort((np.arange(n), -exact)) if i not in set(excluded[q])][:k]
        ids[q, : len(order)] = order
        scores[q, : len(order)] = exact[order]
    return ids, scores


def check(vectors, queries, k, excluded=None, restrict=None):
    excluded = excluded or [[] for _ in queries]
    ids, scores = nearest(
        vectors, norms_of(vectors), queries, k, excluded=excluded, restrict=restrict
    )
    expected_ids, expected_scores = naive(vectors, queries, k, excluded, restrict)

    assert expected_ids.tolist() == ids.tolist()
    assert expected_scores.tolist() == scores.tolist()


# Small whole numbers make ties, opposite vectors and zero vectors common.
@st.composite
def searches(draw):
    n_rows, dim = draw(st.integers(1, 40)), draw(st.integers(1, 5))
    number = st.integers(-2, 2)
    row = st.lists(number, min_size=dim, max_size=dim)
    vectors = draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    queries = draw(st.lists(row, min_size=1, max_size=6))
    ids = st.lists(st.integers(0, n_rows - 1), max_size=4)
    excluded = draw(st.lists(ids, min_size=len(queries), max_size=len(queries)))
    return {
        "vectors": np.array(vectors, np.float32),
        "queries": np.array(queries, np.float64),
        "k": draw(st.integers(1, n_rows + 3)),
        "excluded": excluded,
        "restrict": draw(st.none() | st.integers(0, n_rows + 3)),
    }


@given(searches())
def test_equals_sorting_everything(search):
    check(**search)


@given(searches())
def test_equals_sorting_everything_in_small_blocks_with_a_small_pool(search):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "SCORES_AT_ONCE", 8)
        patch.setattr(exact, "QUERIES_AT_ONCE", 2)
        patch.setattr(exact, "MIN_BLOCK", 4)
        patch.setattr(exact, "PAIRS_AT_ONCE", 3)
        patch.setattr(exact, "POOL", 1)
        patch.setattr(exact, "POOL_PER_ANSWER", 1)
        check(**search)


@pytest.mark.parametrize("n_queries", [1, 3, 40])
def test_random_vectors_over_several_blocks(n_queries):
    generator = np.random.default_rng(3)
    vectors = generator.standard_normal((20_000, 24), np.float32)
    vectors[15_000:15_050] = vectors[:50]
    queries = vectors[generator.integers(0, 100, n_queries)].astype(np.float64)

    check(vectors, queries, 7, [[i] for i in range(n_queries)])


def test_a_query_is_answered_alike_alone_and_among_others():
    generator = np.random.default_rng(4)
    vectors = generator.standard_normal((9_000, 30), np.float32)
    norms = norms_of(vectors)
    queries = generator.standard_normal((200, 30))

    ids, scores = nearest(vectors, norms, queries, 10)

    for q in (0, 77, 199):
        alone = nearest(vectors, norms, queries[q : q + 1], 10)
        assert ids[q].tolist() == alone[0][0].tolist()
        assert scores[q].tolist() == alone[1][0].tolist()


def test_padded_rows():
    wide = np.random.default_rng(5).standard_normal((300, 16), np.float32)
    padded = wide[:, :11]

    assert 64 == padded.strides[0]
    check(padded, padded[:4].astype(np.float64), 5)


def test_memory_mapped_rows(tmp_path):
    path = tmp_path / "rows"
    vectors = np.random.default_rng(6).standard_normal((500, 9), np.float32)
    path.write_bytes(vectors.tobytes())
    mapped = np.memmap(path, np.float32, "r", shape=(500, 9))

    check(mapped, vectors[:3].astype(np.float64), 5)


def test_equal_vectors_are_answered_by_id_across_blocks():
    vectors = np.tile(np.array([[1, 2, 3]], np.float32), (40_000, 1))

    ids, scores = nearest(vectors, norms_of(vectors), vectors[:2], 4, excluded=[[0], [1, 2]])

    assert [[1, 2, 3, 4], [0, 3, 4, 5]] == ids.tolist()
    assert np.allclose(1, scores)


def test_zero_vectors_have_cosine_zero():
    vectors = np.array([[0, 0], [-1, 0], [1, 0], [0, 0]], np.float32)

    ids, scores = nearest(vectors, norms_of(vectors), np.array([[2.0, 0.0], [0.0, 0.0]]), 4)

    assert [[2, 0, 3, 1], [0, 1, 2, 3]] == ids.tolist()
    assert [[1, 0, 0, -1], [0, 0, 0, 0]] == scores.tolist()


def test_fewer_rows_than_asked_for():
    vectors = np.eye(3, dtype=np.float32)

    ids, scores = nearest(vectors, norms_of(vectors), vectors[:1], 5, excluded=[[0]])

    assert [[1, 2, -1, -1, -1]] == ids.tolist()
    assert [[0, 0, 0, 0, 0]] == scores.tolist()


@pytest.mark.parametrize("k", [0, 1])
def test_nothing_to_search(k):
    nothing = np.empty((0, 3), np.float32)

    assert (2, k) == nearest(nothing, norms_of(nothing), np.ones((2, 3)), k)[0].shape
    assert (0, k) == nearest(np.eye(3, dtype="f"), np.ones(3, "f"), np.ones((0, 3)), k)[0].shape


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(wrong):
    vectors = np.eye(3, dtype=np.float32)
    vectors[1, 2] = wrong

    with pytest.raises(InputError, match=r"vector 1 .*not finite"):
        nearest(vectors, norms_of(vectors), np.ones((1, 3)), 1)
    with pytest.raises(InputError, match="query"):
        nearest(np.eye(3, dtype="f"), np.ones(3, "f"), np.array([[wrong, 0, 0]]), 1)


def test_cosines():
    vectors = np.array([[3, 0], [0, 0], [1, 1]], np.float32)
    scores = cosines(vectors, norms_of(vectors), np.array([[1.0, 0.0], [0.0, 0.0]]))

    assert np.allclose([[1, 0, np.sqrt(0.5)], [0, 0, 0]], scores)


def test_norms_in_blocks_equal_norms_at_once():
    vectors = np.random.default_rng(7).standard_normal((5_000, 300), np.float32)
    embeddings = Embeddings(Vocabulary.from_words(map(str, range(5_000))), vectors)

    assert np.allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), embeddings.norms)


def test_look_ups_never_import_numba():
    code = (
        "import sys, embedcli.lookup.query, embedcli.evaluation, embedcli.cli.neighbors, "
        "embedcli.cli.analogy, embedcli.cli.evaluate; print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False" == done.stdout.strip()
