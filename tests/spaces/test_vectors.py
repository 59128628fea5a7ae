"""`embed vectors`: of words, and of texts by mean and by SIF."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import Embeddings, Vocabulary, load, save
from embedcli.cli.vectors import command
from embedcli.errors import CorpusError, UsageError
from embedcli.spaces.sentences import SIF_A, Averager, remove_common

WORDS = ["the", "cat", "dog", "sat"]
COUNTS = [70, 15, 10, 5]
VECTORS = np.array([[1, 0, 0.5], [0, 2, 0], [0, 0, -3], [1, 1, 1]], np.float32)


@pytest.fixture
def model(tmp_path):
    made = {"settings": {"lowercase": True}}
    embeddings = Embeddings(Vocabulary.from_words(WORDS, COUNTS), VECTORS, metadata=made)
    save(embeddings, str(tmp_path / "model.safetensors"))
    save(embeddings, str(tmp_path / "model.vec"))
    return embeddings


@pytest.fixture
def stdin_of():
    """Run embed in this process with these bytes on stdin."""

    def run(data, *args):
        return CliRunner().invoke(command, args, input=data)

    return run


def test_words_as_lines(model, run_embed):
    done = run_embed("vectors", "cat", "-", input="the\n\ndog\n")
    assert (0, "cat\t0.0\t2.0\t0.0\nthe\t1.0\t0.0\t0.5\ndog\t0.0\t0.0\t-3.0\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )
    assert "dog\t0.0\t0.0\t-1.0\n" == run_embed("vectors", "dog", "--unit").stdout
    rows = json.loads(run_embed("vectors", "sat", "--json").stdout)
    assert [{"word": "sat", "vector": [1.0, 1.0, 1.0]}] == rows


def test_an_unknown_word_does_not_stop_the_others(model, run_embed):
    done = run_embed("vectors", "cat", "cats", "dog")
    assert (3, 2) == (done.returncode, done.stdout.count("\n"))
    assert "embed: error: unknown word 'cats'; did you mean cat?\n" == done.stderr


def test_an_array_has_a_row_for_every_word_or_is_not_written(model, tmp_path, run_embed):
    assert 3 == run_embed("vectors", "cat", "cats", "dog", "-o", "x.npy").returncode
    assert not (tmp_path / "x.npy").exists()
    assert 0 == run_embed("vectors", "dog", "cat", "-o", "x.npy").returncode
    assert VECTORS[[2, 1]].tolist() == np.load(tmp_path / "x.npy").tolist()


def test_sentences_are_means(model, tmp_path, run_embed):
    text = "The cat\n\nunheard of\ndog dog sat\n"
    done = run_embed("vectors", "--sentences", input=text)
    rows = [list(map(float, line.split("\t"))) for line in done.stdout.splitlines()]
    expected = [VECTORS[:2].mean(axis=0), np.zeros(3), np.zeros(3), VECTORS[[2, 2, 3]].mean(axis=0)]
    assert np.allclose(expected, rows)
    assert "4 texts, 2 of them without a known word; 7 words, 2 of them unknown\n" == done.stderr
    done = run_embed("vectors", "--sentences", "-o", "x.npy", "-q", input=text)
    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert np.allclose(expected, np.load(tmp_path / "x.npy"))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (b"\xef\xbb\xbfthe cat\ncat\0dog\n", ()),
        (gzip.compress(b"the cat\ncat dog\n"), ()),
        ("the cat\ncat dog\n".encode("utf-16"), ()),
        ("the cat\r\ncat dog".encode("utf-16-le"), ("--text-encoding", "utf-16-le")),
        (b"the cat\ncat\xa0dog\n", ("--text-encoding", "cp1252")),
    ],
    ids=["mark and NUL", "packed", "UTF-16", "UTF-16 without a mark", "Latin-1"],
)
def test_sentences_are_read_as_a_corpus_is(model, stdin_of, monkeypatch, tmp_path, text, options):
    monkeypatch.chdir(tmp_path)
    done = stdin_of(text, "--sentences", *options)
    rows = [list(map(float, line.split("\t"))) for line in done.stdout.splitlines()]

    assert 0 == done.exit_code
    assert [[0.5, 1.0, 0.25], [0.0, 1.0, -1.5]] == rows
    assert "2 texts, 0 of them without a known word; 4 words, 0 of them unknown\n" == done.stderr


def test_a_line_that_does_not_fit(model, stdin_of, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("embedcli.text.lines.LONGEST_RECORD", 1 << 20)
    packed = gzip.compress(b"the cat\n" + b"dog " * (1 << 19))
    done = stdin_of(packed, "--sentences")
    with pytest.raises(CorpusError, match=r"standard input, line 2 has more than .* MiB: does a"):
        raise done.exception


def test_a_byte_order_mark_is_no_part_of_the_first_word(model, stdin_of, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = stdin_of("\ufeffcat\ndog\n".encode(), "-")

    assert (0, ["cat", "dog"]) == (
        done.exit_code,
        [line.split("\t")[0] for line in done.stdout.splitlines()],
    )


def test_malformed_sentences_are_warned_of(model, stdin_of, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="1 lines of standard input hold malformed UTF-8"):
        done = stdin_of(b"the caf\xe9\ncat\n", "--sentences")
    assert 2 == done.stdout.count("\n")


def test_unit_words_are_averaged_as_gensim_does(model, run_embed):
    gensim = pytest.importorskip("gensim")
    keyed = gensim.models.KeyedVectors(3)
    keyed.add_vectors(WORDS, VECTORS)
    texts = [["the", "cat"], ["dog", "dog", "sat", "unheard"], ["sat"]]
    expected = [keyed.get_mean_vector([w for w in text if w in WORDS]) for text in texts]
    text = "".join(" ".join(words) + "\n" for words in texts)
    done = run_embed("vectors", "--sentences", "--unit-words", input=text)
    rows = [list(map(float, line.split("\t"))) for line in done.stdout.splitlines()]

    assert np.allclose(expected, rows, atol=1e-6)
    assert done.stderr.endswith("1 of them unknown; words scaled to length 1\n")


def test_a_zero_vector_counts_for_nothing_among_unit_words():
    vectors = np.array([[3, 4], [0, 0], [0, 2]], np.float32)
    space = Embeddings(Vocabulary.from_words(["a", "zero", "b"], [3, 2, 1]), vectors)

    found = Averager(space, unit=True).add(["a zero", "zero", "a b"])
    assert np.allclose([[0.6, 0.8], [0, 0], [0.3, 0.9]], found)
    assert [[1.5, 2]] == Averager(space).add(["a zero"]).tolist()
    weights = SIF_A / (SIF_A + np.array([3, 2, 1]) / 6)
    assert (
        pytest.approx(weights[0] * np.array([0.6, 0.8]) / 1)
        == (Averager(space, "sif", unit=True).add(["a zero"])[0])
    )


def test_sif_is_what_its_paper_says(model):
    texts = ["the cat", "the dog", "cat sat", "the the dog sat", "the sat cat dog"]
    share = np.array(COUNTS) / sum(COUNTS)
    weighed = VECTORS * (SIF_A / (SIF_A + share))[:, None]
    sums = np.array([weighed[[WORDS.index(w) for w in t.split()]].mean(axis=0) for t in texts])
    _, _, axes = np.linalg.svd(sums, full_matrices=False)
    expected = sums - np.outer(sums @ axes[0], axes[0])
    averaged = Averager(model, "sif").add(texts)
    assert np.allclose(sums, averaged, atol=1e-7)
    assert np.allclose(expected, remove_common(averaged), atol=1e-6)


def test_batches_are_one_stream(model):
    texts = [f"{WORDS[i % 4]} {WORDS[(i * 7 + 1) % 4]}" for i in range(50)]
    whole = Averager(model).add(texts)
    assert np.array_equal(whole, np.concatenate(list(Averager(model).batches(texts, 7))))
    assert [] == list(Averager(model).batches([]))


def test_sif_needs_counts(model, tmp_path):
    with pytest.raises(UsageError, match="SIF needs the counts"):
        Averager(load(tmp_path / "model.vec"), "sif")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "give a WORD, - to read words"),
        (("cat", "--sentences"), 2, "give no WORD"),
        (("cat", "--unit-words"), 2, "--unit-words is for --sentences"),
        (("cat", "--weighting", "sif"), 2, "--weighting sif is for --sentences"),
        (("cat", "-o", "x.tsv"), 2, "should end in .npy"),
        (("cat", "-o", "missing/x.npy"), 5, "mkdir -p missing"),
    ],
)
def test_wrong_use(model, run_embed, arguments, code, message):
    done = run_embed("vectors", *arguments)
    assert (code, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert message in done.stderr


def test_texts_on_one_subject_are_near_each_other(shared, tmp_path):
    from embedcli import TrainConfig, train

    config = TrainConfig(dim=50, epochs=3, threads=1)
    embeddings = train([str(shared / "data" / "wiki-1m.txt.gz")], config)
    texts = [
        "the king and the queen ruled the kingdom",
        "the emperor gave the throne to his son",
        "the album was recorded by the band in a studio",
        "the singer released a song with the group",
    ]
    vectors = remove_common(Averager(embeddings, "sif").add(texts))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T
    assert cosines[0, 1] > max(cosines[0, 2:])
    assert cosines[2, 3] > max(cosines[2, :2])
