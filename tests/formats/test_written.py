"""Every kind of model in every format, dtype, --pq, --top and --dim; and old or new, never half."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, FormatError, OutputError
from embedcli.formats import FORMATS, WRITTEN, Folder
from embedcli.formats.narrow import widened
from embedcli.spaces.reduction import reduce_dim
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

N, DIM = 300, 6  # product quantisation wants 256 words
SPACELESS = ("word2vec", "word2vec-bin")  # what cannot hold a word with a space


def made(words=None, outputs=True, counts=True, subwords=None, **settings):
    rng = np.random.default_rng(5)
    words = words or [f"wört{i}" for i in range(N)]
    vocabulary = Vocabulary.from_words(words, list(range(2 * N, N, -1)) if counts else None)
    vectors, output = rng.normal(size=(2, N, DIM)).astype(np.float32)
    table = None
    if subwords is not None:
        ids = np.unique(subwords.cut(vocabulary).ids)
        rows = rng.normal(size=(len(ids), DIM)).astype(np.float32)
        table = Subwords(subwords, vectors, ids, rows)
        vectors = table.of_vocabulary(vocabulary)
    metadata = {"settings": settings, "seed": 1}
    return Embeddings(vocabulary, vectors, output if outputs else None, metadata, table)


@cache
def pieces():
    sentencepiece = pytest.importorskip("sentencepiece")
    import io

    from embedcli.subwords.pieces import Pieces

    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["wört ein haus", "wörter und häuser"] * 20),
        model_writer=file, vocab_size=30, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
    return Pieces(file.getvalue(), processor.get_piece_size())


KINDS = {
    "skip-gram": lambda: made(arch="skipgram"),
    "cbow": lambda: made(arch="cbow"),
    "hs": lambda: made(arch="skipgram", loss="hs"),
    "glove": lambda: made(arch="glove"),
    "n-grams": lambda: made(subwords=NGrams(3, 5, 4000), arch="skipgram"),
    "hs with n-grams": lambda: made(subwords=NGrams(3, 3, 50), arch="cbow", loss="hs"),
    "pieces": lambda: made(subwords=pieces(), arch="skipgram"),
    "unk": lambda: made(["<unk>", *(f"w{i}" for i in range(N - 1))], arch="skipgram"),
    "items": lambda: made([f"item {i}th" for i in range(N)], arch="skipgram", window="line"),
    "no outputs": lambda: made(outputs=False, arch="skipgram"),
    "no counts": lambda: made(counts=False),
}


def cannot(kind, name):
    """Whether a format cannot hold a kind of model."""
    return (
        (kind == "items" and name in SPACELESS)
        or (kind == "pieces" and name == "fasttext")
        or (kind == "no counts" and name == "vocab")
    )


def dtypes_of(name):
    return [f"{dtype}-3" if dtype == "pq" else dtype for dtype in FORMATS[name].dtypes]


def content(path):
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir()}
    return path.read_bytes()


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_format(tmp_path, kind, name):
    whole = KINDS[kind]()
    smaller = [whole, reduce_dim(whole.head(290), 3)[0]]  # --top and --dim
    if name in ("safetensors", "fasttext"):
        smaller += [whole.head(290), reduce_dim(whole, 3)[0]]
    for dtype in dtypes_of(name):
        if dtype.startswith("pq"):
            pytest.importorskip("faiss")
        for model in smaller[:2] if dtype.startswith("pq") else smaller:
            path = tmp_path / "out"
            if cannot(kind, name):
                with pytest.raises(FormatError, match="cannot save"):
                    formats.save(model, path, name, dtype=dtype)
                assert [] == list(tmp_path.iterdir())
                continue
            formats.save(model, path, name, dtype=dtype)
            assert name == formats.detect(path)
            check(model, name, dtype, path)


def check(model, name, dtype, path):
    if name == "vocab":
        read = formats.vocab.read_vocab(path)
        assert (model.vocabulary, model.vocabulary.counts.tolist()) == (read, read.counts.tolist())
        return
    read = formats.load(path)
    assert model.vocabulary.words == read.vocabulary.words
    expected = widened(model, dtype)
    if (name, dtype) == ("model2vec", "int8"):  # directions only
        assert np.allclose(read.vectors, np.rint(read.vectors))
    elif name == "fasttext" and model.subwords is not None:  # made of rows
        assert np.allclose(expected.vectors, read.vectors, atol=1e-6)
    else:
        assert expected.vectors.tobytes() == read.vectors.tobytes()
    if not formats.keeps_subwords(name, dtype) or model.subwords is None:
        assert read.subwords is None
    else:
        unseen = ["wörtlich", "wert"]
        assert np.allclose(
            expected.from_subwords(unseen)[0], read.from_subwords(unseen)[0], atol=1e-6
        )
    if name == "safetensors":
        assert model.metadata == read.metadata
        assert (expected.output_vectors is None) == (read.output_vectors is None)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("fault", ["a row less", "another number", "cut short", "nothing"])
def test_what_does_not_read_back_never_takes_the_place_of_what_was_there(
    tmp_path, monkeypatch, name, fault
):
    model = made(arch="skipgram")
    path = tmp_path / "out"
    formats.save(model, path, name)
    before = content(path)
    entry = FORMATS[name]
    monkeypatch.setitem(FORMATS, name, replace(entry, write=faulty(entry, fault, name)))
    with pytest.raises(OutputError, match="does not read back") as caught:
        formats.save(model, path, name)
    assert "\n" not in str(caught.value)
    assert before == content(path)
    assert [path] == list(tmp_path.iterdir())


def faulty(entry, fault, name):
    def write(embeddings, out, *dtype):
        if fault == "a row less":
            embeddings = embeddings.head(len(embeddings) - 1)
        if fault == "another number":
            vectors = np.array(embeddings.vectors)
            vectors[7, 3] = np.nextafter(vectors[7, 3], np.float32(9))
            vocabulary = embeddings.vocabulary.head(N - (name == "vocab"))
            embeddings = Embeddings(vocabulary, vectors[: len(vocabulary)])
        if fault in ("a row less", "another number"):
            entry.write(embeddings, out, *dtype)
        elif isinstance(entry, Folder):
            entry.write(embeddings, out, *dtype)
            first = out / entry.files[0]
            data = first.read_bytes()
            first.write_bytes(data[: len(data) // 2] if fault == "cut short" else b"")
        elif fault == "cut short":
            out.write(b"cut \x00")

    return write


@pytest.mark.parametrize("name", ["word2vec", "fasttext", "sqlite"])
def test_where_memory_is_short_only_bytes_are_compared(tmp_path, monkeypatch, name):
    model = made(subwords=NGrams(3, 5, 4000), arch="skipgram")
    monkeypatch.setattr("embedcli.formats.read_back.available_memory", lambda: 10_000)
    with pytest.warns(UserWarning, match=r"its bytes are read back, but not what they mean: that"):
        formats.save(model, tmp_path / "x", name)
    assert len(model) == len(formats.load(tmp_path / "x"))
    formats.save(model, tmp_path / "y.safetensors")  # mapped: nothing to warn of


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_narrow_models_keep_their_ngrams(tmp_path, run_embed, dtype):
    model = made(subwords=NGrams(3, 5, 4000), arch="skipgram")
    formats.save(model, tmp_path / "m.safetensors")
    done = run_embed("export", "m.safetensors", "small.safetensors", "--dtype", dtype)
    assert (0, False) == (done.returncode, "without the rows" in done.stderr)
    assert 0 == run_embed("verify", "small.safetensors").returncode
    read = formats.load(tmp_path / "small.safetensors")
    assert model.subwords.units == read.subwords.units
    expected, actual = (each.from_subwords(["wörtlich"])[0] for each in (model, read))
    assert 0 < np.abs(expected - actual).max() < 0.02
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("m", "small")]
    assert sizes[1] < sizes[0] * (0.62 if dtype == "float16" else 0.5)
    done = run_embed("export", "small.safetensors", "again.fasttext.bin")
    assert (0, False) == (done.returncode, "without the rows" in done.stderr)


@pytest.mark.parametrize(
    ("settings", "ws"),
    [({"window": "line"}, 2**31 - 1), ({"window": None, "items": True}, 2**31 - 1),
     ({"window": None}, 5), ({"window": 3}, 3), ({"window": 2**40}, 2**31 - 1)],
)  # fmt: skip
def test_any_window_is_said_to_fasttext(tmp_path, settings, ws):
    formats.save(made(**settings), tmp_path / "m.fasttext.bin")
    assert ws == formats.load(tmp_path / "m.fasttext.bin").metadata["fasttext"]["ws"]


def test_the_first_words_of_a_tree_have_no_nodes():
    model = KINDS["hs"]()
    assert None is model.head(N - 1).output_vectors
    assert model.output_vectors is not None
    assert N == len(model.head(N).output_vectors)


def test_a_damaged_narrow_table_of_subwords_is_refused(tmp_path):
    from embedcli.files import safetensors
    from embedcli.files.publish import publish

    path = tmp_path / "m.safetensors"
    formats.save(made(subwords=NGrams(3, 3, 50)), path, dtype="int8")
    header = safetensors.read_header(path)
    arrays = {k: v for k, v in safetensors.map_tensors(path, header).items() if k != "sha256"}
    for change, message in (
        ({"word_scales": None}, "lacks the tensor 'word_scales'"),
        ({"subword_scales": np.ones(3, np.float32)}, "'subword_scales' is float32"),
        ({"subwords": arrays["subwords"].astype(np.float32)}, "'subwords' is float32"),
        ({"subword_scales": np.full(len(arrays["subword_ids"]), np.nan, np.float32)}, "not finite"),
    ):
        changed = {k: v for k, v in (arrays | change).items() if v is not None}
        with publish(tmp_path / "x") as sink:
            safetensors.write(sink, changed, header.metadata)
        with pytest.raises(EmbedError, match=message):
            formats.load(tmp_path / "x")
