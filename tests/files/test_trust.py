"""What several runs agree on, and whether one model is better than another."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from embedcli import Embeddings, Vocabulary, evaluate, save
from embedcli.cli.evaluate_output import is_below, shown_gain
from embedcli.evaluation.comparison import compare
from embedcli.lookup.query import Query
from embedcli.spaces.agreement import Agreed, agreement


def model(**vectors):
    return Embeddings(
        Vocabulary.from_words(list(vectors)), np.array(list(vectors.values()), np.float32)
    )


RUNS = [
    model(a=[1, 0], b=[1, 0.1], c=[1, 0.2], d=[0, 1], e=[-1, 0]),
    model(a=[0, 1], b=[0.1, 1], c=[-1, 0], d=[0.2, 1]),
    model(b=[1, 0], c=[0, 1]),
]


def test_neighbours_that_more_runs_have_come_first():
    found, able = agreement(RUNS, Query(("a",)), 2)
    cosines = [1 / np.hypot(1, 0.1)] * 2
    assert 2 == able  # the third does not know the word
    assert ("b", 2) == (found[0].word, found[0].runs)
    assert np.mean(cosines) == pytest.approx(found[0].cosine)
    assert ("c", 1) == (found[1].word, found[1].runs)
    assert ([], 0) == agreement(RUNS, Query(("zebra",)), 2)
    assert Agreed("d", 1, pytest.approx(0.0)) == agreement(RUNS[:1], Query(("a",)), 3)[0][2]


def test_runs_on_the_command_line(tmp_path, run_embed):
    for number, run in enumerate(RUNS, 1):
        save(run, str(tmp_path / f"run-{number}.safetensors"))
    done = run_embed("neighbors", "a", "-k", "2", "-m", "run-{}.safetensors", "--runs", "3")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [["a", "1", "b", "0.9950", "2/2"], ["a", "2", "c", "0.9806", "1/2"]] == rows
    paths = ("-m", "run-1.safetensors", "-m", "run-2.safetensors")
    done = run_embed("neighbors", "a", "zebra", *paths, "--json")
    first, second = json.loads(done.stdout)
    assert (3, 2, "b", 2) == (
        done.returncode, first["models"], first["neighbors"][0]["word"],
        first["neighbors"][0]["runs"],
    )  # fmt: skip
    assert (0, []) == (second["models"], second["neighbors"])
    assert "'zebra': none of the 2 models knows all of it" in done.stderr
    wrong = run_embed("neighbors", "a", "-m", "run-1.safetensors", "--runs", "2")
    assert (2, True) == (wrong.returncode, "wants one -m with {} in it" in wrong.stderr)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(100)]
    vectors = rng.normal(size=(100, 5)).astype(np.float32)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    lines = [f"w{i}\tw{i + 1}\t{units[i] @ units[i + 1]:.6f}" for i in range(99)]
    (tmp_path / "pairs.tsv").write_text("\n".join([*lines, "w1\tunknown\t0.5"]))
    (tmp_path / "questions.txt").write_text(
        "".join(f"w{i} w{i} w{i + 1} w{i + 2}\n" for i in range(90))
    )
    save(Embeddings(Vocabulary.from_words(words), vectors), str(tmp_path / "good.vec"))
    near = (vectors + rng.normal(scale=0.8, size=vectors.shape)).astype(np.float32)
    save(Embeddings(Vocabulary.from_words(words[:90]), near[:90]), str(tmp_path / "near.vec"))
    return tmp_path


def reports(files, name):
    import embedcli

    paths = [str(files / "pairs.tsv"), str(files / "questions.txt")]
    return evaluate(embedcli.load(files / name), paths)


def test_the_gain_is_on_what_both_know(files):
    good, near = reports(files, "good.vec"), reports(files, "near.vec")
    gain = compare("good.vec", good[0], near[0])
    assert 89 == gain.items
    assert gain.low < gain.gain < gain.high < 0
    both = near[0].items.seen
    stats = pytest.importorskip("scipy.stats")
    human = near[0].items.values[both, 0]
    rho = [stats.spearmanr(human, r[0].items.values[both, 1]).statistic for r in (good, near)]
    assert 100 * (rho[1] - rho[0]) == pytest.approx(gain.gain)
    assert gain == compare("good.vec", good[0], near[0])  # the same seed


def test_a_model_gains_nothing_over_itself(files):
    good = reports(files, "good.vec")
    for report in good:
        gain = compare("good.vec", report, report)
        assert (0.0, 0.0, 0.0) == (gain.gain, gain.low, gain.high)


def test_analogies_are_compared_question_by_question(files):
    good, near = reports(files, "good.vec")[1], reports(files, "near.vec")[1]
    assert (90, 90) == (len(good.answers), len(near.answers))
    assert 100 * (good.answers == 1).sum() / 90 == good.score
    assert near.main_part.seen == (near.answers >= 0).sum()
    gain = compare("good.vec", good, near)
    both = (good.answers >= 0) & (near.answers >= 0)
    expected = near.answers[both].mean() - good.answers[both].mean()
    assert 100 * expected == pytest.approx(gain.gain)
    assert gain.low <= gain.gain <= gain.high


def test_gains_on_the_command_line(files, run_embed):
    done = run_embed("evaluate", "pairs.tsv", "questions.txt", "-m", "good.vec", "-m", "near.vec")
    rows = list(csv.DictReader(done.stdout.splitlines(), delimiter="\t"))
    last = {(row["model"], row["part"]): row for row in rows}
    assert "n/a" == last["good.vec", "pairs"]["gain"] == last["near.vec", "semantic"]["gain"]
    row = last["near.vec", "pairs"]
    assert float(row["gain_low"]) < float(row["gain"]) < float(row["gain_high"]) < 0
    arguments = ("evaluate", "pairs.tsv", "-m", "good.vec", "-m", "near.vec", "--json")
    first, second = json.loads(run_embed(*arguments).stdout)
    assert (None, "good.vec", 89) == (
        first["gain"], second["gain"]["over"], second["gain"]["items"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("threshold", "more", "code"),
    [("-200", (), 0), ("0", (), 1), ("0", ("--bootstrap=0",), 1), ("-200", ("--bootstrap=0",), 0)],
)
def test_a_threshold_for_gains(files, run_embed, threshold, more, code):
    models = ("-m", "good.vec", "-m", "near.vec")
    arguments = ("evaluate", "pairs.tsv", *models, "--fail-under-gain", threshold, *more)
    done = run_embed(*arguments)
    assert (code, 2) == (done.returncode, done.stdout.count("\tpairs\t"))
    assert bool(code) == ("below --fail-under-gain 0: -" in done.stderr)
    wrong = run_embed("evaluate", "pairs.tsv", "-m", "good.vec", "--fail-under-gain", "1")
    assert (2, True) == (wrong.returncode, "give a second -m" in wrong.stderr)


def test_a_gain_must_be_beyond_chance():
    assert is_below(0, 1.0, -0.5)
    assert not is_below(0, 1.0, 0.5)
    assert not is_below(0, 1.0, None)
    assert is_below(0, None, None)
    assert ["n/a", "+1.00", "-1.00 (-2.00 to 0.50)"] == [
        shown_gain(None, None, None),
        shown_gain(1.0, None, None),
        shown_gain(-1.0, -2.0, 0.5),
    ]
