# ruff: noqa: E501, RUF001
# (a table is read line by line, and digits of other scripts are what is tested)
"""Damaged and misleading vector files: one clear line each, and no memory for what is not there.

Text below is written with `\\n`; binary rows come from `row`.
"""

import bz2
import gzip
import lzma
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedcli import Vocabulary, formats
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, FormatError


def row(word, *numbers, end=b"\n"):
    return word + b" " + struct.pack(f"<{len(numbers)}f", *numbers) + end


def rows(end=b"\n"):
    return b"2 3\n" + row(b"out", 1, 2, 3, end=end) + row(b"bout", 4, 5, 6, end=end)


def long_binary(n_bytes):
    return b"2 3\n" + b"x" * n_bytes


REFUSED = {
    "rows fewer than the header says": (b"3 2\na 1 2\nb 3 4\n", "promises 3 rows, but the file has 2"),
    "rows more than the header says": (b"1 2\na 1 2\nb 3 4\n", "promises 1 rows, but more follow"),
    "header negative": (b"-2 2\na 1 2\nb 3 4\n", "two whole numbers from 1 in plain digits"),
    "header with plus": (b"+2 2\na 1 2\nb 3 4\n", "but is '+2 2'"),
    "header with underscore": (b"1_0 2\na 1 2\nb 3 4\n", "but is '1_0 2'"),
    "header Arabic digits": ("١٢ 2\na 1 2\nb 3 4\n".encode(), "but is '١٢ 2'"),
    "header full-width digits": ("５ 2\na 1 2\nb 3 4\n".encode(), "but is '５ 2'"),
    "header zero rows": (b"0 2\na 1 2\n", "but is '0 2'"),
    "header 10^30": (b"1" + b"0" * 30 + b" 2\na 1 2\n", "two whole numbers"),
    "rows without memory for them": (b"9000000000 300\na", "at least 5409000000000 bytes, but the file has 16"),
    "the same, packed": (gzip.compress(b"9000000000 2\na 1 2\n"), "promises 9000000000 rows, but the file has 1"),
    "the same, binary": (b"10000000 300\n" + row(b"a", *[1e-9] * 300), "at least 12020000000 bytes"),
    "dimension 0": (b"2 0\na\nb\n", "but is '2 0'"),
    "dimension 0 over rows": (b"2 0\na 1 2\nb 3 4\n", "but is '2 0'"),
    "dimension 10^9": (b"2 999999999\na 1 2\nb 3 4\n", "2 rows of 999999999 numbers"),
    "short row": (b"3 2\na 1 2\nb 3\nc 5 6\n", "line 3: 2 fields, expected a word and 2 numbers: 'b 3'"),
    "long row": (b"3 2\na 1 2\nb 3 4 5\nc 5 6\n", "line 3: 3 numbers, expected 2: 'b 3 4 5'"),
    "short row of GloVe": (b"a 1.5 2\nb 3.5\n", "line 2: 2 fields, expected a word and 2 numbers"),
    "long row of GloVe": (b"a 1.5 2\nb 3.5 4 5\n", "line 2: 3 numbers, expected 2"),
    "first row short": (b"2 3\na 1 2\nb 1 2 3\n", "line 2: 3 fields, expected a word and 3 numbers"),
    "empty row": (b"2 2\na 1 2\n\nb 3 4\n", "line 3: an empty line among the rows"),
    "empty row at the end": (b"2 2\na 1 2\nb 3 4\n\n", "line 4: an empty line among the rows"),
    "word twice": (b"3 2\na 1 2\nb 3 4\na 5 6\n", "row 3: 'a' is already in row 1"),
    "word twice, binary": (b"2 1\n" + row(b"a", 1) * 2, "row 2: 'a' is already in row 1"),
    "no word": (b"2 2\na 1 2\n 3 4\n", "line 3: 2 fields, expected a word and 2 numbers"),
    "no word, binary": (b"2 1\n" + row(b"a", 1) + row(b"", 1), "row 2: the word is empty"),
    "nan": (b"2 2\na 1 2\nb nan 4\n", "line 3: 'nan' is not finite"),
    "inf": (b"2 2\na 1 2\nb 3 -inf\n", "line 3: '-inf' is not finite"),
    "infinity": (b"2 2\na 1 2\nb 3 Infinity\n", "'Infinity' is not finite"),
    "overflow": (b"2 2\na 1 2\nb 3 1e400\n", "row 2 ('b'): a number is not finite"),
    "overflow of float32": (b"2 2\na 1 2\nb 3 1e39\n", "row 2 ('b'): a number is not finite"),
    "hexadecimal": (b"2 2\na 1 2\nb 3 0x1p3\n", "'0x1p3' is not a plain decimal number"),
    "decimal comma": (b"2 2\na 1 2\nb 3 1,5\n", "'1,5' is not a plain decimal number"),
    "underscore": (b"2 2\na 1 2\nb 3 1_0.5\n", "'1_0.5' is not a plain decimal number"),
    "other digits": ("2 2\na 1 2\nb 3 ５\n".encode(), "line 3"),
    "two points": (b"2 2\na 1 2\nb 3 1.2.3\n", "'1.2.3' is not a plain decimal number"),
    "nan, binary": (b"1 2\n" + row(b"a", 1, float("nan")), "row 1 ('a'): a number is not finite"),
    "sparse": (b"2 2\na 1 2\nb 9:0.5 11:1\n", "'9:0.5' is an entry of a sparse row"),
    "not a number": (b"2 2\na 1 2\nb 3 x\n", "line 3: 0 numbers, expected 2"),
    "newline after the first row only": (
        b"2 1\n" + row(b"a", 1) + row(b"b", 1, end=b"")[:-4] + b"\0\0\x80?c", "row 2 (byte 17): the first row ends"),
    "newline missing in the middle": (
        b"3 1\n" + row(b"a", 1) + row(b"b", 1, end=b"") + row(b"c", 1), "row 2 (byte 17): the first row ends with a newline"),
    "newline from the second row on": (
        b"3 1\n" + row(b"a", 1, end=b"") + row(b"b", 1) + row(b"c", 1), "row 2 (byte 16): the first row does not end"),
    "binary cut in a vector": (rows()[:-5], "row 2 (byte 21): the file ends at byte 34, but the vector needs 12 bytes"),
    "binary cut in a word": (b"3 1\n" + row(b"a", 1) + row(b"b", 1) + b"word", "row 3 (byte 18): the file ends at byte 22, inside a word"),
    "binary without the last float": (rows(b"")[:-4], "the file ends at byte"),
    "binary with bytes behind": (rows() + b"x", "goes on behind them at byte 39"),
    "binary with a row more": (rows() + row(b"c", 1, 2, 3), "promises 2 rows, but the file goes on"),
    "broken UTF-8, binary": (b"1 1\n" + row(b"caf\xc3", 0.1), r"row 1: the word b'caf\xc3' is not UTF-8"),
    "no space for long": (b"2 3\n\1" + b"x" * 9000, "no space within 4096 bytes"),
    "binary header only": (b"2 3\n", "is a vocabulary file"),
    "text, not vectors": (b"It was the best of times\nit was\n", "not a vector file that embed knows; it begins with 'It was"),
    "empty": (b"", "is empty"),
    "a newline": (b"\n", "not a vector file"),
    "git-LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12345\n", "git lfs pull"),
    "web page": (b"\n<!DOCTYPE html>\n<html><head>", "a web page"),
    "merge conflict": (b"<<<<<<< HEAD\na 1 2\n", "git conflict"),
    "merge conflict inside": (b"2 2\na 1 2\n<<<<<<< HEAD\nb 1 2\n", "line 3"),
    "UTF-16": ("2 2\na 1 2\n".encode("utf-16"), "UTF-16 text"),
    "zip": (b"PK\x03\x04rest", "a damaged zip archive"),
    "pickle": (b"\x80\x04\x95rest", "the pickle is damaged"),
    "NumPy array": (b"\x93NUMPY\x01\0", "a NumPy array"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "tar": (b"x" * 257 + b"ustar\0", "a tar archive"),
    "packed web page": (gzip.compress(b"<html>"), "(inside gzip) is a web page"),
    "gzip of nothing": (gzip.compress(b""), "is empty"),
    "gzip cut": (gzip.compress(rows() * 99)[:-9], "is truncated: its compressed data ends too early"),
    "gzip damaged": (gzip.compress(rows())[:-8] + bytes(8), "is the download complete?"),
    "header longer than the file": (b"\xff\0\0\0\0\0\0\0{}", "a header of 255 bytes in a file of 10"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_one_clear_line_and_no_memory(tmp_path, name):
    content, message = REFUSED[name]
    path = tmp_path / "vectors"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            formats.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 8 * len(content) + 24e6  # two block buffers, whatever the header says


LONG = b"2 2\na 1 2\nb 3 4\n"
PLAIN = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
ACCEPTED = {
    "no header (GloVe)": (b"a 1 2\nb 3 4\n", PLAIN),
    "double spaces": (b"2 2\na  1   2\nb 3  4\n", PLAIN),
    "tabs": (b"2\t2\na\t1\t2\nb\t3 4\n", PLAIN),
    "trailing space": (b"2 2 \na 1 2 \nb 3 4  \n", PLAIN),
    "carriage returns": (b"2 2\r\na 1 2\r\nb 3 4\r\n", PLAIN),
    "leading space": (b"2 2\n a 1 2\nb 3 4\n", PLAIN),
    "no last newline": (b"2 2\na 1 2\nb 3 4", PLAIN),
    "byte order mark": (b"\xef\xbb\xbf2 2\na 1 2\nb 3 4\n", PLAIN),
    "byte order mark, GloVe": (b"\xef\xbb\xbfa 1 2\nb 3 4\n", PLAIN),
    "spaces in words": (
        b". . . 1 2\nat name@domain.com 3 4\n",
        {". . .": [1, 2], "at name@domain.com": [3, 4]},
    ),
    "spaces in words under a header": (b"2 2\n. . . 1 2\nb 3 4\n", {". . .": [1, 2], "b": [3, 4]}),
    "odd spaces": ("a\u00a0b 1 2\n\u3000 3 4\n".encode(), {"a\u00a0b": [1, 2], "\u3000": [3, 4]}),
    "line separators": ("a\u2028b 1 2\n\x85 3 4\n".encode(), {"a\u2028b": [1, 2], "\x85": [3, 4]}),
    "word that is a number": (b"0.5 1 2\n7 3 4\n", {"0.5": [1, 2], "7": [3, 4]}),
    "subnormal": (b"a 1e-45 1e-40\nb 1e-50 -0\n", {"a": [1e-45, 1e-40], "b": [0, -0.0]}),
    "number forms": (b"a +1. .5\nb 3E0 4e+00\n", {"a": [1, 0.5], "b": [3, 4]}),
    "newline after each row": (rows(), {"out": [1, 2, 3], "bout": [4, 5, 6]}),
    "no newline": (rows(b""), {"out": [1, 2, 3], "bout": [4, 5, 6]}),
    "no newline after the last": (rows()[:-1], {"out": [1, 2, 3], "bout": [4, 5, 6]}),
    "one row, no newline": (b"1 1\n" + row(b"a", 0.1, end=b""), {"a": [0.1]}),
    "newlines and spaces in floats": (
        b"2 1\n" + row(b"b", 1) + row(b"a", *struct.unpack("<f", b"\n \n ")),
        {"b": [1], "a": struct.unpack("<f", b"\n \n ")},
    ),
    "GloVe of one dimension": (b"a 1.5\nb 2.5\n", {"a": [1.5], "b": [2.5]}),
    "word2vec of one dimension": (b"2 1\na 1.5\nb 2\n", {"a": [1.5], "b": [2]}),
    "GloVe that begins like a header": (b"5 2.5\nb 3\n", {"5": [2.5], "b": [3]}),
    "words like file signatures": (b"BZh9 1 2\n%PDF- 3 4\n", {"BZh9": [1, 2], "%PDF-": [3, 4]}),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_files_that_are_sound(tmp_path, name):
    content, expected = ACCEPTED[name]
    (tmp_path / "vectors").write_bytes(content)
    read = formats.load(tmp_path / "vectors")
    assert list(expected) == read.vocabulary.words
    assert np.array(list(expected.values()), np.float32).tobytes() == read.vectors.tobytes()


@pytest.mark.parametrize(("forced", "message"), [
    ("word2vec-bin", "word2vec-bin"),
    ("safetensors", "safetensors"),
    ("vocab", "vocabulary file"),
    ("glove", "line 2"),
])  # fmt: skip
def test_text_forced_into_another_format(tmp_path, forced, message):
    (tmp_path / "vectors").write_bytes(LONG)
    with pytest.raises(FormatError):
        formats.load(tmp_path / "vectors", forced)


@pytest.mark.parametrize("forced", ["word2vec", "glove", "safetensors", "vocab"])
def test_binary_forced_into_another_format(tmp_path, forced):
    (tmp_path / "vectors").write_bytes(rows())
    with pytest.raises(FormatError):
        formats.load(tmp_path / "vectors", forced)


VOCABULARIES = {
    "no count": (b"a 1\nb\n", "line 2: a word and its count expected, but it is 'b'"),
    "negative count": (b"a 1\nb -1\n", "line 2"),
    "count with underscore": (b"a 1\nb 1_0\n", "line 2"),
    "count of other digits": ("a 1\nb ٣\n".encode(), "line 2"),
    "count too large": (b"a 1\nb 9223372036854775808\n", "line 2"),
    "three fields": (b"a 1\nb c 2\n", "line 2"),
    "empty line": (b"a 1\n\nb 2\n", "line 2"),
    "word twice": (b"a 1\nb 2\na 3\n", "row 3: 'a' is already in row 1"),
    "nothing": (b"", "not a single word"),
}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_damaged_vocabulary_files(tmp_path, name):
    from embedcli.formats.vocab import read_vocab

    content, message = VOCABULARIES[name]
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_vocab(tmp_path / "vocab.txt")
    assert message in str(caught.value)


def test_a_binary_row_across_the_edge_of_a_block(tmp_path, monkeypatch):
    import embedcli.formats.word2vec_binary as binary

    content = b"40 3\n" + b"".join(row(b"w%d" % i, i, 0, -i) for i in range(40))
    (tmp_path / "vectors").write_bytes(content)
    (tmp_path / "cut").write_bytes(content[:-5])
    for size in range(5, 40):
        monkeypatch.setattr(binary, "BLOCK_BYTES", size)
        read = formats.load(tmp_path / "vectors")
        assert [f"w{i}" for i in range(40)] == read.vocabulary.words
        assert [[i, 0, -i] for i in range(40)] == read.vectors.tolist()
        with pytest.raises(FormatError, match="row 40"):
            formats.load(tmp_path / "cut")


def test_a_text_row_across_the_edge_of_a_block(tmp_path, monkeypatch):
    from embedcli.formats import text_rows

    content = b"40 3\n" + b"".join(b"w%d %d 0 -%d.5\n" % (i, i, i) for i in range(40))
    (tmp_path / "vectors").write_bytes(content)
    for size in (1, 2, 3, 7, 50):
        monkeypatch.setattr(text_rows, "BLOCK_BYTES", size)
        read = formats.load(tmp_path / "vectors")
        assert [f"w{i}" for i in range(40)] == read.vocabulary.words
        assert [[i, 0, -i - 0.5] for i in range(40)] == read.vectors.tolist()


def test_a_line_without_end_is_not_gathered(tmp_path):
    (tmp_path / "vectors").write_bytes(b"a 1.0 " + b"2.0 " * 4_000_000)
    with pytest.raises(FormatError, match="a line of more than"):
        formats.load(tmp_path / "vectors")


SEEDS = [rows(), rows(b""), LONG, b"a 1.5 2\nb 3 4.5\n", b"the 12\nof 9\n", gzip.compress(LONG)]


@settings(max_examples=300)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3))),
    forced=st.sampled_from([None, *formats.FORMATS]),
    decode_errors=st.sampled_from(["strict", "replace"]),
)
def test_mutated_files_raise_nothing_but_our_errors(
    tmp_path_factory, seed, edits, forced, decode_errors
):
    content = bytearray(seed)
    for position, length, new in edits:
        content[position % (len(content) + 1) :][:length] = b""
        content[position : position + length] = new
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(content)
    try:
        read = formats.load(path, forced, decode_errors=decode_errors)
    except EmbedError:
        return
    assert np.isfinite(read.vectors).all()
    assert len(read) == len(set(read.vocabulary.words)) > 0


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file or directory of each format as it is called, and what its files hold."""
    folder = tmp_path_factory.mktemp("written")
    words = Vocabulary.from_words(["the", "naïve", "東京", "0.5"], [40, 30, 20, 10])
    vectors = np.array([[1.5, -0.25], [3e-41, -0.0], [65504, 2 / 3], [0, 1]], np.float32)
    for name in formats.WRITTEN:
        formats.save(Embeddings(words, vectors), folder / name, name)
    files = {
        name: sorted((folder / name).iterdir() if (folder / name).is_dir() else [folder / name])
        for name in formats.WRITTEN
    }
    return {name: {path: path.read_bytes() for path in paths} for name, paths in files.items()}


EDITS = st.lists(
    st.tuples(
        st.integers(0, 5000),
        st.integers(0, 40),
        st.sampled_from([b"", b"9", b"-1", b"9000000000", b"1e400", b"nan", b"\xff", b" ", b"\n"]),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("name", formats.WRITTEN)
@settings(max_examples=80)
@given(which=st.integers(0, 9), edits=EDITS)
@example(which=0, edits=[(67, 0, b"\n")])  # npy: a header as Python 2 wrote them
def test_mutated_files_of_every_format_raise_nothing_but_our_errors(written, name, which, edits):
    paths = list(written[name])
    path = paths[which % len(paths)]
    content = bytearray(written[name][path])
    for position, length, new in edits:
        position %= len(content) + 1
        content[position : position + length] = new
    path.write_bytes(content)
    try:
        read = formats.load(path.parent if len(paths) > 1 else path, name)
        assert np.isfinite(read.vectors).all()
        assert len(read) == len(set(read.vocabulary.words)) > 0
    except EmbedError as refusal:
        assert "\n" not in str(refusal)
    finally:
        path.write_bytes(written[name][path])


def zstd(data):
    return pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(data)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
@pytest.mark.parametrize("how", ["zeroed", "magic", "body", "garbage"])
def test_a_broken_member_is_never_the_end_of_the_vectors(tmp_path, pack, how):
    lines = [f"word{n} {n}.5 {n}.25\n".encode() for n in range(4)]
    members = [pack(line) for line in lines]
    path = tmp_path / "vectors"
    path.write_bytes(b"".join(members))
    assert ["word0", "word1", "word2", "word3"] == formats.load(path).vocabulary.words

    third = members[2]
    members[2] = {
        "zeroed": bytes(len(third) // 4 * 4 + 1),
        "magic": b"\xff\xff" + third[2:],
        "body": third[:14] + bytes(b ^ 0x55 for b in third[14:]),
        "garbage": b"neither a member nor padding",
    }[how]
    path.write_bytes(b"".join(members))
    with pytest.raises(FormatError, match=r"is damaged|is truncated"):
        formats.load(path)


def test_zeros_between_members_that_may_be_padding_are_said(tmp_path):
    first, last = (lzma.compress(f"word{n} {n}.5\n".encode()) for n in range(2))
    (tmp_path / "vectors").write_bytes(first + bytes(64) + last)
    said = []
    read = formats.load(tmp_path / "vectors", on_mended=said.append)
    assert ["word0", "word1"] == read.vocabulary.words
    assert 1 == len(said)
    assert "64 zero bytes were taken for padding of packed data" in said[0]


def test_skippable_frames_and_long_windows_of_zstd(tmp_path):
    skipped = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 5) + b"notes"
    text = b"a 1.5 2\nb 3 4.5\n"
    long_window = b"\x28\xb5\x2f\xfd\x00" + bytes([18 << 3])  # 2^28 bytes (RFC 8878, 3.1.1)
    block = struct.pack("<I", len(text) << 3 | 1)[:3] + text  # the last one, stored
    path = tmp_path / "vectors"
    path.write_bytes(skipped + long_window + block + skipped)

    assert ["a", "b"] == formats.load(path).vocabulary.words
