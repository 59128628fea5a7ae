"""The bytes of one tiny run of every training kernel: what a change of the code may not change."""

import hashlib
from importlib.metadata import version

import llvmlite.binding as llvm
import numpy as np
import pytest

from embedcli import TrainConfig, train
from embedcli.kernels.intrinsics.lanes import host_lanes

LANES = 8  # every processor with AVX2 has as many; sums of other lanes are rounded otherwise
OPTIMIZER = {
    "optimizer": "adagrad", "dropout": 0.2, "max_norm": 1.5, "l2": 1e-4, "valid_fraction": 0.1,
}  # fmt: skip
SETTINGS = {
    "negatives": {},
    "line": {"window": "line", "shuffle": True},
    "path": {"loss": "hs"},
    "optimizer": OPTIMIZER,
    "l2": {"l2": 1e-3},
    "subwords": {"subword": "3:4", "buckets": 500},
    "rounds": {"deterministic": True, "threads": 2},
}
GOLDEN = {  # on x86-64 with FMA, numba 0.68, NumPy 2.4
    ("skipgram", "negatives"): "bce59ba4d8f94164",
    ("cbow", "negatives"): "6c54d4d04f01f074",
    ("skipgram", "line"): "cb86eb87437ba107",
    ("cbow", "line"): "eb2b78edf0d0fa87",
    ("skipgram", "path"): "1f9cb822748cc211",
    ("cbow", "path"): "8dfb437fce69d7c5",
    ("skipgram", "optimizer"): "db54b1d2f518e920",
    ("cbow", "optimizer"): "22dcec018032ac1a",
    ("skipgram", "l2"): "0704c490ded49fcd",
    ("cbow", "l2"): "1b7557e302c1e5ec",
    ("skipgram", "subwords"): "71c5737ffb3db9a0",
    ("cbow", "subwords"): "c3c9dcaa1477df5d",
    ("skipgram", "rounds"): "57f06ed9c5fa1885",
    ("cbow", "rounds"): "390383d5ecff662a",
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("bytes") / "text"
    words = (np.random.Generator(np.random.PCG64(12)).random((150, 12)) ** 3 * 300).astype(int)
    path.write_text("\n".join(" ".join(f"word{word}" for word in line) for line in words))
    return path


def digest(text, arch, settings):
    """The first digits of the SHA-256 of both matrices and of the losses."""
    common = {"dim": 20, "negative": 7, "epochs": 2, "min_count": 1, "sample": 1e-2, "threads": 1}
    config = TrainConfig(**common | {"arch": arch, "deterministic": False} | settings)
    embeddings = train([text], config)
    found = hashlib.sha256(np.ascontiguousarray(embeddings.vectors).tobytes())
    found.update(np.ascontiguousarray(embeddings.output_vectors).tobytes())
    found.update(repr(embeddings.metadata["loss"]).encode())
    return found.hexdigest()[:16]


@pytest.mark.parametrize(("arch", "settings"), GOLDEN)
def test_a_run_has_the_bytes_it_had(text, monkeypatch, arch, settings):
    versions = tuple(version(name).split(".")[:2] for name in ("numba", "numpy"))
    if versions != (["0", "68"], ["2", "4"]) or not llvm.get_host_cpu_features().get("fma"):
        pytest.skip(f"other versions or another processor: {versions}")
    if host_lanes() < LANES:
        pytest.skip(f"this processor has {host_lanes()} lanes")
    monkeypatch.setenv("EMBED_LANES", str(LANES))
    assert GOLDEN[arch, settings] == digest(text, arch, SETTINGS[settings])
