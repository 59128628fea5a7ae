"""What a run will need: what is known before the text is read, after it, and what would fit."""

from __future__ import annotations

import gzip
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedcli import TrainConfig, Vocabulary
from embedcli.errors import ResourceError
from embedcli.files.targets import readable_size
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import encode_corpus
from embedcli.text.estimate import TextEstimate, estimate_text
from embedcli.training import forecast as forecasts
from embedcli.training.architectures import compile_architecture
from embedcli.training.forecast import (
    check_resources,
    check_scratch,
    forecast,
    measure_seconds,
    sure_vocabulary,
)
from embedcli.training.worker import pool_of

CONFIG = TrainConfig(dim=300, threads=1).resolve()
WORDS = Vocabulary.from_words([f"word{i}" for i in range(10_000)])
LOOK = {"recursive": False, "rules": TextRules(), "min_count": 2}


def outputs(folder, *names):
    return [(str(folder / name), "safetensors") for name in names]


def test_memory_is_both_matrices_and_what_is_always_there(tmp_path):
    found = forecast(WORDS, CONFIG, 10**6, outputs(tmp_path, "m"), checkpoints=False)
    matrices = 2 * 10_000 * 304 * 4
    assert 160 << 20 < found.memory - matrices < 200 << 20


def test_disk_is_every_output_and_three_checkpoints(tmp_path):
    one, two, kept = (
        forecast(WORDS, CONFIG, 10**6, outputs(tmp_path, *names), checkpoints=more).disk
        for names, more in ((["a"], False), (["a", "b"], False), (["a"], True))
    )
    assert 2 * one == two
    assert 4 * one == kept
    assert 2 * 10_000 * 300 * 4 < one < 2 * 10_000 * 300 * 4 * 1.05


def test_pipes_alone_take_no_disk():
    assert 0 == forecast(WORDS, CONFIG, 10**6, [], checkpoints=False).disk


