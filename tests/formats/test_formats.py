"""One contract for all formats, golden files of other tools, and gensim reading what we write."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, InputError, UsageError
from embedcli.formats import DTYPES, FORMATS, VECTOR_FORMATS, Folder
from embedcli.formats.decimals import format_rows, parse_numbers
from embedcli.formats.vocab import read_vocab, read_words, write_vocab
from embedcli.vocabulary import Vocabulary

DATA = Path(__file__).parents[1] / "data"
NARROW = {"metadata": {"format": "embed", "version": "2"}}
GOLDEN_WORDS = ["the", "naïve", "東京", "</s>"]
GOLDEN = np.array(
    [[1.5, -0.25, 0.1], [3e-41, -0.0, 65504], [-1e-7, 2 / 3, 3.4e38], [0, 0, 0]], np.float32
)
# what makes trouble somewhere: numbers, headers, markup, escapes, other scripts, odd spaces
WORDS = [
    "the", "</s>", "<unk>", "NaN", "inf", "-1", "0.5", "1e5", '"', "\\", "#", "//", "'", "=1+1",
    "__label__x", "naïve", "東京", "e\u0301", "\u00e9", "\u200b", "\u200d", "\ufeff", "\U0001f600",
    "a\u00a0b", "\u3000", "\u2028", "\x85", "\x1b[31m", "\x1c", "x" * 4096, "{", "3", "_",
]  # fmt: skip


def embeddings_of(words, vectors, **more):
    return Embeddings(Vocabulary.from_words(words), np.asarray(vectors, np.float32), **more)


def random_embeddings(n_words=33, dim=7, seed=0):
    bits = np.random.default_rng(seed).integers(0, 2**32, n_words * dim, np.uint32)
    vectors = bits.view(np.float32).reshape(n_words, dim).copy()
    vectors[~np.isfinite(vectors)] = -0.0
    return embeddings_of((WORDS + [f"w{i}" for i in range(n_words)])[:n_words], vectors)


def assert_same(expected, actual):
    """The same words, and the same bits in every component (-0.0 is not 0.0)."""
    assert expected.vocabulary.words == actual.vocabulary.words
    assert np.float32 == actual.vectors.dtype
    assert expected.vectors.shape == actual.vectors.shape
    assert expected.vectors.tobytes() == actual.vectors.tobytes()


@pytest.mark.parametrize("name", VECTOR_FORMATS)
class TestEveryFormat:
    def test_round_trip_by_suffix_and_content(self, tmp_path, name):
        for suffix in FORMATS[name].suffixes:
            path = tmp_path / f"model{suffix}"
            formats.save(random_embeddings(), path)
            assert name == formats.detect(path) == formats.format_for_path(path)
            assert_same(random_embeddings(), formats.load(path))

    @pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (3000, 1), (70_000, 2), (5, 4096)])
    def test_round_trip_of_shapes(self, tmp_path, name, shape):
        expected = random_embeddings(*shape)
        formats.save(expected, tmp_path / "x", name)
        assert name == formats.detect(tmp_path / "x")
        assert_same(expected, formats.load(tmp_path / "x"))

    @given(
        words=st.lists(st.text(max_size=20), min_size=1, max_size=5),
        numbers=st_numpy.arrays(
            np.float32, (5, 2), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
        ),
    )
    @example(words=["a b", "1 2", "top 10"], numbers=np.ones((5, 2), np.float32))
    @example(words=["\ufeff5", "3"], numbers=np.full((5, 2), 1e-45, np.float32))
    @example(
        words=["0"], numbers=np.full((5, 2), 6.074916e16, np.float32)
    )  # begins with the byte 0x0A
    @example(words=["0", "1"], numbers=np.full((5, 2), 1.3819496e10, np.float32))
    def test_reads_back_the_same_or_refuses_to_write(self, tmp_path_factory, name, words, numbers):
        path = tmp_path_factory.getbasetemp() / f"any-{name}"
        expected = embeddings_of(words, numbers[: len(words)])
        try:
            formats.save(expected, path, name)
        except FormatError as error:
            assert "cannot save" in str(error)
            if not any(map(str.split, words)) or len(words) > len(set(words)) or "" in words:
                return
            assert "safetensors" != name
            if "in the opposite order" in str(error):  # a reader would refuse it as big-endian
                return
            refused = "\0" if name in ("fasttext", "word2vec-bin") else "\ufeff"
            assert any(c.isspace() or c == refused for word in words for c in word)
            return
        assert_same(expected, formats.load(path, name))
        assert name == formats.detect(path)

    def test_rows_may_be_padded_and_memory_mapped(self, tmp_path, name):
        padded = np.memmap(tmp_path / "map", np.float32, "w+", shape=(9, 64))
        padded[:] = np.arange(9 * 64).reshape(9, 64)
        expected = embeddings_of([f"w{i}" for i in range(9)], padded[:, :50])
        formats.save(expected, tmp_path / "x", name)
        assert_same(expected, formats.load(tmp_path / "x"))

    def test_the_size_said_is_the_size_written(self, tmp_path, name):
        formats.save(random_embeddings(), tmp_path / "x", name)
        size = getattr(FORMATS[name], "file_size", None)
        if size:
            assert size(random_embeddings()) == (tmp_path / "x").stat().st_size

    @pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
    def test_no_nan_leaves(self, tmp_path, name, number):
        broken = embeddings_of(["a", "b"], [[1, 2], [3, number]])
        with pytest.raises(FormatError, match=r"cannot save 'b' \(row 2\).*not finite"):
            formats.save(broken, tmp_path / "x", name)
        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "without a single word"),
            (["a", ""], r"empty word \(row 2\)"),
            (["a", "b", "a"], r"'a' twice \(row 3\)"),
            (["x" * 4097], "a word of 4097 bytes"),
        ],
    )
    def test_words_that_no_format_takes(self, tmp_path, name, words, message):
        with pytest.raises(FormatError, match=message):
            formats.save(embeddings_of(words, np.ones((len(words), 2))), tmp_path / "x", name)

    def test_a_failed_save_leaves_the_old_file(self, tmp_path, name):
        path = tmp_path / "x"
        formats.save(random_embeddings(), path, name)
        before = contents(path)
        with pytest.raises(FormatError):
            formats.save(embeddings_of(["a", "a"], np.ones((2, 2))), path, name)
        assert before == contents(path)
        assert [path] == list(tmp_path.iterdir())

    def test_a_second_save_takes_the_place_of_the_first(self, tmp_path, name):
        counted = Embeddings(Vocabulary.from_words(["b"], [7]), np.ones((1, 2), np.float32))
        formats.save(counted, tmp_path / "x", name)
        formats.save(embeddings_of(["a", "é"], [[1, 2], [3, 4]]), tmp_path / "x", name)
        assert_same(embeddings_of(["a", "é"], [[1, 2], [3, 4]]), formats.load(tmp_path / "x"))
        assert None is formats.load(tmp_path / "x").vocabulary.counts
        assert [tmp_path / "x"] == list(tmp_path.iterdir())

    @pytest.mark.parametrize("dtype", DTYPES[1:])
    def test_narrow_numbers_are_near_or_refused(self, tmp_path, name, dtype):
        vectors = np.random.default_rng(3).normal(size=(50, 8)).astype(np.float32)
        vectors[7] = 0
        expected = embeddings_of([f"w{i}" for i in range(50)], vectors)
        if dtype not in FORMATS[name].dtypes:
            with pytest.raises(UsageError, match=f"not {dtype}; formats that do: safetensors"):
                formats.save(expected, tmp_path / "x", name, dtype=dtype)
            return
        formats.save(expected, tmp_path / "x", name, dtype=dtype)
        assert name == formats.detect(tmp_path / "x")
        actual = formats.load(tmp_path / "x").vectors
        scale = 127 / np.abs(vectors).max() if (name, dtype) == ("model2vec", "int8") else 1.0
        steps = {"float16": np.abs(vectors) * 2**-11 + 2**-25, "int8": np.abs(vectors).max() / 250}
        assert np.float32 == actual.dtype
        assert (np.abs(actual / scale - vectors) <= steps[dtype]).all()

    def test_norms_are_those_of_the_vectors(self, tmp_path, name):
        vectors = np.random.default_rng(1).normal(size=(20, 5))
        formats.save(embeddings_of([f"w{i}" for i in range(20)], vectors), tmp_path / "x", name)
        expected = np.linalg.norm(vectors.astype(np.float32).astype(np.float64), axis=1)
        assert np.allclose(expected, formats.load(tmp_path / "x").norms, rtol=1e-6)

    @pytest.mark.parametrize("tool", ["gzip", "bz2", "lzma"])
    def test_packed_files(self, tmp_path, name, tool):
        if isinstance(FORMATS[name], Folder):
            pytest.skip("a directory is not packed as one")
        formats.save(random_embeddings(), tmp_path / "x", name)
        packed = __import__(tool).compress((tmp_path / "x").read_bytes())
        (tmp_path / "packed").write_bytes(packed)
        (tmp_path / "cut").write_bytes(packed[: len(packed) // 2])
        if FORMATS[name].plain:
            with pytest.raises(FormatError, match="must be a plain file"):
                formats.load(tmp_path / "packed")
        else:
            assert_same(random_embeddings(), formats.load(tmp_path / "packed"))
        with pytest.raises(FormatError, match=r"damaged|truncated"):
            formats.load(tmp_path / "cut")


def contents(path):
    """The bytes of a file, or of all files in a directory."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir()}
    return path.read_bytes()


