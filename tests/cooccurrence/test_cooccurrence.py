"""Counting co-occurrences: equal to its slow twin, whatever the threads and the memory."""

from types import SimpleNamespace

import numpy as np
import pytest

from embedcli.cooccurrence import counting, runs
from embedcli.cooccurrence.counting import (
    count_cooccurrences,
    counting_memory,
    expected_cells,
    make_layout,
)
from embedcli.errors import ResourceError
from tests.reference.cooccurrence import cooccurrences

V, N = 50, 2000


def make_corpus(seed=0, n_sentences=100):
    generator = np.random.default_rng(seed)
    ids = (generator.zipf(1.3, N) % V).astype(np.int32)
    offsets = np.unique(np.r_[0, generator.integers(0, N, n_sentences), N]).astype(np.int64)
    return SimpleNamespace(ids=ids, offsets=offsets, vocabulary=range(V), release=lambda: None)


@pytest.fixture
def small_pieces(monkeypatch):
    """Let every loop over pieces go round several times."""
    monkeypatch.setattr(counting, "FEWEST_ENTRIES", 16)
    monkeypatch.setattr(counting, "TOKENS_AT_ONCE", 100)
    monkeypatch.setattr(counting, "SLOTS_AT_ONCE", 64)
    monkeypatch.setattr(counting, "SENTENCES_AT_ONCE", 7)
    monkeypatch.setattr(runs, "CELLS_AT_ONCE", 128)


def as_dictionary(x):
    cells = {}
    for row, column, count in zip(x.rows.tolist(), x.columns.tolist(), x.counts, strict=True):
        assert (row, column) not in cells
        cells[row, column] = float(count)
        if x.is_symmetric and row != column:
            assert (column, row) not in cells
            cells[column, row] = float(count)
    return cells


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("distance_weighting", [True, False])
@pytest.mark.parametrize(("memory", "threads"), [(1 << 20, 1), (200, 1), (600, 3), (20_000, 2)])
def test_it_counts_what_its_twin_counts(symmetric, distance_weighting, memory, threads):
    corpus = make_corpus()
    how = {"symmetric": symmetric, "distance_weighting": distance_weighting}
    expected = cooccurrences(corpus.ids, corpus.offsets, 7, **how)
    x = count_cooccurrences(corpus, window=7, threads=threads, memory=memory, **how)
    found = as_dictionary(x)
    assert expected.keys() == found.keys()
    np.testing.assert_allclose(
        [found[cell] for cell in expected], list(expected.values()), rtol=1e-6
    )


@pytest.mark.usefixtures("small_pieces")
def test_neither_threads_nor_memory_show_in_a_single_bit():
    corpus, seen = make_corpus(3), set()
    for memory, threads in ((1 << 20, 1), (200, 1), (3000, 2), (900, 5)):
        x = count_cooccurrences(corpus, window=10, threads=threads, memory=memory)
        seen.add((x.rows.tobytes(), x.columns.tobytes(), x.counts.tobytes()))
    assert 1 == len(seen)


def test_cells_come_in_the_order_of_their_rarer_word():
    x = count_cooccurrences(make_corpus(), window=5)
    assert (np.diff(np.maximum(x.rows, x.columns)) >= 0).all()


@pytest.mark.parametrize("window", [1, 2, 7, 100])
def test_pairs_and_lonely_tokens_are_counted(window):
    corpus = make_corpus(n_sentences=1500)
    x = count_cooccurrences(corpus, window=window, symmetric=False, distance_weighting=False)
    assert x.n_pairs == x.counts.sum()
    assert x.n_alone == np.count_nonzero(np.diff(corpus.offsets) == 1) > 0


def test_sentences_do_not_meet():
    corpus = make_corpus()
    corpus.ids[:] = np.arange(N) % 2
    corpus.offsets = np.arange(0, N + 1, 2)
    x = count_cooccurrences(corpus, window=100)
    assert {(0, 1): N / 2, (1, 0): N / 2} == as_dictionary(x)


def test_a_text_without_pairs_has_no_cells():
    corpus = make_corpus()
    corpus.offsets = np.arange(N + 1)
    x = count_cooccurrences(corpus, window=5, threads=2)
    assert (0, 0, N) == (len(x), x.n_pairs, x.n_alone)


def test_the_table_takes_no_more_than_its_share():
    for n_words, n_slots in ((10, 1000), (1000, 10), (5000, 40_000), (3, 1), (100, 5050)):
        starts = counting._table_starts(n_words, n_slots, 0)
        widths = np.diff(starts)
        assert starts[-1] <= n_slots
        assert 0 == widths[-1]
        assert (widths[:-1] <= np.arange(1, len(widths))).all()
    assert 5050 == starts[-1]  # all pairs, where they fit


def test_more_words_than_a_key_holds_are_refused():
    make_layout(1 << 28, 100, symmetric=True, distance_weighting=True)
    with pytest.raises(ResourceError, match="--max-vocab"):
        make_layout(1 << 29, 100, symmetric=True, distance_weighting=True)


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_number_of_cells_is_foreseen(symmetric):
    """Exactly for words in random order, which this text is."""
    corpus = make_corpus(n_sentences=1)
    x = count_cooccurrences(corpus, window=5, symmetric=symmetric)
    counts = np.bincount(corpus.ids, minlength=V)
    found = expected_cells(counts[counts > 0], x.n_pairs, symmetric=symmetric)
    assert found == pytest.approx(len(x), rel=0.1)


def test_no_more_memory_is_taken_than_is_of_use():
    assert 0 < counting_memory(1 << 30, 1000, 2) < 20_000
    for memory in (1 << 20, 1 << 26, 1 << 30):
        assert counting_memory(memory, 10**12, 3) <= memory
