"""How many epochs a run has where nobody says."""

import json

import pytest

from embedcli import TrainConfig, load, train
from embedcli.cluster.plan import shard_settings
from embedcli.training.checkpoint import Checkpoints, checkpoint_directory
from embedcli.training.continuing import continued
from embedcli.training.epochs import epochs_for
from embedcli.tuning.space import work

SMALL = {"dim": 8, "min_count": 1, "sample": 0.0, "threads": 1}
N_TOKENS = 1700  # 4 tenfolds fewer than 17 million, beyond the most epochs


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("one two three four five six seven eight nine ten\n" * (N_TOKENS // 10))
    return path


@pytest.mark.parametrize(
    ("n_tokens", "expected"),
    [(0, 40), (17_000, 40), (50_000, 29), (170_000, 20), (1_700_000, 10), (6_000_000, 7),
     (16_300_000, 5), (17_000_000, 5), (60_000_000, 5)],
)  # fmt: skip
def test_ten_times_as_much_text_takes_half_the_epochs(n_tokens, expected):
    assert expected == epochs_for(n_tokens)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({}, 40), ({"loss": "hs"}, 40), ({"subword": "3:3"}, 40), ({"epochs": 2}, 2),
     ({"arch": "glove"}, 5)],
)  # fmt: skip
def test_a_model_says_the_number_it_was_trained_with(text, settings, expected):
    metadata = train([text], TrainConfig(**SMALL | settings)).metadata
    assert expected == metadata["settings"]["epochs"] == len(metadata["epochs"])


def test_an_interrupted_run_goes_on_with_the_same_number(text, tmp_path):
    def interrupt(progress):
        if progress.phase == "training" and progress.epoch >= 3:
            raise KeyboardInterrupt

    config, model = TrainConfig(**SMALL), tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train([text], config, output=model, on_progress=interrupt)
    saved = Checkpoints(checkpoint_directory(model), None, {}).newest()
    assert saved.settings["epochs"] == 40
    assert saved.place.endswith(" of 40")
    resumed = train([], None, output=model, resume=True)
    whole = train([text], config)
    assert whole.vectors.tobytes() == resumed.vectors.tobytes()
    assert [40, 40] == [len(each.metadata["epochs"]) for each in (whole, resumed)]


@pytest.mark.parametrize(("epochs", "expected"), [(None, 5), (3, 3)])
def test_a_model_goes_on_for_as_many_as_were_chosen(text, tmp_path, epochs, expected):
    path = tmp_path / "m.safetensors"
    train([text], TrainConfig(**SMALL, epochs=epochs), output=path)
    config = continued(str(path), load(path), TrainConfig(continue_from=str(path)), {})
    assert expected == config.resolve().epochs


def test_shards_and_searches_know_a_number_before_the_text_is_read():
    assert shard_settings(TrainConfig()).epochs == 5
    assert work(TrainConfig()) == work(TrainConfig(epochs=5))


def test_the_command_says_what_was_chosen_and_its_forecast_knows_it(run_embed, text):
    options = ("--dim", "8", "--min-count", "1", "--sample", "0", "--threads", "1")
    plan = run_embed("train", text, *options, "--dry-run", "--json")
    assert json.loads(plan.stdout)["epochs"] == 40
    said = run_embed("train", text, *options, "-o", "m.safetensors").stderr
    assert "epochs 40: chosen for 1,700 words of text; --epochs N decides\n" in said
    said = run_embed("train", text, *options, "--epochs", "2", "-o", "n.safetensors").stderr
    assert "chosen for" not in said
