"""Training on a Dask cluster: the same functions, wherever they run and whoever dies meanwhile."""

import asyncio
import contextlib
import gzip
import itertools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from embedcli import TrainConfig, load
from embedcli.cli.cluster_options import digest_text
from embedcli.errors import ClusterError, CorpusError, MissingExtraError, UsageError
from embedcli.formats import save
from embedcli.training.checkpoint import Checkpoints
from embedcli.training.resuming import check_complete
from embedcli.training.trainer import RunControl, Stopped

distributed = pytest.importorskip("distributed")
import dask  # noqa: E402

from embedcli.cluster import dask_run  # noqa: E402
from embedcli.cluster.connect import connect  # noqa: E402
from embedcli.cluster.dask_driver import DaskDriver  # noqa: E402
from embedcli.cluster.dask_worker import (  # noqa: E402
    Job,
    RunInScheduler,
    RunOnWorker,
    scatter_kept,
)
from embedcli.cluster.deltas import Matrices  # noqa: E402

CONFIG = TrainConfig(dim=8, min_count=1, sample=0, epochs=2, threads=1, shards=5, rounds=2, lr=0.05)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text"
    words = np.random.default_rng(0).zipf(1.3, 30_000) % 300
    path.write_text("\n".join(" ".join(f"w{w}" for w in line) for line in np.split(words, 1500)))
    return str(path)


