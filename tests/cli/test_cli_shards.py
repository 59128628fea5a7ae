"""`embed shard`, `embed combine` and the options of a cluster: what is refused, in what words."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from embedcli import TrainConfig, Vocabulary
from embedcli.cli import cluster_options, combine, shard, train
from embedcli.cli.cluster_options import Cluster
from embedcli.cli.spool import spooled
from embedcli.cli.train import resume_line
from embedcli.cluster.plan import shard_settings
from embedcli.errors import FormatError, UsageError
from embedcli.text.corpus import Tally
from embedcli.training.callbacks import LocalTrainer

THERE = Cluster("tcp://there:8786", 30.0)


def run(command, *args):
    """Call a command in this process; its error is raised."""
    return CliRunner().invoke(command, list(map(str, args)), catch_exceptions=False)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--rounds", 2), "a plan needs --shards"),
        (("--shards", 2), "a plan needs --rounds"),
        (("--shards", 9, "--rounds", 1), "--shards is 9, but the text can be cut into 2 only"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(tmp_path, args, message):
    (tmp_path / "text").write_text("a b\nc d\n")

    with pytest.raises(UsageError, match=message):
        run(shard.command, "plan", tmp_path / "text", "-o", tmp_path / "plan.json", *args)
    assert not (tmp_path / "plan.json").exists()


def test_files_that_combine_to_nothing_are_refused(tmp_path):
    (tmp_path / "text").write_text("a b\n")
    out = tmp_path / "out"

    with pytest.raises(UsageError, match=r"nothing to combine with .*text"):
        run(combine.command, tmp_path / "text", "-o", out)
    with pytest.raises(FormatError, match="is no plan"):
        run(combine.command, tmp_path / "text", tmp_path / "text", "-o", out)
    with pytest.raises(FormatError, match=r"none cannot be read: No such file"):
        run(combine.command, tmp_path / "none", tmp_path / "text", "-o", out)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"shards": 4}, "--shards is for a cluster: give --cluster too"),
        ({"deltas": "float16"}, "--deltas is for a cluster"),
    ],
)
def test_options_that_do_not_go_together_are_refused(chosen, message):
    with pytest.raises(UsageError, match=message):
        cluster_options.check_options(None, chosen)
    cluster_options.check_options(THERE, chosen)


def test_standard_input_is_a_file_while_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("embedcli.files.opening.open_source", lambda _: io.BytesIO(b"a b\n"))

    with pytest.raises(ValueError, match="in between"), spooled(["x", "-"], "m.stdin") as names:
        assert [str(tmp_path / "x"), str(tmp_path / "m.stdin")] == names
        assert b"a b\n" == (tmp_path / "m.stdin").read_bytes()
        raise ValueError("in between")
    assert [] == list(tmp_path.iterdir())
    with spooled(["-", "memory://x"]) as names:
        assert b"a b\n" == Path(names[0]).read_bytes()
        assert "memory://x" == names[1]
    assert not Path(names[0]).exists()


def test_a_plan_for_a_cluster_is_shown_as_one_for_this_machine(tmp_path, monkeypatch):
    words = Vocabulary.from_words(["a", "b"], [3, 2])
    seen = SimpleNamespace(
        config=TrainConfig(epochs=5, shards=4, rounds=8), vocabulary=words, workers=2, threads=6,
        tally=Tally(5, 5, 0, 0, 1, 10, 0), memory=6400, memory_limit=None, seconds=1.5,
    )  # fmt: skip
    monkeypatch.setattr(Cluster, "estimate", lambda *_, **__: seen)
    monkeypatch.chdir(tmp_path)
    args = ("text", "--dry-run", "--cluster", "local:2")

    shown = dict(line.split("\t") for line in run(train.command, *args).stdout.splitlines())
    assert ("5", "2", "2", "4", "8") == tuple(
        shown[name] for name in ("tokens", "words", "workers", "shards", "rounds")
    )
    assert ("6.4 kB", "unknown") == (shown["memory"], shown["memory_left"])
    assert shown["seconds"].startswith("2 of training, without")
    facts = json.loads(run(train.command, *args, "--json").stdout)
    assert (list(shown), None) == (list(facts), facts["memory_left"])
    assert [] == list(tmp_path.iterdir())


def test_a_run_goes_on_where_it_was_begun():
    here = SimpleNamespace(path="1.safetensors", arguments={"settings": {}}, state=object())
    there = SimpleNamespace(path="1.safetensors", arguments={"shards": []}, state=object())

    LocalTrainer().check_resumed(here)
    THERE.check_resumed(there)
    with pytest.raises(UsageError, match="of a run on a cluster: give --cluster too"):
        LocalTrainer().check_resumed(there)
    with pytest.raises(UsageError, match="of a run on one machine: leave out --cluster"):
        THERE.check_resumed(here)


def test_the_line_that_resumes_names_the_cluster():
    line = resume_line(["a.txt"], ["m.safetensors"], None, THERE.arguments)

    assert "embed train --resume a.txt -o m.safetensors --cluster tcp://there:8786" == line


def test_threads_are_the_workers_own_unless_somebody_chose_them():
    config = TrainConfig()

    assert THERE.resolve(config, {}).threads is None
    assert 3 == THERE.resolve(config, {"threads": 3}).threads
    assert LocalTrainer().resolve(config, {}).threads >= 1


def test_settings_that_rounds_do_not_follow_are_refused():
    settings = shard_settings(TrainConfig(schedule="cosine", deltas="float16"))
    assert (False, None) == (settings.deterministic, settings.threads)
    with pytest.raises(UsageError, match="--deterministic is True, which a run in shards cannot"):
        shard_settings(TrainConfig(deterministic=True))

    with pytest.raises(UsageError, match="--optimizer is adagrad, which a run in shards cannot do"):
        shard_settings(TrainConfig(optimizer="adagrad"))
