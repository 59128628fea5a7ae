"""`embed verify` as people type it: sound files, and bad ones of several formats."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedcli import Vocabulary
from embedcli.cluster.counts import Table
from embedcli.cluster.step_files import Stamp, write_table
from embedcli.embeddings import Embeddings
from embedcli.formats import load, save
from embedcli.text.corpus import Tally
from embedcli.training.checkpoint import Checkpoints


@pytest.fixture
def model(tmp_path):
    words = Vocabulary.from_words([f"w{i}" for i in range(50)], [9] * 50)
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    save(Embeddings(words, vectors), tmp_path / "m.safetensors")
    save(Embeddings(words, vectors), tmp_path / "m.bin")
    return tmp_path / "m.safetensors"


def test_a_sound_file(run_embed, model):
    done = run_embed("verify", model, "--json")
    facts = json.loads(done.stdout)
    assert 0 == done.returncode
    assert (True, "sha256 as written", 50, 8) == tuple(
        facts[name] for name in ("sound", "digest", "words", "dim")
    )


def test_a_directory(run_embed, model):
    save(load(model), model.with_name("m.npydir"))
    done = run_embed("verify", model.with_name("m.npydir"), "--json")
    facts = json.loads(done.stdout)
    assert ("npy", True, 50) == tuple(facts[name] for name in ("format", "sound", "words"))
    (model.with_name("m.npydir") / "words.txt").write_text("w0\n")
    done = run_embed("verify", model.with_name("m.npydir"))
    assert (3, True) == (done.returncode, "50 vectors, but 1 words" in done.stderr)


def test_checkpoints(run_embed, model):
    begun = Checkpoints(model.with_name("begun"), None, {"settings": {}, "sources": []})
    begun.save()
    path = model.with_name("begun") / "1.safetensors"
    done = run_embed("verify", path)
    assert (0, True) == (done.returncode, "checkpoint\tbefore training" in done.stdout)
    path.write_bytes(flipped(path.read_bytes()))
    assert 3 == run_embed("verify", path).returncode


def test_steps_in_shards(run_embed, model):
    path = model.with_name("2.counts")
    tally = Tally(read=450, kept=450, oov=0, too_long=0, lines=1, n_bytes=999, invalid=0)
    write_table(Table(load(model).vocabulary, tally), Stamp("plan", (2, 3)), str(path))
    done = run_embed("verify", path, "--json")
    assert 0 == done.returncode, done.stderr
    facts = json.loads(done.stdout)
    assert ("embed-counts", [2, 3]) == (facts["format"], facts["shards"])
    path.write_bytes(flipped(path.read_bytes()))
    done = run_embed("verify", path)
    assert (3, 1) == (done.returncode, done.stderr.count("\n"))


def flipped(content):
    changed = bytearray(content)
    changed[len(changed) // 3] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("m.safetensors", flipped, "is damaged: it has changed since it was written"),
        ("m.safetensors", lambda content: content[:-1], "not a sound safetensors file"),
        ("m.bin", lambda content: content[:-9], "the file ends at byte"),
        ("m.vec", lambda content: b"2 2\na 1 2\nb 3 nan\n", "line 3: 'nan' is not finite"),
    ],
)
def test_a_bad_file_is_exit_code_3(run_embed, model, name, damage, message):
    path = model.with_name(name)
    path.write_bytes(damage(path.read_bytes() if path.exists() else b""))
    done = run_embed("verify", path)
    assert (3, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert message in done.stderr
    assert str(path) in done.stderr