def golden(words, vectors=GOLDEN):
    return embeddings_of(words, vectors)


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        ("gensim.bin", "word2vec-bin", golden(GOLDEN_WORDS)),
        ("word2vec-c.bin", "word2vec-bin", golden(GOLDEN_WORDS)),
        ("gensim.vec", "word2vec", golden(GOLDEN_WORDS)),
        ("gensim.vec.gz", "word2vec", golden(GOLDEN_WORDS)),
        ("gensim.glove.txt", "glove", golden(GOLDEN_WORDS)),
        (
            "word2vec-c.vec",
            "word2vec",
            golden(GOLDEN_WORDS),
        ),
        (
            "fasttext.vec",
            "word2vec",
            golden(
                [",", "a\u00a0b", "\u3000x"], [[0.10731, 0.0089238], [0.0969, -1.3e-5], [1, -2]]
            ),
        ),
        (
            "glove-840b.txt",
            "glove",
            golden(
                [". . .", "to name@domain.com", "0.5", "word"],
                [[0.1, -0.2], [0.33, 0.44], [0.5, 0.25], [1, 2]],
            ),
        ),
    ],
)
def test_golden_files_of_other_tools(file, name, expected):
    assert name == formats.detect(DATA / file)
    actual = formats.load(DATA / file)
    assert expected.vocabulary == actual.vocabulary
    if file == "word2vec-c.vec":  # six decimals
        assert np.allclose(expected.vectors, actual.vectors, rtol=0, atol=1e-6)
    else:
        assert_same(expected, actual)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # gensim's
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "options"), [
    ("word2vec", {}),
    ("word2vec-bin", {"binary": True}),
    ("glove", {"no_header": True}),
])  # fmt: skip
def test_gensim_loads_what_we_write(tmp_path, name, options):
    models = pytest.importorskip("gensim.models")
    words = [word for word in WORDS if not word.endswith(("\u3000", "\u2028", "\x85", "\x1c"))]
    expected = embeddings_of(words, random_embeddings().vectors[: len(words)])
    formats.save(expected, tmp_path / "x", name)
    read = models.KeyedVectors.load_word2vec_format(str(tmp_path / "x"), **options)
    assert words == read.index_to_key
    assert expected.vectors.tobytes() == read.vectors.tobytes()


