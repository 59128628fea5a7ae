"""`embed verify` as people type it: sound files, and bad ones of several formats."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedcli import Vocabulary
from embedcli.embeddings import Embeddings
from embedcli.formats import save


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
