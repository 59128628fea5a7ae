"""Look-ups and scores of hostile numbers, words and flags: an answer or one line, never a fault."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import Embeddings, Vocabulary, save
from embedcli.cli.main import embed
from embedcli.cli.output import Verbosity
from embedcli.errors import EmbedError, FormatError
from embedcli.evaluation.analogies import Section, score_analogies
from embedcli.evaluation.folded import FoldedWords
from embedcli.evaluation.probes import probe
from embedcli.evaluation.protocols import METHODS, resolve
from embedcli.evaluation.similarity import pearson
from embedcli.lookup.exact import cosines, nearest, unit_rows
from embedcli.lookup.query import Query, analogy, neighbors

N, D = 40, 6
WORDS = [f"w{i}" for i in range(N)]


def space(scale):
    """The same directions, of any length."""
    vectors = np.random.default_rng(0).uniform(-1, 1, (N, D)) * scale
    return Embeddings(Vocabulary.from_words(WORDS), vectors.astype(np.float32))


LARGE = [1e20, 1e35, 3.3e38]


@pytest.mark.parametrize("scale", LARGE)
@pytest.mark.filterwarnings("error")
def test_vectors_at_the_end_of_float32_have_the_neighbours_of_short_ones(scale):
    queries = [Query((word,)) for word in WORDS]
    expected = neighbors(space(1), queries, N)
    found = neighbors(space(scale), queries, N)
    assert [[n.word for n in one] for one in expected] == [[n.word for n in one] for one in found]
    assert np.allclose([[n.score for n in e] for e in expected],
                       [[n.score for n in f] for f in found], atol=1e-6)  # fmt: skip
    large = space(scale)
    assert np.allclose(
        unit_rows(space(1).vectors) @ unit_rows(space(1).vectors).T,
        cosines(large.vectors, large.norms, large.vectors), atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("error")
def test_analogies_among_large_vectors_are_those_among_short_ones(method):
    pairs = [Section("s", (), [(f"w{i}", (f"w{i + 1}",)) for i in range(0, N, 2)])]
    reports = [
        score_analogies(
            FoldedWords.of(space(scale), None, str.upper),
            "x",
            pairs,
            resolve("gensim", method=method),
        )
        for scale in (1, 3.3e38)
    ]
    assert reports[0].answers.tolist() == reports[1].answers.tolist()
    if method in ("cosadd", "cosmul", "pairdistance"):
        answers = [analogy(space(s), ("w1", "w2", "w3"), 5, method=method) for s in (1, 3.3e38)]
        assert [a.word for a in answers[0]] == [a.word for a in answers[1]]
        assert np.allclose([a.score for a in answers[0]], [a.score for a in answers[1]], atol=1e-4)


@pytest.mark.filterwarnings("error")
def test_rows_whose_squares_fit_no_number_have_a_direction():
    rows = np.array([[3e300, 4e300], [3e-200, 4e-200], [0, 0], [3, 4], [5e-324, 0]])
    assert np.allclose([[0.6, 0.8], [0.6, 0.8], [0, 0], [0.6, 0.8], [1, 0]], unit_rows(rows))
    assert 3e300 == rows[0, 0]
    vectors = np.eye(2, dtype="f")
    ids, scores = nearest(vectors, np.ones(2, "f"), rows[:1], 2)
    assert ([[1, 0]], True) == (ids.tolist(), np.allclose([[0.8, 0.6]], scores))


@pytest.mark.filterwarnings("error")
def test_judgements_of_any_size_correlate():
    x = np.array([1.0, 2.0, 4.0])
    for scale in (1, 1e308 / 4, 1e-300):
        assert pytest.approx(1) == pearson(x * scale, x)
        assert pytest.approx(-1) == pearson(x * scale, -x)


def run(*arguments, stdin=None):
    """The exit code of a command, and what it printed; anything but an EmbedError is raised."""
    done = CliRunner().invoke(embed, list(map(str, arguments)), obj=Verbosity(), input=stdin)
    if isinstance(done.exception, EmbedError):
        return done.exception.exit_code, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture
def model(tmp_path):
    save(space(1), str(tmp_path / "m.safetensors"))
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize("k", [10**6, 10**12, 10**30])
def test_more_answers_than_can_be_counted_are_all_words(model, k):
    code, printed = run("neighbors", "w1", "-m", model, "-k", k, "--json")
    assert (0, N - 1) == (code, len(json.loads(printed)[0]["neighbors"]))
    code, printed = run("analogy", "w1", "w2", "w3", "-m", model, "-k", k, "--json")
    assert (0, N - 3) == (code, len(json.loads(printed)["answers"]))
    assert N == run("translate", model, model, "w1", "-k", k, "--as-is")[1].count("\n")
    assert 0 == run("diff", model, model, "w1", "-k", k, "--restrict", k)[0]


@pytest.mark.parametrize(
    "line", ["k \u00b2", "k \u0662", "k 0", "k -1", "k 9999999999999999999", "k"]
)
def test_a_number_that_is_none_is_a_word_in_the_shell(model, line):
    code, printed = run("shell", model, stdin=f"{line}\nw1 ~ w1\n")
    assert (3, True) == (code, printed.endswith("1.0000\n"))


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("--fail-under", ("evaluate", "x")),
        ("--fail-under-gain", ("evaluate", "x")),
        ("--fail-under", ("align", "a", "b")),
    ],
)
def test_nan_is_no_threshold(option, command):
    code, printed = run(*command, option, "nan")
    assert (2, True) == (code, "nan is no threshold" in printed)


@pytest.mark.parametrize(
    "arguments",
    [
        ("neighbors", "w1", "-m", "x{}", "--runs", "1000000000"),
        ("evaluate", "x", "--bootstrap", "1000000000"),
    ],
)
def test_numbers_that_would_fill_the_memory_are_refused(arguments):
    assert 2 == run(*arguments)[0]


def test_a_task_without_a_token_is_no_task(tmp_path):
    (tmp_path / "empty").write_text("x\t\ny\t\n")
    (tmp_path / "full").write_text("x\ta\ny\tb\n")
    paths = str(tmp_path / "empty"), str(tmp_path / "full")
    for training, test in (paths, paths[::-1]):
        with pytest.raises(FormatError, match="empty: not a single token"):
            probe({}, training, test)


def test_a_trial_without_a_token_chooses_a_penalty_all_the_same(tmp_path):
    lines = ["x\t\n", "y\t\n"] * 10 + ["x\ta\n", "y\tb\n"]
    (tmp_path / "t").write_text("".join(lines))
    (hot,) = probe({}, str(tmp_path / "t"), str(tmp_path / "t"), bootstrap=0)
    assert hot.score >= 50.0
