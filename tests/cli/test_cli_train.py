"""`embed train` as people type it: files in, files out, what is said, and what is refused."""

import gzip
import json
import re
import shlex
import subprocess
import sys

import pytest
from click.testing import CliRunner

from embedcli import Vocabulary, load
from embedcli.cli import train as train_command
from embedcli.errors import OutputError
from embedcli.formats.vocab import write_vocab
from embedcli.text.corpus_reader import count_corpus
from embedcli.training import run as run_module
from embedcli.training.outputs import find_targets

QUICK = ("--min-count", "1", "--dim", "8", "--epochs", "2", "--sample", "0", "--threads", "1")
TEXT = "the cat sat on the mat\nthe dog sat on the log\n" * 20


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    return path


def test_train_then_neighbors_without_naming_a_model(run_embed, tmp_path):
    (tmp_path / "corpus.txt").write_text(TEXT)
    done = run_embed("train", "corpus.txt", "--sample", "0")
    assert (0, "") == (done.returncode, done.stdout)
    assert "read 240 tokens = 240 in the vocabulary + 0 out of it + 0 too long" in done.stderr
    assert 40 == done.stderr.count(" trained + ")
    assert "model.safetensors: 7 words x 100" in done.stderr
    done = run_embed("neighbors", "cat", "-k", "2")
    assert 0 == done.returncode
    assert ["cat", "1"] == done.stdout.split("\t")[:2]


def test_several_outputs_hold_the_same_vectors(run_embed, corpus, tmp_path):
    names = ("m.safetensors", "m.vec", "m.bin", "m.glove.txt")
    done = run_embed("train", corpus, *QUICK, *[part for name in names for part in ("-o", name)])
    assert 0 == done.returncode, done.stderr
    first, *others = [load(tmp_path / name) for name in names]
    for other in others:
        assert list(first.vocabulary) == list(other.vocabulary)
        assert first.vectors.tobytes() == other.vectors.tobytes()


