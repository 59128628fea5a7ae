"""Settings: ranges; YAML read as meant or refused on one line; a lossless round trip."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.errors import ConfigError
from embedcli.settings.compatibility import COMPATIBILITY
from embedcli.settings.config import DEFAULT_LR, TrainConfig, settings
from embedcli.settings.yaml_files import dump_config, load_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def written(tmp_path):
    """Write bytes or text to a configuration file and load it."""

    def load(content):
        path = tmp_path / "c.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_config(path)

    return load


def test_the_defaults_are_those_of_the_contract():
    expected = {
        "arch": "skipgram",
        "dim": 100,
        "window": None,
        "loss": "ns",
        "negative": 5,
        "epochs": None,
        "lr": None,
        "min_lr": 1e-4,
        "schedule": None,
        "warmup": 0,
        "optimizer": "sgd",
        "dropout": 0,
        "l2": 0,
        "max_norm": None,
        "min_count": 5,
        "max_vocab": None,
        "unk": False,
        "sample": None,
        "ns_exponent": 0.75,
        "shrink_window": True,
        "cbow_gradient": "whole",
        "x_max": 10,
        "alpha": 0.75,
        "symmetric": True,
        "distance_weighting": True,
        "count_memory": None,
        "deterministic": None,
        "threads": None,
        "seed": 1,
        "subword": None,
        "buckets": 2_000_000,
        "shuffle": False,
        "recursive": False,
        "output_vectors": True,
        "init": None,
        "continue_from": None,
        "freeze": None,
        "valid": None,
        "valid_fraction": 0,
        "evaluate": None,
        "evaluate_every": 1,
        "patience": None,
        "time_budget": None,
        "metrics": None,
        "shards": None,
        "rounds": None,
        "deltas": "float32",
        "items": False,
        "separator": None,
        "field": None,
        "tokenizer": None,
        "pattern": None,
        "normalize": None,
        "lowercase": None,
        "digits": "keep",
        "encoding": None,
        "as_text": False,
        "delimiter": None,
        "quote": None,
        "bad_records": 0.01,
    }

    assert expected == TrainConfig().as_dict()


def test_resolve_leaves_nothing_to_the_machine():
    resolved = TrainConfig(arch="cbow").resolve()

    assert DEFAULT_LR["cbow"] == resolved.lr
    assert (5, 1e-4) == (resolved.window, resolved.sample)
    assert "linear" == resolved.schedule
    assert "constant" == TrainConfig(arch="glove").resolve().schedule
    assert len(os.sched_getaffinity(0)) == resolved.threads
    assert resolved == resolved.resolve()


def test_resolve_keeps_what_was_chosen():
    resolved = TrainConfig(lr=0.01, threads=3).resolve()

    assert (0.01, 3) == (resolved.lr, resolved.threads)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dim", 0),
        ("dim", 4097),
        ("dim", 100.0),
        ("dim", "100"),
        ("dim", True),
        ("dim", None),
        ("window", 101),
        ("negative", 0),
        ("negative", 65),
        ("epochs", 1001),
        ("lr", 0),
        ("lr", -0.5),
        ("lr", 10.1),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("min_lr", -1e-9),
        ("sample", 1.5),
        ("ns_exponent", 5.1),
        ("threads", 0),
        ("threads", 1025),
        ("seed", -1),
        ("seed", 2**63),
        ("lowercase", 1),
        ("arch", "lsa"),
        ("count_memory", "2"),
        ("count_memory", "0G"),
        ("x_max", 0),
        ("cbow_gradient", None),
        ("max_vocab", 0),
    ],
)
def test_a_value_out_of_range_is_refused_with_name_value_and_range(name, value):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**{name: value})

    expected = f"{name} is {value!r}, but must be {settings()[name].range}"
    assert expected == str(caught.value)


def test_the_smallest_and_largest_values_are_allowed():
    for name, setting in settings().items():
        if setting.kind in ("integer", "number"):
            low = 1e-4 if setting.open_low else setting.low
            needed = {"valid": "held-out.txt"} if name == "patience" else {}
            lows, highs = {name: low, **needed}, {name: setting.high, **needed}
            if name == "min_lr":
                highs["lr"] = 10
            assert low == getattr(TrainConfig(**lows), name)
            assert setting.high == getattr(TrainConfig(**highs), name)


def test_the_final_learning_rate_may_not_be_above_the_first():
    with pytest.raises(ConfigError) as caught:
        TrainConfig(lr=0.01, min_lr=0.02)

    assert "min_lr is 0.02, but must not be above lr, which is 0.01" == str(caught.value)


@pytest.mark.parametrize(
    ("given", "name", "why"),
    [
        ({"arch": "glove"}, "negative", "with --arch glove"),
        ({"loss": "hs"}, "negative", "with --loss hs"),
        ({}, "x_max", "without --arch glove"),
        ({}, "cbow_gradient", "without --arch cbow"),
        ({"subword": "model.spm"}, "buckets", "without --subword N:M"),
        ({}, "evaluate_every", "without --evaluate"),
    ],
)
def test_what_decides_nothing_is_known(given, name, why):
    assert why == TrainConfig(**given).unused[name]
    used = TrainConfig(arch="cbow", subword="3:6", evaluate="pairs.tsv").unused
    assert {"x_max", "alpha", "symmetric", "distance_weighting", "count_memory"} == set(used)


def test_the_table_has_every_setting_and_known_words():
    refused, no_effect, used_by = zip(*COMPATIBILITY.values(), strict=True)

    assert list(settings()) == list(COMPATIBILITY)
    assert {"glove", "hs", "subword", "rounds"} == frozenset().union(*refused)
    assert {"glove", "hs", "not glove", "not cbow", "not subword N:M", "not evaluate"} == {
        word for words in no_effect for word in words
    }
    assert {"model", "shards", "cluster", "tune", "single", "resume"} == frozenset().union(*used_by)


def test_numpy_scalars_become_plain_numbers():
    config = TrainConfig(dim=np.int64(7), lr=np.float64(0.5))

    assert (int, float) == (type(config.dim), type(config.lr))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment\n", {}),
        ("---\n", {}),
        ("lr: 1e-3", {"lr": 0.001}),
        ("lr: 1E-3", {"lr": 0.001}),
        ("lr: .5", {"lr": 0.5}),
        ("lr: 1", {"lr": 1.0}),
        ("lr: null", {"lr": None}),
        ("lr:", {"lr": None}),
        ("threads: auto", {"threads": None}),
        ("dim: +7", {"dim": 7}),
        ("min-count: 3", {"min_count": 3}),
        ("lowercase: no", {"lowercase": False}),
        ("lowercase: TRUE", {"lowercase": True}),
        ("arch: 'cbow'", {"arch": "cbow"}),
        ("valid: '12'", {"valid": "12"}),
        ("valid: none", {"valid": None}),
        ("time-budget: 10m", {"time_budget": "10m"}),
        ("{dim: 7, seed: 9}", {"dim": 7, "seed": 9}),
        ("\ufeffdim: 7\r\nseed: 9\r\n", {"dim": 7, "seed": 9}),
        ("seed: 9223372036854775807", {"seed": 2**63 - 1}),
        ("window: line", {"window": "line"}),
        ("window: 9", {"window": 9}),
        ("separator: ','", {"separator": ","}),
        ("field: text", {"field": "text"}),
        ("field: null", {"field": None}),
        ("field: 'null'", {"field": "null"}),
    ],
)
def test_yaml_is_read_as_meant(written, text, expected):
    found = written(text)

    assert expected == found
    assert [type(v) for v in expected.values()] == [type(v) for v in found.values()]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("dim: !!python/object/apply:os.system [id]", "line 1: tags are not read"),
        ("dim: !!int 5", "line 1: tags are not read"),
        ("!!map {dim: 5}", "line 1: tags are not read"),
        ("%TAG ! tag:x,2000:\n---\ndim: 5", "tags are not read"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "line 1: anchors and aliases are not read"),
        ("dim: &d 5\nwindow: *d", "line 1: anchors and aliases are not read"),
        ("dim: *d", "line 1: anchors and aliases are not read"),
        ("<<: *d", "line 1: anchors and aliases are not read"),
        ("dim: &d\n  - *d", "anchors and aliases are not read"),
        ("dim: " + "[" * 1100 + "]" * 1100, "line 1: expected `name: value` lines, found nesting"),
        ("dim: {" + "a: {" * 1100, "line 1: expected `name: value` lines, found nesting"),
        ("train:\n  dim: 5", "line 2: expected `name: value` lines, found nesting"),
        ("dim: 5\nseed: 1\ndim: 6", "line 3: dim is given twice; keep one of the lines"),
        ("min-count: 5\nmin_count: 6", "line 2: min_count is given twice"),
        ("dim: 0123", "dim is '0123', but must be an integer from 1 to 4096"),
        ("dim: 1_0", "dim is '1_0', but must be an integer"),
        ("dim: 1:30", "dim is '1:30', but must be an integer"),
        ("dim: 0x10", "dim is '0x10', but must be an integer"),
        ("dim: 1e2", "dim is '1e2', but must be an integer"),
        ("dim: 5.0", "dim is '5.0', but must be an integer"),
        ("dim: " + "9" * 5000, "but must be an integer"),
        ("dim: ٣", "dim is '٣', but must be an integer"),
        ("dim: no", "dim is 'no', but must be an integer"),
        ("dim:", "dim is '', but must be an integer"),
        (
            "dim: '5'",
            "dim is the text '5', but must be an integer from 1 to 4096; write it without",
        ),
        ("dim: 9999", "line 1: dim is 9999, but must be an integer from 1 to 4096"),
        ("lr: .nan", "lr is '.nan', but must be a number above 0, at most 10"),
        ("lr: .inf", "lr is '.inf', but must be a number"),
        ("lr: 1e999", "but must be a number"),
        ("lr: -0.5", "lr is -0.5, but must be a number"),
        ("lr: 1_0.5", "but must be a number"),
        ("lowercase: 1", "lowercase is '1', but must be true or false"),
        ("window: lines", "window is 'lines', but must be an integer from 1 to 100 or line"),
        ("arch: no", "arch is 'no', but must be skipgram or cbow or glove"),
        ("count_memory: 2", "count_memory is '2', but must be a size in bytes: 500M or 2G"),
        ("time_budget: 10", "time_budget is '10', but must be a time above 0: 90s, 10m or 2h"),
        ("time_budget: 0s", "time_budget is '0s', but must be a time above 0"),
        ("dim: 5\n\tseed: 1", "not YAML"),
        ("dim: [5", "found nesting"),
        ("dim 5", "line 1: expected `name: value` lines"),
        ("- dim", "line 1: expected `name: value` lines, found nesting"),
        ("? [dim]\n: 5", "line 1: expected `name: value` lines, found nesting"),
        ("dim: 5\n---\nseed: 1", "line 2: only one document is read"),
        ("dimm: 5", "line 1: unknown key 'dimm'; did you mean dim?"),
        ("min-cuont: 5", "unknown key 'min-cuont'; did you mean min_count?"),
        ("zzz: 5", "unknown key 'zzz'; there are arch, dim, window"),
        (b"dim: 5\0", "byte 6 is NUL; expected UTF-8 text"),
        (b"dim: 5 # \xff", "byte 9 is not UTF-8"),
        ("dim: 5 # \x1b[2J", "not YAML"),
        (b"# " + b"x" * 10_000_000, "over 1 MiB; a configuration holds a few lines"),
    ],
)
def test_bad_yaml_is_refused_on_one_line(written, text, fragment):
    with pytest.raises(ConfigError) as caught:
        written(text)

    message = str(caught.value)
    assert fragment in message
    assert "c.yaml: " in message
    assert "\n" not in message
    assert len(message) < 2000


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


NO_TREE = ("optimizer", "dropout", "l2", "max_norm", "freeze", "subword")


def test_sizes_are_powers_of_two():
    assert 3 << 29 == TrainConfig(count_memory="1536M").count_bytes
    assert 2 << 30 == TrainConfig(count_memory="2G").count_bytes
    assert TrainConfig().count_bytes is None


def _values(setting):
    if setting.kind == "switch":
        return st.booleans()
    if setting.kind == "choice":
        choices = st.sampled_from(setting.choices)
        return choices | st.none() if setting.automatic else choices
    low = 1e-4 if setting.open_low else setting.low
    if setting.kind == "text":
        values = st.sampled_from(
            ["a.txt", "b c: d # e", "12", "1e-3", "yes", "it's", "\u00e9\n", "null", "~", " x "]
        )
    elif setting.kind == "duration":
        values = st.sampled_from(["90s", "10m", "1.5h"])
    elif setting.kind == "size":
        values = st.sampled_from(["500M", "2G"])
    elif setting.kind == "integer":
        values = st.integers(int(low), int(setting.high))
    else:
        values = st.floats(low, setting.high)
    return values | st.none() if setting.automatic else values


@given(st.fixed_dictionaries({name: _values(s) for name, s in settings().items()}))
def test_what_is_dumped_is_read_back(tmp_path_factory, options):
    options["min_lr"] = min(options["min_lr"], options["lr"] or 0.05)
    options["delimiter"], options["quote"] = ("|", "none") if options["field"] else (None, None)
    if options["items"]:
        kept_as_they_are = ("tokenizer", "pattern", "normalize", "lowercase", "digits")
        options = {name: v for name, v in options.items() if name not in kept_as_they_are}
        options["separator"] = "\\t"
    else:
        options["separator"] = None
        options["pattern"] = "x+" if options["tokenizer"] == "pattern" else None
    options["encoding"] = options["encoding"] and "shift_jis"
    if options["valid"] or not options["evaluate"]:
        options["valid_fraction"], options["patience"] = 0, None
    if options["init"] or not options["continue_from"]:
        options["continue_from"], options["freeze"] = None, None
    if options["arch"] == "glove":
        cannot = ("init", "continue_from", "valid", "valid_fraction", "patience", *NO_TREE)
        options |= {name: getattr(TrainConfig, name) for name in cannot}
    elif options["loss"] == "hs":
        options |= {name: getattr(TrainConfig, name) for name in NO_TREE}
    elif options["subword"]:
        cannot = ("init", *NO_TREE[:-1])
        options |= {name: getattr(TrainConfig, name) for name in cannot}
    if options["arch"] == "glove" or options["loss"] == "hs" or options["subword"]:
        options["deterministic"] = options["deterministic"] and None
    elif options["deterministic"]:
        cannot = ("optimizer", "dropout", "l2", "max_norm", "freeze", "time_budget")
        options |= {name: getattr(TrainConfig, name) for name in cannot}
    config = TrainConfig(**options)
    path = tmp_path_factory.mktemp("dump") / "c.yaml"
    path.write_text(dump_config(config.as_dict()))

    assert config == TrainConfig(**load_config(path))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_configurations_we_ship_are_valid_and_commented(path):
    options = load_config(path)

    assert options
    assert options == {name: TrainConfig(**options).as_dict()[name] for name in options}
    assert path.read_text().startswith("# ")
