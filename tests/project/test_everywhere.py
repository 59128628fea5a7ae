"""The same bytes everywhere: hash seeds, locales, time zones, numbers of threads."""

from __future__ import annotations

import json

import pytest

from embedcli import load

QUICK = ("--min-count", "1", "--dim", "8", "--epochs", "2", "--sample", "0.01")
# A rate that is 0 as a float32: vectors stay what they were initially.
FROZEN = ("--lr", "1e-46", "--min-lr", "0")
OUTPUTS = (
    "m.safetensors", "m.vec", "m.bin", "m.glove.txt", "m.vocab", "m.fasttext.bin", "m.parquet",
    "m.sqlite", "m.npydir", "m.projector", "m.model2vec",
)  # fmt: skip
# ties everywhere, and words that other collations would sort in other ways
LINES = (
    "zebra \u00e4rger Zebra apfel \u0131stanbul Istanbul \u00df ss",
    "na\u00efve \u6771\u4eac a b c d e",
)
TEXT = "\n".join(LINES * 40) + "\n"
PLACES = [
    {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Pacific/Kiritimati"},
    {"PYTHONHASHSEED": "random", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8", "PYTHONUTF8": "0"},
]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text"
    path.write_text(TEXT)
    return path


def trained(run_embed, folder, text, *more, **environment):
    """Every file of a run, by its path, and what it says of itself."""
    folder.mkdir()
    outputs = [part for name in OUTPUTS for part in ("-o", name)]
    settings = (*QUICK, *outputs, *more)
    done = run_embed("train", text, *settings, "-q", "--json", env=environment, cwd=folder)
    assert 0 == done.returncode, done.stderr
    files = (path for path in folder.rglob("*") if path.is_file())
    facts = json.loads(done.stdout)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}, facts


def test_every_file_is_the_same_in_every_environment(run_embed, tmp_path, text):
    one = ("--threads", "1")
    first, _ = trained(run_embed, tmp_path / "first", text, *one, PYTHONHASHSEED="0")
    assert len(OUTPUTS) < len(first)  # three of them are directories
    for number, environment in enumerate(PLACES):
        files, _ = trained(run_embed, tmp_path / f"{number}", text, *one, **environment)
        assert first == files


def test_what_training_begins_with_is_the_same_for_any_threads(run_embed, tmp_path, text):
    seen = []
    for threads in (1, 2, 5):
        folder = tmp_path / f"{threads}"
        files, facts = trained(run_embed, folder, text, *FROZEN, "--threads", threads)
        for name in ("m.safetensors", "m.model2vec/README.md"):
            del files[name]  # they say how many threads
        samples = [[e[name] for name in ("trained", "subsampled", "alone", "pairs")]
                   for e in facts["epochs"]]  # fmt: skip
        seen.append((files, load(folder / "m.safetensors").vectors.tobytes(), samples))
    assert seen[0] == seen[1] == seen[2]
