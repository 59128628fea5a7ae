"""`embed align` and `embed diff`: rotations that are known are found, and what moved is named."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, load, save
from embedcli.errors import FormatError, UsageError
from embedcli.lookup.exact import unit_rows
from embedcli.spaces import alignment
from embedcli.spaces.drift import drift

N, D = 300, 12


def space(words, vectors):
    return Embeddings(Vocabulary.from_words(words), vectors.astype(np.float32))


@pytest.fixture
def spaces():
    """A space, its words in another language, turned and with some noise; and the rotation."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N, D))
    rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
    noisy = vectors @ rotation + rng.normal(scale=0.05, size=(N, D))
    order = rng.permutation(N)
    return (
        space([f"en{i}" for i in range(N)], vectors),
        space([f"de{i}" for i in order], noisy[order]),
        rotation,
    )


def dictionary(*ids):
    return [(f"en{i}", f"de{i}") for i in ids]


def test_the_rotation_is_found_from_a_dictionary(spaces):
    source, target, rotation = spaces
    pairs = alignment.known_pairs(source, target, [*dictionary(*range(60)), ("en1", "unknown")])
    found = alignment.turn(source, target, pairs)
    assert (60, 2) == pairs.shape
    assert np.allclose(rotation, found, atol=0.05)
    assert np.allclose(np.eye(D), found @ found.T)


def test_it_is_scipys_procrustes(spaces):
    linalg = pytest.importorskip("scipy.linalg")
    source, target, _ = spaces
    pairs = alignment.known_pairs(source, target, dictionary(*range(40)))
    x, y = unit_rows(source.vectors[pairs[:, 0]]), unit_rows(target.vectors[pairs[:, 1]])
    expected, _ = linalg.orthogonal_procrustes(x, y)
    assert np.allclose(expected, alignment.turn(source, target, pairs))


@pytest.mark.parametrize("method", ["csls", "cosine"])
def test_translation_is_scored(spaces, method):
    source, target, rotation = spaces
    translator = alignment.Translator(source, target, rotation, method)
    test = [*dictionary(*range(100)), ("en1", "de2"), ("en5", "unknown"), ("unknown", "de5")]
    score = alignment.precision(translator, source, target, test)
    assert (100.0, 100.0, 100, 101) == (score.at[1], score.at[10], score.asked, score.total)
    wrong = alignment.precision(translator, source, target, [("en1", "de2"), ("en3", "de4")])
    assert 0.0 == wrong.at[1]
    assert None is alignment.precision(translator, source, target, [("x", "y")])


def test_csls_is_what_its_paper_says():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=(25, 4))
    a, b = unit_rows(x), unit_rows(y)
    cosines = a @ b.T
    r_x = np.sort(cosines, axis=1)[:, -10:].mean(axis=1)
    r_y = np.sort(cosines, axis=0)[-10:].mean(axis=0)
    expected = (2 * cosines - r_x[:, None] - r_y).argmax(axis=1)
    source, target = space([f"a{i}" for i in range(30)], x), space([f"b{i}" for i in range(25)], y)
    translator = alignment.Translator(source, target, np.eye(4))
    assert expected.tolist() == translator.best().tolist()
    back = (2 * cosines.T - r_x).argmax(axis=1)
    assert back.tolist() == translator.backward().best().tolist()


def test_refinement_mends_a_poor_start(spaces):
    source, target, _ = spaces
    pairs = alignment.known_pairs(source, target, dictionary(*range(9)))
    poor = alignment.turn(source, target, pairs)
    better, n_pairs = alignment.refine(source, target, poor, 5, N)
    test = dictionary(*range(N))
    before, after = (
        alignment.precision(alignment.Translator(source, target, w), source, target, test).at[1]
        for w in (poor, better)
    )
    assert before < 90 < 99 < after
    assert 280 < n_pairs


def test_a_turned_space_keeps_its_cosines(spaces):
    source, _, rotation = spaces
    turned = alignment.turned(source, rotation)
    assert np.allclose(
        source.vectors @ source.vectors.T, turned.vectors @ turned.vectors.T, atol=1e-4
    )
    assert turned.metadata["aligned"]


def test_what_cannot_be_aligned(spaces):
    source, target, _ = spaces
    with pytest.raises(UsageError, match="0 known pairs; give a dictionary"):
        alignment.turn(source, target, alignment.identical_pairs(source, target))
    narrow = space(["a", "b"], np.ones((2, 3)))
    with pytest.raises(UsageError, match="dimensions are 12 and 3"):
        alignment.turn(source, narrow, np.zeros((5, 2), np.int64))


