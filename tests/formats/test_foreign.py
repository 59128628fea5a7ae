# ruff: noqa: E501
# (tables are read line by line)
"""Files of other programs that are read and never written."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, FormatError
from embedcli.subwords.murmur import murmur64, murmur128
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

DATA = Path(__file__).parents[1] / "data"
WORDS = ["</s>", "the", "naïve", "東京"]
VECTORS = np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)


def with_ngrams():
    words = Vocabulary.from_words(WORDS, [9, 5, 3, 1])
    units = NGrams(3, 6, 20)
    rows = np.random.default_rng(4).normal(size=(20, 3)).astype(np.float32)
    subwords = Subwords(units, VECTORS, np.arange(20, dtype=np.int32), rows)
    return Embeddings(words, subwords.of_vocabulary(words), VECTORS * 2, {}, subwords)


def of_2016(path):
    """What the first version of fastText would have written for `with_ngrams`."""
    formats.save(with_ngrams(), path, "fasttext")
    new = path.read_bytes()
    matrices = 2 * 17 + 4 * 3 * (4 + 20 + 4)
    arguments, sizes, words = new[8:64], new[64:84], new[92 : len(new) - matrices]
    inputs, outputs = new[len(new) - matrices + 1 : -(17 + 48)], new[-(16 + 48) :]
    old = arguments + sizes + words + inputs + outputs
    path.write_bytes(old)
    return old


def test_fasttext_of_2016(tmp_path):
    of_2016(tmp_path / "x")
    assert "fasttext-2016" == formats.detect(tmp_path / "x")
    read, expected = formats.load(tmp_path / "x"), with_ngrams()
    assert WORDS == read.vocabulary.words
    assert expected.vectors[1:].tobytes() == read.vectors[1:].tobytes()
    assert expected.output_vectors.tobytes() == read.output_vectors.tobytes()
    assert expected["unseen"].tobytes() == read["unseen"].tobytes()
    formats.save(read, tmp_path / "y.fasttext.bin")
    formats.save(expected, tmp_path / "z.fasttext.bin")
    assert (tmp_path / "z.fasttext.bin").stat().st_size == (
        tmp_path / "y.fasttext.bin"
    ).stat().st_size


def test_fasttext_of_2016_cut_anywhere(tmp_path):
    whole = of_2016(tmp_path / "x")
    for size in range(0, len(whole), 7):
        (tmp_path / "x").write_bytes(whole[:size])
        with pytest.raises(FormatError, match="is not a sound fastText model: it has"):
            formats.load(tmp_path / "x", "fasttext-2016")
    (tmp_path / "x").write_bytes(whole + b"x")
    with pytest.raises(FormatError, match="more behind its last matrix"):
        formats.load(tmp_path / "x")
    (tmp_path / "x").write_bytes(whole[:80] + struct.pack("<i", 2**31 - 1) + whole[84:])
    with pytest.raises(FormatError):
        formats.load(tmp_path / "x")


def test_fasttext_of_2016_as_fasttext_wrote_it():
    models = pytest.importorskip("gensim.models")
    data = Path(models.__file__).parent.parent / "test" / "test_data"
    if not (data / "lee_fasttext.bin").exists():
        pytest.skip("this gensim came without its test data")
    assert "fasttext-2016" == formats.detect(data / "lee_fasttext.bin")
    read = formats.load(data / "lee_fasttext.bin")
    text = formats.load(data / "lee_fasttext.vec")  # the same vectors, rounded
    assert text.vocabulary.words == read.vocabulary.words
    assert np.allclose(text.vectors, read.vectors, rtol=1e-4, atol=1e-5)


def test_murmur_of_texts_of_every_length():
    strings = pytest.importorskip("spacy.strings")
    texts = ["é" * n + "x" * m for n in range(5) for m in range(20) if n + m]
    expected = [strings.hash_string(text) for text in texts]
    assert expected == murmur64([text.encode() for text in texts], 1).tolist()
    vectors = pytest.importorskip("spacy.vectors").Vectors(
        data=np.zeros((1, 1), "f"), mode="floret", minn=1, maxn=1, hash_count=4, hash_seed=7
    )
    halves = murmur128([text.encode() for text in texts], 7).astype("<u8").view("<u4")
    assert [vectors._get_ngram_hashes(text) for text in texts] == halves.tolist()


def test_floret_makes_the_vectors_that_floret_says(tmp_path):
    read = formats.load(DATA / "floret.floret")
    assert "floret" == formats.detect(DATA / "floret.floret")
    text = formats.load(DATA / "floret.vec")
    assert text.vocabulary.words == read.vocabulary.words
    assert np.allclose(text.vectors, read.vectors, rtol=0, atol=2e-5)
    said = json.loads((DATA / "floret.json").read_text())
    for word, vector in said.items():
        assert np.allclose(vector, read[word], rtol=0, atol=2e-5)
    formats.save(read, tmp_path / "x.safetensors")
    again = formats.load(tmp_path / "x.safetensors")
    assert read["unseen"].tobytes() == again["unseen"].tobytes()
    units = read.subwords.units
    assert len(units.texts("naïve")) == len(units.cut(Vocabulary.from_words(["naïve"])).ids)


FLORET = b"2 1 1 2 1 7 < >\n0 0.5\n1 0.25\n"
BAD_FLORET = {
    "no words": (FLORET, None, r"x holds rows of n-grams and no words: .*x\.vec, which floret writes"),
    "rows out of order": (FLORET.replace(b"\n1 ", b"\n7 "), b"1 1\na 1\n", "not numbered from 0"),
    "rows missing": (FLORET[:-7], b"1 1\na 1\n", "promises 2 rows, but the file has 1"),
    "another dimension": (FLORET, b"1 2\na 1 2\n", "has 2 dimensions, but .* has 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FLORET)
def test_floret_that_is_refused(tmp_path, name):
    content, words, message = BAD_FLORET[name]
    (tmp_path / "x.floret").write_bytes(content)
    if words is not None:
        (tmp_path / "x.vec").write_bytes(words)
    with pytest.raises(FormatError, match=message.replace("x holds", r"x\.floret holds")):
        formats.load(tmp_path / "x.floret")


@pytest.fixture
def pipeline():
    spacy = pytest.importorskip("spacy")
    pipeline = spacy.blank("en")
    words = ["the", "naïve", "東京", "x" * 300]
    pipeline.vocab.vectors = spacy.vectors.Vectors(
        strings=pipeline.vocab.strings, data=np.arange(8, dtype=np.float32).reshape(4, 2), name="v"
    )
    for row, word in enumerate(words):
        pipeline.vocab.vectors.add(pipeline.vocab.strings.add(word), row=row)
    pipeline.vocab.vectors.add(pipeline.vocab.strings.add("The"), row=0)
    return pipeline


def test_spacy_pipelines_and_their_parts(tmp_path, pipeline):
    pipeline.to_disk(tmp_path / "pipeline")
    pipeline.vocab.vectors.to_disk(tmp_path / "vectors")
    expected = {
        "the": [0, 1], "naïve": [2, 3], "東京": [4, 5], "x" * 300: [6, 7], "The": [0, 1]
    }  # fmt: skip
    for place in ("pipeline", "pipeline/vocab", "vectors"):
        read = formats.load(tmp_path / place)
        assert "spacy" == formats.detect(tmp_path / place)
        assert expected == dict(zip(read.vocabulary.words, read.vectors.tolist(), strict=True))


def test_spacy_symbols_are_left_out_and_counted(tmp_path, pipeline):
    pipeline.vocab.vectors.add("NOUN", row=1)
    pipeline.to_disk(tmp_path / "x")
    said: list[str] = []
    assert 5 == len(formats.load(tmp_path / "x", on_mended=said.append))
    assert ["1 words left out that strings.json does not spell"] == [s.split(": ")[1] for s in said]


def test_spacy_in_floret_mode(tmp_path):
    spacy = pytest.importorskip("spacy")
    rows = np.array(
        [line.split()[1:] for line in (DATA / "floret.floret").read_text().split("\n")[1:-1]], "f"
    )
    vectors = spacy.vectors.Vectors(
        data=rows, mode="floret", minn=2, maxn=5, hash_count=4, hash_seed=2166136261, name="v"
    )
    for word in ("the", "unseen"):
        vectors.strings.add(word)
    vectors.to_disk(tmp_path / "x")
    read = formats.load(tmp_path / "x")
    said = json.loads((DATA / "floret.json").read_text())
    assert {"the", "unseen"} == set(read.vocabulary.words)
    for word, vector in said.items():
        assert np.allclose(vector, read[word], rtol=0, atol=2e-5)


def by_hand(folder):
    """What spaCy writes for three words on two rows, and nothing else of it."""
    folder.mkdir()
    words = ["a", "b", "c"]
    keys = murmur64([word.encode() for word in words], 1).tolist()
    entries = b"".join(
        b"\xcf" + struct.pack(">Q", key) + bytes([row])
        for key, row in zip(keys, (0, 1, 0), strict=True)
    )
    (folder / "key2row").write_bytes(b"\x83" + entries)
    (folder / "strings.json").write_text(json.dumps([*words, "", "unused"]))
    np.save(folder / "vectors.npy", np.array([[1, 2], [3, 4]], np.float32))
    (folder / "vectors.npy").rename(folder / "vectors")


BAD_SPACY = {
    "a map that ends": ("key2row", b"\x83\xcf", "key2row is no sound map"),
    "a map of other things": ("key2row", b"\x81\xa1a\x01", "no whole number at byte 1"),
    "no map": ("key2row", b"\x93\x01\x02\x03", "it does not begin as one"),
    "a map that is too large": ("key2row", b"\xdf\xff\xff\xff\xff\x01", "4294967295 entries in 6 bytes"),
    "a map with more behind": ("key2row", b"\x81\x01\x01\x01", "1 bytes behind its end"),
    "rows that are not there": ("key2row", b"\x81\x01\x09", "has row 9, but .* has 2"),
    "other words": ("strings.json", b'["x", "y"]', "has none of the words"),
    "strings that are none": ("strings.json", b'{"a": 1}', "is no list of words"),
    "strings that are no JSON": ("strings.json", b"[", "is no JSON"),
    "vectors that are none": ("vectors", b"x", "is not a sound NumPy array"),
    "settings that are none": ("vectors.cfg", b"[]", "is no JSON object"),
    "floret without numbers": ("vectors.cfg", b'{"mode": "floret"}', "vectors.cfg: .* are"),
}  # fmt: skip


def test_spacy_by_hand(tmp_path):
    by_hand(tmp_path / "x")
    read = formats.load(tmp_path / "x")
    assert (["a", "b", "c"], [[1, 2], [3, 4], [1, 2]]) == (
        read.vocabulary.words,
        read.vectors.tolist(),
    )


@pytest.mark.parametrize("name", BAD_SPACY)
def test_spacy_that_is_damaged(tmp_path, name):
    file, content, message = BAD_SPACY[name]
    by_hand(tmp_path / "x")
    (tmp_path / "x" / file).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        formats.load(tmp_path / "x")


def glove_binary(folder, n=3):
    numbers = np.random.default_rng(1).normal(size=(2, n, 6))
    (folder / "vectors.bin").write_bytes(numbers.astype("<f8").tobytes())
    (folder / "vocab.txt").write_text("the 9\nnaïve 5\n東京 1\n")
    return numbers[:, :, :5]


def test_glove_of_its_own(tmp_path):
    words, contexts = glove_binary(tmp_path)
    read = formats.load(tmp_path / "vectors.bin")
    assert "glove-bin" == formats.detect(tmp_path / "vectors.bin")
    assert (["the", "naïve", "東京"], [9, 5, 1]) == (
        read.vocabulary.words,
        read.vocabulary.counts.tolist(),
    )
    assert (words + contexts).astype("f").tobytes() == read.vectors.tobytes()
    assert contexts.astype("f").tobytes() == read.output_vectors.tobytes()


def test_glove_of_its_own_that_is_refused(tmp_path):
    glove_binary(tmp_path)
    (tmp_path / "vocab.txt").rename(tmp_path / "other.txt")
    with pytest.raises(FormatError, match=r"which holds no words: .*vocab\.txt, which vocab_count"):
        formats.load(tmp_path / "vectors.bin")
    glove_binary(tmp_path, 4)
    (tmp_path / "vocab.txt").write_text("the 9\nof 8\na 5\nto 3\nin 2\n")
    with pytest.raises(FormatError, match="no two rows of numbers for each of the 5 words"):
        formats.load(tmp_path / "vectors.bin")
    numbers = np.full((2, 3, 6), 0.5)
    numbers[0, 1, 2] = np.nan
    (tmp_path / "vectors.bin").write_bytes(numbers.tobytes())
    (tmp_path / "vocab.txt").write_text("the 9\nnaïve 5\n東京 1\n")
    with pytest.raises(FormatError, match="row 2: a number is not finite"):
        formats.load(tmp_path / "vectors.bin", "glove-bin")


def sample(folder, name):
    """A file or directory of a format that is only read, and what to load."""
    target = folder / "x"
    if name == "csv":
        target.write_text(
            "word,count,x,y\n" + "".join(f'"w{i}",{i},{i}.5,-0.25\n' for i in range(9))
        )
    elif name == "npz":
        with target.open("wb") as file:
            np.savez(file, words=np.array(["a", "naïve"], object), vectors=np.ones((2, 3), "f"))
    elif name == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.vec", "2 2\na 1 2\nb 3 4\n")
    elif name == "floret":
        (folder / "x.vec").write_bytes((DATA / "floret.vec").read_bytes())
        target.write_bytes((DATA / "floret.floret").read_bytes())
    elif name == "glove-bin":
        glove_binary(folder)
        return folder / "vectors.bin"
    elif name == "fasttext-2016":
        of_2016(target)
    else:
        by_hand(target)
    return target


@pytest.mark.parametrize(
    "name", ["csv", "npz", "zip", "floret", "glove-bin", "fasttext-2016", "spacy"]
)
def test_damage_anywhere_is_one_line_and_no_other_error(tmp_path, name):
    target = sample(tmp_path, name)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    sound = {path: path.read_bytes() for path in files}
    assert np.isfinite(formats.load(target).vectors).all()
    rng, n_refused = Random(3), 0
    for _ in range(120):
        path = rng.choice(files)
        content = bytearray(sound[path])
        at = rng.randrange(len(content))
        content[at : at + rng.randrange(4)] = rng.choice(
            [b"", b"\xff", b"9", b"\0\0", b"nan", b"\n"]
        )
        path.write_bytes(content)
        try:
            read = formats.load(target, None if name == "zip" else name)
            assert np.isfinite(read.vectors).all()
            assert len(read) == len(set(read.vocabulary.words)) > 0
        except EmbedError as refusal:
            n_refused += 1
            assert "\n" not in str(refusal)
        path.write_bytes(sound[path])
    assert n_refused > 10