def test_the_native_format_keeps_everything(tmp_path):
    vocabulary = Vocabulary.from_words(["a", "é", "b c"], [2**40, 5, 0])
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    metadata = {"settings": {"dim": 2, "text": "é\n"}, "loss": [2.5, 1.25], "seed": None}
    formats.save(Embeddings(vocabulary, vectors, -vectors, metadata), tmp_path / "m.safetensors")
    read = formats.load(tmp_path / "m.safetensors")
    assert_same(Embeddings(vocabulary, vectors), read)
    assert np.array_equal(-vectors, read.output_vectors)
    assert [2**40, 5, 0] == read.vocabulary.counts.tolist()
    assert metadata == read.metadata
    assert "norms" in vars(read)  # read from the file, not computed
    assert not read.vectors.flags.writeable


def test_metadata_that_is_not_json_is_refused(tmp_path):
    for value in (float("nan"), {1, 2}):
        model = embeddings_of(["a"], [[1]], metadata={"x": value})
        with pytest.raises(FormatError, match="cannot save the metadata"):
            formats.save(model, tmp_path / "x.safetensors")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"format": "pt"}}, "not one of embed's (tensors: norms, sha256, syn0"),
        ({"metadata": {"format": "embed", "version": "3"}}, "'3', this embed reads 1, 2 and pq"),
        (
            {"metadata": {"format": "embed", "version": "2"}},
            "'syn0' is float32 (2, 2), expected F16",
        ),
        ({"syn0": np.zeros((2, 2), np.float16)}, "'syn0' is float16 (2, 2), expected F32"),
        ({"syn0": np.zeros((2, 2), np.int8), **NARROW}, "lacks the tensor 'scales'"),
        (
            {"syn0": np.ones((2, 2), np.int8), "scales": np.full(2, np.nan, np.float32), **NARROW},
            "'syn0' holds a number that is not finite",
        ),
        ({"syn0": np.full((2, 2), np.inf, np.float16), **NARROW}, "a number that is not finite"),
        ({"metadata": {"format": "embed", "version": "1", "meta": "["}}, "metadata is not JSON"),
        ({"metadata": {"format": "embed", "version": "1", "meta": "1"}}, "not a JSON object"),
        ({"drop": "norms"}, "lacks the tensor 'norms'"),
        ({"syn0": np.zeros(4, np.float32)}, "not [V, D]"),
        ({"syn0": np.zeros((2, 2))}, "expected F32 (2, 2)"),
        ({"norms": np.zeros(3, np.float32)}, "'norms' is float32 (3,), expected F32 (2,)"),
        ({"syn1neg": np.zeros((2, 3), np.float32)}, "'syn1neg' is float32 (2, 3)"),
        ({"word_offsets": np.array([0, 3, 2])}, "do not cut the words"),
        ({"word_offsets": np.array([1, 2, 3])}, "do not cut the words"),
        ({"word_offsets": np.array([0, 2, 99])}, "do not cut the words"),
        ({"word_offsets": np.array([0, 0, 3])}, "do not cut the words"),
        ({"word_offsets": np.array([0, 1, 3])}, "begins inside a character"),
        ({"words": np.array([0xC3, 0x28, 0x61], np.uint8)}, "words that are not UTF-8"),
    ],
)
def test_damaged_models_are_refused(tmp_path, change, message):
    from embedcli.files import safetensors
    from embedcli.files.publish import publish

    tensors = {
        "syn0": np.zeros((2, 2), np.float32),
        "norms": np.zeros(2, np.float32),
        "word_offsets": np.array([0, 2, 3]),
        "words": np.frombuffer("éa".encode(), np.uint8),
    }
    metadata = change.pop("metadata", {"format": "embed", "version": "1", "meta": "{}"})
    tensors.pop(change.pop("drop", None), None)
    with publish(tmp_path / "m") as sink:
        safetensors.write(sink, tensors | change, metadata)
    with pytest.raises(FormatError) as caught:
        formats.load(tmp_path / "m")
    assert message in str(caught.value)