def test_dictionaries(tmp_path):
    (tmp_path / "d").write_text("a b\nnew york\tnueva york\n\nc\td\r\n")
    expected = [("a", "b"), ("new york", "nueva york"), ("c", "d")]
    assert expected == alignment.read_dictionary(str(tmp_path / "d"))
    (tmp_path / "d").write_text("a b\na b c\n")
    with pytest.raises(FormatError, match="line 2: 3 words; a pair has 2"):
        alignment.read_dictionary(str(tmp_path / "d"))
    (tmp_path / "d").write_bytes(b"\xef\xbb\xbfa b\na b c\n\nd\xe9 e\nf g\n")
    skipped = []
    assert [("a", "b"), ("f", "g")] == alignment.read_dictionary(str(tmp_path / "d"), skipped)
    assert ["line 2: 3 words; a pair has 2", "line 4: byte 1 is not UTF-8"] == [
        message.partition(", ")[2] for message in skipped
    ]
    (tmp_path / "d").write_text("a b c\n")
    with pytest.raises(FormatError, match="not a single pair"):
        alignment.read_dictionary(str(tmp_path / "d"), [])


def test_align_as_a_shell_sees_it(spaces, tmp_path, run_embed):
    source, target, _ = spaces
    save(source, str(tmp_path / "en.safetensors"))
    save(target, str(tmp_path / "de.safetensors"))
    (tmp_path / "train").write_text("".join(f"en{i} de{i}\n" for i in range(50)))
    (tmp_path / "test").write_text("".join(f"en{i} de{i}\n" for i in range(50, 100)))
    models = ("align", "en.safetensors", "de.safetensors")
    arguments = ("--dictionary", "train", "--test", "test", "-o", "turned.vec")
    done = run_embed(*models, *arguments, "--refine", "1", "--fail-under", "99")
    assert (0, "csls\t100.00\t100.00\t100.00\t50\t50") == (
        done.returncode,
        done.stdout.splitlines()[0],
    )
    assert "aligned by 50 pairs" in done.stderr
    cosines = (unit_rows(load(tmp_path / "turned.vec").vectors[:5])
               * unit_rows(np.stack([target[f"de{i}"] for i in range(5)]))).sum(axis=1)  # fmt: skip
    assert (cosines > 0.97).all()
    facts = json.loads(run_embed(*models, *arguments[:4], "--json").stdout)
    assert (50, 100.0) == (facts["pairs"], facts["precision"]["csls"]["p@1"])
    assert 2 == run_embed(*models).returncode  # no word in both
    (tmp_path / "bad").write_text((tmp_path / "train").read_text() + "one\n")
    assert 3 == run_embed(*models, "--dictionary", "bad").returncode
    done = run_embed(*models, "--dictionary", "bad", "--skip-bad-lines")
    assert (0, True) == (done.returncode, "1 bad line left out; bad, line 51" in done.stderr)
    (tmp_path / "test").write_text("en1 de2\n")
    missed = run_embed(*models, *arguments[:4], "--fail-under", "50")
    assert (1, True) == (missed.returncode, "precision@1 is 0.00" in missed.stderr)


@pytest.fixture
def periods(tmp_path):
    """Two turned spaces of the same words, of which one took the place of another."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(N, D))
    vectors[1::2] = vectors[::2] + rng.normal(scale=0.3, size=(N // 2, D))  # pairs of neighbours
    words = [f"w{i}" for i in range(N)]
    rotation, _ = np.linalg.qr(rng.normal(size=(D, D)))
    later = vectors.copy()
    later[10] = vectors[20] + 0.1
    save(space([*words, "gone"], np.vstack([vectors, np.ones(D)])), str(tmp_path / "old.vec"))
    save(space(words, later @ rotation), str(tmp_path / "new.vec"))
    return tmp_path


def test_the_word_that_moved_is_first(periods):
    result = drift(load(periods / "old.vec"), load(periods / "new.vec"), top=3, k=2)
    first = result.moved[0]
    assert ("w10", "w11") == (first.word, first.before[0])
    assert {"w20", "w21"} == set(first.after)
    assert (0, N, N, 1, 0) == (
        first.shared, result.shared, result.compared, result.only_old, result.only_new,
    )  # fmt: skip
    assert 0.99 < result.median
    assert 0.99 < result.moved[1].cosine


def test_diff_as_a_shell_sees_it(periods, run_embed):
    done = run_embed("diff", "old.vec", "new.vec", "--top", "1", "-k", "1")
    word, cosine, shared, before, after = done.stdout.rstrip("\n").split("\t")
    assert (0, "w10", "0", "w11") == (done.returncode, word, shared, before)
    assert after in ("w20", "w21")
    assert float(cosine) < 0.9
    assert "300 words in both, 1 only in old.vec, 0 only in new.vec" in done.stderr
    done = run_embed("diff", "old.vec", "new.vec", "w3", "gone", "--json")
    assert 3 == done.returncode
    assert ["w3"] == [moved["word"] for moved in json.loads(done.stdout)["moved"]]
    assert "unknown word 'gone': it is not in both" in done.stderr
    done = run_embed("diff", "old.vec", "new.vec", "--restrict", "1")
    assert 0 == done.returncode
