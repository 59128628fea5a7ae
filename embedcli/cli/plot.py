"""`embed plot`: a map of the words to look around in, or curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import click

from embedcli.cli.model_options import reading_options
from embedcli.cli.number_options import number_option
from embedcli.cli.options import default_model, json_option, verbosity_options, warn_without_effect
from embedcli.cli.output import echo_json, talk
from embedcli.cli.parameter_files import keep_apart
from embedcli.errors import FormatError, InputError, UsageError
from embedcli.quoting import escaped, quoted

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.settings.reading import ReadingOptions

__all__ = ["command"]

_MOST = 1e15  # what a score or a setting may be; beyond it is no number that can be drawn
_MEASURES = {
    "score": "mean score",
    "held_out": "held-out loss",
    "pip_loss": "PIP loss between runs",
    "seconds": "seconds a run",
}


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="Output: .html, .png, .svg or .pdf."
)
@number_option("--top", default=20_000, text="Show the N most frequent words.", least=2)
@click.option(
    "--layout",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="Principal components, or UMAP (pip install 'embedcli[viz]').",
)
@click.option(
    "--clusters",
    type=click.IntRange(min=1, max=1000),
    default=20,
    show_default=True,
    metavar="K",
    help="Colour words by K clusters, as of `embed cluster`.",
)
@click.option(
    "--color",
    metavar="FILE.tsv",
    help="Colour words by the second column of this file; the first holds the words.",
)
@number_option("-k", default=10, text="Neighbours per word.")
@click.option("--loss", is_flag=True, help="Draw the loss of each epoch of the MODELs instead.")
@click.option("--tune", metavar="FILE.json", help="Draw the output of `embed tune --json` instead.")
@number_option("--seed", default=1, text="Seed of the layout and the clusters.", least=0)
@reading_options
@json_option
@verbosity_options
def command(
    models: tuple[str, ...],
    output: str,
    top: int,
    layout: str,
    clusters: int,
    color: str | None,
    k: int,
    loss: bool,
    tune: str | None,
    seed: int,
    reading: ReadingOptions,
    as_json: bool,
) -> None:
    r"""Draw the words of MODEL as a map.

    \b
        embed plot model.safetensors -o map.html
        embed plot model.safetensors -o map.html --layout umap --top 5000
        embed plot run-1.safetensors run-2.safetensors --loss -o loss.svg
        embed plot --tune tune.json -o tune.svg

    .html is one self-contained page. Search and zoom; click on a word to see its neighbours, or on
    a group to hide it. map.html#king opens at a word. .png, .svg and .pdf are still pictures (pip
    install 'embedcli[viz]'). --json prints one object that describes the output.
    """
    import embedcli
    from embedcli.files.publish import check_writable, publish
    from embedcli.maps.drawing import draw_words, kind_of

    if tune is not None and (loss or models):
        raise UsageError("--tune FILE.json is a picture of its own: leave MODEL and --loss out")
    kind = kind_of(output, may_be_page=not loss and tune is None)
    if tune is not None or loss:
        only_of_maps = ("top", "layout", "clusters", "color", "k", "seed")
        warn_without_effect(only_of_maps, "with --loss" if loss else "with --tune")
    models = models or (default_model(),)
    keep_apart([output], [tune] if tune is not None else models)
    check_writable(output)
    if tune is not None:
        data = _tune_curves(tune, kind)
    elif loss:
        data = _loss_curves(models, kind, reading)
    elif len(models) > 1:
        raise UsageError(f"one map shows one model, not {len(models)}")
    else:
        embeddings = embedcli.load(models[0], reading=reading).head(top)
        groups = _groups(embeddings, clusters, color, seed)
        title = f"{escaped(models[0])}: {len(embeddings):,} words, {layout}"
        by = escaped(Path(color).name) if color else "class"
        data = draw_words(
            embeddings, kind, groups, title, layout=layout, colored_by=by, k=k, seed=seed
        )
    with publish(output) as sink:
        sink.write(data)
    talk(f"{output}: {len(data):,} bytes")
    if as_json:
        shown = "tune" if tune is not None else "loss" if loss else "map"
        drawn = [tune] if tune is not None else models
        echo_json({"file": output, "shows": shown, "of": drawn, "bytes": len(data)})


def _groups(embeddings: Embeddings, clusters: int, color: str | None, seed: int) -> list[str]:
    if color is None:
        from embedcli.maps.drawing import class_names

        return class_names(embeddings, clusters, seed)
    given = _read_column(color)
    if not any(word in given for word in embeddings.vocabulary.words):
        raise InputError(f"{color}: none of its words is among the {len(embeddings):,} shown")
    return [given.get(word, "(none)") for word in embeddings.vocabulary.words]


def _read_column(path: str) -> dict[str, str]:
    from embedcli.files.plain import read_finite

    try:
        lines = read_finite(path).decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read: {error}") from error
    given = {}
    for number, line in enumerate(lines, 1):
        fields = line.rstrip("\r").split("\t")
        if not line.strip():
            continue
        if len(fields) < 2:
            raise FormatError(
                f"{path}, line {number}: expected word<TAB>group, found {quoted(line[:60])}"
            )
        given[fields[0]] = fields[1]
    return given


def _tune_curves(path: str, kind: str) -> bytes:
    """Score, losses and time by dimension, or the score by each of several settings."""
    from embedcli.files.plain import read_finite
    from embedcli.maps.figures import draw_measures, draw_panels

    try:
        content = read_finite(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    trials = _trials(path, content)
    scored = [(t["settings"], float(t["score"])) for t in trials if t["score"] is not None]
    if not scored:
        raise InputError(f"{path}: no score in it is defined")
    names = list(trials[0]["settings"])
    if names == ["dim"]:
        return draw_measures(_by_dimension(trials), "dimensions", kind)
    panels = {name: [(_place(s[name]), score) for s, score in scored] for name in names}
    return draw_panels(panels, "mean score", kind)


def _trials(path: str, content: bytes) -> list[dict[str, Any]]:
    """The trials that `embed tune --json` printed.

    Raises:
        FormatError: the file is something else.
    """
    from embedcli.tuning.space import SEARCHABLE

    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON that `embed tune --json` prints: {error}") from error
    trials = told.get("trials") if isinstance(told, dict) else None
    if not isinstance(trials, list) or not trials:
        raise FormatError(f"{path} is not what `embed tune --json` prints: it lists no trials")
    names = trials[0].get("settings") if isinstance(trials[0], dict) else None
    for number, trial in enumerate(trials, 1):
        settings = trial.get("settings") if isinstance(trial, dict) else None
        if (
            not isinstance(settings, dict)
            or not isinstance(names, dict)
            or not names
            or set(settings) != set(names)
            or not set(settings) <= set(SEARCHABLE)
            or not all(_is_value(value) for value in settings.values())
            or not all(trial.get(name) is None or _is_number(trial[name]) for name in _MEASURES)
            or (set(settings) == {"dim"} and not _is_number(settings["dim"]))
            or "score" not in trial
        ):
            raise FormatError(
                f"{path} is not what `embed tune --json` prints: trial {number} lacks the settings "
                "that were searched, or its score and losses are no numbers"
            )
    return trials


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _MOST


def _by_dimension(trials: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """What was measured of the trials, as curves; without what none of them has."""
    curves = {
        title: sorted(
            (trial["settings"]["dim"], trial[name])
            for trial in trials
            if trial.get(name) is not None
        )
        for name, title in _MEASURES.items()
    }
    return {title: curve for title, curve in curves.items() if curve}


def _place(value: object) -> float | str:
    """Where a setting's value lies on an axis: numbers by size, anything else by name."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else str(value)  # type: ignore[arg-type]


