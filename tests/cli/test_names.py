"""Paths that are not UTF-8: what is written of them, said of them, and read back."""

import json
import os
import subprocess
from dataclasses import replace

import pytest
from click.testing import CliRunner

from embedcli import TrainConfig, formats, load, save
from embedcli.cli import combine, evaluate, export, info, neighbors, plot, shard, verify
from embedcli.cli import train as train_module
from embedcli.cli.train import resume_line
from embedcli.cluster.plan import make_plan, read_plan, write_plan
from embedcli.errors import ConfigError, FormatError, OutputError
from embedcli.quoting import json_text, shell_word
from embedcli.settings.yaml_files import dump_config, load_config
from embedcli.training.checkpoint import Checkpoints, read_checkpoint

NAME = os.fsdecode(b"caf\xe9")  # latin-1: \udce9 in Python's strings
SMALL = ("--dim", "8", "--epochs", "1", "--threads", "1", "--sample", "0", "--min-count", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text, a held-out text, pairs, and a model that names them all."""
    directory = tmp_path_factory.mktemp("names") / NAME
    directory.mkdir()
    for name in ("text", "valid"):
        (directory / f"{NAME}.{name}").write_text("the cat sat on the mat\nthe dog sat\n" * 20)
    (directory / f"{NAME}.tsv").write_text("cat\tdog\t5\nmat\tsat\t4\nthe\ton\t1\n")
    done = run(
        train_module.command, f"{directory}/{NAME}.text", *SMALL,
        "-o", f"{directory}/{NAME}.safetensors", "--valid", f"{directory}/{NAME}.valid",
        "--metrics", f"{directory}/{NAME}.jsonl",
        "--evaluate", f"{directory}/{NAME}.tsv", "--json",
    )  # fmt: skip
    settings = json.loads(done)["settings"]
    assert f"{directory}/{NAME}.valid" == settings["valid"]
    return directory


def run(command, *arguments):
    """The standard output of a command, which is UTF-8."""
    done = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert 0 == done.exit_code, done.stderr
    return done.stdout_bytes.decode()


def test_a_model_names_them_and_is_read_back(folder):
    model = folder / f"{NAME}.safetensors"
    expected = f"{folder}/{NAME}.valid"
    assert expected == load(model).metadata["settings"]["valid"]
    told = json.loads(run(info.command, model, "--json"))
    assert expected == told["metadata"]["settings"]["valid"]
    assert str(model) == json.loads(run(verify.command, model, "--json"))["file"]
    for line in (folder / f"{NAME}.jsonl").read_bytes().decode().splitlines():
        assert json.loads(line)["event"]


@pytest.mark.parametrize("name", [n for n in formats.WRITTEN if n != "vocab"])
def test_every_format_is_written_and_read_there(folder, name, tmp_path):
    out = tmp_path / NAME
    told = run(export.command, folder / f"{NAME}.safetensors", out, "--format", name, "--json")
    assert str(out) == json.loads(told)["file"]
    assert name == json.loads(run(info.command, out, "--json"))["format"]
    assert json.loads(run(verify.command, out, "--json"))["sound"]


@pytest.mark.parametrize("suffix", ["html", "svg"])
def test_pictures_are_drawn(folder, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    out = tmp_path / f"{NAME}.{suffix}"
    told = run(plot.command, folder / f"{NAME}.safetensors", "-o", out, "--json")
    assert "file" in json.loads(told)
    out.read_bytes().decode()
    run(plot.command, "--loss", folder / f"{NAME}.safetensors", "-o", tmp_path / f"{NAME}.png")


def test_an_index_is_made_and_found_again(folder):
    pytest.importorskip("faiss")
    asked = "cat", "-m", folder / f"{NAME}.safetensors", "--index", "hnsw", "--json"
    assert run(neighbors.command, *asked) == run(neighbors.command, *asked)


def test_scores_name_the_file(folder):
    told = run(
        evaluate.command, f"{folder}/{NAME}.tsv", "-m", f"{folder}/{NAME}.safetensors", "--json"
    )
    assert "caf\\udce9.tsv" in told


def test_steps_in_shards_are_done(folder, tmp_path):
    plan, counts, model, ids, change = (
        tmp_path / f"{NAME}.{kind}" for kind in ("plan", "counts", "0.safetensors", "ids", "change")
    )
    settings = "--dim", 8, "--min-count", 1, "--sample", 0, "--epochs", 1
    text = f"{folder}/{NAME}.text"
    run(shard.command, "plan", text, "--shards", 1, "--rounds", 1, "-o", plan, *settings)
    run(shard.command, "count", plan, 0, "-o", counts)
    run(combine.command, plan, counts, "-o", model)
    run(shard.command, "encode", plan, 0, "-m", model, "-o", ids)
    run(shard.command, "train", model, ids, "-o", change)
    run(combine.command, model, change, "-o", tmp_path / f"{NAME}.1.safetensors")
    assert [0] == json.loads(run(verify.command, change, "--json"))["shards"]


def test_a_plan_names_the_text(folder, tmp_path):
    made = make_plan([f"{folder}/{NAME}.text"], TrainConfig(shards=1, rounds=1).resolve())
    write_plan(made, str(tmp_path / "plan"))
    assert made == read_plan(str(tmp_path / "plan"))
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        read_plan(str(tmp_path / NAME))


def test_a_checkpoint_at_any_time_names_them(folder, tmp_path):
    """Before training begins, as at Ctrl-C while the text is read, and after it."""
    text = f"{folder}/{NAME}.text"
    config = TrainConfig(valid=text, metrics=NAME).resolve()
    given = {"settings": config.as_dict(), "sources": [text], "vocab_file": NAME}
    checkpoints = Checkpoints(tmp_path / NAME, None, given)
    checkpoints.save()
    assert given == checkpoints.newest().arguments
    from embedcli.training.checkpoint import completed

    model = load(folder / f"{NAME}.safetensors")
    checkpoints.save(model, completed(model))
    read = read_checkpoint(checkpoints.newest().path)
    assert given == read.arguments
    assert model.metadata["settings"] == read.embeddings.metadata["settings"]


def test_a_configuration_names_them(tmp_path):
    config = TrainConfig(valid=f"/{NAME}/x", metrics=NAME)
    (tmp_path / NAME).write_text(dump_config(config.as_dict()))
    assert config == TrainConfig(**load_config(tmp_path / NAME))


@pytest.mark.parametrize("name", ["\U0001f600\udcff", "\x85 \ufffe", ' # "it\'s"\\\n', "x " * 99])
def test_a_configuration_names_any_file(tmp_path, name):
    path = tmp_path / "c.yaml"
    path.write_text(dump_config({"valid": name, "lr": 1e-05}))
    assert {"valid": name, "lr": 1e-05} == load_config(path)


def test_what_is_looked_for_in_text_must_be_utf8():
    for more in ({"separator": NAME, "items": True}, {"field": NAME}, {"pattern": NAME}):
        with pytest.raises(ConfigError, match="must be UTF-8"):
            TrainConfig(tokenizer="pattern" if "pattern" in more else "whitespace", **more)


def test_the_line_that_resumes_is_one_a_shell_takes():
    line = resume_line([NAME, "it's a text"], [f"{NAME}'\\.vec"], None)
    assert r"embed train --resume $'caf\xe9' 'it'\''s a text'".replace(r"'\''", "'\"'\"'") in line
    for word in (NAME, f"{NAME}'\\ \n\t$x", "plain", "it's", ""):
        shown = subprocess.run(
            ["bash", "-c", f"printf %s {shell_word(word)}"], capture_output=True, check=True
        )
        assert os.fsencode(word) == shown.stdout


def test_json_keeps_its_bytes_where_all_is_utf8():
    assert '{"é": ["日本", 1.5]}' == json_text({"é": ["日本", 1.5]})
    assert '{"caf\\udce9": "\\u00e9"}' == json_text({NAME: "é"})
    assert {NAME: "é"} == json.loads(json_text({NAME: "é"}))


def test_metadata_with_half_a_character_that_is_no_byte_is_refused(folder, tmp_path):
    model = load(folder / f"{NAME}.safetensors")
    strange = replace(model, metadata={"note": "\ud83d"})
    with pytest.raises(OutputError, match="half of a surrogate pair"):
        save(strange, tmp_path / "m.safetensors")
