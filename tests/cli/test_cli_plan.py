"""What a run will need, as people see it: --dry-run, and exit code 4 before any work."""

from __future__ import annotations

import json
import re
import resource

import pytest

from embedcli import Vocabulary
from embedcli.formats.vocab import write_vocab

QUICK = ("--min-count", "1", "--dim", "8", "--epochs", "2", "--sample", "0", "--threads", "1")
SHOWN = (
    "tokens", "tokens_in_vocabulary", "words", "dim", "epochs", "threads",
    "memory", "memory_left", "disk", "disk_free", "seconds",
)  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("the cat sat on the mat\nthe dog sat on the log\n" * 500)
    return path


def test_a_dry_run_says_everything_and_writes_nothing(run_embed, corpus, tmp_path):
    done = run_embed("train", corpus, *QUICK, "--dry-run")
    assert 0 == done.returncode, done.stderr
    shown = dict(line.split("\t") for line in done.stdout.splitlines())
    assert SHOWN == tuple(shown)
    assert ("6,000", "7", "2") == (shown["tokens"], shown["words"], shown["epochs"])
    assert shown["seconds"].endswith(" of training")
    assert [corpus] == list(tmp_path.iterdir())

    done = run_embed("train", corpus, *QUICK, "--dry-run", "--json")
    facts = json.loads(done.stdout)
    assert SHOWN == tuple(facts)
    assert 160 << 20 < facts["memory"] < 220 << 20
    assert 0 <= facts["seconds"] < 60


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_too_much_is_refused_before_the_text_is_read(run_embed, corpus, tmp_path, more):
    """100,000 words x 4,096 are 3.3 GB, and copies 0.2 GB; the limit leaves half a gigabyte."""
    write_vocab(Vocabulary.from_words([f"w{i}" for i in range(100_000)], [9] * 100_000),
                tmp_path / "words")  # fmt: skip
    limit = 1_200_000_000
    done = run_embed(
        "train", corpus, *QUICK, "--dim", "4096", "--vocab", "words", *more,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert 4 == done.returncode, done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("embed: error: training 100,000 words x 4096 needs 3.6 GB of memory")
    assert re.search(r"; try a --vocab of \d+ or --dim \d+$", error)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(("megabytes", "message"), [(200, "embed needs 256 MB"), (600, "768 MB")])
def test_too_little_to_begin_with_is_exit_code_4(run_embed, corpus, megabytes, message):
    limit = megabytes << 20
    done = run_embed(
        "train", corpus, *QUICK,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert 4 == done.returncode, done.stderr
    assert message in done.stderr.splitlines()[-1]
    assert "ulimit -v" in done.stderr.splitlines()[-1]
