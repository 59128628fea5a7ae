"""Model2Vec's directories of every kind, held against Model2Vec itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, formats
from embedcli.errors import FormatError, UsageError
from embedcli.files import safetensors
from embedcli.files.publish import publish
from embedcli.spaces.sentences import Averager, word_weights

WORDS = ["the", "cat", "dog", "naïve", "東京", "new york", "a\u00a0b"]
VECTORS = np.random.default_rng(5).normal(size=(7, 4)).astype(np.float32)
TEXTS = ["the cat unheard dog", "東京 naïve the the", "nothing known", ""]


def model_of(words=WORDS, counts=(50, 40, 30, 20, 10, 5, 1), **metadata):
    return Embeddings(Vocabulary.from_words(words, counts), VECTORS, metadata=metadata)


def static_of(path):
    return pytest.importorskip("model2vec").StaticModel.from_pretrained(path)


def means_of(embeddings, texts, weighting="mean"):
    return Averager(embeddings, weighting).add(texts)


def rewrite(path, **arrays):
    """Change tensors of a directory."""
    file = path / "model.safetensors"
    header = safetensors.read_header(file)
    held = {
        name: np.array(array)
        for name, array in safetensors.map_tensors(file, header).items()
        if name != "sha256"
    }
    with publish(file) as sink:
        safetensors.write(sink, held | arrays, header.metadata)


@pytest.mark.parametrize("row", [0, 1, 6])
def test_an_unknown_token_with_a_row_of_its_own_comes_back(tmp_path, row):
    words = [word for word in WORDS if word != "dog"]
    words.insert(row, "[UNK]")
    model = model_of(words)
    for name in ("x", "y"):
        formats.save(model, tmp_path / name, "model2vec")
        model = formats.load(tmp_path / name)
        assert words == model.vocabulary.words
        assert VECTORS.tobytes() == model.vectors.tobytes()
    static = static_of(tmp_path / "y")
    assert words == list(static.tokens)
    known = [VECTORS[words.index("the")], VECTORS[words.index("cat")]]
    np.testing.assert_allclose(np.mean(known, 0), static.encode(["the cat other"])[0], atol=1e-6)


def test_a_row_of_zeros_says_that_there_is_no_such_word(tmp_path):
    vectors = np.array(VECTORS)
    vectors[0] = 0
    model = Embeddings(Vocabulary.from_words(["[UNK]", *WORDS[1:]]), vectors)
    with pytest.raises(FormatError, match="a vector of zeros there says"):
        formats.save(model, tmp_path / "x", "model2vec")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("unknown", [True, False])
def test_weights_make_the_means_of_model2vec_those_of_sif(tmp_path, dtype, unknown):
    model = model_of(["[UNK]", *WORDS[1:]] if unknown else WORDS)
    weights = word_weights(model, "sif")
    formats.save(model, tmp_path / "x", "model2vec", dtype=dtype, weights=weights)
    static = static_of(tmp_path / "x")
    texts = [text for text in TEXTS if not unknown or "the" not in text] + ["cat dog cat"]
    np.testing.assert_allclose(
        means_of(model, texts, "sif"), static.encode(texts), atol=1e-7 if dtype == "float32" else
        1e-3,
    )  # fmt: skip
    read = formats.load(tmp_path / "x")
    np.testing.assert_allclose(
        means_of(read, texts), static.encode(texts), atol=1e-7 if dtype == "float32" else 1e-4
    )
    if dtype == "float32":
        assert (VECTORS * weights[:, None]).tobytes() == read.vectors.tobytes()


def test_export_weights(tmp_path, run_embed):
    model = model_of(settings={"dim": 4})
    formats.save(model, tmp_path / "m.safetensors")
    done = run_embed("export", "m.safetensors", "w.model2vec", "--weights", "sif", "--top", "5")
    assert 0 == done.returncode, done.stderr
    # of the whole vocabulary's counts, as `embed vectors` takes them
    static = static_of(tmp_path / "w.model2vec")
    np.testing.assert_allclose(means_of(model, TEXTS, "sif"), static.encode(TEXTS), atol=1e-7)
    done = run_embed("export", "m.safetensors", "w.vec", "--weights", "sif")
    assert (2, True) == (done.returncode, "word2vec holds no weights of words" in done.stderr)
    done = run_embed("export", "w.model2vec", "v.model2vec", "--weights", "sif")
    assert (2, True) == (done.returncode, "SIF needs the counts" in done.stderr)
    with pytest.raises(UsageError, match="formats that do: model2vec"):
        formats.save(model, tmp_path / "x.npydir", weights=np.ones(7, np.float32))


def test_weights_and_mapping_of_model2vec_are_read(tmp_path):
    model2vec = pytest.importorskip("model2vec")
    formats.save(model_of(), tmp_path / "x", "model2vec")
    tokenizer = static_of(tmp_path / "x").tokenizer
    rows = VECTORS[:3]
    mapping = np.array([0, 1, 2, 1, 0, 2, 2, 1])
    weights = np.linspace(0.5, 2, 8).astype(np.float32)
    static = model2vec.StaticModel(rows, tokenizer, weights=weights, token_mapping=mapping)
    static.save_pretrained(tmp_path / "y")
    read = formats.load(tmp_path / "y")
    assert ["[UNK]", *WORDS] == read.vocabulary.words
    assert (rows[mapping] * weights[:, None]).tobytes() == read.vectors.tobytes()
    np.testing.assert_allclose(means_of(read, TEXTS[:2]), static.encode(TEXTS[:2]), atol=1e-6)
    formats.save(read, tmp_path / "z", "model2vec")
    np.testing.assert_allclose(
        static.encode(TEXTS), static_of(tmp_path / "z").encode(TEXTS), atol=1e-6
    )


def test_a_vocabulary_that_model2vec_quantises_is_read(tmp_path):
    formats.save(model_of(), tmp_path / "x", "model2vec")
    model2vec = pytest.importorskip("model2vec")
    pytest.importorskip("sklearn")
    static = model2vec.StaticModel.from_pretrained(tmp_path / "x", vocabulary_quantization=3)
    static.save_pretrained(tmp_path / "y")
    read = formats.load(tmp_path / "y")
    words = [["the"], ["cat"], ["naïve"]]
    np.testing.assert_allclose(
        [read[word] for (word,) in words], static.encode([w for (w,) in words]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"weights": np.ones(7, np.float32)},
            "tensor weights is float32 .7,., not one number for each",
        ),
        ({"weights": np.ones((8, 1), np.float32)}, "tensor weights is float32 .8, 1., not one"),
        ({"weights": np.ones(8, np.int32)}, "tensor weights is int32"),
        ({"weights": np.full(8, np.nan, np.float32)}, "not finite"),
        (
            {"mapping": np.zeros(8, np.float32)},
            "tensor mapping is float32 .8,., not a row for each",
        ),
        ({"mapping": np.zeros((8, 1), np.int64)}, "tensor mapping is int64 .8, 1."),
        ({"mapping": np.full(8, 8)}, "tensor mapping names rows beyond the 8"),
        ({"mapping": np.full(8, -1)}, "tensor mapping names rows beyond the 8"),
        ({"mapping": np.zeros(5, np.int64)}, "5 vectors, but 8 tokens"),
    ],
    ids=str,
)
def test_weights_and_mappings_that_do_not_fit(tmp_path, arrays, message):
    formats.save(model_of(), tmp_path / "x", "model2vec")
    rewrite(tmp_path / "x", **arrays)
    with pytest.raises(FormatError, match=message):
        formats.load(tmp_path / "x")


def test_a_mapping_makes_no_memory_that_the_file_does_not_justify(tmp_path):
    formats.save(model_of(), tmp_path / "x", "model2vec")
    rewrite(
        tmp_path / "x",
        embeddings=np.zeros((1, 4000), np.float32),
        mapping=np.zeros(40_000, np.uint8),
    )
    with pytest.raises(FormatError, match=r"but its vectors would take 640\.0 MB"):
        formats.load(tmp_path / "x")


def test_the_layout_of_sentence_transformers(tmp_path):
    formats.save(model_of(), tmp_path / "x", "model2vec")
    inner = tmp_path / "st" / "0_StaticEmbedding"
    inner.mkdir(parents=True)
    (tmp_path / "st" / "modules.json").write_text("[]")
    (tmp_path / "st" / "config_sentence_transformers.json").write_text("{}")
    (inner / "tokenizer.json").write_bytes((tmp_path / "x" / "tokenizer.json").read_bytes())
    with publish(inner / "model.safetensors") as sink:
        rows = np.concatenate([np.zeros((1, 4), np.float32), VECTORS])
        safetensors.write(sink, {"embedding.weight": rows}, {})
    assert "model2vec" == formats.detect(tmp_path / "st")
    read = formats.load(tmp_path / "st")
    assert WORDS == read.vocabulary.words
    assert VECTORS.tobytes() == read.vectors.tobytes()
    np.testing.assert_allclose(
        means_of(read, TEXTS), static_of(tmp_path / "st").encode(TEXTS), atol=1e-6
    )


def test_words_with_white_space_are_found_in_a_text(tmp_path):
    formats.save(model_of(), tmp_path / "x", "model2vec")
    static = static_of(tmp_path / "x")
    np.testing.assert_allclose(VECTORS[5], static.encode(["new york"])[0], atol=1e-6)
    np.testing.assert_allclose(VECTORS[6], static.encode(["a\u00a0b"])[0], atol=1e-6)
    both = (VECTORS[0] + VECTORS[5]) / 2
    np.testing.assert_allclose(both, static.encode(["the new york unheard"])[0], atol=1e-6)
    assert not static.encode(["renew yorkshire"]).any()  # whole words only
    assert WORDS == formats.load(tmp_path / "x").vocabulary.words
    described = json.loads((tmp_path / "x" / "tokenizer.json").read_text())
    assert ["new york", "a\u00a0b"] == [token["content"] for token in described["added_tokens"]]


def test_items_with_spaces_need_no_added_tokens(tmp_path):
    settings = {"items": True, "separator": ","}
    formats.save(model_of(settings=settings), tmp_path / "x", "model2vec")
    described = json.loads((tmp_path / "x" / "tokenizer.json").read_text())
    assert [] == described["added_tokens"]
    np.testing.assert_allclose(
        (VECTORS[1] + VECTORS[5]) / 2,
        static_of(tmp_path / "x").encode(["cat,new york,other"])[0],
        atol=1e-6,
    )
