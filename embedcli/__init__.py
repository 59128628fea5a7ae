"""embed: train, look up and score word and item embeddings.

This module is the public API. Each name is imported when it is first used, so `import embedcli`
loads neither NumPy nor Numba::

    import embedcli

    embeddings = embedcli.train("corpus.txt", dim=200)
    embeddings.neighbors("cat")
    embeddings.save("model.safetensors")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedcli.api.classifier import Classifier, classify
    from embedcli.api.embeddings import Embeddings
    from embedcli.api.functions import evaluate, load, train
    from embedcli.errors import EmbedError
    from embedcli.formats import save
    from embedcli.settings.config import TrainConfig
    from embedcli.vocabulary import Vocabulary

__all__ = [
    "Classifier",
    "EmbedError",
    "Embeddings",
    "TrainConfig",
    "Vocabulary",
    "classify",
    "evaluate",
    "load",
    "save",
    "train",
]

__version__ = "0.1.0"

_HOMES = {
    "Classifier": "embedcli.api.classifier",
    "EmbedError": "embedcli.errors",
    "Embeddings": "embedcli.api.embeddings",
    "TrainConfig": "embedcli.settings.config",
    "Vocabulary": "embedcli.vocabulary",
    "classify": "embedcli.api.classifier",
    "evaluate": "embedcli.api.functions",
    "load": "embedcli.api.functions",
    "save": "embedcli.formats",
    "train": "embedcli.api.functions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'embedcli' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
