"""fastText's own files of every kind: the same bytes again, and words of any bytes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, formats
from embedcli.errors import FormatError
from embedcli.formats.fasttext_writing import left_out
from embedcli.settings.reading import ReadingOptions
from embedcli.subwords.ngrams import NGrams

DATA = Path(__file__).parents[1] / "data"
OWN = ["fasttext", "fasttext-bytes", "fasttext-hs-labels", "fasttext-softmax", "fasttext-maxn0"]
# what fastText 0.9.3 says of fasttext-bytes.bin; the last two are words it never saw
BYTES = {
    b"caf\xe9": [-0.0018563668, 0.0020480866, -0.0014831848, -0.00070348155],
    b"caf\xc3": [0.013034259, 0.01543568, -0.0033835291, 0.0039259745],
    b"\xff\xfe": [-0.0068727597, 0.029562702, -0.020225249, -0.0099273967],
    b"a\x80\x80\x80\x80\x80b": [-0.0012755375, 0.0014381622, -0.00097960525, -0.0004883933],
    b"caf\xea": [-0.0016805221, 0.001865321, -0.0013298151, -0.00062068069],
    b"zz\xff\x80\x80\x80\x80q": [-0.00084649725, 0.00092254684, -0.00064545684, -0.00031204949],
}


def load(name, **reading):
    return formats.load(DATA / f"{name}.bin", reading=ReadingOptions(**reading))


def text(word):
    return word.decode(errors="surrogateescape")


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("through", [None, "x.safetensors"])
def test_read_and_written_again_is_the_same_bytes(tmp_path, name, through):
    model = load(name)
    if through:
        formats.save(model, tmp_path / through)
        model = formats.load(tmp_path / through)
    formats.save(model, tmp_path / "x.fasttext.bin")
    written = (tmp_path / "x.fasttext.bin").read_bytes()
    assert (DATA / f"{name}.bin").read_bytes() == written
    assert len(written) == formats.FORMATS["fasttext"].file_size(model)


def test_version_11_stays_version_11(tmp_path):
    data = bytearray((DATA / "fasttext-softmax.bin").read_bytes())
    struct.pack_into("<i", data, 4, 11)
    (tmp_path / "x").write_bytes(data)
    formats.save(formats.load(tmp_path / "x"), tmp_path / "y.fasttext.bin")
    assert data == (tmp_path / "y.fasttext.bin").read_bytes()


def test_labels_in_a_text_are_no_classifier():
    model = load("fasttext-hs-labels")
    made = model.metadata["fasttext"]
    assert (29, 2915, 1) == (len(model), made["ntokens"], made["loss"])
    assert [["__label__x", 144], ["__label__yy", 71]] == made["labels"]
    assert "__label__x" not in model
    assert model.outputs_are_nodes


def test_nodes_have_the_sign_of_word2vec():
    model = load("fasttext-hs-labels")
    stored = np.frombuffer((DATA / "fasttext-hs-labels.bin").read_bytes()[-29 * 16 :], "<f4")
    assert np.array_equal(-stored.reshape(29, 4), model.output_vectors)
    assert not model.output_vectors[-1].any()  # V - 1 nodes
    assert model.output_vectors[:-1].any(axis=1).all()
    softmax = load("fasttext-softmax")
    assert softmax.output_vectors.any()
    assert not softmax.outputs_are_nodes


def test_no_ngrams():
    model = load("fasttext-maxn0")
    assert None is model.subwords
    assert (3, 0, 0) == tuple(model.metadata["fasttext"][n] for n in ("minn", "maxn", "bucket"))


@pytest.mark.parametrize(("minn", "maxn"), [(0, 0), (3, 0), (5, 4), (3, 2)])
def test_rows_of_ngrams_that_no_word_has_are_left_out_and_said(tmp_path, minn, maxn):
    """As gensim's FastText(min_n=0, max_n=0) writes two million of them."""
    data = bytearray((DATA / "fasttext-softmax.bin").read_bytes())
    struct.pack_into("<ii", data, 44, minn, maxn)
    (tmp_path / "x").write_bytes(data)
    said = []
    model = formats.load(tmp_path / "x", reading=ReadingOptions(on_mended=said.append))
    assert [f"60 rows of n-grams left out, as there are none of {minn} to {maxn} characters"] == [
        line.partition(": ")[2] for line in said
    ]
    assert load("fasttext-softmax").subwords.word_rows.tobytes() == model.vectors.tobytes()
    formats.save(model, tmp_path / "y.fasttext.bin")
    again = formats.load(tmp_path / "y.fasttext.bin")
    assert (minn, maxn, 0) == tuple(
        again.metadata["fasttext"][n] for n in ("minn", "maxn", "bucket")
    )
    assert model.vectors.tobytes() == again.vectors.tobytes()


