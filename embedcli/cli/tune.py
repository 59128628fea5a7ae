"""`embed tune`: which settings does this text deserve, above all how many dimensions?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from embedcli.cli.cluster_options import check_options
from embedcli.cli.number_options import number_option
from embedcli.cli.options import (
    Duration,
    json_option,
    train_options_without,
    verbosity_options,
)
from embedcli.cli.output import echo_json, echo_rows, say_choice, talk, warn
from embedcli.cli.parameter_files import files_of, keep_apart
from embedcli.cli.progress_bar import show_progress
from embedcli.errors import UsageError
from embedcli.quoting import shell_line, shell_word
from embedcli.settings.compatibility import used_by
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value, written
from embedcli.settings.yaml_files import dump_config, load_space

if TYPE_CHECKING:
    from embedcli.progress import OnProgress
    from embedcli.text.corpus import Corpus
    from embedcli.tuning.space import Space
    from embedcli.tuning.trial import Bench, Trial
    from embedcli.vocabulary import Vocabulary

__all__ = ["command"]

_DIMS = "25,50,100,200"
_TRIALS = 20
_HELD_OUT = 0.01  # of the text, where nobody says otherwise
_MEASURES = ("score", "loss", "held_out", "seconds", "MB", "memory_MB", "pip_loss")


@click.command(short_help="Search the number of dimensions and other settings.")
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "--dims",
    metavar="N,N",
    help=f"Numbers of dimensions to try.  [default: {_DIMS}, unless --try or --space is given]",
)
@click.option(
    "--try",
    "tried",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values of a setting to try: lr=0.025,0.05; or, with optuna, a range: lr=0.01:0.1. May be "
    "repeated.",
)
@click.option(
    "--space",
    "space_file",
    metavar="FILE.yaml",
    help="Read the search space from a file, in lines such as lr: 0.01:0.1.",
)
@click.option(
    "--evaluate",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Analogy or similarity file to score on; may be repeated.",
)
@number_option(
    "--runs",
    default=2,
    text="Runs per trial, with different seeds; two or more measure stability.",
    most=100,
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Number of trials.  [default: all combinations; {_TRIALS} if a range is searched]",
)
@click.option(
    "--budget",
    type=Duration(),
    default="never",
    help="Start no trial that would probably end after this time: 90s, 20m, 2h.",
)
@click.option(
    "--journal",
    metavar="FILE",
    help="Share the trials with every process that names this file (pip install 'embedcli[tune]').",
)
@click.option("-o", "--output", metavar="FILE.yaml", help="Write the recommended settings.")
@train_options_without(*(name for name in used_by("single") if not name.startswith("valid")))
@json_option
@verbosity_options
def command(
    corpus: tuple[str, ...],
    dims: str | None,
    tried: tuple[str, ...],
    space_file: str | None,
    files: tuple[str, ...],
    runs: int,
    trials: int | None,
    budget: float,
    journal: str | None,
    output: str | None,
    config: TrainConfig,
    chosen: Mapping[str, Value],
    as_json: bool,
) -> None:
    r"""Train on CORPUS with several settings, twice each, and compare them.

    \b
        embed tune corpus.txt --dims 25,50,100 --evaluate pairs.tsv --budget 20m -o best.yaml
        embed tune corpus.txt --try lr=0.01:0.1 --try window=2:10 --evaluate pairs.tsv --trials 30
        embed train corpus.txt --config best.yaml

    All combinations of listed values are tried, the cheapest first. Ranges are searched by optuna's
    TPE. With --journal, several processes share the trials, at once or one after the other. Each
    takes the next trial until there are --trials; each reports all of them. The text is read once.

    Columns: the settings that are searched, the mean score, training loss of the last epoch, loss
    on the held-out text (a hundredth, or --valid-fraction, or --valid), seconds of training per
    run, megabytes of the vectors, megabytes of memory for training, and the PIP loss between two
    runs with different seeds (0: the same space; 1.41: unrelated).

    The recommendation is the best of the trials with the fewest dimensions that reach 99 % of the
    best score. The other training options apply to all trials; a setting that is searched overrides
    its option.
    """
    from embedcli.evaluation.item_files import read_evaluation_file
    from embedcli.files.publish import check_writable
    from embedcli.text.prose import settled
    from embedcli.tuning.journal import check_journal, import_optuna
    from embedcli.tuning.trial import Bench, recommended

    check_options(None, chosen)
    if "-" in corpus:
        raise UsageError("give files: what is tuned on standard input could not be trained again")
    space = _space(dims, tried, space_file)
    space.check(config)
    if not space.is_grid or journal is not None or trials is not None:
        import_optuna()
    for file in files:  # before the work, not after it
        read_evaluation_file(file)
    written = list(filter(None, (output, journal)))
    keep_apart(written, files_of(config), texts=corpus, recursive=config.recursive)
    for target in written:
        check_writable(target)
    if journal is not None:
        check_journal(journal)
    with show_progress() as on_progress, ExitStack() as texts:

        def read(paths: Sequence[str], words: Vocabulary | None = None) -> Corpus:
            return texts.enter_context(_encoded(paths, config, words, on_progress))

        asked, config = config, settled(corpus, config, recursive=config.recursive)
        say_choice(asked, config)
        encoded = read(corpus)
        valid = read([config.valid], encoded.vocabulary) if config.valid else None
        config = _with_held_out(config, chosen, space)
        bench = Bench(encoded, config, files, valid, runs, on_progress)
        found, missing = _search(bench, space, trials, budget, journal)
    best = recommended(found)
    if as_json:
        listed = [asdict(trial) for trial in found]
        settings = None if best is None else best.settings
        echo_json({"files": files, "trials": listed, "missing": missing, "recommended": settings})
    else:
        _print(found, [axis.name for axis in space.axes])
    if missing:
        talk(f"{missing} of {missing + len(found)} trials are left out for want of time")
    if best is None:
        talk("no score is defined: nothing is recommended")
    else:
        fixed = {name: value for name, value in chosen.items() if name not in best.settings}
        _recommend(corpus, {**best.settings, **fixed}, output)


def _encoded(
    paths: Sequence[str], config: TrainConfig, words: Vocabulary | None, on_progress: OnProgress
) -> Corpus:
    from embedcli.text.corpus_reader import encode_for_training
    from embedcli.vocabulary import UNKNOWN

    unk = config.unk and (words is None or UNKNOWN in words)
    return encode_for_training(paths, config, words, unk=unk, on_progress=on_progress)


def _with_held_out(config: TrainConfig, chosen: Mapping[str, Value], space: Space) -> TrainConfig:
    """The settings with something held out, unless somebody chose or the architecture cannot."""
    searched = {axis.name: axis.values for axis in space.axes}
    if "glove" in (config.arch, *searched.get("arch", ())) or {"valid", "valid_fraction"} & set(
        chosen
    ):
        return config
    return replace(config, valid_fraction=_HELD_OUT)


def _space(dims: str | None, tried: Sequence[str], file: str | None) -> Space:
    """What is searched; a flag wins over the file."""
    from embedcli.tuning.space import parse_space

    if dims is None and not tried and file is None:
        dims = _DIMS
    flags = {} if dims is None else {"dim": dims}
    for text in tried:
        name, _, values = text.partition("=")
        name = name.replace("-", "_")
        if not name or not values:
            raise UsageError(f"--try {text} is not NAME=VALUES, such as lr=0.01:0.1")
        if name in flags:
            raise UsageError(f"{name} is searched twice: keep one of {flags[name]} and {values}")
        flags[name] = values
    return parse_space((load_space(file) if file else {}) | flags)


def _search(
    bench: Bench, space: Space, trials: int | None, seconds: float, journal: str | None
) -> tuple[list[Trial], int]:
    """The trials, and how many there was no time for."""
    from embedcli.tuning.search import Budget, try_all

    budget = Budget(seconds)
    if trials is None and journal is None and space.is_grid:
        found, skipped = try_all(bench, space.grid(bench.config), budget, on_trial=_tell)
        return found, len(skipped)
    from embedcli.tuning.journal import try_some

    n_trials = trials or (len(space.grid(bench.config)) if space.is_grid else _TRIALS)
    return try_some(bench, space, n_trials, budget, journal=journal, on_trial=_tell)


def _tell(trial: Trial) -> None:
    shown = ", ".join(f"{name} {value}" for name, value in trial.settings.items())
    if trial.fault is not None:
        warn(f"{shown}: {trial.fault}")
    else:
        talk(f"{shown}: {_number(trial.score)}", at=1)


def _print(trials: Sequence[Trial], names: Sequence[str]) -> None:
    rows = (
        (
            *(written(trial.settings[name]) for name in names),
            *map(_number, (trial.score, trial.loss, trial.held_out, trial.seconds)),
            *map(_number, (trial.n_bytes / 1e6, trial.memory / 1e6, trial.pip_loss)),
        )
        for trial in trials
    )
    echo_rows(rows, (*names, *_MEASURES) if sys.stdout.isatty() else None)


def _recommend(corpus: Sequence[str], settings: Mapping[str, Value], output: str | None) -> None:
    """Say the settings as a command, and write them as a configuration."""
    from embedcli.files.publish import publish

    flags = " ".join(_flag(name, value) for name, value in settings.items())
    talk(f"recommended: embed train {shell_line(list(corpus))} {flags}")
    if output:
        with publish(output) as sink:
            sink.write(dump_config(settings).encode())
        again = f"embed train {shell_line(list(corpus))} --config {shell_word(output)}"
        talk(f"{output}: the same as a configuration ({again})")


def _flag(name: str, value: Value) -> str:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {shell_word(written(value))}"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