@contextmanager
def quietly():
    """Dask's own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def client():
    """Two workers that are threads of this process."""
    with (
        quietly(),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
        ) as machines,
        distributed.Client(machines, set_as_default=False) as client,
    ):
        yield client


def run(client, corpus, config=CONFIG, **more):
    with quietly():
        return dask_run.train_on_cluster(client, [corpus], config, sync_every=60.0, **more)


@pytest.fixture(scope="module")
def expected(client, corpus):
    return run(client, corpus)


def test_a_cluster_trains_and_says_how(expected, corpus):
    meta = expected.metadata

    assert (5, 2) == (meta["settings"]["shards"], meta["settings"]["rounds"])
    assert [30_000] * 2 == [epoch["tokens"] for epoch in meta["epochs"]]
    assert all(0.1 < value < 1 for value in meta["loss"])
    assert 30_000 == meta["corpus"]["read"] == meta["corpus"]["kept"]
    assert 5 == len(meta["shards"]["digests"])


def test_it_is_the_run_that_files_do(expected, corpus, tmp_path, monkeypatch):
    from embedcli.cluster import file_driver
    from embedcli.cluster.plan import Plan
    from embedcli.cluster.shards import cut

    monkeypatch.chdir(tmp_path)
    plan = Plan(tuple(cut([corpus], 5)), CONFIG)
    for number in range(5):
        file_driver.count_shard(plan, number, f"{number}.counts", 1)
    save(
        file_driver.first_model(plan, [f"{number}.counts" for number in range(5)]), "m.safetensors"
    )
    model = load("m.safetensors")
    for number in range(5):
        file_driver.encode_shard(plan, number, model, f"{number}.ids", 1)
    for _ in range(4):
        for number in range(5):
            file_driver.train_shard(model, f"{number}.ids", f"{number}.change", 1)
        model = file_driver.next_model(model, [f"{number}.change" for number in range(5)])

    assert expected.vectors.tobytes() == model.vectors.tobytes()
    assert expected.metadata["corpus"] == model.metadata["corpus"]
    assert expected.metadata["epochs"] == model.metadata["epochs"]


def test_the_number_of_rounds_is_measured_where_none_is_given(client, corpus, monkeypatch):
    monkeypatch.setattr(dask_run, "FEWEST_ROUNDS", 3)
    config = TrainConfig(**CONFIG.as_dict() | {"rounds": None, "shards": None, "epochs": 1})
    meta = run(client, corpus, config).metadata

    assert (2, 3) == (meta["settings"]["shards"], meta["settings"]["rounds"])


def test_it_can_be_known_before_what_a_run_will_take(client, corpus):
    config = TrainConfig(**CONFIG.as_dict() | {"rounds": None, "shards": None, "threads": None})
    with quietly():
        seen = dask_run.estimate_run(client, [corpus], config, sync_every=60.0)

    assert (2, 20) == (seen.config.shards, seen.config.rounds)
    assert (30_000, 300) == (seen.tally.kept, len(seen.vocabulary))
    assert (2, 2, 4 * 8 * 300 * 8) == (seen.workers, seen.threads, seen.memory)
    assert 0 < seen.seconds < 60


def stop_after(n_asked):
    asked = itertools.count()
    return lambda: nullcontext(lambda: next(asked) >= n_asked)


def test_stopped_and_resumed_it_ends_with_the_same_bytes(client, corpus, expected, tmp_path):
    places = []
    for n_asked in (0, 3, 6, 10**9):
        checkpoints = Checkpoints(tmp_path / "c", None, {"settings": CONFIG.as_dict()})
        resumed = checkpoints.newest()
        control = RunControl(checkpoints, resumed, stop_after(n_asked))
        try:
            found = run(client, corpus, control=control)
        except Stopped:
            state = checkpoints.newest().state
            places.append((state.epoch, state.chunk))
    assert (0, 0) == places[0]
    assert expected.vectors.tobytes() == found.vectors.tobytes()
    assert expected.metadata["epochs"] == found.metadata["epochs"]


def test_each_checkpoint_is_handed_out_anew(client, corpus, expected, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "c", 0.0, {"settings": CONFIG.as_dict()})
    original, held = DaskDriver.results, []

    def results(self, futures, on_wake=lambda: None):
        found = original(self, futures, on_wake)
        held.append(sum(isinstance(one, Matrices) for one in found))
        return found

    monkeypatch.setattr(DaskDriver, "results", results)
    found = run(client, corpus, control=RunControl(checkpoints))
    assert 1 == max(held)  # the model comes part by part: never two of it

    assert expected.vectors.tobytes() == found.vectors.tobytes()
    assert checkpoints.newest().is_complete


def test_another_text_is_not_gone_on_with(client, corpus, tmp_path):
    checkpoints = Checkpoints(tmp_path / "c", None, {"settings": CONFIG.as_dict()})
    text = tmp_path / "text"
    text.write_text(Path(corpus).read_text())
    with pytest.raises(Stopped):
        run(client, str(text), control=RunControl(checkpoints, None, stop_after(0)))
    text.write_text(text.read_text().replace("w7 ", "w8 "))

    with pytest.raises(CorpusError, match="not what it was: it had sha256"):
        run(client, str(text), control=RunControl(checkpoints, checkpoints.newest()))


def test_a_complete_run_is_left_as_it_is(corpus, expected, tmp_path):
    save(expected, tmp_path / "m.safetensors")
    text = tmp_path / "text"
    text.write_text(Path(corpus).read_text())

    assert 300 == len(check_complete(str(tmp_path / "m.safetensors"), {}, [str(text)], digest_text))
    text.write_text(text.read_text().replace("w7 ", "w8 "))
    with pytest.raises(CorpusError, match="the text is not the one"):
        check_complete(str(tmp_path / "m.safetensors"), {}, [str(text)], digest_text)


def test_an_unreadable_shard_stops_the_run_with_its_name(client, corpus, tmp_path):
    damaged = tmp_path / "damaged.gz"
    packed = gzip.compress(np.random.default_rng(1).bytes(1 << 18).hex().encode())
    damaged.write_bytes(packed[: len(packed) // 2])  # its beginning, which is looked at, is sound

    config = TrainConfig(**CONFIG.as_dict() | {"shards": None})
    paths = [corpus, str(damaged)]
    with quietly(), pytest.raises(CorpusError, match=r"damaged\.gz is .*\(shard 1: "):
        dask_run.train_on_cluster(client, paths, config, sync_every=60.0)


@pytest.mark.parametrize(
    ("cluster", "error", "message"),
    [
        ("nowhere", UsageError, "is no cluster: give tcp://HOST:PORT"),
        ("config", UsageError, "names no scheduler-address"),
        ("tcp://127.0.0.1:1", ClusterError, "no scheduler answers at tcp://127.0.0.1:1"),
    ],
)
def test_what_is_no_cluster_is_refused(cluster, error, message, monkeypatch):
    monkeypatch.setattr("embedcli.cluster.connect.TIMEOUT", 0.5)

    with quietly(), pytest.raises(error, match=message), connect(cluster):
        pass


def test_a_file_is_a_cluster_if_a_scheduler_wrote_it(client, tmp_path):
    (tmp_path / "no.json").write_text("the cat sat")
    with pytest.raises(UsageError, match=r"no\.json is no cluster"), connect(f"{tmp_path}/no.json"):
        pass

    (tmp_path / "yes.json").write_text(json.dumps({"address": client.scheduler.address}))
    with dask.config.set({"scheduler-address": client.scheduler.address}):
        for cluster in (str(tmp_path / "yes.json"), "config"):
            with quietly(), connect(cluster) as found:
                assert 2 == len(found.scheduler_info()["workers"])


def test_workers_with_another_embed_are_refused(client, monkeypatch):
    monkeypatch.setattr("embedcli.cluster.connect._version", lambda: "0.0.1")

    with quietly(), pytest.raises(UsageError, match=r"runs embed 0\.0\.1, this is .*: install"):  # noqa: SIM117
        with connect(client.scheduler.address):
            pass


def test_processes_on_this_machine_ask_for_no_port_that_others_may_have():
    pytest.importorskip("cryptography")
    with socket.socket() as taken, warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        with connect("local:1") as client:
            assert [os.getpid()] != list(client.run(os.getpid).values())
            assert_closed_to_others(client)
            (scratch,) = client.run(lambda dask_worker: dask_worker.local_directory).values()
            (ours,) = [path for path in Path(scratch).parents if path.name.startswith(".embed-")]
            assert 0o700 == stat.S_IMODE(ours.stat().st_mode)
        assert not ours.exists()


def assert_closed_to_others(client):
    """Scheduler and worker take only who has the keys of this run, and show no pages."""
    worker = client.run(lambda dask_worker: (dask_worker.address, dask_worker.nanny))
    addresses = [client.scheduler.address, *next(iter(worker.values()))]
    assert ["tls"] * 3 == [address.split(":")[0] for address in addresses]
    other = distributed.Security.temporary()
    for address in addresses:
        for security in (None, other):
            scheme = "tcp" if security is None else "tls"
            place = scheme + address.removeprefix("tls")
            with pytest.raises(OSError, match=r"[Tt]imed out|closed|certificate|SSL|TLS|reset"):
                asyncio.run(asked(place, security))
    pages = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.http_server.port)
    for page in ("info/main/workers.html", "json/counts.json", "health", "metrics"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{pages}/{page}", timeout=10)


async def asked(address, security):
    """What a stranger is told."""
    arguments = security.get_connection_args("client") if security else {}
    comm = await distributed.comm.connect(address, timeout=2, **arguments)
    await comm.write({"op": "identity", "reply": True})
    return await comm.read()


def test_without_what_makes_keys_nothing_listens(monkeypatch):
    def missing():
        raise ImportError("cryptography")

    monkeypatch.setattr(distributed.Security, "temporary", missing)
    missed = pytest.raises(MissingExtraError, match=r"library cryptography.*\[cluster\]")
    with missed, connect("local:1"):
        raise AssertionError("not reached")


@pytest.mark.parametrize(
    ("status", "message"),
    [("running", "too many workers were lost"), ("closed", "the scheduler was lost")],
)
def test_what_was_lost_is_told_apart(status, message):
    machines = DaskDriver(SimpleNamespace(status=status), Job("run", CONFIG))

    with pytest.raises(ClusterError, match=message):
        machines.wait([SimpleNamespace(status="lost", done=lambda: True)], lambda: None)


def test_a_shard_without_words_trains_nothing_and_warnings_come_home(client, corpus, tmp_path):
    blank, more = tmp_path / "blank", tmp_path / "more"
    blank.write_bytes(b"\n" * 300_000)
    more.write_bytes(b"w1 w2 w3 \xff w4\n" + Path(corpus).read_bytes())
    config = TrainConfig(**CONFIG.as_dict() | {"shards": None, "epochs": 1})
    with pytest.warns(UserWarning, match=r"1 malformed .* by U\+FFFD \(shard 0: .*more"):
        found = dask_run.train_on_cluster(client, [str(more), str(blank)], config, sync_every=60.0)

    assert [30_005] == [epoch["tokens"] for epoch in found.metadata["epochs"]]
    assert 2 == len(found.metadata["shards"]["digests"])


def test_who_began_a_run_may_die_and_leaves_nothing_behind(client, corpus):
    def run_plugins():
        return [
            name
            for worker in client.cluster.workers.values()
            for name, plugin in worker.plugins.items()
            if isinstance(plugin, RunOnWorker)
        ]

    address = client.scheduler.address
    other = distributed.Client(address, set_as_default=False)
    other.register_plugin(RunOnWorker("run"), name="run")
    other.register_plugin(RunInScheduler("run", other.id), name="run")
    assert ["run"] * 2 == run_plugins()
    other.close()  # which tells the scheduler no more than a lost connection does

    for _ in range(600):
        if not run_plugins():
            break
        time.sleep(0.05)
    assert [] == run_plugins()
    assert "run" not in client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.plugins))


def save_memory(client):
    """What Dask's scheduler does every two seconds."""
    client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.extensions["amm"].run_once())