def test_vocabulary_files(tmp_path):
    words = [word for word in WORDS if word != "\ufeff"]
    counts = [2**50 - i for i in range(len(words))]
    write_vocab(Vocabulary.from_words(words, counts), tmp_path / "v.txt")
    read = read_vocab(tmp_path / "v.txt")
    assert (words, counts) == (read.words, read.counts.tolist())
    assert "vocab" == formats.detect(tmp_path / "v.txt")
    with pytest.raises(FormatError, match="is a vocabulary file"):
        formats.load(tmp_path / "v.txt")


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5, -1], "a count of -1"),
        ([2**62, 2**62], "counts that add up to 9223372036854775808"),
        ([2**63 - 1, 1], "counts that add up to 9223372036854775808"),
    ],
)
@pytest.mark.parametrize("name", ["m.safetensors", "m.npydir", "m.parquet", "m.sqlite", "m.vocab"])
def test_counts_that_cannot_be_are_refused(tmp_path, name, counts, message):
    words = Vocabulary.from_words(["a", "b"], counts)
    if name == "m.vocab":
        lines = "".join(f"{word} {n}\n" for word, n in zip(words, counts, strict=True))
        (tmp_path / name).write_text(lines)
    else:
        formats.save(Embeddings(words, np.ones((2, 3), np.float32)), tmp_path / name)
    read = read_vocab if name == "m.vocab" else formats.load
    with pytest.raises(
        FormatError, match=message if counts[1] > 0 or name != "m.vocab" else "b -1"
    ):
        read(tmp_path / name)


