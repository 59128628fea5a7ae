# ruff: noqa: E501
# (a table is read line by line)
"""gensim's own files: every layout it wrote since 0.12, and pickles that are not what they seem."""

from __future__ import annotations

import collections
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli import formats
from embedcli.cli.info import command as info
from embedcli.errors import EmbedError, FormatError, UsageError
from embedcli.files.source import Source
from embedcli.formats.pickled import Global, Record, read_pickle
from embedcli.formats.pickled_arrays import ARRAY_GLOBALS, array_of, mapping_of, number_of

models = pytest.importorskip("gensim.models")
OLD = Path(models.__file__).parent.parent / "test" / "test_data"
SENTENCES = [["the", "cat", "sat"], ["the", "dog", "sat"], ["naïve", "東京", "the", "cat"]] * 4
SMALL = {"vector_size": 6, "min_count": 1, "epochs": 1, "workers": 1, "seed": 1}


def trained(kind):
    if kind == "Doc2Vec":
        tagged = [models.doc2vec.TaggedDocument(words, [i]) for i, words in enumerate(SENTENCES)]
        return models.Doc2Vec(tagged, **SMALL)
    more = {"bucket": 50} if kind == "FastText" else {}
    return getattr(models, kind)(SENTENCES, **SMALL, **more)


@pytest.fixture(scope="module")
def made():
    return {kind: trained(kind) for kind in ("Word2Vec", "FastText", "Doc2Vec")}


@pytest.mark.parametrize("kind", ["Word2Vec", "FastText", "Doc2Vec"])
@pytest.mark.parametrize("beside", [10 * 1024**2, 0])
@pytest.mark.parametrize("suffix", ["model", "kv", "kv.gz"])
def test_words_vectors_and_counts_are_those_of_gensim(made, tmp_path, kind, beside, suffix):
    model = made[kind]
    path = tmp_path / f"x.{suffix}"
    (model if suffix == "model" else model.wv).save(str(path), sep_limit=beside)
    assert (len(list(tmp_path.iterdir())) > 1) == (beside == 0)
    read = formats.load(path)
    assert "gensim" == formats.detect(path)
    assert model.wv.index_to_key == read.vocabulary.words
    assert np.allclose(model.wv.vectors, read.vectors, rtol=0, atol=1e-7)
    assert [model.wv.get_vecattr(w, "count") for w in read.vocabulary.words] == (
        read.vocabulary.counts.tolist()
    )
    outputs = model.syn1neg.tobytes() if suffix == "model" else None
    assert outputs == (None if read.output_vectors is None else read.output_vectors.tobytes())
    assert (kind == "FastText") == (read.subwords is not None)


@pytest.mark.parametrize("name", ["x.model", "x.kv"])
def test_unseen_words_of_fasttext_get_the_vectors_gensim_makes(made, tmp_path, name):
    model = made["FastText"]
    (model if name == "x.model" else model.wv).save(str(tmp_path / name))
    read = formats.load(tmp_path / name)
    for word in ("catty", "naïveté", "東京都", "q", "<x>"):
        assert np.allclose(model.wv[word], read[word], rtol=0, atol=1e-7)
    formats.save(read, tmp_path / "y.fasttext.bin")
    again = models.fasttext.load_facebook_vectors(str(tmp_path / "y.fasttext.bin"))
    assert np.allclose(model.wv["catty"], again["catty"], rtol=0, atol=1e-7)


def test_ngrams_of_the_older_hash_are_left_out_and_that_is_said(tmp_path):
    model = trained("FastText")
    model.wv.compatible_hash = False
    model.save(str(tmp_path / "x"))
    said = []
    read = formats.load(tmp_path / "x", on_mended=said.append)
    assert (model.wv.index_to_key, None) == (read.vocabulary.words, read.subwords)
    assert 1 == len(said)
    assert "its 50 rows of n-grams are left out" in said[0]
    assert "gensim before 3.8" in said[0]


def test_fasttext_without_ngrams(tmp_path):
    model = models.FastText(SENTENCES, **SMALL, max_n=0)
    model.save(str(tmp_path / "x"))
    read = formats.load(tmp_path / "x")
    assert None is read.subwords
    assert model.wv.vectors.tobytes() == read.vectors.tobytes()


def test_keys_of_documents_are_numbers(made, tmp_path):
    made["Doc2Vec"].dv.save(str(tmp_path / "x"))
    read = formats.load(tmp_path / "x")
    assert [str(i) for i in range(len(SENTENCES))] == read.vocabulary.words
    assert made["Doc2Vec"].dv.vectors.tobytes() == read.vectors.tobytes()


def old(names):
    return pytest.mark.parametrize("name", names.split())


