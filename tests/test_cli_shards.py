"""`embed shard`, `embed combine` and the options of a cluster: what is refused, in what words."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from embedcli import TrainConfig
from embedcli.cli import clusters, combine, shard
from embedcli.cli.clusters import Cluster
from embedcli.cli.resuming import resume_line
from embedcli.cluster.plan import check_settings
from embedcli.errors import FormatError, UsageError

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
    ("cluster", "chosen", "dry_run", "message"),
    [
        (None, {"shards": 4}, False, "--shards is for a cluster: give --cluster too"),
        (None, {"deltas": "float16"}, False, "--deltas is for a cluster"),
        (THERE, {}, True, "--dry-run measures this machine"),
    ],
)
def test_options_that_do_not_go_together_are_refused(cluster, chosen, dry_run, message):
    with pytest.raises(UsageError, match=message):
        clusters.check_options(cluster, chosen, dry_run=dry_run)


def test_a_run_goes_on_where_it_was_begun():
    here = SimpleNamespace(path="1.safetensors", given={"settings": {}}, state=object())
    there = SimpleNamespace(path="1.safetensors", given={"shards": []}, state=object())

    clusters.check_resumed(None, here)
    clusters.check_resumed(THERE, there)
    with pytest.raises(UsageError, match="of a run on a cluster: give --cluster too"):
        clusters.check_resumed(None, there)
    with pytest.raises(UsageError, match="of a run on one machine: leave out --cluster"):
        clusters.check_resumed(THERE, here)


def test_the_line_that_resumes_names_the_cluster():
    line = resume_line(["a.txt"], ["m.safetensors"], None, THERE.arguments)

    assert "embed train --resume a.txt -o m.safetensors --cluster tcp://there:8786" == line


def test_threads_are_the_workers_own_unless_somebody_chose_them():
    config = TrainConfig()

    assert clusters.resolve(THERE, config, {}).threads is None
    assert 3 == clusters.resolve(THERE, config, {"threads": 3}).threads
    assert clusters.resolve(None, config, {}).threads >= 1


def test_settings_that_rounds_do_not_follow_are_refused():
    check_settings(TrainConfig(schedule="cosine", deltas="float16"))

    with pytest.raises(UsageError, match="--optimizer is adagrad, which a run in shards cannot do"):
        check_settings(TrainConfig(optimizer="adagrad"))
