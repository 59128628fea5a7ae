"""How changes of several shards are sent, added up and become one."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli import TrainConfig
from embedcli.cluster import combination
from embedcli.cluster.deltas import (
    Change,
    Delta,
    Matrices,
    Round,
    add,
    difference,
    part,
    row_parts,
    total,
)
from embedcli.cluster.steps import Driver

V, D = 12, 4
# Output vectors that have much in common along the first axis and little along the others.
OTHER = np.random.default_rng(1).normal(size=(V, D)).astype(np.float32) * [4, 0.5, 0.5, 0.5]
OTHER = OTHER.astype(np.float32)
BEFORE = np.random.default_rng(2).normal(size=(V, D)).astype(np.float32)
ALL = np.ones(V, np.float32)


def changed(rows, by=1.0, steps=1.0, dtype="float32"):
    """The delta of a shard that moved `rows` by `by`, in so many steps."""
    after = BEFORE.copy()
    after[rows] += np.float32(by)
    return difference(BEFORE, after, steps * ALL, dtype)


def moved(*deltas, parts=None):
    """How far each row goes when the changes are combined, (V, D)."""
    still = Delta(V, None, np.zeros_like(OTHER), ALL, ALL)
    config, rows = TrainConfig(dim=D, shards=1, rounds=1), parts or row_parts(V, 1)
    model = [Matrices(BEFORE[part], OTHER[part]) for part in rows]
    changes = [Change(((delta, still),), np.zeros(4), 0, 0) for delta in deltas]
    after, _ = Driver(config).combine(Round(0, 0, 1), model, changes, rows)
    after = np.concatenate([part.syn0 for part in after])
    return after - BEFORE


def test_one_shard_alone_is_the_model_it_trained():
    way = moved(changed([0, 5], steps=1e3))

    assert pytest.approx(np.ones((2, D))) == way[[0, 5]]
    assert not way[[1, 2, 3, 4, 6]].any()


def test_rare_rows_are_summed_and_frequent_ones_averaged():
    assert 4 * np.ones(D) == pytest.approx(moved(*[changed([0], steps=1e-4)] * 4)[0], rel=1e-2)
    assert np.ones(D) == pytest.approx(moved(*[changed([0], steps=1e4)] * 4)[0], rel=1e-2)


def test_a_row_of_one_shard_is_neither_damped_nor_doubled():
    for steps in (1e-3, 1.0, 1e6):
        both = moved(changed([2], steps=steps), changed([7], steps=steps))
        assert pytest.approx(np.ones((2, D)), abs=1e-5) == both[[2, 7]]


def test_a_shard_with_few_steps_weighs_little():
    uneven = moved(changed([0], steps=1e3), changed([0], by=0.01, steps=1))

    assert 1.01 * np.ones(D) == pytest.approx(uneven[0], rel=1e-2)


def test_where_the_others_have_much_in_common_shards_are_averaged_first():
    way = np.abs(moved(*[changed([0], by=[1, 0, 0, 0], steps=3.0)] * 4)[0, 0])
    across = np.abs(moved(*[changed([0], by=[0, 1, 0, 0], steps=3.0)] * 4)[0, 1])

    assert way < 1.2
    assert across > 3


def test_together_they_go_where_the_steps_one_after_the_other_would():
    """Gradient steps on a quadratic, by four shards at once and by one."""
    other = np.sqrt(combination.CURVATURE) * OTHER
    curvature = other.T @ other / V
    goal, lr, n = np.ones(D, np.float32), 0.02, 40
    way = np.eye(D) - np.linalg.matrix_power(np.eye(D) - lr * curvature, n)
    whole = np.eye(D) - np.linalg.matrix_power(np.eye(D) - lr * curvature, 4 * n)
    parts = [changed([3], by=way @ goal, steps=lr * n)] * 4

    assert (whole @ goal) == pytest.approx(moved(*parts)[3], rel=0.02)


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
    tolerance = 1e-2 if narrow else 1e-4

    forwards, backwards = moved(*sent), moved(*sent[::-1])
    assert np.allclose(forwards, backwards, rtol=tolerance, atol=tolerance)
    whole = reduce(add, sent)
    if whole.rows is not None:
        dense = [Delta(V, None, *_spread(whole))]
        assert np.allclose(forwards, moved(*dense), rtol=tolerance, atol=tolerance)


@given(ROWS, st.booleans(), st.integers(1, 40))
def test_parts_are_what_the_whole_is(parts, narrow, n_shards):
    dtype = "float16" if narrow else "float32"
    sent = [changed(rows, by=1 + i / 8, steps=i + 1, dtype=dtype) for i, rows in enumerate(parts)]
    rows = row_parts(V, n_shards)
    whole = total(sent)
    dealt = [total([part(delta, some) for delta in sent]) for some in rows]

    assert list(range(V)) == [row for some in rows for row in range(V)[some]]
    assert np.float32 == whole.values.dtype
    for name in ("values", "steps", "squares"):
        pieces = [_dense(delta, name) for delta in dealt]
        assert _dense(whole, name).tobytes() == np.concatenate(pieces).tobytes()
    moved_by_parts = moved(*sent, parts=rows)
    assert np.allclose(moved(*sent, parts=[slice(0, V)]), moved_by_parts, rtol=1e-4, atol=1e-5)


def test_a_model_has_parts_enough_that_two_fit_beside_it_and_no_more_than_rows():
    assert 8 == len(row_parts(1000, 2))
    assert 32 == len(row_parts(1000, 100))
    assert [slice(0, 1), slice(1, 2), slice(2, 3)] == row_parts(3, 2)


def _dense(delta, name):
    values = getattr(delta, name)
    dense = np.zeros((delta.n_rows, *values.shape[1:]), values.dtype)
    dense[slice(None) if delta.rows is None else delta.rows] = values
    return dense


def _spread(delta):
    """A delta of rows as a whole matrix."""
    values = np.zeros((V, D), np.float32)
    steps, squares = np.zeros(V, np.float32), np.zeros(V, np.float32)
    values[delta.rows] = delta.values
    steps[delta.rows], squares[delta.rows] = delta.steps, delta.squares
    return values, steps, squares


def test_nothing_changed_is_nothing_sent():
    nothing = changed([])

    assert (0, D) == nothing.values.shape
    assert not moved(nothing, nothing).any()