def test_the_same_command_writes_the_same_bytes(run_embed, corpus, tmp_path):
    for name in ("a", "b"):
        outputs = ("-o", f"{name}.vec", "-o", f"{name}.safetensors")
        assert 0 == run_embed("train", corpus, *QUICK, *outputs).returncode
    for suffix in ("vec", "safetensors"):
        one, other = (tmp_path / f"{name}.{suffix}" for name in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_a_directory_is_an_output_like_any_other(run_embed, corpus, tmp_path):
    for seed in ("1", "2"):  # the second replaces the first
        done = run_embed("train", corpus, *QUICK, "--seed", seed, "-o", "m.npydir", "-o", "m.vec")
        assert 0 == done.returncode, done.stderr
        held = load(tmp_path / "m.npydir").vectors.tobytes()
        assert load(tmp_path / "m.vec").vectors.tobytes() == held
    (tmp_path / "m.npydir" / "mine").write_text("not ours to remove")
    done = run_embed("train", corpus, *QUICK, "-o", "m.npydir")
    assert (5, True) == (done.returncode, "holds other files (mine)" in done.stderr)


def test_standard_input_and_gzip_are_the_same_text(run_embed, corpus, tmp_path):
    (tmp_path / "packed").write_bytes(gzip.compress(TEXT.encode()))
    for source, name in ((corpus, "a.vec"), ("-", "b.vec"), ("packed", "c.vec")):
        more = {"input": TEXT} if source == "-" else {}
        assert 0 == run_embed("train", source, *QUICK, "-o", name, **more).returncode
    first, *others = [(tmp_path / name).read_bytes() for name in ("a.vec", "b.vec", "c.vec")]
    assert [first, first] == others


def test_a_vocabulary_file_decides_the_words(run_embed, corpus, tmp_path):
    write_vocab(Vocabulary.from_words(["sat", "cat", "dog"], [40, 20, 20]), tmp_path / "words")
    done = run_embed("train", corpus, *QUICK, "--vocab", "words", "-o", "m.vec")
    assert 0 == done.returncode, done.stderr
    assert ["sat", "cat", "dog"] == list(load(tmp_path / "m.vec").vocabulary)


def test_a_list_of_words_gets_the_counts_of_the_text(run_embed, corpus, tmp_path):
    (tmp_path / "words").write_text("sat\n\nunicorn\ncat\n")
    assert (
        0
        == run_embed("train", corpus, *QUICK, "--vocab", "words", "-o", "m.safetensors").returncode
    )
    vocabulary = load(tmp_path / "m.safetensors").vocabulary
    counted, _ = count_corpus([str(corpus)], min_count=1)
    counts = dict(zip(counted.words, counted.counts.tolist(), strict=True))

    assert ["sat", "unicorn", "cat"] == vocabulary.words
    assert [counts["sat"], 0, counts["cat"]] == vocabulary.counts.tolist()


def test_json_is_what_the_model_says(run_embed, corpus, tmp_path):
    done = run_embed("train", corpus, *QUICK, "--json", "-q")
    assert "" == done.stderr
    said = json.loads(done.stdout)
    timings = said.pop("timings")
    assert {"reading", "training"} == set(timings)
    assert load(tmp_path / "model.safetensors").metadata == said
    assert 240 == said["corpus"]["read"]
    assert 8 == said["settings"]["dim"]


def test_a_configuration_file_and_a_flag_that_wins(run_embed, corpus, tmp_path):
    (tmp_path / "c.yaml").write_text("dim: 12\nmin_count: 1\nepochs: 1\narch: cbow\nsample: 0\n")
    done = run_embed("train", corpus, "--config", "c.yaml", "--dim", "6", "--json", "-q")
    settings = json.loads(done.stdout)["settings"]
    assert ("cbow", 6, 1) == (settings["arch"], settings["dim"], settings["epochs"])


def test_most_tokens_left_out_is_said(run_embed, tmp_path):
    """A text of 27 symbols, each far above the threshold."""
    text = tmp_path / "symbols.txt"
    text.write_text("\n".join(" ".join("abcdefghijklmnopqrstuvwxyz_") for _ in range(200)))
    options = ("train", text, "-o", tmp_path / "m.safetensors", "--dim", 8, "--epochs", 1)
    said = " ".join(run_embed(*options, "--sample", 1e-4).stderr.split())
    assert "--sample 0.0001 left out 95% of the tokens" in said
    assert "left out" not in run_embed(*options, "--sample", 0).stderr


def test_fewer_words_than_negatives_is_said(run_embed, corpus):
    done = run_embed("train", corpus, *QUICK, "--negative", "20")
    assert 0 == done.returncode
    assert "the vocabulary has 7: 6 were used" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("missing.txt",), 3, "missing.txt"),
        (("corpus.txt", "-o", "corpus.txt", "--format", "word2vec"), 2, "both input and output"),
        (("corpus.txt", "-o", "no/such/model.vec"), 5, "no/such"),
        (("corpus.txt", "-o", "model.xyz"), 2, "--format"),
        (("corpus.txt", "--format", "xyz"), 2, "no format 'xyz'"),
        (("corpus.txt", "--dim", "0"), 2, "--dim"),
        (("corpus.txt", "--min-count", "99"), 3, "--min-count"),
        (("corpus.txt", "--sample", "1e-12", "--min-count", "1"), 6, "--sample"),
        ((), 2, "CORPUS"),
    ],
)
def test_what_cannot_be_is_refused(run_embed, corpus, tmp_path, args, code, message):
    done = run_embed("train", *args)
    assert code == done.returncode, done.stderr
    assert message in done.stderr
    assert 1 == done.stderr.count("embed: error: ")
    needs = 4 * (code == 6)  # said before the text is read, and thrice when it is counted
    assert 1 + needs == done.stderr.count("\n")
    assert ["corpus.txt"] == sorted(path.name for path in tmp_path.iterdir())
    assert TEXT == corpus.read_text()


def test_the_model_is_saved_before_it_is_exported():
    targets = find_targets(("a.vec", "b.safetensors", "c.bin"), None)
    assert ["b.safetensors", "a.vec", "c.bin"] == [output for output, _ in targets]


def test_a_failed_export_leaves_the_model(run_embed, corpus, tmp_path):
    done = run_embed(
        "train", corpus, *QUICK, "--format", "word2vec", "-o", "m.vec", "-o", "/dev/full"
    )
    assert 5 == done.returncode, done.stderr
    assert 7 == len(load(tmp_path / "m.vec"))