@old(
    "old_w2v_models/w2v_0.13.4.mdl old_w2v_models/w2v_1.0.0.mdl old_w2v_models/w2v_2.3.0.mdl "
    "old_w2v_models/w2v_3.2.0.mdl old_w2v_models/w2v_3.4.0.mdl word2vec_3.3 word2vec_old_sep "
    "model-from-gensim-3.8.0.w2v"
)
def test_old_models_that_gensim_reads_too(name):
    if not (OLD / name).exists():
        pytest.skip("this gensim came without its test data")
    wv = models.Word2Vec.load(str(OLD / name)).wv
    read = formats.load(OLD / name)
    assert wv.index_to_key == read.vocabulary.words
    assert wv.vectors.tobytes() == read.vectors.tobytes()
    assert [wv.get_vecattr(w, "count") for w in wv.index_to_key] == read.vocabulary.counts.tolist()


@old(
    "old_w2v_models/w2v_0.12.0.mdl old_w2v_models/w2v_0.13.0.mdl old_d2v_models/d2v_1.0.0.mdl "
    "old_d2v_models/d2v_3.4.0.mdl word2vec_pre_kv_py2 word2vec_pre_kv_sep_py2 word2vec_pre_kv_py3_4 "
    "word2vec_pre_kv_sep_py3 fasttext_old_sep ft_kv_3.6.0.model.gz ft_model_2.3.0"
)
def test_old_models_that_gensim_reads_no_more(name):
    if not (OLD / name).exists():
        pytest.skip("this gensim came without its test data")
    read = formats.load(OLD / name)
    assert len(read) == len(set(read.vocabulary.words)) > 2
    assert read.vocabulary.counts is None or (read.vocabulary.counts > 0).all()
    assert float(np.abs(read.vectors).max()) > 0


def test_ngrams_of_gensim_3_which_kept_only_those_that_words_have():
    name = OLD / "compatible-hash-true.model"
    if not name.exists():
        pytest.skip("this gensim came without its test data")
    read, wv = formats.load(name), models.FastText.load(str(name)).wv
    assert np.allclose(wv.vectors, read.vectors, rtol=0, atol=1e-7)
    assert len(read.subwords.ids) < read.subwords.units.buckets


def test_a_file_that_is_missing_beside_it_is_named(made, tmp_path):
    made["Word2Vec"].save(str(tmp_path / "x.model"), sep_limit=0)
    (tmp_path / "x.model.wv.vectors.npy").unlink()
    with pytest.raises(FormatError, match=r"x\.model\.wv\.vectors\.npy is missing: gensim wrote"):
        formats.load(tmp_path / "x.model")


def test_commands_take_it_and_none_writes_it(made, tmp_path):
    made["Word2Vec"].wv.save(str(tmp_path / "x.kv"))
    shown = CliRunner().invoke(info, [str(tmp_path / "x.kv"), "--json"])
    assert (0, True) == (shown.exit_code, '"format": "gensim"' in shown.stdout)
    with pytest.raises(UsageError, match="there is no format 'gensim' to write; there are"):
        formats.save(formats.load(tmp_path / "x.kv"), tmp_path / "y", "gensim")
    assert [tmp_path / "x.kv"] == list(tmp_path.iterdir())


def value_of(tmp_path, content, allowed=ARRAY_GLOBALS):
    (tmp_path / "x").write_bytes(content)
    with Source(tmp_path / "x") as source:
        return read_pickle(source, allowed)


VALUES = [
    None, True, False, 0, -1, 255, 65535, -(2**31), 2**40, -(2**70), 1.5, -0.0, "naïve\n", b"\x00\xff",
    "x" * 300, b"y" * 300, [], [1, [2, 3]], (), (1,), (1, 2, 3, 4), {}, {"a": {1: None}}, bytearray(b"z"),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_protocol(tmp_path, protocol):
    allowed = {*ARRAY_GLOBALS, "builtins.bytes", "__builtin__.bytes", "__builtin__.bytearray"}
    for value in VALUES[: 13 if protocol < 3 else 22 if protocol < 5 else None]:
        content = pickle.dumps(value, protocol)
        read = value_of(tmp_path, content, allowed | {"builtins.bytearray"})
        assert (value, type(value)) == (read, type(read)) or b"z" == read
    shared = [1]
    read = value_of(tmp_path, pickle.dumps([shared, shared], protocol))
    assert read[0] is read[1]


ARRAYS = [
    np.arange(6, dtype="<f4").reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)),
    np.array([], np.int64),
    np.array(["a", "naïve"]),
    np.array(["a", None], object),
    np.zeros((0, 4), np.float16),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("expected", ARRAYS)
def test_arrays_of_every_protocol(tmp_path, protocol, expected):
    allowed = {*ARRAY_GLOBALS, "builtins.bytes", "__builtin__.bytes", "numpy.dtypes.StrDType"}
    read = array_of(value_of(tmp_path, pickle.dumps(expected, protocol), allowed))
    assert (expected.shape, expected.dtype, expected.tolist()) == (
        read.shape,
        read.dtype,
        read.tolist(),
    )


