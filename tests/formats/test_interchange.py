"""The real consumer of each format loads what we write, and makes smaller; skipped without it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError, MissingExtraError, UsageError
from embedcli.formats.model2vec import _tokenizer
from embedcli.settings.text_rules import TextRules
from embedcli.spaces.overlap import overlap
from embedcli.spaces.reduction import reduce_dim
from embedcli.text.splitting_process import splitter
from embedcli.vocabulary import Vocabulary

WORDS = ["the", "cat", "dog", "naïve", "東京", "don't"]
rng = np.random.default_rng(5)
VECTORS = rng.normal(size=(6, 4)).astype(np.float32)


@pytest.fixture
def model():
    counts = [50, 40, 30, 20, 10, 5]
    return Embeddings(Vocabulary.from_words(WORDS, counts), VECTORS)


def test_gensim_reads_the_binary_and_finds_the_same_neighbours(model, tmp_path):
    models = pytest.importorskip("gensim.models")
    formats.save(model, tmp_path / "x.bin")
    formats.save(model, tmp_path / "x.vocab")
    read = models.KeyedVectors.load_word2vec_format(
        str(tmp_path / "x.bin"), fvocab=str(tmp_path / "x.vocab"), binary=True
    )
    ours = overlap(model, Embeddings(Vocabulary.from_words(read.index_to_key), read.vectors), 3)
    assert 1.0 == ours
    assert 40 == read.get_vecattr("cat", "count")


def test_numpy_maps_npy(model, tmp_path):
    formats.save(model, tmp_path / "x", "npy")
    vectors = np.load(tmp_path / "x" / "vectors.npy", mmap_mode="r")
    assert WORDS == (tmp_path / "x" / "words.txt").read_text().splitlines()
    assert VECTORS.tobytes() == vectors.tobytes()
    assert [50, 40, 30, 20, 10, 5] == np.load(tmp_path / "x" / "counts.npy").tolist()


def test_pyarrow_reads_parquet(model, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    formats.save(model, tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert "fixed_size_list<element: float>[4]" == str(table.schema.field("vector").type)
    assert WORDS == table["word"].to_pylist()
    assert [50, 40, 30, 20, 10, 5] == table["count"].to_pylist()
    flat = table["vector"].combine_chunks().flatten().to_numpy()
    assert VECTORS.tobytes() == flat.tobytes()


def test_foreign_parquet_is_read_by_the_types_of_its_columns(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    lists = pa.array(VECTORS[:2].astype(np.float64).tolist(), pa.list_(pa.float64()))
    pq.write_table(pa.table({"id": [1, 2], "title": ["a", "b c"], "emb": lists}), tmp_path / "x")
    assert VECTORS[:2].tobytes() == formats.load(tmp_path / "x").vectors.tobytes()
    assert ["a", "b c"] == formats.load(tmp_path / "x").vocabulary.words
    ragged = pa.array([[1.0, 2.0], [3.0, 4.0, 5.0, 6.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"w": ["a", "b"], "v": ragged}), tmp_path / "x")
    with pytest.raises(FormatError, match="different lengths"):
        formats.load(tmp_path / "x")
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), tmp_path / "x")
    with pytest.raises(FormatError, match=r"clearly the word; it has a \(string\), b \(string\)"):
        formats.load(tmp_path / "x")


def test_a_missing_pyarrow_names_the_command(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedcli\[interchange\]'"):
        formats.save(model, tmp_path / "x.parquet")
    assert [] == list(tmp_path.iterdir())


def test_sqlite_vec_searches_the_database(model, tmp_path):
    apsw = pytest.importorskip("apsw")  # Python's own sqlite3 often cannot load extensions
    sqlite_vec = pytest.importorskip("sqlite_vec")
    formats.save(model, tmp_path / "x.sqlite")
    connection = apsw.Connection(str(tmp_path / "x.sqlite"))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    query = """
        SELECT word, 1 - vec_distance_cosine(vector, (SELECT vector FROM words WHERE word = 'cat'))
        FROM words WHERE word != 'cat' ORDER BY 2 DESC LIMIT 2
    """
    found = list(connection.execute(query))
    connection.close()
    units = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    cosines = units @ units[1]
    best = [i for i in np.argsort(-cosines).tolist() if i != 1][:2]
    assert [WORDS[i] for i in best] == [word for word, _ in found]
    assert [cosines[i] for i in best] == pytest.approx([c for _, c in found], abs=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_model2vec_loads_the_directory(model, tmp_path, dtype):
    model2vec = pytest.importorskip("model2vec")
    formats.save(model, tmp_path / "x", "model2vec", dtype=dtype)
    static = model2vec.StaticModel.from_pretrained(tmp_path / "x")
    mean = (VECTORS[1] + VECTORS[2]) / 2
    (actual,) = static.encode(["cat unheard dog"]).astype(np.float64)
    cosine = float(actual @ mean / np.linalg.norm(actual) / np.linalg.norm(mean))
    assert {"float32": 1e-6, "float16": 1e-5, "int8": 1e-3}[dtype] > 1 - cosine
    assert ["[UNK]", *WORDS] == list(static.tokens)
    assert np.array_equal(static.encode(["東京 naïve"]), static.encode(["naïve 東京"]))


def test_model2vec_lower_cases_where_training_did(tmp_path):
    model2vec = pytest.importorskip("model2vec")
    settings = {"settings": {"lowercase": True}}
    lowered = Embeddings(Vocabulary.from_words(WORDS), VECTORS, metadata=settings)
    formats.save(lowered, tmp_path / "x", "model2vec")
    static = model2vec.StaticModel.from_pretrained(tmp_path / "x")
    assert VECTORS[1].tolist() == pytest.approx(static.encode(["CAT"])[0].tolist())
    assert "| lowercase | True |" in (tmp_path / "x" / "README.md").read_text()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lowercase": True, "normalize": "NFKC", "digits": "zero"},
        {"tokenizer": "words", "lowercase": True, "digits": "zero"},
        {"digits": "hash"},
        {"lowercase": "tr"},
        {"digits": "number"},
        {"items": True, "separator": ", "},
    ],
    ids=str,
)
def test_the_tokenizer_cuts_text_as_training_did(settings):
    tokenizers = pytest.importorskip("tokenizers")
    rules = TextRules(**{"tokenizer": "whitespace", "lowercase": False} | settings)
    text = "Don't, stop: \u0939\u093f\u0902\u0926\u0940 x1-y2, \ufb01n\u00e9 e\u0301 "
    text += "co\u00adop \u2764\ufe0f \u0dc1\u0dca\u200d\u0dbb\u0dd3 \u0301a ISI \u0130x I\u0307y"
    words = [*dict.fromkeys(splitter(rules)(text))]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(_tokenizer(words, rules)))

    assert splitter(rules)(text) == tokenizer.encode(text).tokens


def test_the_tokenizer_says_what_it_cannot():
    with pytest.warns(UserWarning, match="cannot cut text as --tokenizer unicode does"):
        _tokenizer(["a"], TextRules(tokenizer="unicode"))


def test_what_model2vec_saves_is_read(model, tmp_path):
    model2vec = pytest.importorskip("model2vec")
    formats.save(model, tmp_path / "x", "model2vec")
    model2vec.StaticModel.from_pretrained(tmp_path / "x").save_pretrained(tmp_path / "y")
    read = formats.load(tmp_path / "y")
    assert WORDS == read.vocabulary.words
    assert VECTORS.tobytes() == read.vectors.tobytes()


def test_sentence_transformers_loads_the_directory(model, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    formats.save(model, tmp_path / "x", "model2vec")
    encoded = library.SentenceTransformer(str(tmp_path / "x"), device="cpu").encode(["cat dog"])
    assert ((VECTORS[1] + VECTORS[2]) / 2).tolist() == pytest.approx(encoded[0].tolist(), abs=1e-6)


def test_spacy_makes_a_pipeline_of_the_text_format(model, tmp_path):
    spacy = pytest.importorskip("spacy")
    formats.save(model, tmp_path / "x.vec")
    subprocess.run(
        [sys.executable, "-m", "spacy", "init", "vectors", "en", "x.vec", "made"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    vocabulary = spacy.load(tmp_path / "made").vocab
    assert VECTORS[1].tolist() == pytest.approx(vocabulary["cat"].vector.tolist())
    assert VECTORS[4].tolist() == pytest.approx(vocabulary["東京"].vector.tolist())


@pytest.mark.parametrize("library", ["torch", "keras"])
def test_the_recipes_of_the_docs_run(library, tmp_path, root, command_environment):
    if not (find_spec(library) and find_spec("torch")):
        pytest.skip(f"needs torch and {library}: make consumers")
    text = (root / "docs" / "formats.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (recipe,) = [block for block in blocks if f"\nimport {library}\n" in block]
    words = Vocabulary.from_words(["king", "queen", "cat"])
    formats.save(Embeddings(words, VECTORS[:3]), tmp_path / "model.safetensors")
    shown = "import numpy\nprint(numpy.asarray(layer(ids)[1]).tolist())"
    done = subprocess.run(
        [sys.executable, "-c", recipe + shown],
        cwd=tmp_path,
        env=command_environment | {"KERAS_BACKEND": "torch"},  # TensorFlow otherwise
        check=True,
        capture_output=True,
        text=True,
    )
    shape, row = done.stdout.splitlines()
    assert "2, 4" in shape
    assert VECTORS[1].tolist() == json.loads(row)


def test_the_projector_of_tensorboard_reads_the_vectors(model, tmp_path):
    plugin = pytest.importorskip("tensorboard.plugins.projector.projector_plugin")
    formats.save(model, tmp_path / "x", "projector")
    read = plugin._read_tensor_tsv_file(str(tmp_path / "x" / "vectors.tsv"))
    assert VECTORS.tobytes() == read.astype(np.float32).tobytes()


def test_tensorboard_shows_the_directory(model, tmp_path):
    plugin = pytest.importorskip("tensorboard.plugins.projector.projector_plugin")
    from tensorboard.plugins.base_plugin import TBContext
    from werkzeug.test import Client

    formats.save(model, tmp_path / "x", "projector")
    shown = plugin.ProjectorPlugin(TBContext(logdir=str(tmp_path / "x"), multiplexer=None))
    apps = shown.get_plugin_apps()

    def get(path, **query):
        answer = Client(apps[path]).get(path, query_string=query)
        assert 200 == answer.status_code
        return answer.get_data()

    assert ["."] == json.loads(get("/runs"))
    (described,) = json.loads(get("/info", run="."))["embeddings"]
    assert ([6, 4], "words") == (described["tensorShape"], described["tensorName"])
    assert VECTORS.tobytes() == get("/tensor", run=".", name="words")
    assert get("/metadata", run=".", name="words").startswith(b"word\tcount\nthe\t50\n")


def test_a_directory_without_the_configuration_is_read_and_replaced(model, tmp_path):
    formats.save(model, tmp_path / "x", "projector")
    (tmp_path / "x" / "projector_config.pbtxt").unlink()
    assert "projector" == formats.detect(tmp_path / "x")
    assert VECTORS.tobytes() == formats.load(tmp_path / "x").vectors.tobytes()
    formats.save(model, tmp_path / "x", "projector")
    assert (tmp_path / "x" / "projector_config.pbtxt").exists()


def test_the_projector_gets_a_header_because_it_has_two_columns(model, tmp_path):
    formats.save(model, tmp_path / "x", "projector")
    lines = (tmp_path / "x" / "metadata.tsv").read_text().split("\n")
    assert ["word\tcount", "the\t50"] == lines[:2]
    assert 6 == (tmp_path / "x" / "vectors.tsv").read_text().count("\n")


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("npy", "vectors.npy", b"\x93NUMPY", "not a sound NumPy array"),
        ("npy", "words.txt", b"a\nb\n", "6 vectors, but 2 words"),
        ("npy", "words.txt", b"a\na\nb\nc\nd\ne\n", "row 2: 'a' is already in row 1"),
        ("projector", "vectors.tsv", b"1\t2\n1\n", "line 2: 1 numbers, expected 2"),
        ("projector", "vectors.tsv", b"1\tx\n", "something is not a number"),
        ("projector", "metadata.tsv", b"word\tcount\na\n", "line 2: 1 columns, not 2"),
        ("model2vec", "tokenizer.json", b"[]", "no tokenizer that is understood"),
        ("model2vec", "tokenizer.json", b'{"model":{"vocab":{"a":0}}}', "7 vectors, but 1 tokens"),
        ("model2vec", "model.safetensors", b"", "not a sound safetensors file"),
    ],
)
def test_damaged_directories_are_refused(model, tmp_path, name, file, content, message):
    formats.save(model, tmp_path / "x", name)
    (tmp_path / "x" / file).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        formats.load(tmp_path / "x")


@pytest.mark.parametrize(
    "content", [b"PAR1\x15\x00", b"SQLite format 3\x00 and more", b"PAR1\x15" + bytes(5000)]
)
def test_damaged_tables_are_refused(tmp_path, content):
    pytest.importorskip("pyarrow")
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError, match=r"x (is a damaged Parquet|holds no table)"):
        formats.load(tmp_path / "x")


def test_a_directory_of_other_things_is_neither_read_nor_replaced(model, tmp_path, run_embed):
    formats.save(model, tmp_path / "m.safetensors")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("!")
    done = run_embed("export", "m.safetensors", "mine", "--format", "npy")
    assert 5 == done.returncode
    assert "holds other files (thesis.tex)" in done.stderr
    done = run_embed("info", "mine")
    assert 3 == done.returncode
    assert "mine is a directory without model.safetensors and tokenizer.json" in done.stderr
    assert "!" == (tmp_path / "mine" / "thesis.tex").read_text()
    done = run_embed("export", "m.safetensors", "-", "--format", "npy")
    assert (2, True) == (done.returncode, "cannot go to standard output" in done.stderr)


def test_info_and_look_ups_of_a_directory(model, tmp_path, run_embed):
    formats.save(model, tmp_path / "x.model2vec")
    facts = json.loads(run_embed("info", "x.model2vec", "--json").stdout)
    assert ("model2vec", 6, 4) == (facts["format"], facts["words"], facts["dim"])
    facts = json.loads(run_embed("verify", "x.model2vec", "--json").stdout)
    assert ("model2vec", True, 6) == (facts["format"], facts["sound"], facts["words"])
    (tmp_path / "y.model2vec").mkdir()
    assert 3 == run_embed("verify", "y.model2vec").returncode
    done = run_embed("neighbors", "cat", "-k", "1", "-m", "x.model2vec")
    assert (0, 1) == (done.returncode, done.stdout.count("\n"))


def test_reduction_keeps_what_is_strongest():
    wide = Embeddings(Vocabulary.from_words(WORDS), np.zeros((6, 5), np.float32))
    wide.vectors[:, [1, 3]] = VECTORS[:, :2]  # two dimensions among zeros
    narrow, kept = reduce_dim(wide, 2)
    assert 1.0 == pytest.approx(kept)
    assert np.allclose(wide.vectors @ wide.vectors.T, narrow.vectors @ narrow.vectors.T, atol=1e-5)
    assert 1.0 == overlap(wide, narrow, 3)
    one, share = reduce_dim(wide, 1)
    squares = np.linalg.svd(wide.vectors.astype(np.float64), compute_uv=False) ** 2
    assert squares[0] / squares.sum() == pytest.approx(share)
    assert (6, 1) == one.vectors.shape
    with pytest.raises(UsageError, match="--dim 6 is more than the 5 dimensions"):
        reduce_dim(wide, 6)


def test_export_says_what_smaller_costs(tmp_path, run_embed):
    words = [f"w{i}" for i in range(40)]
    big = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    formats.save(Embeddings(Vocabulary.from_words(words), big), tmp_path / "m.safetensors")
    (tmp_path / "pairs.tsv").write_text("w1\tw2\t3\nw3\tw4\t1\nw5\tw6\t2\n")
    arguments = ("export", "m.safetensors", "s.safetensors", "--dim", "6", "--dtype", "int8")
    done = run_embed(*arguments, "--top", "30", "--evaluate", "pairs.tsv", "--json")
    facts = json.loads(done.stdout)
    assert (0, 30, 6, "int8") == (done.returncode, facts["words"], facts["dim"], facts["dtype"])
    smaller = formats.load(tmp_path / "s.safetensors")
    original = formats.load(tmp_path / "m.safetensors")
    assert overlap(original, smaller) == facts["neighbors_kept"]
    assert {"file", "before", "after"} == set(facts["scores"][0])
    assert "neighbours kept: " in done.stderr
    assert "12 to 6 dimensions" in done.stderr
    done = run_embed("export", "m.safetensors", "s.vec", "--dtype", "int8")
    assert (2, True) == (done.returncode, "word2vec holds float32, not int8" in done.stderr)


def test_a_number_too_large_for_float16_is_refused(tmp_path):
    large = Embeddings(Vocabulary.from_words(["a"]), np.full((1, 2), 1e5, np.float32))
    with pytest.raises(FormatError, match=r"'a' \(row 1\) as float16.*100000.*65504"):
        formats.save(large, tmp_path / "x.safetensors", dtype="float16")


def test_overlap_of_a_space_with_itself_turned_and_with_noise():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(300, 10)).astype(np.float32)
    words = Vocabulary.from_words([f"w{i}" for i in range(300)])
    turn, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    space = Embeddings(words, vectors)
    assert 1.0 == overlap(space, Embeddings(words, (vectors @ turn).astype(np.float32)))
    noise = Embeddings(words, rng.normal(size=(300, 10)).astype(np.float32))
    assert 0.1 > overlap(space, noise)
    assert None is overlap(space.head(1), space)
