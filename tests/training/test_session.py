"""`embedcli.train(..., output=...)`: as safe as the command, and the same bytes."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from click.testing import CliRunner

import embedcli
from embedcli import TrainConfig, load
from embedcli.cli.train import command
from embedcli.errors import BusyError, ConfigError, OutputError, UsageError
from embedcli.files.locks import locked
from embedcli.formats.vocab import write_vocab
from embedcli.training.checkpoint import Checkpoints, checkpoint_directory, read_checkpoint
from embedcli.training.session import train

SETTINGS = {"dim": 16, "min_count": 1, "epochs": 6, "sample": 0.0, "threads": 1, "seed": 3}
FLAGS = [part for name, value in SETTINGS.items() for part in (f"--{name}", str(value))]
FLAGS = [flag.replace("_", "-") if flag.startswith("--") else flag for flag in FLAGS]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    words = np.random.default_rng(0).zipf(1.3, 30_000) % 200
    path.write_text(
        "\n".join(" ".join(f"w{word}" for word in line) for line in words.reshape(-1, 20))
    )
    return path


def interrupt_after(n):
    """What is called with progress, and raises as Ctrl-C does at the n-th report of training."""
    reports = itertools.count()

    def on_progress(progress):
        if progress.phase == "training" and next(reports) == n:
            raise KeyboardInterrupt

    return on_progress


def by_the_command(corpus, output, *more):
    args = [str(corpus), *FLAGS, "-o", str(output), *more]
    done = CliRunner().invoke(command, args, catch_exceptions=False)
    assert 0 == done.exit_code
    return output.read_bytes()


@pytest.mark.usefixtures("in_step")
@pytest.mark.parametrize("more", [{}, {"deterministic": False}], ids=["rounds", "hogwild"])
def test_interrupted_anywhere_it_ends_with_the_bytes_of_the_command(corpus, tmp_path, more):
    flags = ["--hogwild"] if more else []
    whole = by_the_command(corpus, tmp_path / "whole.safetensors", *flags)
    output, places = tmp_path / "model.safetensors", set()
    for n in (0, 1, 3):
        with pytest.raises(KeyboardInterrupt) as caught:
            train(
                [corpus], TrainConfig(**SETTINGS | more), output=output,
                resume=bool(places), on_progress=interrupt_after(n),
            )  # fmt: skip
        assert f"go on with: embedcli.train(['{corpus}'], output=" in caught.value.__notes__[0]
        state = Checkpoints(checkpoint_directory(output), None, {}).newest().state
        places.add((state.epoch, state.chunk))
    assert not output.exists()
    assert len(places) > 2
    model = train([], output=output, resume=True)
    assert (whole, 6) == (output.read_bytes(), len(model.metadata["epochs"]))
    assert not checkpoint_directory(output).exists()
    again = train([corpus], TrainConfig(**SETTINGS | more), output=output, resume=True)
    assert model.vectors.tobytes() == again.vectors.tobytes()


def test_the_command_goes_on_with_what_python_began(corpus, tmp_path):
    whole = by_the_command(corpus, tmp_path / "whole.vec")
    with pytest.raises(KeyboardInterrupt):
        train(
            [corpus], TrainConfig(**SETTINGS), output=tmp_path / "m.vec",
            on_progress=interrupt_after(1),
        )  # fmt: skip
    args = ["--resume", "-o", str(tmp_path / "m.vec")]
    assert 0 == CliRunner().invoke(command, args, catch_exceptions=False).exit_code
    assert whole == (tmp_path / "m.vec").read_bytes()


def test_without_an_output_nothing_is_written(corpus, tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        train([corpus], TrainConfig(**SETTINGS), on_progress=interrupt_after(0))
    assert not hasattr(caught.value, "__notes__")
    assert [corpus] == list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="resume needs an output"):
        train([corpus], resume=True)


def test_several_outputs_are_written_and_the_model_returned(corpus, tmp_path):
    outputs = [tmp_path / "m.vec", tmp_path / "m.safetensors"]
    model = embedcli.train([corpus], TrainConfig(**SETTINGS), output=outputs)
    assert [model.vectors.tobytes()] * 2 == [load(path).vectors.tobytes() for path in outputs]


def test_an_output_that_cannot_be_written_loses_nothing(corpus, tmp_path):
    outputs = [tmp_path / "m.vec", "/dev/full"]
    with pytest.raises(OutputError, match="/dev/full"):
        train([corpus], TrainConfig(**SETTINGS), output=outputs, format="word2vec")
    (saved,) = checkpoint_directory(tmp_path / "m.vec").iterdir()
    assert read_checkpoint(saved).is_complete


def test_what_is_refused_before_the_work(corpus, tmp_path):
    before = corpus.read_bytes()
    with pytest.raises(UsageError, match="both input and output"):
        train([corpus], output=corpus)
    with pytest.raises(OutputError, match="no/such"):
        train([corpus], output=tmp_path / "no/such/m.vec")
    with locked([str(tmp_path / "m.vec")]), pytest.raises(BusyError):
        train([corpus], output=tmp_path / "m.vec")
    with pytest.raises(UsageError, match=r"no checkpoint for .*, and no text is named"):
        train([], output=tmp_path / "m.vec", resume=True)
    with pytest.raises(KeyboardInterrupt):
        train(
            [corpus], TrainConfig(**SETTINGS), output=tmp_path / "m.vec",
            on_progress=interrupt_after(0),
        )  # fmt: skip
    with pytest.raises(ConfigError, match=r"dim is 24, but .* was made with 16"):
        train([], TrainConfig(**SETTINGS | {"dim": 24}), output=tmp_path / "m.vec", resume=True)
    with pytest.warns(UserWarning, match="this run begins anew and will replace it"):
        train([corpus], TrainConfig(**SETTINGS), output=tmp_path / "m.vec")
    assert before == corpus.read_bytes()


def test_a_run_interrupted_while_it_reads_goes_on_with_the_words_of_its_file(corpus, tmp_path):
    """The checkpoint of the beginning has no words, but names the file of --vocab."""
    words = [f"w{number}" for number in range(10)]
    write_vocab(embedcli.Vocabulary.from_words(words, range(20, 10, -1)), tmp_path / "words")
    config, output = TrainConfig(**SETTINGS).resolve(), tmp_path / "m.vec"
    asked = {"settings": config.as_dict(), "sources": [str(corpus)]}
    asked["vocab_file"] = str(tmp_path / "words")
    Checkpoints(checkpoint_directory(output), None, asked).save()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert words == train([], output=output, resume=True).vocabulary.words