def test_numbers_and_dictionaries_of_other_kinds(tmp_path):
    allowed = {*ARRAY_GLOBALS, *(f"collections.{n}" for n in ("OrderedDict", "Counter"))}
    number = value_of(tmp_path, pickle.dumps(np.uint32(7), 2))
    assert 7 == number_of(number)
    for value in (collections.OrderedDict(a=1, b=2), collections.Counter("aab")):
        assert dict(value) == mapping_of(value_of(tmp_path, pickle.dumps(value, 4), allowed))


class Runs:
    """What a hostile pickle looks like: calls something while it is read."""

    def __init__(self, called, *args):
        self.called = called, args

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("name", ["system", "open", "eval", "exec", "getattr"])
def test_nothing_is_run_and_the_name_is_told(tmp_path, protocol, name):
    import builtins
    import os

    target = tmp_path / "ran"
    called = getattr(os, name, None) if name == "system" else getattr(builtins, name)
    content = pickle.dumps(Runs(called, f"touch {target}"), protocol)
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError, match=rf"asks for '[a-z_]+\.{name}', which is none of"):
        formats.load(tmp_path / "x")
    assert not target.exists()


HOSTILE = {
    "names that reach further": (b"\x80\x02cnumpy\nndarray.__class__\n.", "asks for 'numpy.ndarray.__class__'"),
    "a name made of an object": (b"\x80\x04N\x8c\x01a\x93.", "a name that is no text"),
    "an object from outside": (b"\x80\x02Pid\n.", "the opcode 'P' is none that is read"),
    "an extension": (b"\x80\x02\x82\x01.", r"the opcode b'\x82' is none that is read"),
    "a buffer from outside": (b"\x80\x05\x97.", r"the opcode b'\x97' is none"),
    "a call of what was made": (b"\x80\x02cnumpy\ndtype\n)R)R.", "a call of what is no function"),
    "a state for a number": (b"\x80\x02K\x01}b.", "a state for what is no object"),
    "a protocol to come": (b"\x80\x06.", "not a vector file"),
    "nothing on the stack": (b"\x80\x02.", "the pickle is damaged: no value"),
    "no mark": (b"\x80\x02t.", "no value"),
    "no such memo": (b"\x80\x02h\x05.", "no value"),
    "an end too early": (b"\x80\x02X\xff\xff\xff\x7fab", "the file ends 2147483645 bytes too early"),
    "a key that is a tuple": (b"\x80\x02}()K\x01u.", "a key of a dictionary that is neither"),
    "a key that is too large": (b"\x80\x02}(\x8a\x09\0\0\0\0\0\0\0\0\x01K\x01u.", "too large a number"),
    "an entry for a list": (b"\x80\x02](K\x01K\x02u.", "entries for what is no dictionary"),
    "a member of a dictionary": (b"\x80\x02}K\x01a.", "members for what is no list"),
    "no object at all": (b"\x80\x02K\x01.", "it holds a int, not vectors"),
    "a class without a state": (b"\x80\x02cgensim.models.word2vec\nWord2Vec\n)\x81.", "it holds a gensim"),
    "a class that lacks all": (b"\x80\x02cgensim.models.word2vec\nWord2Vec\n)\x81}b.", "has no words"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles(tmp_path, name):
    content, message = HOSTILE[name]
    (tmp_path / "x").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError) as caught:
            formats.load(tmp_path / "x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak < 16e6


def test_lists_that_hold_themselves_and_doubled_tuples_end(tmp_path):
    itself: list[object] = []
    itself.append(itself)
    read = value_of(tmp_path, pickle.dumps(itself, 2))
    assert read[0] is read
    laughs = b"\x80\x04" + b")" + b"2\x86\x94" * 200 + b"."
    assert 2 == len(value_of(tmp_path, laughs))


def test_a_record_says_what_was_asked_for(tmp_path):
    read = value_of(tmp_path, b"\x80\x02cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R.")
    assert isinstance(read, Record)
    assert (Global("numpy", "dtype"), (b"f4", 0, 1)) == (read.kind, read.args)


@pytest.fixture(scope="module")
def sound(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    for kind in ("Word2Vec", "FastText"):
        made[kind].wv.save(str(folder / kind))
    return [(folder / kind).read_bytes() for kind in ("Word2Vec", "FastText")]


EDITS = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(0, 9), st.binary(max_size=6)), min_size=1, max_size=4
)  # fmt: skip


@settings(max_examples=200)
@given(which=st.integers(0, 1), edits=EDITS)
def test_mutated_files_raise_nothing_but_our_errors(sound, tmp_path_factory, which, edits):
    path = tmp_path_factory.getbasetemp() / "mutated"
    content = bytearray(sound[which])
    for position, length, new in edits:
        position %= len(content) + 1
        content[position : position + length] = new
    path.write_bytes(content)
    try:
        read = formats.load(path, "gensim")
        assert np.isfinite(read.vectors).all()
        assert len(read) == len(set(read.vocabulary.words)) > 0
    except EmbedError as refusal:
        assert "\n" not in str(refusal)