def test_words_of_any_bytes_and_their_ngrams():
    model = load("fasttext-bytes")
    for word, expected in BYTES.items():
        np.testing.assert_allclose(expected, model[text(word)], rtol=0, atol=1e-8)
    assert [True] * 4 + [False] * 2 == [text(word) in model for word in BYTES]
    words = model.vocabulary.words
    assert 35 == len(set(words))
    assert words == [model.vocabulary[i] for i in range(35)]
    assert list(range(35)) == model.vocabulary.find(words)
    assert list(range(35)) == [model.vocabulary.get(word) for word in words * 2][:35]
    assert Vocabulary.from_words(words) == model.vocabulary


def plain_ngrams(word, shortest, longest):
    """Of a wrapped word, as fastText takes them: a byte and what follows of the form 10xxxxxx."""
    found = []
    for start in (i for i in range(len(word)) if word[i] & 0xC0 != 0x80):
        end = start
        for n in range(1, longest + 1):
            if end == len(word):
                break
            end += 1
            while end < len(word) and word[end] & 0xC0 == 0x80:
                end += 1
            if n >= shortest and not (n == 1 and (start == 0 or end == len(word))):
                found.append(word[start:end])
    return found


@pytest.mark.parametrize("word", [*BYTES, b"\x80", b"\xbf" * 9, b"\xf0\x9f", b"a\xe6\x9d"])
def test_any_bytes_are_cut_as_fasttext_cuts_them(word):
    expected = []
    for gram in plain_ngrams(b"<" + word + b">", 1, 4):
        value = 2166136261
        for byte in gram:
            value = (value ^ ((byte - 256 if byte >= 128 else byte) & 0xFFFFFFFF)) * 16777619
            value &= 0xFFFFFFFF
        expected.append(value % 1000)
    assert expected == NGrams(1, 4, 1000).cut(Vocabulary.from_words([text(word)])).ids.tolist()


@pytest.mark.parametrize("name", formats.WRITTEN)
def test_words_of_any_bytes_are_kept_or_refused(tmp_path, name):
    model = load("fasttext-bytes")
    if name in ("safetensors", "fasttext"):
        formats.save(model, tmp_path / "x", name)
        assert name == formats.detect(tmp_path / "x")
        assert model.vocabulary == formats.load(tmp_path / "x").vocabulary
        return
    with pytest.raises(FormatError, match=r"the word b'caf\\xc3' \(row 3\): it is not UTF-8"):
        formats.save(model, tmp_path / "x", name)
    assert [] == list(tmp_path.iterdir())


def test_words_are_mended_on_demand_with_the_vectors_of_their_own_spelling():
    whole = load("fasttext-bytes")
    with pytest.raises(FormatError, match=r"is already in row 3 \(--duplicates first keeps"):
        load("fasttext-bytes", decode_errors="replace")
    said = []
    mended = load(
        "fasttext-bytes", decode_errors="replace", duplicates="first", on_mended=said.append
    )
    assert ["bytes of 6 words replaced by U+FFFD", "2 rows left out"] == [
        line.split(": ")[1] for line in said
    ]
    assert (33, True) == (len(mended), mended.vocabulary.is_utf8)
    row = whole.vocabulary.get(text(b"caf\xc3"))
    assert whole.vectors[row].tobytes() == mended["caf\ufffd"].tobytes()
    assert whole.output_vectors[row].tobytes() == (
        mended.output_vectors[mended.vocabulary.get("caf\ufffd")].tobytes()
    )