def _loss_curves(models: Sequence[str], kind: str, reading: ReadingOptions | None = None) -> bytes:
    import embedcli
    from embedcli.maps.figures import draw_curves
    from embedcli.settings.reading import STRICT

    curves: dict[str, list[tuple[int, float]]] = {}
    for model in models:
        embeddings = embedcli.load(model, reading=reading or STRICT)
        losses = embeddings.metadata.get("loss")
        if not (isinstance(losses, list) and losses and all(map(_is_number, losses))):
            raise InputError(f"{model} does not say the loss of its epochs")
        curves |= _curve_that_compares(model, embeddings.metadata.get("epochs") or ()) or {
            f"{model}, while training": list(enumerate(losses, 1))
        }
    return draw_curves(curves, "epoch", "mean loss of a pair", kind)


def _curve_that_compares(
    model: str, epochs: Sequence[object]
) -> dict[str, list[tuple[int, float]]]:
    """The loss on held-out text, or else on the sample, after each epoch that measured it."""
    for name, title in (("held_out", f"{model}, held out"), ("sample", model)):
        told = [epoch.get(name) if isinstance(epoch, Mapping) else None for epoch in epochs]
        measured = [(number, value) for number, value in enumerate(told, 1) if _is_number(value)]
        if measured:
            return {title: measured}
    return {}
