"""Files that steps in shards leave: what is damaged is refused before a kernel sees it."""

import json

import numpy as np
import pytest

from embedcli import TrainConfig, Vocabulary, load, save
from embedcli.cluster import file_driver, step_files
from embedcli.cluster.plan import make_plan, shard_settings
from embedcli.cluster.step_files import CHANGE, COUNTS, IDS
from embedcli.errors import FormatError
from embedcli.files import safetensors
from embedcli.files.publish import publish
from embedcli.text.corpus_reader import encode_corpus

CONFIG = TrainConfig(dim=4, min_count=1, threads=1, epochs=1, shards=1, rounds=1, sample=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One of each kind of file, and the model they go with."""
    directory = tmp_path_factory.mktemp("run")
    (directory / "text").write_text("a b c\nb c\nd a\n" * 4)
    plan = make_plan([str(directory / "text")], shard_settings(CONFIG).resolve())
    paths = {kind: str(directory / kind) for kind in (COUNTS, IDS, CHANGE)}
    file_driver.count_shard(plan, 0, paths[COUNTS], 1)
    save(file_driver.first_model(plan, [paths[COUNTS]]), directory / "0.safetensors")
    model = load(directory / "0.safetensors")
    file_driver.encode_shard(plan, 0, model, paths[IDS], 1)
    file_driver.train_shard(model, paths[IDS], paths[CHANGE], 1)
    return plan, model, paths


def rewritten(path, to, change=None, stamp=None):
    """Write a file anew with other arrays or another stamp, and with a digest that is right."""
    header = safetensors.read_header(path)
    arrays = {name: np.array(a) for name, a in safetensors.map_tensors(path, header).items()}
    arrays = {name: a for name, a in (arrays | (change or {})).items() if a is not None}
    arrays.pop(safetensors.DIGEST)
    metadata = dict(header.metadata)
    if stamp is not None:
        metadata["step"] = json.dumps(json.loads(metadata["step"]) | stamp)
    with publish(to) as sink:
        safetensors.write(sink, arrays, metadata)
    return str(to)


def test_sound_files_are_read(run, tmp_path):
    _plan, model, paths = run
    for kind, path in paths.items():
        assert kind == step_files.read_step(path)[0]
        assert kind == step_files.read_step(rewritten(path, tmp_path / "again"))[0]
    assert 28 == len(step_files.read_ids(paths[IDS], model.vocabulary).ids)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([0, 3], "do not go from 0 to 28"),
        ([1, 28], "do not go from 0 to 28"),
        ([0, 99], "do not go from 0 to 28"),
        ([], "do not go from 0 to 28"),
        ([0, 1 << 62, 28], "do not follow each other"),
        ([0, -5, 28], "do not follow each other"),
        ([0, 4, 4, 28], "do not follow each other"),
    ],
)
def test_lines_that_leave_the_text_are_refused(run, tmp_path, offsets, message):
    _plan, model, paths = run
    bad = rewritten(paths[IDS], tmp_path / "bad", {"offsets": np.array(offsets, np.int64)})
    with pytest.raises(FormatError, match=message):
        file_driver.train_shard(model, bad, str(tmp_path / "out"), 1)
    with pytest.raises(FormatError, match=message):
        step_files.read_step(bad)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("word", [-1, 4, 2**31 - 1])
def test_ids_that_are_no_words_are_refused(run, tmp_path, word):
    _plan, model, paths = run
    ids = np.zeros(28, np.int32)
    ids[17] = word
    bad = rewritten(paths[IDS], tmp_path / "bad", {"ids": ids})
    with pytest.raises(FormatError, match=f"word {word} is none of a vocabulary of 4"):
        file_driver.train_shard(model, bad, str(tmp_path / "out"), 1)
    if word < 0:
        with pytest.raises(FormatError, match="word -1 is none"):
            step_files.read_step(bad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.full(4, -1, np.int64)}, "a count of -1"),
        ({"counts": np.full(4, 1 << 61, np.int64)}, "counts that add up to 9223372036854775808"),
        ({"offsets": np.full(5, -1, np.int64)}, "offsets that do not cut"),
        ({"offsets": np.array([0, 1, 2, 3, 1 << 61])}, "offsets that do not cut"),
        ({"offsets": np.array([0, 4])}, "2 offsets for 4 counts"),
        ({"words": np.full(4, 0xFF, np.uint8)}, "words that are not UTF-8"),
        ({"words": np.frombuffer(b"abca", np.uint8)}, "a word that occurs twice"),
        ({"counts": None}, "no array 'counts'"),
        ({"counts": np.ones(4)}, "an array 'counts' of float64"),
    ],
)
def test_counts_that_cannot_be_are_refused(run, tmp_path, change, message):
    plan, _model, paths = run
    bad = rewritten(paths[COUNTS], tmp_path / "bad", change)
    with pytest.raises(FormatError, match=message):
        file_driver.first_model(plan, [bad])
    with pytest.raises(FormatError, match=message):
        step_files.read_step(bad)


def test_counts_that_pass_the_largest_number_together_are_refused(run, tmp_path):
    _plan, _model, paths = run
    many = {"counts": np.array([(1 << 62) - 4, 1, 1, 1], np.int64)}
    bad = [rewritten(paths[COUNTS], tmp_path / str(i), many, {"shards": [i]}) for i in range(3)]
    with pytest.raises(FormatError, match="add up to 13835058055282163709"):
        file_driver.add_files(bad, str(tmp_path / "sum"))
    assert not (tmp_path / "sum").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sums": np.zeros(3)}, "3 sums for 4"),
        ({"syn0.rows": np.array([0, 9], np.int32)}, "rows of syn0"),
        ({"syn0.rows": np.array([3, 2, 1, 0], np.int32)}, "do not rise"),
        ({"syn1neg.values": np.zeros((9, 4), np.float32)}, "rows of syn1neg"),
        ({"syn0.steps": None}, "no array 'syn0.steps'"),
        ({"syn0.values": np.zeros(4, np.float32)}, "an array 'syn0.values'"),
    ],
)
def test_changes_that_cannot_be_are_refused(run, tmp_path, change, message):
    _plan, model, paths = run
    bad = rewritten(paths[CHANGE], tmp_path / "bad", change)
    for read in (lambda: file_driver.next_model(model, [bad]), lambda: step_files.read_step(bad)):
        with pytest.raises(FormatError, match=message):
            read()


@pytest.mark.parametrize("kind", [COUNTS, IDS, CHANGE])
@pytest.mark.parametrize(
    "stamp",
    [
        {"shards": None},
        {"shards": []},
        {"shards": [-1]},
        {"round": 7},
        {"digests": []},
        {"tally": []},
        {"other": 1},
        {"n_rows": "x"},
    ],
)
def test_stamps_that_cannot_be_are_refused(run, tmp_path, kind, stamp):
    bad = rewritten(run[2][kind], tmp_path / "bad", stamp=stamp)
    with pytest.raises(FormatError, match="it has a stamp"):
        step_files.read_step(bad)


def test_a_model_of_another_vocabulary_is_refused(run, tmp_path):
    _plan, _model, paths = run
    with pytest.raises(FormatError, match="does not go with these words"):
        step_files.read_ids(paths[IDS], Vocabulary.from_words(["a"]))


def test_every_encoded_text_is_looked_at(tmp_path, monkeypatch):
    (tmp_path / "text").write_text("a b c a\n\nb a\n" * 50)
    from embedcli.text import corpus

    monkeypatch.setattr(corpus, "CHECKED_AT_ONCE", 7)
    with encode_corpus([str(tmp_path / "text")], min_count=1) as sound:
        assert corpus.ids_fault(sound.ids, sound.offsets, 3) is None
        assert "word 2 is none of a vocabulary of 2" == corpus.ids_fault(
            sound.ids, sound.offsets, 2
        )
        moved = np.array(sound.offsets)
        moved[[50, 51]] = moved[[51, 50]]
        assert "its lines do not follow each other" == corpus.ids_fault(sound.ids, moved, 3)
