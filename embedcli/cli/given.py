"""`--init` and `--continue`: what a run begins with, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from embedcli.cli.output import talk, warn
from embedcli.settings.config import TrainConfig
from embedcli.settings.values import Value

if TYPE_CHECKING:
    from embedcli.embeddings import Embeddings
    from embedcli.reading import ReadingOptions

__all__ = ["read_given", "say_given", "say_movement"]


def read_given(
    config: TrainConfig, chosen: Mapping[str, Value], reading: ReadingOptions
) -> tuple[TrainConfig, Embeddings | None]:
    """The settings of a run and the vectors it begins with, if any.

    Where nobody chose them, --dim is that of the vectors, and with --continue all that is of the
    model is as it says.
    """
    from embedcli.formats import load

    path = config.init or config.continue_from
    if path is None:
        return config, None
    given = load(path, reading=reading)
    if config.continue_from:
        from embedcli.training.continuing import continued

        return continued(path, given, config, chosen), given
    return (config if "dim" in chosen else replace(config, dim=given.dim)), given


def say_differences(given: Embeddings, config: TrainConfig) -> None:
    """What a run that goes on with a model does not do as that was trained."""
    if not config.continue_from:
        return
    from embedcli.training.continuing import differences

    path = config.continue_from
    if not given.metadata:
        talk(
            f"{path} does not say how it was trained: settings that no option says are the defaults"
        )
        return
    found = [
        f"--{each.name.replace('_', '-')} {_shown(each.here)} (there {_shown(each.there)})"
        for each in differences(given, config)
    ]
    unlike = f", but for {', '.join(found)}" if found else ""
    talk(f"going on with the settings of {path}{unlike}")


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def say_given(given: Mapping[str, Any], n_words: int) -> None:
    """How much of the text begins with given vectors, before it is trained."""
    frozen = f", {given['frozen']:,} of them frozen" if given["frozen"] else ""
    made = f"{given['by_subwords']:,} begin by subwords, " if given["by_subwords"] else ""
    talk(
        f"{given['file']}: {given['found']:,} of its {given['words']:,} words are among the "
        f"{n_words:,} trained, {given['share_of_tokens']:.1%} of the text{frozen}; {made}the "
        "others begin at random"
    )
    if not given["output_vectors"]:
        warn(
            f"{given['file']} has no output vectors: they begin at 0, and the given vectors will "
            "move further until they are learnt"
        )


def say_movement(given: Mapping[str, Any]) -> None:
    """How far the given words have moved."""
    moved = given["moved"]
    if not moved["words"]:
        talk("no given vector has moved")
        return
    cosine = moved["cosine"]
    most = ", ".join(f"{word} {value:.2f}" for word, value in moved["most"])
    talk(
        f"{moved['words']:,} of {given['found']:,} given words have moved; cosine with where they "
        f"began: median {cosine['p50']:.3f}, a tenth below {cosine['p10']:.3f}; most: {most}"
    )
