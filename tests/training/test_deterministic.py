"""The same bytes for any number of threads: the kernels of rounds, and the command."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from itertools import pairwise

import llvmlite.binding as llvm
import numpy as np
import pytest

from embedcli import TrainConfig, save, train
from embedcli.errors import ConfigError
from embedcli.kernels.alignment import aligned, row_stride
from embedcli.kernels.barrier import LINE_ITEMS, make_phases
from embedcli.kernels.intrinsics.lanes import LANES, host_lanes
from embedcli.kernels.rounds import rounds
from embedcli.kernels.sampling import (
    ROUND_STRETCH,
    Noise,
    Staged,
    fill_pool,
    stage,
    stretch_windows,
)
from embedcli.kernels.streams import (
    HOT,
    ROUND,
    STREAMS,
    make_copied,
    make_lists,
    make_streams,
    rows_for_copies,
)
from embedcli.kernels.weights import TALLY, Weights, make_scratch
from embedcli.kernels.word_users import (
    drawers_of,
    forget_users,
    no_users,
    readers_of,
    users_of_word,
    with_user,
)
from embedcli.training import round_threads
from embedcli.training.chunks import Chunks
from embedcli.training.deterministic import Groups
from embedcli.training.round_length import RoundLength, moved_shares
from embedcli.training.round_threads import Chunk, RoundThreads
from embedcli.training.worker import pool_of
from tests import reference

V, WINDOW, LENGTH = 300, 3, 20
DIM, NEGATIVE = 40, 5  # the same nearly everywhere, as each kernel takes seconds to compile
MOVED = moved_shares(20, 0.05, 5000), moved_shares(4, 0.05, 5000)


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    """As many threads as asked for: `RoundThreads` takes no more than there are cores."""
    monkeypatch.setattr(round_threads, "usable_cores", lambda: 16)


def test_a_team_is_no_larger_than_the_cores(monkeypatch):
    monkeypatch.setattr(round_threads, "usable_cores", lambda: 2)
    assert 2 == some_threads(7)._threads


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    generator = np.random.default_rng(4)
    lines = [
        " ".join(
            f"w{int(400 * generator.random() ** 3)}" for _ in range(int(generator.integers(1, 40)))
        )
        for _ in range(3000)
    ]
    path = tmp_path_factory.mktemp("deterministic") / "corpus.txt"
    path.write_text("\n".join(lines))
    return path


def config_of(**chosen):
    settings = {"dim": DIM, "epochs": 2, "min_count": 1, "sample": 1e-2, "deterministic": True}
    return TrainConfig(**(settings | chosen))


def bytes_of(corpus, path, **chosen):
    save(train([corpus], config_of(**chosen)), path)
    return path.read_bytes()


@pytest.mark.parametrize("arch", ["skipgram", "cbow"])
def test_any_number_of_threads_gives_the_same_bytes(corpus, tmp_path, arch):
    path = tmp_path / "model.safetensors"
    whole = bytes_of(corpus, path, arch=arch, threads=1)
    for threads in (2, 3, 4, 7, 9, 2):
        assert bytes_of(corpus, path, arch=arch, threads=threads) == whole, threads
    assert bytes_of(corpus, path, arch=arch, threads=2, seed=2) != whole


GOLDEN = {  # on x86-64 with FMA, numba 0.68, NumPy 2.4; sums of other lanes are rounded otherwise
    (4, "skipgram"): "c2a177ed75995907",
    (4, "cbow"): "d710895c5e52c081",
    (8, "skipgram"): "903d8a1841f8efd3",
    (8, "cbow"): "021e3a565a80c019",
    (16, "skipgram"): "84d663886e800919",
    (16, "cbow"): "6cb708a4dd196da7",
}


@pytest.mark.parametrize(("lanes", "arch"), GOLDEN)
def test_the_bytes_of_a_family_of_processors(tmp_path, monkeypatch, lanes, arch):
    versions = tuple(version(name).split(".")[:2] for name in ("numba", "numpy"))
    if versions != (["0", "68"], ["2", "4"]) or not llvm.get_host_cpu_features().get("fma"):
        pytest.skip(f"other versions or another processor: {versions}")
    if lanes > host_lanes():
        pytest.skip(f"this processor has {host_lanes()} lanes")
    monkeypatch.setenv("EMBED_LANES", str(lanes))
    path = tmp_path / "text"
    words = (np.random.Generator(np.random.PCG64(11)).random((2000, 12)) ** 3 * 600).astype(int)
    path.write_text("\n".join(" ".join(f"w{word}" for word in line) for line in words))
    embeddings = train([path], config_of(arch=arch, epochs=1, threads=2))
    found = hashlib.sha256(np.ascontiguousarray(embeddings.vectors).tobytes()).hexdigest()
    assert found[:16] == GOLDEN[lanes, arch]


def test_lines_as_windows_in_another_order_too(corpus, tmp_path):
    path = tmp_path / "model.safetensors"
    chosen = {"window": "line", "shuffle": True, "epochs": 1}
    assert bytes_of(corpus, path, threads=1, **chosen) == bytes_of(
        corpus, path, threads=3, **chosen
    )


def test_held_out_losses_are_the_same_too(corpus, tmp_path):
    path = tmp_path / "model.safetensors"
    chosen = {"valid_fraction": 0.1}
    assert bytes_of(corpus, path, threads=1, **chosen) == bytes_of(
        corpus, path, threads=3, **chosen
    )


def test_other_work_on_the_machine_changes_nothing(corpus, tmp_path):
    path = tmp_path / "model.safetensors"
    whole = bytes_of(corpus, path, threads=1, epochs=1)
    burn = "import time; end = time.monotonic() + 20\nwhile time.monotonic() < end: pass"
    others = [
        subprocess.Popen([sys.executable, "-c", burn]) for _ in range(len(os.sched_getaffinity(0)))
    ]
    try:
        assert bytes_of(corpus, path, threads=3, epochs=1) == whole
    finally:
        for other in others:
            other.kill()
            other.wait()


class Twin:
    """One group in NumPy: what rounds compute, stream after stream, by the twins of the kernels."""

    def __init__(self, is_cbow, dim, window):
        self.is_cbow, self.dim, self.stride = is_cbow, dim, row_stride(dim)
        self.window = window
        generator = np.random.default_rng(3)
        self.syn0 = np.zeros((V, self.stride), np.float32)
        self.syn1neg = np.zeros((V, self.stride), np.float32)
        for matrix in (self.syn0, self.syn1neg):
            matrix[:, :dim] = generator.normal(0, 1 / np.sqrt(dim), (V, dim))
        self.tally = np.zeros((STREAMS, TALLY))

    def train(self, streams, n_rounds, lr):
        for r in range(n_rounds):
            uses = self._uses(streams, r)
            changes = [self._stream(streams, w, r, lr) for w in range(STREAMS)]
            for word in range(V):  # in the order of the word's class
                shares = [
                    moved[of[:, word].sum()] / moved[of[:, word]].sum()
                    if word < HOT and of[:, word].any()
                    else 1
                    for moved, of in zip(MOVED, uses, strict=True)
                ]
                for w in np.arange(STREAMS) ^ (word % STREAMS):
                    if changes[w] is not None:
                        self.syn0[word] += shares[0] * changes[w][0][word]
                        self.syn1neg[word] += shares[1] * changes[w][1][word]

    def _bounds(self, streams, w, r):
        start, stop = r * LENGTH, min((r + 1) * LENGTH, int(streams.n_kept[w]))
        return start, stop, Noise(streams.pool, streams.begins[w], streams.noise_keys[w])

    def _windows(self, streams, w, r):
        """The context words and outputs of each word of a stream's round."""
        start, stop, noise = self._bounds(streams, w, r)
        kept = streams.kept[w]
        for i in range(start, stop):
            radius = reference.draw_radius(int(streams.window_keys[w]), i, self.window)
            first, last = int(streams.first[w, i]), int(streams.last[w, i])
            near = range(max(first, i - radius), min(last, i + radius + 1))
            outputs = reference.draw_in_stretch(int(kept[i]), i, noise, 1 + NEGATIVE, self.window)
            yield [int(kept[j]) for j in near if j != i], outputs

    def _uses(self, streams, r):
        """How often each stream uses the rows of each word in a round: int (2, W, V)."""
        uses = np.zeros((2, STREAMS, V), int)
        for w in range(STREAMS):
            start, stop, noise = self._bounds(streams, w, r)
            if start < stop:
                begin = max(int(streams.first[w, start]), start - self.window)
                end = min(int(streams.last[w, stop - 1]), stop + self.window)
                uses[0, w] = uses[1, w] = np.bincount(streams.kept[w, begin:end], minlength=V)
                for number in range(start // ROUND_STRETCH, (stop - 1) // ROUND_STRETCH + 1):
                    windows = min(stop, (number + 1) * ROUND_STRETCH) - max(
                        start, number * ROUND_STRETCH
                    )
                    words = reference.stretch_words(number, noise, NEGATIVE, self.window)
                    readings = -(-windows // stretch_windows(self.window))
                    uses[1, w] += readings * np.bincount(words, minlength=V)
        return uses

    def _stream(self, streams, w, r, lr):
        """The change that a stream makes to each row in a round: it sees no other's."""
        if r * LENGTH >= streams.n_kept[w]:
            return None
        x, o = self.syn0.copy(), self.syn1neg.copy()
        for inputs, outputs in self._windows(streams, w, r):
            if self.is_cbow:
                reference.cbow_window(x, o, inputs, outputs, lr, False, self.tally[w])
            else:
                reference.skipgram_window(x, o, inputs, outputs, lr, self.tally[w])
        return x - self.syn0, o - self.syn1neg


def make_group():
    generator = np.random.default_rng(8)
    cumulative = np.cumsum(np.arange(V, 0, -1.0) ** 2)
    cumulative /= cumulative[-1]
    pool = np.empty(1 << 10, np.int32)
    fill_pool(cumulative, 0.5, np.uint64(0), pool)
    streams = make_streams(400, pool)
    keep = np.full(V, 0xFFFFFFFF, np.uint32)
    for w in range(STREAMS - 1):  # the last stream has no chunk
        n = int(generator.integers(50, 200))
        tokens = (generator.random(n) ** 2 * V).astype(np.int32)
        offsets = np.unique(np.r_[0, generator.integers(0, n, 6), n])
        staged = Staged(streams.kept[w], streams.first[w], streams.last[w])
        streams.n_kept[w] = stage(tokens, offsets, keep, np.uint64(w), staged)
        streams.begins[w] = int(generator.integers(0, 1000))
        streams.noise_keys[w], streams.window_keys[w] = 11 * w + 1, 13 * w + 2
        streams.lrs[w] = 0.05
    return streams


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("is_cbow", [False, True])
@pytest.mark.parametrize("window", [WINDOW, 25])
def test_rounds_equal_their_twin(lanes, is_cbow, window):
    """They compute what their definition says, in NumPy.

    In the twin cold negatives are changed with everything else at the end of a round: as only one
    stream touches them, that is the same.
    """
    twin, streams = Twin(is_cbow, DIM, window), make_group()
    n_rounds = -(-int(streams.n_kept.max()) // LENGTH)
    stride, copies_rows = twin.stride, rows_for_copies(window, 1 + NEGATIVE)
    rows = V + STREAMS * copies_rows
    weights = Weights(aligned(rows * stride), aligned(rows * stride), stride)
    weights.syn0[: V * stride] = twin.syn0.ravel()
    weights.syn1neg[: V * stride] = twin.syn1neg.ravel()
    lists = make_lists(window, V, HOT, 1 + NEGATIVE, 1)
    copied = [make_copied(window, 1 + NEGATIVE) for _ in range(2)]
    kernel = rounds(is_cbow, lanes, 1 + NEGATIVE, -(-DIM // lanes))
    scratch = make_scratch(1 + NEGATIVE, window, stride)
    for first, stop in ((0, 3), (3, n_rounds)):  # calls may end between any two rounds
        assert kernel(
            0, 1, 1, first, stop, LENGTH, streams, lists, *copied, weights, V, window,
            True, False, *MOVED, make_phases(1), scratch,
        )  # fmt: skip
    twin.train(streams, n_rounds, 0.05)
    shape = (rows, stride)
    np.testing.assert_allclose(weights.syn0.reshape(shape)[:V], twin.syn0, rtol=1e-3, atol=3e-6)
    np.testing.assert_allclose(
        weights.syn1neg.reshape(shape)[:V], twin.syn1neg, rtol=1e-3, atol=3e-6
    )
    np.testing.assert_allclose(streams.tally, twin.tally, rtol=1e-5)
    assert streams.tally[:, 2].sum() + streams.tally[:, 3].sum() == streams.n_kept.sum()


def test_users_of_earlier_rounds_are_forgotten():
    marks, stamps = np.zeros((2, 3), np.int64), np.zeros(2 * LINE_ITEMS, np.int64)
    for thread in range(2):
        forget_users(marks, stamps, thread)
    mark, slot, is_new = with_user(no_users(stamps, 0), 5, False, 7)
    assert (7, True) == (slot, is_new)
    mark, slot, is_new = with_user(mark, 5, True, 9)  # the same word and stream: the same slot
    assert (7, False) == (slot, is_new)
    marks[0, 1] = mark
    marks[1, 1] = with_user(no_users(stamps, 1), 2, True, 4)[0]
    marked = users_of_word(marks, stamps, 2, 1)
    assert (1 << 5, 1 << 5 | 1 << 2) == (readers_of(marked), drawers_of(marked))
    assert 0 == users_of_word(marks, stamps, 2, 0)
    forget_users(marks, stamps, 0)
    assert 1 << 2 == drawers_of(users_of_word(marks, stamps, 2, 1))  # only the other thread's
    stamps[0] = (1 << 23) - 1  # the last that fits into a mark
    marks[0, 2] = with_user(no_users(stamps, 0), 0, False, 0)[0]
    forget_users(marks, stamps, 0)
    assert not marks[0].any()
    assert marks[1].any()


def test_parts_of_a_group_are_equally_long_once_subsampled():
    generator, n = np.random.default_rng(5), 16_000
    keep = np.repeat([0.5, 0.7], 150) * 0xFFFFFFFF  # the first half of the text is kept less often
    keep = keep.astype(np.uint32)
    tokens = (np.arange(n) * 300 // n).astype(np.int32)
    offsets = np.unique(np.r_[0, generator.integers(0, n, 900), n])
    chunks = Chunks(tokens, offsets)
    cuts = chunks.divide(0, n, 8, keep)
    kept = [keep[tokens[a:b]].sum(dtype=float) / 0xFFFFFFFF for a, b in pairwise(cuts)]
    assert (cuts[0], cuts[-1]) == (0, n)
    assert max(kept) < 1.1 * min(kept)
    assert max(np.diff(cuts)) > 1.2 * min(np.diff(cuts))
    assert np.isin(cuts, offsets).all()  # sentences begin near everywhere


def test_parts_of_a_group_are_no_longer_than_there_is_room():
    n = 30_000
    tokens = (np.arange(n) < n * 0.9).astype(np.int32)
    chunks = Chunks(tokens, np.array([0, n]))
    cuts = chunks.divide(0, 8 * chunks.size, 8, np.array([0xFFFFFFFF, 0], np.uint32))
    assert (np.diff(cuts) <= chunks.longest_part).all()
    assert (cuts[0], cuts[-1]) == (0, 8 * chunks.size)


@pytest.mark.parametrize("n", [1, 2047, 2049, 4095, 6143, 8191, 20_000, 1_500_000])
def test_no_part_of_any_text_is_longer_than_there_is_room(n):
    chunks = Chunks(np.zeros(n, np.int32), np.unique(np.r_[np.arange(0, n, 700), n]))
    groups = Groups(chunks, np.array([0xFFFFFFFF], np.uint32))
    parts = [groups.parts(group) for group in range(len(groups))]
    assert max(np.diff(of_group).max() for of_group in parts) <= chunks.longest_part
    assert np.array_equal(np.unique(np.concatenate(parts))[[0, -1]], [0, n])
    assert all(a[-1] == b[0] for a, b in pairwise(parts))


def test_fewer_words_than_hot_ones_and_more_streams_than_chunks(tmp_path):
    path = tmp_path / "tiny.txt"
    path.write_text("a b c a b d a c\n" * 40)
    one = train([path], config_of(threads=1, dim=4, sample=0))
    four = train([path], config_of(threads=4, dim=4, sample=0))
    assert np.array_equal(one.vectors, four.vectors)
    assert np.isfinite(one.vectors).all()


def some_threads(threads):
    n_words = 50
    weights_rows = n_words + STREAMS * rows_for_copies(5, 6)
    stride = row_stride(DIM)
    weights = Weights(aligned(weights_rows * stride), aligned(weights_rows * stride), stride)
    keep = np.full(n_words, 0xFFFFFFFF, np.uint32)
    config = config_of(threads=threads).resolve()
    outputs = pool_of(np.ones(n_words, np.int64), 200, config)
    return RoundThreads(weights, outputs, RoundLength(n_words, ROUND, 6.0), 3000, 5, keep, config)


def chunks_of(n):
    generator = np.random.default_rng(1)
    return [
        Chunk(generator.integers(0, 50, n).astype(np.int32), np.array([0, n]), (0, c), 0.05)
        for c in range(STREAMS)
    ]


@pytest.mark.parametrize("step", ["_stage", "_run"])
def test_a_thread_that_fails_releases_the_others(monkeypatch, step):
    threads = some_threads(3)
    threads.train(chunks_of(10))  # compiled
    original = getattr(RoundThreads, step)

    def fail(*args, **more):
        if threading.current_thread().name == "embed-round-1":
            raise MemoryError("no room")
        original(*args, **more)

    monkeypatch.setattr(RoundThreads, step, fail)
    failed = []

    def attempt():
        with pytest.raises(MemoryError, match="no room"):
            threads.train(chunks_of(2000))
        failed.append(True)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(60)
    assert failed


def test_it_stops_between_two_rounds_and_goes_on(monkeypatch):
    monkeypatch.setattr(round_threads, "ROUND_WORK", 1 << 20)
    whole, parts = some_threads(2), some_threads(2)
    chunks = chunks_of(2000)
    assert whole.train(chunks) is None
    position, stops = 0, 0
    while (left := parts.train(chunks, position=position, wants_stop=lambda: True)) is not None:
        assert left > position
        position, stops = left, stops + 1
    assert stops > 1
    for ours, theirs in zip(whole._weights[:2], parts._weights[:2], strict=True):
        assert np.array_equal(ours[: 50 * 16], theirs[: 50 * 16])
    assert [s.tally.tolist() for s in whole.streams] == [s.tally.tolist() for s in parts.streams]


@pytest.mark.parametrize(
    "chosen",
    [
        {"loss": "hs"},
        {"arch": "glove"},
        {"subword": "3:6"},
        {"optimizer": "adagrad"},
        {"dropout": 0.1},
        {"l2": 0.1},
        {"max_norm": 1.0},
        {"freeze": "all", "init": "vectors.vec"},
        {"time_budget": "10m"},
    ],
)
def test_what_rounds_cannot_do_is_refused_or_done_without(chosen):
    name, value = next(iter(chosen.items()))
    message = f"deterministic is True, but {name} is {value}, which cannot do that: leave one"
    with pytest.raises(ConfigError, match=message):
        config_of(**chosen)
    for without in (None, False):
        assert not config_of(**chosen | {"deterministic": without}).resolve().deterministic


def test_what_rounds_can_do_is_done_in_rounds():
    assert TrainConfig().resolve().deterministic
    assert TrainConfig(arch="cbow", items=True, init="x.vec").resolve().deterministic
    assert not TrainConfig(deterministic=False).resolve().deterministic


def test_threads_that_find_nothing_to_do_are_mentioned(run_embed, corpus):
    settings = ("--dim", str(DIM), "--epochs", "1", "--sample", "1e-2", "--threads", "9")
    said = run_embed("train", corpus, *settings).stderr
    assert "8 of 9 threads can work in rounds; --hogwild uses all of them" in said
    assert "in rounds" not in run_embed("train", corpus, *settings, "--hogwild").stderr


def test_a_stopped_process_goes_on(corpus, tmp_path):
    """SIGSTOP in mid-run, SIGCONT a moment later: it ends, with the same bytes."""
    command = [
        sys.executable, "-m", "embedcli", "train", "-q", str(corpus), "--dim", str(DIM),
        "--epochs", "9", "--min-count", "1", "--sample", "1e-2", "--deterministic",
        "--threads", "2",
    ]  # fmt: skip
    outputs = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    subprocess.run([*command, "-o", outputs[0]], check=True)
    process = subprocess.Popen([*command, "-o", outputs[1]])
    for _ in range(4):
        time.sleep(0.15)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        process.send_signal(signal.SIGCONT)
    assert 0 == process.wait(60)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
