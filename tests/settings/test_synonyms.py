"""Names of other tools, at every place where an unknown name is met."""

from __future__ import annotations

from dataclasses import fields

import pytest
from click.testing import CliRunner

from embedcli import TrainConfig
from embedcli.cli import main
from embedcli.cli.output import Verbosity
from embedcli.errors import ConfigError
from embedcli.settings import synonyms
from embedcli.settings.yaml_files import load_config


def test_every_synonym_means_something_that_there_is():
    names = {field.name for field in fields(TrainConfig)} | {"k", "CORPUS"}
    assert set() == set(synonyms._SETTINGS.values()) - names
    commands = {line.split()[0] for line in synonyms.COMMANDS.values()}
    assert set() == {name for name in commands if not name.startswith("-")} - set(main.COMMANDS)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["train", "x", "--vector-size", "3"], "no option '--vector-size'; embed calls it --dim"),
        (["train", "x", "--minCount", "3"], "--min-count"),
        (["train", "x", "--sg", "1"], "embed calls it --arch (skipgram or cbow)"),
        (["neighbors", "--topn", "3", "x"], "embed calls it -k"),
        (["train", "--wndow", "3"], "did you mean --window?"),
        (["nn", "x"], "no command nn; did you mean neighbors?"),
        (["most-similar", "x"], "did you mean neighbors?"),
        (["version"], "did you mean --version?"),
    ],
)
def test_an_error_names_ours(line, told):
    done = CliRunner().invoke(main.embed, line, obj=Verbosity(), standalone_mode=False)
    code, message = main._verdict(done.exception)
    assert 2 == code
    assert told in message.replace("'nn'", "nn")


def test_a_configuration_names_ours(tmp_path):
    (tmp_path / "c.yaml").write_text("vector_size: 100\n")
    with pytest.raises(ConfigError, match="unknown key 'vector_size'; embed calls it dim"):
        load_config(tmp_path / "c.yaml")