def test_other_formats_keep_words_of_any_bytes_on_demand(tmp_path):
    (tmp_path / "x.vec").write_bytes(b"2 1\ncaf\xe9 1\ncaf\xe8 2\n")
    with pytest.raises(FormatError, match="is not UTF-8"):
        formats.load(tmp_path / "x.vec")
    read = formats.load(tmp_path / "x.vec", reading=ReadingOptions(decode_errors="keep"))
    assert [text(b"caf\xe9"), text(b"caf\xe8")] == read.vocabulary.words
    formats.save(read, tmp_path / "y.safetensors")
    assert read.vocabulary == formats.load(tmp_path / "y.safetensors").vocabulary


def test_commands_take_and_show_words_of_any_bytes(tmp_path, run_embed):
    (tmp_path / "m.bin").write_bytes((DATA / "fasttext-bytes.bin").read_bytes())
    done = run_embed("neighbors", "-m", "m.bin", text(b"caf\xe9"), "-k", "40", "--json")
    assert 0 == done.returncode, done.stderr
    assert "caf\\udcc3" in done.stdout  # JSON is ASCII where it cannot be UTF-8
    assert 0 == run_embed("verify", "m.bin").returncode
    for out in ("p.html", "p.svg"):
        done = run_embed("plot", "m.bin", "-o", out)
        assert 0 == done.returncode, done.stderr
        assert b"udcc3" in (tmp_path / out).read_bytes() or out == "p.svg"
        (tmp_path / out).read_text()  # UTF-8


def made(counts, **settings):
    rng = np.random.default_rng(1)
    vectors, output = rng.normal(size=(2, 3, 4)).astype(np.float32)
    words = Vocabulary.from_words(["a", "b", "c"], counts)
    return Embeddings(words, vectors, output, {"settings": settings})


@pytest.mark.parametrize(
    ("settings", "counts", "loss", "sign", "said"),
    [
        ({"arch": "skipgram", "loss": "ns"}, [3, 2, 1], 2, 1, None),
        ({"arch": "cbow", "loss": "hs"}, [3, 2, 1], 1, -1, None),
        ({"arch": "cbow", "loss": "hs"}, [3, 1, 2], 1, 0, "nodes of the tree are left out"),
        ({"arch": "glove"}, [3, 2, 1], 2, 0, "fastText knows no GloVe"),
    ],
)
def test_what_fasttext_is_told_of_our_models(tmp_path, settings, counts, loss, sign, said):
    model = made(counts, **settings)
    assert [said is not None] * len(left_out(model)) == [
        said in line for line in left_out(model) if said
    ]
    assert (said is None) == (not left_out(model))
    formats.save(model, tmp_path / "x.fasttext.bin")
    data = (tmp_path / "x.fasttext.bin").read_bytes()
    stored = np.frombuffer(data[-48:], "<f4").reshape(3, 4)
    assert np.array_equal(sign * model.output_vectors, stored)
    read = formats.load(tmp_path / "x.fasttext.bin")
    assert loss == read.metadata["fasttext"]["loss"]
    if sign:
        assert model.output_vectors.tobytes() == read.output_vectors.tobytes()
    else:
        assert None is read.output_vectors


def test_export_says_what_is_left_out(tmp_path, run_embed):
    formats.save(made([3, 2, 1], arch="glove"), tmp_path / "g.safetensors")
    formats.save(made([3, 2, 1], arch="cbow", loss="hs"), tmp_path / "h.safetensors")
    done = run_embed("export", "g.safetensors", "g.fasttext.bin")
    assert (0, True) == (done.returncode, "fastText knows no GloVe" in done.stderr)
    done = run_embed("export", "h.safetensors", "h.fasttext.bin", "--top", "2")
    assert (0, True) == (done.returncode, "of a tree over all 3 words" in done.stderr)


@pytest.mark.parametrize("known", ["x", [], {"labels": 3}, {"ws": "x"}, {"minn": None}, 7])
def test_metadata_of_strangers_does_no_harm(tmp_path, known):
    model = made([3, 2, 1])
    odd = Embeddings(model.vocabulary, model.vectors, None, {"settings": [], "fasttext": known})
    formats.save(odd, tmp_path / "x.fasttext.bin")
    assert model.vectors.tobytes() == formats.load(tmp_path / "x.fasttext.bin").vectors.tobytes()