def test_the_vocabulary_of_word2vec(tmp_path):
    read = read_vocab(DATA / "word2vec-vocab.txt")
    assert (["</s>", "the", "naïve"], [0, 12, 3]) == (read.words, read.counts.tolist())


@pytest.mark.parametrize(
    ("text", "spaced", "words", "counts"),
    [
        (b"dog\ncat\n", False, ["dog", "cat"], None),
        (b"\xef\xbb\xbfdog\r\n\n  cat \t\nthe", False, ["dog", "cat", "the"], None),
        (b"new york\nlos angeles\n", True, ["new york", "los angeles"], None),
        (b"2019\n1999\n", False, ["2019", "1999"], None),
        (b"dog 3\ncat 2\n", False, ["dog", "cat"], [3, 2]),
    ],
)
def test_words_with_counts_or_a_list_of_them(tmp_path, text, spaced, words, counts):
    (tmp_path / "v").write_bytes(text)
    read = read_words(tmp_path / "v", spaced=spaced)

    assert words == read.words
    assert counts == (None if read.counts is None else read.counts.tolist())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b"dog\nhot dog\n",
            "line 2: a word expected, as in the lines before, but it is 'hot dog'",
        ),
        (b"dog 3\ncat\n", "line 2: a word and its count expected, but it is 'cat'"),
        (b"dog\n" * (1 << 19) + b"cat 3\n", "line 524289: a word expected"),
        (b"dog\ncat\ndog\n", "occurs twice|already in row"),
        (b"\n \n", "a word and its count expected"),
    ],
)
def test_what_is_neither(tmp_path, text, message):
    (tmp_path / "v").write_bytes(text)
    with pytest.raises(FormatError, match=message):
        read_words(tmp_path / "v")


def test_a_vocabulary_without_counts_or_with_tabs_is_refused(tmp_path):
    with pytest.raises(FormatError, match="counts of the words are not known"):
        formats.save(random_embeddings(), tmp_path / "x.vocab")
    with pytest.raises(FormatError, match="white space"):
        write_vocab(Vocabulary.from_words(["a\tb"], [1]), tmp_path / "x")


@pytest.mark.parametrize("name", ["word2vec", "word2vec-bin"])
@pytest.mark.parametrize("word", ["my name", " ", "a\tb", "a\n", "\r", "\x0b", "\x0c"])
def test_words_with_white_space_are_refused_where_it_separates(tmp_path, name, word):
    with pytest.raises(FormatError, match=r"cannot save .* \(row 2\) as word2vec.*white space"):
        formats.save(embeddings_of(["a", word], np.ones((2, 2))), tmp_path / "x", name)


@pytest.mark.parametrize("word", [" a", "a ", "a\tb", "a\nb", "top 10", "x nan", "x -.5", "a 1,5"])
def test_words_that_glove_could_not_read_back(tmp_path, word):
    with pytest.raises(FormatError, match=r"cannot save .* as glove"):
        formats.save(embeddings_of(["a", word], np.ones((2, 2))), tmp_path / "x", "glove")


def test_glove_keeps_spaces_inside_words(tmp_path):
    expected = embeddings_of([". . .", "new  york", "phase 2b"], np.eye(3))
    formats.save(expected, tmp_path / "x", "glove")
    assert_same(expected, formats.load(tmp_path / "x"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, b"0.0"), (-0.0, b"-0.0"), (1, b"1.0"), (0.1, b"0.1"), (-2 / 3, b"-0.6666667"),
        (16777216, b"1.6777216e+07"), (99999.99, b"99999.99"), (1e-5, b"1e-05"), (1e-45, b"1e-45"),
        (3.4028235e38, b"3.4028235e+38"), (0.30000001192092896, b"0.3"), (123.45, b"123.45"),
    ],
)  # fmt: skip
def test_the_text_of_a_number_is_the_shortest(value, text):
    assert [text] == format_rows(np.array([[value]], np.float32))


