"""Which source of a training setting wins, and how wrong ones are refused."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from embedcli.cli.options import model_option, train_options, verbosity_options
from embedcli.errors import ConfigError
from embedcli.settings.config import TrainConfig, settings


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Call a command made of the training options; returns its TrainConfig and what it said."""
    seen = []

    @click.command()
    @click.argument("corpus", nargs=-1)
    @train_options
    @verbosity_options
    def command(corpus, config, chosen):
        seen.append((corpus, config))

    def run(*args, yaml=None, **variables):
        if yaml is not None:
            path = tmp_path / "c.yaml"
            path.write_text(yaml)
            args = ("--config", str(path), *args)
        result = CliRunner().invoke(
            command, ["corpus.txt", *args], env=variables, catch_exceptions=False
        )
        assert 0 == result.exit_code, result.output
        assert ("corpus.txt",) == seen[-1][0]
        return seen[-1][1], result.stderr

    return run


def test_nothing_given_is_the_default(train):
    assert (TrainConfig(), "") == train()


@pytest.mark.parametrize(
    ("flag", "variable", "yaml", "expected"),
    [
        ("--dim=1", "2", "dim: 3", 1),
        (None, "2", "dim: 3", 2),
        (None, None, "dim: 3", 3),
        (None, "", "dim: 3", 3),
        (None, None, None, 100),
        ("--dim=100", "2", "dim: 3", 100),
    ],
)
def test_flag_then_variable_then_file_then_default(train, flag, variable, yaml, expected):
    variables = {} if variable is None else {"EMBED_TRAIN_DIM": variable}
    config, _ = train(*([flag] if flag else []), yaml=yaml, **variables)

    assert expected == config.dim


@pytest.mark.parametrize(
    ("flag", "variable", "yaml", "expected"),
    [
        ("--shrink-window", "0", "shrink_window: no", True),
        (None, "0", "shrink_window: yes", False),
        (None, "yes", "shrink_window: no", True),
        (None, None, "shrink_window: no", False),
        ("--no-shrink-window", "1", None, False),
    ],
)
def test_switches_have_the_same_precedence(train, flag, variable, yaml, expected):
    variables = {} if variable is None else {"EMBED_TRAIN_SHRINK_WINDOW": variable}
    config, _ = train(*([flag] if flag else []), yaml=yaml, **variables)

    assert expected == config.shrink_window


def test_the_file_itself_may_come_from_a_variable(train, tmp_path):
    (tmp_path / "other.yaml").write_text("dim: 3")

    assert 3 == train(EMBED_TRAIN_CONFIG=str(tmp_path / "other.yaml"))[0].dim


def test_every_setting_has_an_option_with_help_default_and_range():
    @click.command()
    @train_options
    def command(config, chosen):
        pass

    text = " ".join(CliRunner().invoke(command, ["--help"]).stdout.split())
    for name, setting in settings().items():
        assert f"--{name.replace('_', '-')}" in text
        assert setting.help in text
    assert "[default: 100; 1 to 4096]" in text
    assert "[default: 1; 0 or more]" in text
    assert "[default: the cores this process may use; 1 to 1024]" in text


@pytest.mark.parametrize(
    ("args", "variables", "message"),
    [
        (["--dim", "0"], {}, "--dim is 0, but must be an integer from 1 to 4096"),
        (["--dim", "1e2"], {}, "--dim is '1e2', but must be an integer from 1 to 4096"),
        ([], {"EMBED_TRAIN_DIM": "x"}, "EMBED_TRAIN_DIM is 'x', but must be an integer from 1 to"),
        (["--arch", "lsa"], {}, "--arch is 'lsa', but must be skipgram or cbow or glove"),
        (["--lr", "nan"], {}, "--lr is 'nan', but must be a number above 0, at most 10"),
        (["--lr=1e-5"], {}, "min_lr is 0.0001, but must not be above lr, which is 1e-05"),
    ],
)
def test_a_wrong_value_names_its_source(train, args, variables, message):
    with pytest.raises(ConfigError) as caught:
        train(*args, **variables)

    assert str(caught.value).startswith(message)


def test_an_unknown_variable_is_warned_of(train):
    _, said = train(EMBED_TRAIN_DIMM="7", EMBED_TRAIN_DIM="7")

    expected = (
        "embed: warning: the environment variable EMBED_TRAIN_DIMM means nothing to embed; "
        "did you mean EMBED_TRAIN_DIM?\n"
    )
    assert expected == said


def test_the_model_is_a_flag_or_a_variable_or_in_the_working_directory():
    @click.command()
    @model_option
    def command(model):
        click.echo(model)

    run = CliRunner().invoke
    assert "model.safetensors\n" == run(command, [], env={"EMBED_MODEL": None}).stdout
    assert "a.vec\n" == run(command, [], env={"EMBED_MODEL": "a.vec"}).stdout
    assert "b.vec\n" == run(command, ["-m", "b.vec"], env={"EMBED_MODEL": "a.vec"}).stdout
