"""How changes of several shards become one, row by row."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.cluster import deltas
from embedcli.cluster.deltas import add, apply, difference

V, D = 12, 3
BEFORE = np.random.default_rng(1).normal(size=(V, D)).astype(np.float32)


def changed(rows, by=1.0, steps=1.0, dtype="float32"):
    """The delta of a shard that moved `rows` by `by`, in so many steps."""
    after = BEFORE.copy()
    after[rows] += np.float32(by)
    return difference(BEFORE, after, np.full(V, steps, np.float32), dtype)


def moved(*parts):
    """How far each row goes when the changes are combined, (V,)."""
    return (apply(BEFORE, reduce(add, parts)) - BEFORE)[:, 0]


def test_one_shard_alone_is_the_model_it_trained():
    delta = changed([0, 5])

    assert pytest.approx([1.0, 1.0]) == moved(delta)[[0, 5]]
    assert not moved(delta)[[1, 2, 3, 4, 6]].any()


def test_rare_rows_are_summed_and_frequent_ones_averaged():
    few, many = 1e-4 / deltas.CONTRACTION, 1e4 / deltas.CONTRACTION

    assert 4.0 == pytest.approx(moved(*[changed([0], steps=few)] * 4)[0], rel=1e-3)
    assert 1.0 == pytest.approx(moved(*[changed([0], steps=many)] * 4)[0], rel=1e-3)


def test_a_row_of_one_shard_is_neither_damped_nor_doubled():
    for steps in (1e-3, 1.0, 1e6):
        both = moved(changed([2], steps=steps), changed([7], steps=steps))
        assert pytest.approx([1.0, 1.0]) == both[[2, 7]]


def test_in_between_it_is_what_the_steps_one_after_the_other_would_do():
    """A row that every step moves by a share towards a goal: two halves make the whole way."""
    k, steps = deltas.CONTRACTION, 50.0
    half = 1 - np.exp(-k * steps)
    whole = 1 - np.exp(-k * 2 * steps)
    two = [changed([4], by=half, steps=steps)] * 2

    assert whole == pytest.approx(moved(*two)[4], rel=1e-5)


def test_few_rows_are_sent_as_rows_and_many_as_a_matrix():
    sparse, dense = changed([0, 3, 9]), changed(range(V))

    assert [0, 3, 9] == sparse.rows.tolist()
    assert dense.rows is None
    assert (3, D) == sparse.values.shape
    assert sparse.nbytes < dense.nbytes
    assert changed(range(V), dtype="float16").nbytes < dense.nbytes


ROWS = st.lists(st.lists(st.integers(0, V - 1), unique=True), min_size=2, max_size=5)


@given(ROWS, st.booleans())
def test_the_order_and_the_form_do_not_matter(parts, narrow):
    dtype = "float16" if narrow else "float32"
    sent = [changed(rows, by=1 + i / 8, steps=i + 1, dtype=dtype) for i, rows in enumerate(parts)]
    tolerance = 1e-2 if narrow else 1e-5

    forwards, backwards = moved(*sent), moved(*sent[::-1])
    assert np.allclose(forwards, backwards, rtol=tolerance, atol=tolerance)
    dense = [changed(range(V), by=0.0, steps=0.0), *sent]
    assert np.allclose(forwards, moved(*dense), rtol=tolerance, atol=tolerance)


def test_nothing_changed_is_nothing_sent():
    nothing = changed([])

    assert (0, D) == nothing.values.shape
    assert BEFORE.tobytes() == apply(BEFORE, add(nothing, nothing)).tobytes()
