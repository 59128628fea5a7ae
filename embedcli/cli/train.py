"""`embed train`: text in, a model out."""

from __future__ import annotations

import click

from embedcli.cli.options import train_options, verbosity_options
from embedcli.config import TrainConfig

@click.command(short_help="Train embeddings from text.")
@click.argument("corpus", nargs=-1, required=True)
@click.option("-o", "--output", "outputs", multiple=True, default=("model.safetensors",), help="Where.")
@train_options
@verbosity_options
def command(corpus: tuple[str, ...], outputs: tuple[str, ...], config: TrainConfig) -> None:
    """Train."""
    from embedcli.training.trainer import train
    from embedcli.formats import save
    from embedcli.cli.output import talk
    e = train(corpus, config)
    for o in outputs: save(e, o)
    talk(str(e.metadata))
