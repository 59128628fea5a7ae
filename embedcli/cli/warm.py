"""`embed warm`: compile the kernels of a run before there is one."""

from __future__ import annotations

from typing import Any, Final

import click

from embedcli.cli.options import json_option, train_options_without, verbosity_options
from embedcli.cli.output import echo, echo_json
from embedcli.cli.progress_bar import show_progress
from embedcli.settings.config import TrainConfig, settings

__all__ = ["command"]

# The settings that kernels are compiled for.
_COMPILED_FOR: Final = (
    *("arch", "dim", "negative", "loss", "subword", "optimizer", "dropout", "l2", "max_norm"),
    *("deterministic", "shuffle", "tokenizer", "items", "threads"),
)


@click.command()
@train_options_without(*(name for name in settings() if name not in _COMPILED_FOR))
@json_option
@verbosity_options
def command(config: TrainConfig, chosen: dict[str, Any], as_json: bool) -> None:
    r"""Compile the kernels that `embed train` needs with these options, and keep them.

    The first `embed train` on a machine takes some seconds more, because it compiles. `embed warm`
    does that before: when an image for a container is built, or when a cache for CI is filled. It
    trains on a few generated words and writes no model.

    \b
        embed warm
        embed warm --arch cbow --hogwild
        EMBED_CACHE_DIR=/opt/embed embed warm

    The kernels stay in the user's cache directory, or in EMBED_CACHE_DIR. They are for this user,
    this version of embed and this kind of processor; docs/training.md has the details. Where none
    can be kept, the exit code is 5.
    """
    from embedcli.training.warming import warm

    with show_progress() as on_progress:
        kept = warm(config, on_progress)
    if as_json:
        echo_json({"directory": str(kept.directory), "files": kept.files, "bytes": kept.bytes})
    else:
        echo(f"{kept.directory}: {kept.files} kernels, {kept.bytes / 1e6:.1f} MB")