def test_measurements_are_said_and_stored(run_embed, corpus, tmp_path):
    (tmp_path / "valid.txt").write_text("the cat sat on the log\n" * 5)
    (tmp_path / "pairs.tsv").write_text("cat\tdog\t9\nsat\ton\t1\nmat\tlog\t8\n")
    done = run_embed(
        "train", corpus, *QUICK, "--valid", "valid.txt", "--evaluate", "pairs.tsv",
        "--metrics", "m.jsonl", "--patience", "1", "--epochs", "50", "--lr", "1e-30",
        "--schedule", "constant", "--min-lr", "0",
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "; held-out loss 0." in done.stderr
    assert ", score " in done.stderr
    assert "held out: 30 tokens" in done.stderr
    assert "stopped by --patience in epoch " in done.stderr
    metadata = load(tmp_path / "model.safetensors").metadata
    assert ("valid.txt", 1) == (metadata["settings"]["valid"], metadata["settings"]["patience"])
    finished = [
        line for line in (tmp_path / "m.jsonl").read_text().splitlines() if 'epoch",' in line
    ]
    assert len(metadata["epochs"]) <= len(finished) < 50
    again = run_embed("train", "--resume", "corpus.txt")
    assert "is complete: nothing to do" in again.stderr


def test_a_log_that_is_also_read_is_refused(run_embed, corpus):
    done = run_embed("train", corpus, *QUICK, "--metrics", "corpus.txt")
    assert (2, True) == (done.returncode, "both input and output" in done.stderr)
    assert TEXT == corpus.read_text()


def test_the_log_of_a_run_that_ends_early_has_every_epoch_that_is_over(
    corpus, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    n_checked = 0

    def broken_in_the_third_epoch(name, matrix):
        nonlocal n_checked
        n_checked += 1
        return "it is broken" if n_checked > 4 else None  # two matrices an epoch

    monkeypatch.setattr(run_module, "find_fault", broken_in_the_third_epoch)
    done = CliRunner().invoke(train_command.command, ["corpus.txt", *QUICK, "--epochs", "5"])
    lines = [line for line in done.stderr.splitlines() if line.startswith("epoch ")]
    assert ["epoch 1", "epoch 2"] == [line.split(":")[0] for line in lines]
    assert all(re.search(r"; loss 0\.\d{4} \(0\.\d{4} while training\)$", line) for line in lines)
    assert "it is broken" in str(done.exception)


@pytest.mark.parametrize("where", ["/dev/full", "&-"])
def test_a_log_that_cannot_be_written_ends_no_run(where, corpus, tmp_path, command_environment):
    command = [sys.executable, "-m", "embedcli", "train", "corpus.txt", *QUICK]
    line = ["sh", "-c", f"{shlex.join(command)} 2>{where}"]
    done = subprocess.run(line, cwd=tmp_path, env=command_environment, check=False)
    assert (0, 7) == (done.returncode, len(load(tmp_path / "model.safetensors")))


def trained_by_default(*arguments):
    """`embed train` without -o in this process, in the working directory."""
    return CliRunner().invoke(train_command.command, [*arguments, *QUICK])


def test_a_model_of_another_text_stays_where_nobody_named_it(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.txt").write_text(TEXT.replace("cat", "cow"))
    model = tmp_path / "model.safetensors"
    assert 0 == trained_by_default("corpus.txt").exit_code
    before = model.read_bytes()

    again = trained_by_default("corpus.txt")
    assert (0, before) == (again.exit_code, model.read_bytes())
    assert "will be replaced" not in again.stderr

    refused = trained_by_default("other.txt")
    assert isinstance(refused.exception, OutputError)
    assert re.fullmatch(
        r"model\.safetensors was trained on another text \(920 bytes, sha256 [0-9a-f]{12}; this "
        r"one has 920, [0-9a-f]{12}\): name another output with -o, or replace it with "
        r"-o model\.safetensors",
        str(refused.exception),
    )
    assert before == model.read_bytes()
    assert ["corpus.txt", "model.safetensors", "other.txt"] == sorted(
        path.name for path in tmp_path.iterdir()
    )

    others = trained_by_default("corpus.txt", "--window", "2", "--threads", "2")
    assert 0 == others.exit_code
    assert (
        "model.safetensors, of the same text with other settings (--window), will be replaced"
        in others.stderr
    )
    assert 0 == trained_by_default("other.txt", "-o", "model.safetensors").exit_code
    assert "cow" in load(model).vocabulary


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"2 2\nthe 1 2\ncat 3 4\n", "does not say which text it was trained on"),
        (b"notes, not vectors", "cannot be read as a model"),
    ],
)
def test_a_file_that_says_of_no_text_stays_too(content, what, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    done = trained_by_default("corpus.txt")
    assert what in str(done.exception)
    assert 5 == done.exception.exit_code
    assert content == (tmp_path / "model.safetensors").read_bytes()


def test_a_model_that_a_run_goes_on_with_may_be_replaced(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 0 == trained_by_default("corpus.txt").exit_code
    (tmp_path / "other.txt").write_text(TEXT.replace("cat", "cow"))
    assert 0 == trained_by_default("other.txt", "--continue", "model.safetensors").exit_code
    assert {"cow", "cat"} <= set(load("model.safetensors").vocabulary)
