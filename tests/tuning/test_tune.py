"""`embed tune`: spaces, trials, the budget, the PIP loss, the journal and what is recommended."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from embedcli.errors import ConfigError, UsageError
from embedcli.settings.config import TrainConfig
from embedcli.settings.yaml_files import load_config
from embedcli.text.corpus_reader import encode_corpus
from embedcli.tuning.search import Budget, try_all
from embedcli.tuning.space import Axis, parse_space, work
from embedcli.tuning.stability import pip_loss
from embedcli.tuning.trial import Bench, Trial, recommended


def trial(score, **settings):
    return Trial(settings, score, [score], 0.3, None, 1.0, 4, 8, 0.1)


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
    trials = [trial(40.0, dim=25), trial(59.5, dim=50), trial(60.0, dim=100), trial(None, dim=2)]
    assert 50 == recommended(trials).dim
    assert 0.1 == recommended([trial(59.9, lr=0.2), trial(60.0, lr=0.1)]).settings["lr"]
    assert -2.0 == recommended([trial(-2.0, dim=9), trial(-2.5, dim=1)]).score
    assert None is recommended([trial(None, dim=25)])
    assert None is recommended([])


def test_a_space_as_it_is_written():
    written = {"lr": "0.01:0.1", "min-lr": "1e-4:2e-4", "dim": "50, 25,50", "arch": "cbow"}
    space = parse_space(written)
    lr, min_lr, dim, arch = space.axes
    assert (Axis("lr", (), 0.01, 0.1), True) == (lr, lr.log)
    assert ("min_lr", False) == (min_lr.name, min_lr.log)
    assert ((50, 25), ("cbow",), False) == (dim.values, arch.values, space.is_grid)
    grid = parse_space({"window": "2,9", "dim": "20,10"}).grid(TrainConfig())
    works = [work(TrainConfig(**settings)) for settings in grid]
    assert (4, sorted(works)) == (len(grid), works)
    assert {"window": 2, "dim": 10} == grid[0]


@pytest.mark.parametrize(
    ("written", "error", "message"),
    [
        ({"dimm": "5"}, UsageError, "is no setting; did you mean dim"),
        ({"min_count": "5"}, UsageError, "changes more than the vectors"),
        ({"dim": "0,5"}, ConfigError, "dim is 0, but must be an integer from 1"),
        ({"dim": "5,"}, ConfigError, "dim is ''"),
        ({"dim": "50:25"}, UsageError, "the lower end first"),
        ({"dim": "1:2:3"}, UsageError, "a range low:high"),
        ({"arch": "cbow:skipgram"}, UsageError, "a range low:high"),
        ({"lr": "auto:0.1"}, UsageError, "the lower end first"),
    ],
)
def test_spaces_that_make_no_sense(written, error, message):
    with pytest.raises(error, match=message):
        parse_space(written)


def test_what_cannot_be_combined_is_refused_before_the_work():
    with pytest.raises(ConfigError, match="must not be above lr"):
        parse_space({"lr": "0.001:0.1"}).check(TrainConfig(min_lr=0.01))
    many = {"dim": ",".join(map(str, range(1, 102))), "window": ",".join(map(str, range(1, 101)))}
    with pytest.raises(UsageError, match="10,100 combinations"):
        parse_space(many).check(TrainConfig())


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    lines = ["the king and the queen sat on the throne of the land"] * 200
    (folder / "corpus.txt").write_text("\n".join(lines))
    (folder / "pairs.tsv").write_text("king\tqueen\t9\nking\tland\t3\nqueen\tsat\t1\n")
    (folder / "never.tsv").write_text("tick\ttock\t9\n")
    return folder


@pytest.fixture
def bench(text):
    with encode_corpus([str(text / "corpus.txt")]) as corpus:
        yield Bench(corpus, TrainConfig(epochs=1, threads=1), [str(text / "pairs.tsv")])


def test_what_would_end_too_late_is_not_begun(bench):
    ticks = itertools.count(0, 10.0)  # every look at the clock is ten seconds later
    grid = [{"dim": 2}, {"dim": 8}, {"dim": 400}]
    trials, skipped = try_all(bench, grid, Budget(150, lambda: next(ticks)))
    assert ([2, 8], [{"dim": 400}]) == ([t.dim for t in trials], skipped)
    assert [4 * 2 * 9, 4 * 8 * 9] == [t.n_bytes for t in trials]
    assert all(0 <= t.pip_loss <= np.sqrt(2) for t in trials)
    assert 0 < trials[0].memory <= trials[1].memory


def test_a_run_that_fails_is_a_result(bench, text):
    with encode_corpus([str(text / "corpus.txt")], max_vocab=1) as corpus:
        failed = replace(bench, corpus=corpus).measure({"dim": 2})
    assert (None, [None], None) == (failed.score, failed.scores, failed.loss)
    assert "single word" in failed.fault
    assert 60.0 == recommended([failed, trial(60.0, dim=2)]).score


def test_one_run_has_no_stability_and_another_text_can_be_measured(bench, text):
    corpus = [str(text / "corpus.txt")]
    with encode_corpus(corpus, vocabulary=bench.corpus.vocabulary) as valid:
        alone = replace(bench, runs=1, valid=valid).measure({"dim": 2})
    assert None is alone.pip_loss
    assert 0 < alone.held_out < 1
    assert alone.score is not None


@pytest.mark.parametrize("settings", [{"arch": "glove", "x_max": 5.0}, {"loss": "hs"}])
def test_every_architecture_and_loss_can_be_tried(bench, settings):
    trial = bench.measure({"dim": 2} | settings)
    assert trial.score is not None
    assert trial.loss > 0


def test_a_journal_is_shared_and_gone_on_with(bench, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    from embedcli.tuning.journal import try_some

    # A worker's seed has its process number in it, and one in a hundred draws the same twice.
    monkeypatch.setattr("os.getpid", lambda: 1)
    space = parse_space({"dim": "2,4", "lr": "0.01:0.1"})
    arguments = {"journal": str(tmp_path / "tune.log")}
    made = []
    first, missing = try_some(bench, space, 2, Budget(), on_trial=made.append, **arguments)
    assert (2, 0, 2) == (len(first), missing, len(made))
    both, missing = try_some(bench, space, 3, Budget(), on_trial=made.append, **arguments)
    assert (first, 3, 3, 0) == (both[:2], len(both), len(made), missing)
    assert all(0.01 <= t.settings["lr"] <= 0.1 and t.dim in (2, 4) for t in both)
    again, _ = try_some(bench, space, 3, Budget(), on_trial=made.append, **arguments)
    assert (both, 3) == (again, len(made))  # nothing is left to do
    grid, missing = try_some(bench, parse_space({"dim": "2,4"}), 2, Budget(), **arguments)
    assert ([2, 4], 0) == (sorted(t.dim for t in grid), missing)  # another question: another study
    _, missing = try_some(bench, space, 9, Budget(-1.0), **arguments)
    assert 5 == missing  # the first of a worker is always made


def test_what_a_killed_worker_began_is_begun_again(bench, tmp_path):
    optuna = pytest.importorskip("optuna")
    from embedcli.tuning import journal

    space = parse_space({"dim": "2"})
    study = journal._study(bench, space, str(tmp_path / "tune.log"))
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    asked = study.ask()
    asked.set_user_attr("worker", journal._me().rpartition(" ")[0] + f" {gone.pid}")
    assert 0 == journal._taken(study)
    assert optuna.trial.TrialState.FAIL == study.trials[0].state
    asked = study.ask()
    asked.set_user_attr("worker", "another-machine 1")
    assert 1 == journal._taken(study)


def test_tune_as_a_shell_sees_it(text, run_embed):
    arguments = ("tune", "corpus.txt", "--dims", "4,2", "--evaluate", "pairs.tsv")
    more = ("--epochs=1", "--threads=1", "--no-shrink-window", "--sample=0")
    done = run_embed(*arguments, *more, "-o", "best.yaml", "--json", cwd=text)
    facts = json.loads(done.stdout)
    assert (0, [2, 4]) == (done.returncode, [t["settings"]["dim"] for t in facts["trials"]])
    assert all(0 < t["held_out"] < 1 for t in facts["trials"])
    chosen = facts["recommended"]["dim"]
    fixed = {"epochs": 1, "threads": 1, "shrink_window": False, "sample": 0.0}
    expected = {"dim": chosen} | fixed
    assert expected == load_config(text / "best.yaml")
    assert f"recommended: embed train corpus.txt --dim {chosen} --epochs 1" in done.stderr
    by_flags, by_file = re.findall(r"embed (train corpus.txt [^()\n]*)", done.stderr)
    assert "train corpus.txt --config best.yaml" == by_file
    assert 0 == run_embed(*shlex.split(by_flags), cwd=text).returncode
    model = (text / "model.safetensors").read_bytes()
    assert 0 == run_embed(*shlex.split(by_file), cwd=text).returncode
    assert model == (text / "model.safetensors").read_bytes()
    pytest.importorskip("matplotlib")
    (text / "tune.json").write_text(done.stdout)
    plot = ("plot", "--tune", "tune.json", "-o", "tune.svg")
    assert 0 == run_embed(*plot, cwd=text).returncode
    assert (text / "tune.svg").read_text().startswith("<?xml")
    assert 3 == run_embed("plot", "--tune", "pairs.tsv", "-o", "x.svg", cwd=text).returncode


def test_workers_share_a_journal(text, tmp_path, run_embed):
    pytest.importorskip("optuna")
    (tmp_path / "space.yaml").write_text("lr: 0.02:0.2\ndim: 2,4\n")
    arguments = ("tune", text / "corpus.txt", "--evaluate", text / "pairs.tsv", "--epochs", "1")
    more = ("--space=space.yaml", "--try=dim=2", "--trials=2", "--journal=tune.log", "--json")
    runs = [run_embed(*arguments, *more, "--threads", "1") for _ in range(2)]
    first, second = (json.loads(run.stdout) for run in runs)
    assert first == second
    assert (2, {2}) == (len(first["trials"]), {t["settings"]["dim"] for t in first["trials"]})
    pytest.importorskip("matplotlib")
    (tmp_path / "tune.json").write_text(runs[0].stdout)
    assert 0 == run_embed("plot", "--tune", "tune.json", "-o", "tune.png").returncode


def test_a_score_that_is_not_defined_recommends_nothing(text, tmp_path, run_embed):
    arguments = ("tune", text / "corpus.txt", "--evaluate", text / "never.tsv", "--dims", "2")
    done = run_embed(*arguments, "--runs", "1", "--epochs", "1", "--valid-fraction", "0")
    score, held_out = (done.stdout.split("\t")[i] for i in (1, 3))
    assert (0, "n/a", "n/a") == (done.returncode, score, held_out)
    assert "nothing is recommended" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--dims", "4,x", "--evaluate", "pairs.tsv"), 2, "dim is 'x'"),
        (("--try", "lr", "--evaluate", "pairs.tsv"), 2, "--try lr is not NAME=VALUES"),
        (("--try", "dim=2", "--dims", "2", "--evaluate", "pairs.tsv"), 2, "dim is searched twice"),
        (("--budget", "20", "--evaluate", "pairs.tsv"), 2, "90s, 10m, 2h"),
        (("--evaluate", "none.tsv"), 3, "none.tsv: No such file"),
        ((), 2, "--evaluate"),
        (("--evaluate", "pairs.tsv", "-o", "no/best.yaml"), 5, "mkdir -p no"),
        (("--evaluate", "pairs.tsv", "--space", "no.yaml"), 2, "no.yaml: cannot be read"),
    ],
)
def test_wrong_use(text, run_embed, arguments, code, message):
    done = run_embed("tune", "corpus.txt", *arguments, cwd=text)
    assert (code, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert message in done.stderr