def copies(client, future):
    return len(client.who_has([future])[future.key])


def test_what_a_run_has_scattered_stays_where_it_is_as_long_as_the_run(client):
    def comes_down_to_one(future):
        for _ in range(600):
            save_memory(client)
            if copies(client, future) == 1:
                return True
            time.sleep(0.02)
        return False

    client.register_plugin(RunInScheduler("run", client.id), name="run")
    all_workers, two = scatter_kept(client, "run", {"words": [1], "more": [2]})
    another = client.scatter([3], hash=False)[0]
    client.replicate([another])
    assert [2, 2] == [copies(client, all_workers), copies(client, two)]
    assert comes_down_to_one(another)
    assert [2, 2] == [copies(client, all_workers), copies(client, two)]
    assert [[1], [2]] == client.gather([all_workers, two])
    client.unregister_scheduler_plugin("run")
    assert comes_down_to_one(all_workers)


@pytest.mark.parametrize("moment", ["in a round", "between two"])
def test_a_worker_that_is_killed_changes_nothing(corpus, expected, monkeypatch, moment):
    with (
        quietly(),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as machines,
        distributed.Client(machines, set_as_default=False) as client,
    ):
        killed, rounds = [], itertools.count()
        wait, assign = DaskDriver.wait, DaskDriver.assign

        def kill():
            if killed:
                return
            save_memory(client)
            time.sleep(0.5)  # superfluous copies would go now
            words = next(key for key in client.who_has() if "words" in str(key))
            victim = client.who_has()[words][0]
            killed.append(victim)
            os.kill(client.run(os.getpid, workers=[victim])[victim], signal.SIGKILL)

        def wait_and_kill(self, futures, on_wake):
            if moment == "in a round" and "sums-0-1" in futures[0].key:
                kill()
            wait(self, futures, on_wake)

        def kill_and_assign(self):
            if moment == "between two" and next(rounds) == 3:  # the first is for reading
                kill()
            assign(self)

        monkeypatch.setattr(DaskDriver, "wait", wait_and_kill)
        monkeypatch.setattr(DaskDriver, "assign", kill_and_assign)
        found = run(client, corpus)

    assert 1 == len(killed)
    assert expected.vectors.tobytes() == found.vectors.tobytes()
    assert expected.metadata["epochs"] == found.metadata["epochs"]


