"""The same bytes everywhere: hash seeds, locales, time zones, numbers of threads."""

from __future__ import annotations

import json

import pytest

QUICK = ("--min-count", "1", "--dim", "8", "--epochs", "2", "--sample", "0.01", "--threads", "1")
OUTPUTS = ("m.safetensors", "m.vec", "m.bin", "m.glove.txt", "m.vocab")
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


def trained(run_embed, folder, text, environment, threads):
    folder.mkdir()
    outputs = [part for name in OUTPUTS for part in ("-o", name)]
    settings = (*QUICK[:-1], threads)
    done = run_embed("train", text, *settings, *outputs, "-q", env=environment, cwd=folder)
    assert 0 == done.returncode, done.stderr
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def test_every_file_is_the_same_in_every_environment(run_embed, tmp_path, text):
    first = trained(run_embed, tmp_path / "first", text, {"PYTHONHASHSEED": "0"}, 1)
    for number, environment in enumerate(PLACES):
        assert first == trained(run_embed, tmp_path / f"{number}", text, environment, 1)


def test_vocabulary_and_samples_are_the_same_for_any_threads(run_embed, tmp_path, text):
    seen = []
    for threads in (1, 2, 5):
        done = run_embed("train", text, *QUICK[:-1], threads, "--json", "-o", f"{threads}.vocab")
        epochs = json.loads(done.stdout)["epochs"]
        counts = [(e["trained"], e["subsampled"], e["alone"], e["pairs"]) for e in epochs]
        seen.append(((tmp_path / f"{threads}.vocab").read_bytes(), counts))
    assert seen[0] == seen[1] == seen[2]