def test_outputs_on_two_disks_are_not_added_up(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    original = Path.stat

    def stat(path, **more):
        found = original(path, **more)
        other = path.name == "other"
        return os.stat_result((*found[:2], found.st_dev + other, *found[3:]))

    monkeypatch.setattr(Path, "stat", stat)
    room = {str(tmp_path): 10**9, str(tmp_path / "other"): 10**6}
    monkeypatch.setattr(forecasts, "free_space", room.__getitem__)
    found = forecast(WORDS, CONFIG, 9, outputs(tmp_path, "a", "other/b"), checkpoints=False)
    assert 10**6 == found.disk_free
    assert found.disk < 30_000_000


SETTINGS = [
    {}, {"dim": 20}, {"arch": "cbow", "optimizer": "adagrad"}, {"loss": "hs", "dim": 5},
    {"deterministic": True}, {"subword": "3:6"}, {"arch": "glove", "count_memory": "1M"},
    {"window": 100, "max_norm": 1.0, "threads": 2},
]  # fmt: skip


@pytest.mark.parametrize("more", SETTINGS)
@pytest.mark.parametrize("what", ["memory", "disk"])
@pytest.mark.parametrize("share", [0.9, 0.3])
def test_what_is_refused_names_options_that_fit(tmp_path, more, what, share):
    words = Vocabulary.from_words(
        [f"word{i}" for i in range(2000)], [10**6 // i for i in range(1, 2001)]
    )
    config = TrainConfig(**{"dim": 300, "threads": 1} | more).resolve()
    names = outputs(tmp_path, "a", "b")
    whole = forecast(words, config, 10**6, names, checkpoints=True)
    base = 160 << 20  # is there in any case
    scarce = {
        "memory": {"memory_left": base + int(share * (whole.memory - base))},
        "disk": {"disk_free": int(share * whole.disk)},
    }[what]

    def again(words, config):
        return replace(forecast(words, config, 10**6, names, checkpoints=True), **scarce)

    with pytest.raises(ResourceError) as refusal:
        check_resources(again(words, config), words, config, again)
    assert 4 == refusal.value.exit_code
    assert what in str(refusal.value)
    assert readable_size(next(iter(scarce.values()))) in str(refusal.value)
    n_words = re.search(r"--max-vocab (\d+)", str(refusal.value))
    dim = re.search(r"--dim (\d+)$", str(refusal.value))
    assert n_words or dim or "no --max-vocab or --dim would fit" in str(refusal.value)
    assert n_words is None or again(words.head(int(n_words[1])), config).fits(0.1)
    assert dim is None or again(words, replace(config, dim=int(dim[1]))).fits(0.1)


def test_options_that_decide_nothing_are_not_named(tmp_path):
    def again(words, config):
        left = 170 << 20 if len(words) > 100 else 10**10
        found = forecast(words, config, 10**6, [], checkpoints=False)
        return replace(found, memory_left=left)

    for config, is_given, message in (
        (CONFIG, False, r"; try --max-vocab 100$"),
        (CONFIG, True, r"; try a --vocab of 100$"),
        (replace(CONFIG, init="some.vec"), False, r"; try --max-vocab 100$"),
    ):
        with pytest.raises(ResourceError, match=message):
            check_resources(again(WORDS, config), WORDS, config, again, is_given=is_given)
    check_resources(again(WORDS.head(9), CONFIG), WORDS.head(9), CONFIG, again)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_glimpse_of_a_text(tmp_path, pack):
    line = b"the cat sat on the mat and so did the other cat\n"
    (tmp_path / "text").write_bytes(pack(line * 50_000))  # 2.4 MB
    seen = estimate_text([str(tmp_path / "text")], **LOOK)
    assert pytest.approx(12 * 50_000, rel=0.3 if pack is gzip.compress else 0.001) == seen.n_tokens
    assert seen.n_lines == pytest.approx(seen.n_tokens / 12, rel=0.01)
    assert {b"the", b"cat", b"sat", b"on", b"mat", b"and", b"so", b"did", b"other"} >= set(
        seen.words
    )
    assert (b"the", b"cat") == seen.words[:2]
    assert 4 * seen.n_tokens + 8 * seen.n_lines == seen.scratch_bytes


def test_a_glimpse_says_only_what_is_sure(tmp_path):
    (tmp_path / "text").write_text("a b a B c\n")
    path = str(tmp_path / "text")
    assert (b"a",) == estimate_text([path], **LOOK).words
    assert (b"a", b"b") == estimate_text(
        [path], **LOOK | {"rules": TextRules(lowercase=True)}
    ).words
    sure = sure_vocabulary(
        estimate_text([path], **LOOK | {"min_count": 1}), TrainConfig(max_vocab=2)
    )
    assert ["a", "b"] == sure.words


def test_a_compressible_first_file_says_nothing_of_the_others(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x x x x\n" * 500_000))  # 4 MB in 12 KB
    line = b"the cat sat on the mat and so did the other cat\n"
    for name in ("b", "c"):
        (tmp_path / name).write_bytes(line * 50_000)
    seen = estimate_text([str(tmp_path / name) for name in ("a.gz", "b", "c")], **LOOK)

    assert 2 * 12 * 50_000 <= seen.n_tokens <= 2 * 12 * 50_000 + 4 * 500_000
    assert {b"x", b"the", b"cat"} < set(seen.words)


def test_many_files_are_judged_by_the_largest(tmp_path):
    for number in range(20):
        (tmp_path / f"{number:02}.gz").write_bytes(gzip.compress(b"x\n" * 100_000))
    (tmp_path / "zz").write_bytes(b"the cat sat\n" * 200_000)
    seen = estimate_text([str(tmp_path)], **LOOK | {"recursive": True})

    assert 600_000 <= seen.n_tokens <= 600_000 + 20 * 100_000


def test_a_compressible_beginning_is_no_reason_to_refuse_a_text(tmp_path, monkeypatch):
    noise = np.random.default_rng(1).bytes(1 << 20).hex().encode()
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"a b\n" * (1 << 20) + noise))
    seen = estimate_text([str(tmp_path / "text.gz")], **LOOK)
    assert seen.n_tokens > 20_000_000
    monkeypatch.setattr(forecasts, "free_space", lambda directory: 16 << 20)
    check_scratch(seen, tmp_path)  # it takes 8 MiB


def test_a_pipe_is_not_glimpsed_into(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert estimate_text([str(tmp_path / "pipe")], **LOOK) is None
    assert estimate_text(["-"], **LOOK) is None


def test_room_for_the_encoded_text(tmp_path, monkeypatch):
    seen = TextEstimate(n_tokens=10**9, n_lines=10**8, words=())
    monkeypatch.setattr(forecasts, "free_space", lambda directory: 10**9)
    with pytest.raises(
        ResourceError, match=r"1,000,000,000 tokens .* 4\.8 GB .* 1\.0 GB .* TMPDIR"
    ):
        check_scratch(seen, tmp_path)
    monkeypatch.setattr(forecasts, "free_space", lambda directory: 3 * 10**9)
    check_scratch(seen, tmp_path)  # the text may be unlike its beginning


def test_time_is_measured_on_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr(forecasts, "SAMPLE_SECONDS", 0.05)
    (tmp_path / "text").write_text("a b c d e f g h i j\n" * 500)
    config = TrainConfig(dim=20, window=3, min_count=1, sample=0, epochs=1000, threads=1).resolve()
    with encode_corpus([str(tmp_path / "text")], min_count=1) as corpus:
        few = measure_seconds(corpus, replace(config, epochs=1))
        many = measure_seconds(corpus, config)
    assert many > 20 * few > 0


def test_a_forecast_compiles_what_so_few_words_are_trained_by(tmp_path, monkeypatch):
    """Or else the time it takes to compile would be told as that of training."""
    (tmp_path / "text").write_text("a b c\n")
    compiled = []

    def compile_and_tell(config):
        compiled.append(config.negative)
        compile_architecture(config)

    monkeypatch.setattr(forecasts, "compile_architecture", compile_and_tell)
    config = TrainConfig(dim=8, min_count=1, sample=0, threads=1, epochs=1).resolve()
    with encode_corpus([str(tmp_path / "text")], min_count=1) as corpus:
        assert 0 < measure_seconds(corpus, config)
        assert [pool_of(corpus.vocabulary.counts, 3, config).negative] == compiled == [2]
