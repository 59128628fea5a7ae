"""N-grams, the vectors they make, and fastText's own file, which says what they should be."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, UnknownWordError
from embedcli.spaces.reduction import reduce_dim
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

DATA = Path(__file__).parents[1] / "data"
FASTTEXT = DATA / "fasttext.bin"
WORDS = ["the", "naïve", "東京", "</s>", "cats"]


def plain_cut(word, shortest, longest, buckets):
    """The n-grams of a word as fastText's C++ takes them, one after the other."""
    if word == "</s>":
        return []
    text = f"<{word}>"
    found = []
    for start in range(len(text)):
        for n in range(shortest, min(longest, len(text) - start) + 1):
            if n == 1 and start in (0, len(text) - 1):
                continue
            value = 2166136261
            for byte in text[start : start + n].encode():
                signed = byte - 256 if byte >= 128 else byte
                value = (value ^ (signed & 0xFFFFFFFF)) * 16777619 & 0xFFFFFFFF
            found.append(value % buckets)
    return found


@given(
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=4),
    shortest=st.integers(1, 5),
    more=st.integers(0, 9),
    buckets=st.sampled_from([1, 2_000_000, 2**31 - 1]),
)
def test_ngrams_are_those_of_fasttext(words, shortest, more, buckets):
    units = NGrams(shortest, shortest + more, buckets)
    words = [*words, "</s>", "</S>", "é", "\U0001f600a"]
    cut = units.cut(Vocabulary.from_words(words))
    for i, word in enumerate(words):
        found = cut.ids[cut.offsets[i] : cut.offsets[i + 1]].tolist()
        assert plain_cut(word, shortest, shortest + more, buckets) == found


def test_many_words_are_cut_as_one_by_one(monkeypatch):
    monkeypatch.setattr("embedcli.subwords.ngrams.BLOCK_WORDS", 2)
    units, words = NGrams(3, 6, 1000), Vocabulary.from_words(WORDS)
    whole = units.cut(words)
    monkeypatch.undo()
    assert whole.ids.tolist() == units.cut(words).ids.tolist()
    assert whole.offsets.tolist() == units.cut(words).offsets.tolist()


@pytest.fixture
def model():
    """Five words in four dimensions, with the rows of their n-grams and of no others."""
    vocabulary, units = Vocabulary.from_words(WORDS, [9, 7, 5, 4, 3]), NGrams(3, 4, 5000)
    generator = np.random.default_rng(2)
    ids = np.unique(units.cut(vocabulary).ids)
    rows = generator.normal(size=(len(ids), 4)).astype(np.float32)
    own = generator.normal(size=(5, 4)).astype(np.float32)
    subwords = Subwords(units, own, ids, rows)
    output = generator.normal(size=(5, 4)).astype(np.float32)
    made = {"settings": {"window": 7, "arch": "cbow"}}
    return Embeddings(vocabulary, subwords.of_vocabulary(vocabulary), output, made, subwords)


def test_vectors_are_means_of_rows(model):
    table = model.subwords
    for i, word in enumerate(WORDS):
        parts = np.searchsorted(table.ids, plain_cut(word, 3, 4, 5000))
        rows = np.concatenate([table.word_rows[i : i + 1], table.rows[parts]])
        np.testing.assert_allclose(model.vectors[i], rows.mean(axis=0), rtol=1e-6, atol=1e-7)
    ids = plain_cut("cat", 3, 4, 5000)  # the parts that no word has count as zeros
    known = dict(zip(table.ids.tolist(), table.rows, strict=True))
    expected = sum(known.get(part, np.zeros(4)) for part in ids) / len(ids)
    np.testing.assert_allclose(model["cat"], expected, rtol=1e-6, atol=1e-7)
    assert 0 < len(set(ids) & set(known)) < len(set(ids))


def test_words_of_unknown_parts_only_are_unknown(model):
    vectors, known = model.from_subwords(["xyzzy", "cat", "\udcff", "</s>", ""])
    assert [False, True, False, False, False] == known.tolist()
    assert not vectors[[0, 2, 3, 4]].any()
    with pytest.raises(UnknownWordError):
        model["xyzzy"]
    assert "cat" not in model  # it has a vector, but is no word of the vocabulary


def test_a_large_vocabulary_is_made_in_blocks(model, monkeypatch):
    monkeypatch.setattr("embedcli.subwords.table.BLOCK_BYTES", 64)
    np.testing.assert_array_equal(model.vectors, model.subwords.of_vocabulary(model.vocabulary))


def test_fewer_words_and_fewer_dimensions_keep_the_parts(model):
    np.testing.assert_array_equal(model["cat"], model.head(2)["cat"])
    turned, _ = reduce_dim(model, 4)
    np.testing.assert_allclose(turned.vectors, turned.subwords.of_vocabulary(model.vocabulary),
                               atol=1e-6)  # fmt: skip
    assert np.linalg.norm(turned["cat"]) == pytest.approx(np.linalg.norm(model["cat"]), rel=1e-5)


