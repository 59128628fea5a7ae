# ruff: noqa: E501
# (a table is read line by line)
"""Parquet as other programs write it; skipped without pyarrow."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import formats
from embedcli.cli.info import command as info
from embedcli.errors import FormatError, UsageError
from embedcli.files.parquet_library import chunks_of

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

VECTORS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
LISTS = pa.array(VECTORS, pa.list_(pa.float32()))
WORDS = ["a", "b c", "naïve"]
COLUMNS = {"x": pa.array([1.0, 3.0, 5.0]), "y": pa.array([2.0, 4.0, 6.0], pa.float32())}


def table(path, columns, **more):
    pq.write_table(pa.table(columns), path, **more)
    return path


ACCEPTED = {
    "words in a dictionary": ({"w": pa.array(WORDS).dictionary_encode(), "v": LISTS}, {}, WORDS),
    "long strings": ({"w": pa.array(WORDS, pa.large_string()), "v": LISTS}, {}, WORDS),
    "whole numbers": ({"item": pa.array([7, -1, 2**62]), "v": LISTS}, {}, ["7", "-1", str(2**62)]),
    "numbers in a dictionary": (
        {"item": pa.array([7, 8, 9]).dictionary_encode(), "v": LISTS}, {}, ["7", "8", "9"]),
    "a column for each component": ({"w": WORDS, **COLUMNS}, {}, WORDS),
    "components and counts": ({"item": pa.array([7, 8, 9]), "count": [3, 2, 1], **COLUMNS}, {}, ["7", "8", "9"]),
    "the column asked for": ({"title": WORDS, "w": ["d", "e", "f"], "v": LISTS}, {"word_column": "w"}, ["d", "e", "f"]),
    "numbers asked for": ({"title": WORDS, "id": [4, 5, 6], "v": LISTS}, {"word_column": "id"}, ["4", "5", "6"]),
    "a name with a point": ({"a.b": WORDS, "v.w": LISTS}, {}, WORDS),
    "two of a name that are not needed": (None, {}, WORDS),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_columns_are_told_by_their_types(tmp_path, name):
    columns, options, words = ACCEPTED[name]
    if columns is None:
        columns = pa.table([WORDS, LISTS, [1, 2, 3], [4, 5, 6]], ["w", "v", "n", "n"])
        pq.write_table(columns, tmp_path / "x")
    else:
        table(tmp_path / "x", columns)
    read = formats.load(tmp_path / "x", **options)
    assert (words, VECTORS) == (read.vocabulary.words, read.vectors.tolist())


REFUSED = {
    "two of a name": (lambda: pa.table([WORDS, LISTS, LISTS], ["w", "v", "v"]), {}, "2 columns called 'v'"),
    "two words of a name": (lambda: pa.table([WORDS, WORDS, LISTS], ["w", "w", "v"]), {}, "2 columns called 'w'"),
    "two components of a name": (
        lambda: pa.table([WORDS, *COLUMNS.values()], ["w", "x", "x"]), {}, "2 columns called 'x'"),
    "no words": (lambda: pa.table({"v": LISTS}), {}, "no column that is clearly the word; it has v"),
    "no vectors": (lambda: pa.table({"w": WORDS}), {}, "no column that is clearly the vector"),
    "several words": (
        lambda: pa.table({"w": WORDS, "t": WORDS, "v": LISTS}), {}, r"--word-column NAME chooses"),
    "a column that is not there": (
        lambda: pa.table({"w": WORDS, "v": LISTS}), {"word_column": "z"}, "has no column 'z'; it has w"),
    "a column of no words": (
        lambda: pa.table({"w": WORDS, "v": LISTS}), {"word_column": "v"}, "the column 'v' is list<"),
    "an empty cell": (lambda: pa.table({"w": ["a", None, "c"], "v": LISTS}), {}, "rows from 1: a cell is empty"),
    "an empty cell in a dictionary": (
        lambda: pa.table({"w": pa.array(["a", None, "c"]).dictionary_encode(), "v": LISTS}), {}, "a cell is empty"),
    "a word twice": (lambda: pa.table({"w": ["a", "b", "a"], "v": LISTS}), {}, "row 3: 'a' is already in row 1"),
    "nothing": (lambda: pa.table({"w": pa.array([], pa.string()), "v": LISTS[:0]}), {}, "not a single row"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_one_clear_line(tmp_path, name):
    columns, options, message = REFUSED[name]
    pq.write_table(columns(), tmp_path / "x")
    with pytest.raises(FormatError, match=message):
        formats.load(tmp_path / "x", **options)


def peak_of(path):
    """Bytes that reading takes at most, and the message of the refusal."""
    pa.default_memory_pool().release_unused()
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            formats.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 8e6
    return peak, str(caught.value)


def test_numbers_that_the_size_does_not_justify(tmp_path):
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(20_000 * 1000, np.float32)), 1000)
    words = [f"w{i}" for i in range(20_000)]
    pq.write_table(pa.table({"word": words, "vector": zeros}), tmp_path / "x", compression="zstd")
    assert (tmp_path / "x").stat().st_size < 200_000
    peak, message = peak_of(tmp_path / "x")
    assert "bytes are said to hold 80000000; at most" in message
    assert peak < 8e6


def test_a_long_word_in_every_row_is_in_memory_once(tmp_path):
    places = pa.array(np.zeros(3000, np.int32))
    words = pa.DictionaryArray.from_arrays(places, pa.array(["x" * 1_000_000]))
    numbers = pa.array(np.arange(3000, dtype=np.float32))
    table(tmp_path / "x", {"word": words, "x": numbers}, compression="zstd", store_schema=False)
    peak, message = peak_of(tmp_path / "x")
    assert "row 1: a word of 1000000 bytes; at most 4096" in message
    assert peak < 32e6


def test_many_rows_come_in_order_and_to_the_limit(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(40_000, 3)).astype(np.float32)
    words = pa.array([f"w{i}" for i in range(40_000)])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 3)
    table(tmp_path / "x", {"word": words, "vector": lists}, row_group_size=9000)
    read = formats.load(tmp_path / "x")
    assert (words.to_pylist(), vectors.tobytes()) == (read.vocabulary.words, read.vectors.tobytes())
    some = formats.load(tmp_path / "x", limit=20_001)
    assert vectors[:20_001].tobytes() == some.vectors.tobytes()


def test_the_option_of_the_commands(tmp_path):
    table(tmp_path / "x", {"title": WORDS, "w": ["d", "e", "f"], "v": LISTS})
    assert 0 == CliRunner().invoke(info, [str(tmp_path / "x"), "--word-column", "w"]).exit_code
    (tmp_path / "y.vec").write_text("1 2\na 1 2\n")
    with pytest.raises(UsageError, match=r"y\.vec is word2vec, which has no named columns"):
        formats.load(tmp_path / "y.vec", word_column="w")


def test_sizes_are_those_that_pyarrow_states(tmp_path):
    table(tmp_path / "x", {"a.b": WORDS, "v": LISTS, "n": [1, 2, 3]}, row_group_size=2)
    groups = pq.ParquetFile(tmp_path / "x").metadata
    stated = [
        groups.row_group(group).column(i)
        for group in range(groups.num_row_groups)
        for i in range(groups.num_columns)
    ]
    assert [
        (c.path_in_schema, c.num_values, c.total_uncompressed_size, c.total_compressed_size)
        for c in stated
    ] == [
        chunk for group in chunks_of(io.BytesIO((tmp_path / "x").read_bytes())) for chunk in group
    ]


def test_damage_to_the_end_of_a_file_ends_no_process(tmp_path):
    """Statistics of a column with a flipped bit, at which pyarrow calls `terminate`."""
    table(
        tmp_path / "x", {"w": pa.array(["a", "b", "c"]).dictionary_encode(), "x": [1.0, 2.0, 3.0]}
    )
    sound = (tmp_path / "x").read_bytes()
    n_refused = 0
    for at in range(len(sound) - 8 - int.from_bytes(sound[-8:-4], "little"), len(sound)):
        for bit in (1, 64):
            (tmp_path / "x").write_bytes(sound[:at] + bytes([sound[at] ^ bit]) + sound[at + 1 :])
            try:
                formats.load(tmp_path / "x", "parquet")
            except FormatError as refusal:
                n_refused += 1
                assert "\n" not in str(refusal)
    assert n_refused > 50