def test_all_numbers_read_back_and_none_could_be_shorter():
    bits = np.random.default_rng(5).integers(0, 2**32, 200_000, np.uint32)
    powers = (10.0 ** np.arange(-45, 39)).astype(np.float32)
    usual = np.random.default_rng(6).normal(size=100_000).astype(np.float32)
    values = np.concatenate([bits.view(np.float32), powers, -powers, usual])
    values = values[np.isfinite(values)]
    texts = format_rows(values[:, None])
    assert values.tobytes() == np.array(texts).astype(np.float32).tobytes()
    shortest = [np.format_float_scientific(v, unique=True, trim="0").encode() for v in values[::50]]
    assert list(map(digits, shortest)) == list(map(digits, texts[::50]))


@given(
    st.lists(
        st.one_of(
            st.from_regex(r"[+-]?([0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})", fullmatch=True),
            st.from_regex(r"-?[0-9]\.[0-9]{1,8}", fullmatch=True),
            st.from_regex(r"-?[0-9](\.[0-9]{1,8})?[eE][+-]?[0-9]{1,2}", fullmatch=True),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_numbers_are_read_as_by_python(texts):
    with np.errstate(over="ignore"):
        expected = np.array([float(text) for text in texts]).astype(np.float32)
    assert expected.tobytes() == parse_numbers(" ".join(texts).encode()).tobytes()


@given(st.text("0123456789.eE+- ", min_size=1, max_size=30))
def test_what_python_reads_as_no_number_is_none(text):
    try:
        expected = [float(field) for field in text.split()]
    except ValueError:
        expected = None
    if "  " in text or text != text.strip():
        return
    actual = parse_numbers(text.encode())
    assert (expected is None) == (actual is None)


def digits(text):
    mantissa = text.partition(b"e")[0].replace(b".", b"").lstrip(b"-0")
    return mantissa.rstrip(b"0")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("m.safetensors", "safetensors"), ("m.vec", "word2vec"), ("m.txt", "word2vec"),
        ("M.TXT", "word2vec"), ("m.bin", "word2vec-bin"), ("m.glove.txt", "glove"),
        ("m.vocab", "vocab"), ("a.bin/m.vec", "word2vec"),
    ],
)  # fmt: skip
def test_format_for_path(path, name):
    assert name == formats.format_for_path(path)


def test_names_that_mean_no_format(tmp_path):
    for path in ("model", "model.npy", "-"):
        with pytest.raises(UsageError, match=r"\.safetensors, \.vec, "):
            formats.save(random_embeddings(), path)
    with pytest.raises(UsageError, match="no format 'w2v'; there are safetensors, word2vec"):
        formats.save(random_embeddings(), tmp_path / "x", "w2v")
    with pytest.raises(UsageError, match="no format 'w2v'"):
        formats.load(DATA / "gensim.bin", "w2v")
    with pytest.raises(UsageError, match="'ignore'"):
        formats.load(DATA / "gensim.bin", decode_errors="ignore")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        formats.load(tmp_path / "missing")
    with pytest.raises(FormatError, match="is a directory without"):
        formats.load(tmp_path)


@pytest.mark.parametrize("name", ["word2vec", "word2vec-bin", "glove"])
def test_a_pipe_is_read_once(tmp_path, name):
    import threading

    formats.save(random_embeddings(50, 30), tmp_path / "x", name)
    os.mkfifo(tmp_path / "pipe")
    content = (tmp_path / "x").read_bytes()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    read = formats.load(tmp_path / "pipe")
    writer.join(10)
    assert_same(random_embeddings(50, 30), read)


def test_words_that_are_not_utf8_are_replaced_when_asked(tmp_path):
    content = b"2 1\ncaf\xe9 1.0\nb 2.0\n"
    for path, data in [("a.vec", content), ("b.vec.gz", gzip.compress(content))]:
        (tmp_path / path).write_bytes(data)
        with pytest.raises(FormatError, match=r"row 1: .*not UTF-8 .*--decode-errors replace"):
            formats.load(tmp_path / path)
        read = formats.load(tmp_path / path, decode_errors="replace")
        assert ["caf\ufffd", "b"] == read.vocabulary.words