@pytest.mark.parametrize("name", ["safetensors", "fasttext"])
def test_formats_that_keep_subwords(model, tmp_path, name):
    formats.save(model, tmp_path / "x", name)
    assert name == formats.detect(tmp_path / "x")
    read = formats.load(tmp_path / "x")
    np.testing.assert_allclose(read.vectors, model.vectors, atol=1e-7)
    np.testing.assert_array_equal(read["cat"], model["cat"])
    np.testing.assert_array_equal(read.output_vectors, model.output_vectors)
    np.testing.assert_array_equal(read.subwords.word_rows, model.subwords.word_rows)
    assert model.subwords.units == read.subwords.units
    assert [9, 7, 5, 4, 3] == read.vocabulary.counts.tolist()
    size = formats.FORMATS[name].file_size
    assert size(model) == (tmp_path / "x").stat().st_size
    broken = Subwords(
        model.subwords.units, model.subwords.word_rows, model.subwords.ids,
        np.where(model.subwords.rows == model.subwords.rows[7], np.nan, model.subwords.rows),
    )  # fmt: skip
    broken = Embeddings(model.vocabulary, model.vectors, subwords=broken)
    with pytest.raises(FormatError, match=r"cannot save the row of subword \d+: it is not finite"):
        formats.save(broken, tmp_path / "y", name)


def test_fasttext_says_the_same_of_its_own_file(tmp_path):
    model = formats.load(FASTTEXT)
    expected = json.loads((DATA / "fasttext-vectors.json").read_text())
    for word, vector in expected.items():
        np.testing.assert_allclose(model[word], vector, atol=1e-6)
    assert (2, 4, 40) == tuple(model.metadata["fasttext"][n] for n in ("minn", "maxn", "bucket"))
    formats.save(model, tmp_path / "x.fasttext.bin")
    assert FASTTEXT.read_bytes() == (tmp_path / "x.fasttext.bin").read_bytes()


def test_gensim_loads_our_file_and_says_the_same(model, tmp_path):
    gensim = pytest.importorskip("gensim.models.fasttext")
    formats.save(model, tmp_path / "x.fasttext.bin")
    read = gensim.load_facebook_vectors(str(tmp_path / "x.fasttext.bin"))
    whole = gensim.load_facebook_model(str(tmp_path / "x.fasttext.bin"))
    for word in ("the", "naïve", "東京", "cats", "cat", "other", "東"):  # it cuts </s>, too
        np.testing.assert_allclose(read[word], model.from_subwords([word])[0][0]
                                   if word not in model else model[word], atol=1e-6)  # fmt: skip
    assert (7, 0) == (whole.window, whole.sg)
    np.testing.assert_array_equal(whole.syn1neg, model.output_vectors)


def test_the_fasttext_package_loads_our_file_and_says_the_same(model, tmp_path):
    fasttext = pytest.importorskip("fasttext")
    formats.save(model, tmp_path / "x.fasttext.bin")
    read = fasttext.load_model(str(tmp_path / "x.fasttext.bin"))
    assert WORDS == read.get_words()
    for word in (*WORDS, "cat", "other", "東"):
        ours = model[word] if word in model else model.from_subwords([word])[0][0]
        np.testing.assert_allclose(read.get_word_vector(word), ours, atol=1e-6)


def changed(offset, code, value):
    data = bytearray(FASTTEXT.read_bytes())
    struct.pack_into(code, data, offset, value)
    return bytes(data)


