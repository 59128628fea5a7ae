"""Whether there is room is asked before anything is written, for every format."""

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import formats
from embedcli.cli import export
from embedcli.embeddings import Embeddings
from embedcli.errors import ResourceError
from embedcli.files import targets
from embedcli.formats import sizes
from embedcli.formats.registry import FORMATS, WRITTEN
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

WAYS = [
    (name, dtype)
    for name in WRITTEN
    for dtype in (*FORMATS[name].dtypes, "pq-2")
    if dtype != "pq" and (dtype != "pq-2" or "pq" in FORMATS[name].dtypes)
]


def model_of(n_buckets):
    words, units = (
        Vocabulary.from_words([f"w{i}" for i in range(300)], [9] * 300),
        NGrams(3, 4, n_buckets),
    )
    own = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    ids = np.unique(units.cut(words).ids)
    rows = np.ones((len(ids), 4), np.float32)
    subwords = Subwords(units, own, ids, rows)
    return Embeddings(words, own, subwords=subwords)


def size_of(path):
    files = path.iterdir() if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


@pytest.mark.parametrize(("name", "dtype"), WAYS)
def test_without_room_nothing_is_written(tmp_path, monkeypatch, name, dtype):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    if dtype == "pq-2":
        pytest.importorskip("faiss")
    asked = {}
    original = sizes.check_space
    monkeypatch.setattr(
        sizes, "check_space", lambda path, n: asked.update({str(path): n}) or original(path, n)
    )
    target, model = tmp_path / "x", model_of(100)
    formats.save(model, target, name, dtype=dtype)
    needed = asked[str(target)]
    # No more than it takes, so that nothing is refused that fits; of what can be known, most.
    share = 0 if name == "parquet" else 0.08
    assert size_of(target) * share < needed <= size_of(target)
    monkeypatch.setattr(targets, "free_space", lambda directory: needed - 1)
    with pytest.raises(ResourceError, match=r"x2 needs .* but only .* are free"):
        formats.save(model, tmp_path / "x2", name, dtype=dtype)
    assert [target] == list(tmp_path.iterdir())


def test_buckets_of_which_most_are_empty(tmp_path, monkeypatch):
    model = tmp_path / "m.safetensors"
    formats.save(model_of(2**31 - 1), model)
    assert model.stat().st_size < 50_000
    monkeypatch.setattr(targets, "free_space", lambda directory: 10**10)
    with pytest.raises(ResourceError, match=r"needs 34\.4 GB but only 10\.0 GB are free"):
        CliRunner().invoke(
            export.command, [str(model), str(tmp_path / "x.fasttext.bin")], catch_exceptions=False
        )
    assert [model] == list(tmp_path.iterdir())


def test_a_stream_needs_no_room(monkeypatch):
    monkeypatch.setattr(targets, "free_space", lambda directory: 0)
    targets.check_space("-", 10**15)
    targets.check_space("/dev/null", 10**15)
