"""Files of other programs that are read and never written."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import FormatError
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

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