WHOLE = FASTTEXT.read_bytes()
MATRIX = len(WHOLE) - 17 - 11 * 12 - 17 - 51 * 12  # where the input matrix begins
BROKEN = {
    "cut in the header": (WHOLE[:40], "an end at byte 40, inside the header"),
    "cut in a matrix": (WHOLE[:-1], "132 bytes, but 131 are left"),
    "more behind": (WHOLE + b"x", "more behind its last matrix"),
    "another version": (changed(4, "<i", 13), "of version 13; versions 11 and 12"),
    "a classifier": (changed(36, "<i", 3), "has no labels"),
    "an unknown kind": (changed(36, "<i", 9), "model 9 with 3 dimensions"),
    "a negative dimension": (changed(8, "<i", -1), "-1 dimensions"),
    "n-grams of no length": (changed(44, "<i", -1), "n-grams of -1 to 4 characters"),
    "n-grams of any length": (changed(48, "<i", 2**30), "n-grams of 2 to 1073741824 characters"),
    "no buckets": (changed(40, "<i", 0), "0 buckets"),
    "labels": (changed(72, "<i", 4), "4 labels"),
    "more words": (changed(64, "<i", 99), "99 entries, 11 words"),
    "a negative count": (changed(96, "<q", -1), "count -1 and type 0 in row 1 ('the')"),
    "quantized": (changed(MATRIX, "<?", True), "is quantized (.ftz)"),
    "a wide matrix": (changed(MATRIX + 9, "<q", 2**40), "an input matrix of 51 x 1099511627776"),
    "not a number": (changed(MATRIX + 17, "<f", np.nan), "not finite in row 1 of the input matrix"),
    "words without end": (WHOLE[:92] + b"x" * 5000, "no end of the word of row 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_fasttext_files(tmp_path, name):
    content, message = BROKEN[name]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        formats.load(tmp_path / "x")
    assert message in str(caught.value)
    assert str(tmp_path / "x") in str(caught.value)


def test_nul_ends_a_word_in_fasttext(tmp_path):
    broken = Embeddings(Vocabulary.from_words(["a", "b\0c"]), np.ones((2, 2), np.float32))
    with pytest.raises(FormatError, match=r"cannot save 'b\\x00c' as fasttext"):
        formats.save(broken, tmp_path / "x", "fasttext")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("[]", "no rule to cut words by"),
        ('{"kind": "ngrams", "shortest": 3, "longest": 2, "buckets": 9}', "n-grams of 3 to 2"),
        ('{"kind": "ngrams", "shortest": 3, "longest": 6, "buckets": true}', "no whole number"),
        ('{"kind": "ngrams", "shortest": 3, "longest": 6}', "missing"),
        ('{"kind": "syllables"}', "kind 'syllables'"),
    ],
)
def test_rules_that_are_none(rule, message):
    from embedcli.subwords.rules import units_from

    with pytest.raises(FormatError, match=message):
        units_from("x", rule)


def test_native_files_whose_parts_do_not_fit(model, tmp_path):
    from embedcli.files import safetensors
    from embedcli.files.publish import publish
    from embedcli.formats import native

    for change, message in (
        ({"subword_ids": None}, "lacks the tensor 'subword_ids'"),
        ({"subword_ids": model.subwords.ids[::-1]}, "is no rising list of ids below 5000"),
        ({"subwords": model.subwords.rows[:-1]}, "'subwords' is float32"),
        ({"word_rows": model.subwords.word_rows[:-1]}, "'word_rows' is float32"),
    ):
        arrays = native.tensors(model) | change
        arrays = {name: array for name, array in arrays.items() if array is not None}
        with publish(tmp_path / "x") as sink:
            safetensors.write(sink, arrays, native.metadata(model))
        with pytest.raises(FormatError, match=message):
            formats.load(tmp_path / "x")


@pytest.fixture(scope="session")
def sentencepiece_model(tmp_path_factory):
    """A file with a sentencepiece model of forty pieces."""
    sentencepiece = pytest.importorskip("sentencepiece")
    path = tmp_path_factory.mktemp("sentencepiece") / "model.spm"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["the cat sat", "walking and talking", "cats talked"] * 50),
            model_writer=file, vocab_size=40, model_type="bpe", minloglevel=3,
        )  # fmt: skip
    return path


def test_pieces_of_words(sentencepiece_model, tmp_path, monkeypatch):
    import sys

    import sentencepiece

    from embedcli.errors import InputError, MissingExtraError
    from embedcli.subwords.pieces import Pieces

    units = Pieces.read(str(sentencepiece_model))
    vocabulary = Vocabulary.from_words(["talked", "the", "東"])
    cut = units.cut(vocabulary)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_model))
    assert processor.encode("talked") == cut.ids[: cut.offsets[1]].tolist()
    assert 0 not in cut.ids  # what the model does not know
    rows = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    subwords = Subwords(units, rows[:3], np.arange(40, dtype=np.int32), rows)
    model = Embeddings(vocabulary, subwords.of_vocabulary(vocabulary), subwords=subwords)
    formats.save(model, tmp_path / "x.safetensors")
    read = formats.load(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(model["talking"], read["talking"])
    assert sentencepiece_model.read_bytes() == read.subwords.units.model
    with pytest.raises(FormatError, match="subwords of the kind sentencepiece as fasttext"):
        formats.save(model, tmp_path / "x", "fasttext")
    with pytest.raises(FormatError, match=r"README.md is no sentencepiece model"):
        Pieces.read(str(DATA / "README.md"))
    with pytest.raises(InputError, match="cannot read nothing"):
        Pieces.read("nothing")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    read = formats.load(tmp_path / "x.safetensors")  # opening it needs no library
    with pytest.raises(MissingExtraError, match=r"pip install 'embedcli\[subword\]'"):
        read["talking"]
