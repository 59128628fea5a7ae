"""`embed tune`: trials, the budget, the PIP loss and what is recommended."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from embedcli.config import TrainConfig, load_config
from embedcli.tuning.dimensions import Trial, pip_loss, recommended, try_dimensions


def trial(dim, score):
    return Trial(dim, score, [score], 0.3, 1.0, 4, 0.1)


def test_pip_loss_is_its_definition():
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(30, d)).astype(np.float32) for d in (4, 6))
    tables = [each @ each.T / np.linalg.norm(each @ each.T) for each in (first, second)]
    assert np.linalg.norm(tables[0] - tables[1]) == pytest.approx(pip_loss(first, second), 1e-5)
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    assert 0.01 > pip_loss(first, (first @ turn).astype(np.float32))
    assert 0.01 > pip_loss(first, 3 * first)
    apart = np.zeros((4, 1), np.float32), np.zeros((4, 1), np.float32)
    apart[0][0] = apart[1][1] = 1
    assert np.sqrt(2) == pytest.approx(pip_loss(*apart))


def test_the_smallest_that_is_nearly_the_best():
    trials = [trial(25, 40.0), trial(50, 59.5), trial(100, 60.0), trial(200, None)]
    assert 50 == recommended(trials).dim
    assert None is recommended([trial(25, None)])
    assert None is recommended([])


@pytest.fixture
def corpus(tmp_path):
    lines = ["the king and the queen sat on the throne of the land"] * 200
    (tmp_path / "corpus.txt").write_text("\n".join(lines))
    (tmp_path / "pairs.tsv").write_text("king\tqueen\t9\nking\tland\t3\nqueen\tsat\t1\n")
    return tmp_path


def test_what_would_end_too_late_is_not_begun(corpus):
    ticks = itertools.count(0, 10.0)  # every look at the clock is ten seconds later
    trials, skipped = try_dimensions(
        [str(corpus / "corpus.txt")],
        TrainConfig(epochs=1, threads=1),
        [8, 2, 400],
        [str(corpus / "pairs.tsv")],
        budget=150,
        clock=lambda: next(ticks),
    )
    assert ([2, 8], [400]) == ([t.dim for t in trials], skipped)
    assert [4 * 2 * 9, 4 * 8 * 9] == [t.n_bytes for t in trials]
    assert all(0 <= t.pip_loss <= np.sqrt(2) for t in trials)


def test_tune_as_a_shell_sees_it(corpus, run_embed):
    arguments = ("tune", "corpus.txt", "--dims", "4,2", "--evaluate", "pairs.tsv")
    more = ("--epochs", "1", "--threads", "1", "--no-shrink-window")
    done = run_embed(*arguments, *more, "-o", "best.yaml", "--json")
    facts = json.loads(done.stdout)
    assert (0, [2, 4]) == (done.returncode, [t["dim"] for t in facts["trials"]])
    chosen = facts["recommended"]
    expected = {"dim": chosen, "epochs": 1, "threads": 1, "shrink_window": False}
    assert expected == load_config(corpus / "best.yaml")
    assert f"recommended: embed train corpus.txt --dim {chosen} --epochs 1" in done.stderr
    assert 0 == run_embed("train", "-q", "corpus.txt", "--config", "best.yaml").returncode
    pytest.importorskip("matplotlib")
    (corpus / "tune.json").write_text(done.stdout)
    assert 0 == run_embed("plot", "--tune", "tune.json", "-o", "tune.svg").returncode
    assert (corpus / "tune.svg").read_text().startswith("<?xml")
    assert 3 == run_embed("plot", "--tune", "pairs.tsv", "-o", "tune.svg").returncode


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--dims", "4,x", "--evaluate", "pairs.tsv"), 2, "--dims is '4,x'"),
        (("--budget", "20", "--evaluate", "pairs.tsv"), 2, "90s, 20m or 2h"),
        (("--evaluate", "none.tsv"), 3, "none.tsv: No such file"),
        ((), 2, "--evaluate"),
        (("--evaluate", "pairs.tsv", "-o", "no/best.yaml"), 5, "mkdir -p no"),
    ],
)
def test_wrong_use(corpus, run_embed, arguments, code, message):
    done = run_embed("tune", "corpus.txt", *arguments)
    assert (code, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert message in done.stderr