def test_a_scheduler_that_was_killed_is_the_end_and_another_goes_on(
    client, corpus, expected, tmp_path, monkeypatch, command_environment
):
    def start(*command):
        argv = [sys.executable, "-m", "distributed.cli.dask_" + command[0], *command[1:]]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
        return subprocess.Popen(argv, env=command_environment, **quiet)

    file = str(tmp_path / "scheduler.json")
    common = ("--scheduler-file", file, "--no-dashboard", "--host", "127.0.0.1")
    scheduler = start("scheduler", *common, "--port", "0")
    worker = start("worker", *common, "--nthreads", "1", "--no-nanny")
    original = DaskDriver.wait

    def wait(self, futures, on_wake):
        if "sums-1-0" in futures[0].key:
            scheduler.kill()
        original(self, futures, on_wake)

    checkpoints = Checkpoints(tmp_path / "c", 0.0, {"settings": CONFIG.as_dict()})
    try:
        while not Path(file).exists():
            time.sleep(0.05)
        with monkeypatch.context() as patched:
            patched.setattr(DaskDriver, "wait", wait)
            with quietly(), pytest.raises(ClusterError, match="the scheduler was lost"):  # noqa: SIM117
                with connect(file) as found:
                    run(found, corpus, control=RunControl(checkpoints))
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    newest = checkpoints.newest()
    assert (1, 0) == (newest.state.epoch, newest.state.chunk)
    again = run(client, corpus, control=RunControl(checkpoints, newest))
    assert expected.vectors.tobytes() == again.vectors.tobytes()


def test_workers_that_join_and_leave_change_nothing(corpus, expected, monkeypatch):
    with (
        quietly(),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as machines,
        distributed.Client(machines, set_as_default=False) as client,
    ):
        original, homes = DaskDriver.wait, []

        def wait(self, futures, on_wake):
            homes.append(len(set(self.workers.values())))
            original(self, futures, on_wake)
            if "sums-0-0" in futures[0].key:
                machines.scale(2)
                client.wait_for_workers(2)
            if "sums-1-0" in futures[0].key:
                machines.scale(1)

        monkeypatch.setattr(DaskDriver, "wait", wait)
        found = run(client, corpus)

    assert {1, 2} == set(homes)
    assert expected.vectors.tobytes() == found.vectors.tobytes()
