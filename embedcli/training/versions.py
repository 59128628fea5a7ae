"""The versions of what a model's bytes depend on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

from embedcli import __version__
from embedcli.settings.config import TrainConfig
from embedcli.settings.patterns import compiled
from embedcli.subwords.pieces import Pieces
from embedcli.subwords.table import Units

__all__ = ["versions"]


def versions(config: TrainConfig, units: Units | None = None) -> dict[str, str]:
    """The versions of what computes: the same ones compute the same bytes.

    Libraries are named where the settings use them: what cuts text into words, words into pieces,
    or reads tables.

    Args:
        config: settings.
        units: how words are cut.
    """
    libraries = ["numpy", "numba", "llvmlite"]
    more = {}
    if config.tokenizer == "unicode":
        libraries.append("icu4py")
        more["icu"] = _icu()
    if config.pattern is not None and type(compiled(config.pattern)).__module__ != "re":
        libraries.append("regex")
    if isinstance(units, Pieces):
        libraries.append("sentencepiece")
    if config.field is not None and "pyarrow" in sys.modules:  # a Parquet file was read
        libraries.append("pyarrow")
    return {
        "embed": __version__,
        "python": platform.python_version(),  # and of Unicode's data, for all that is not ICU's
        **{name: version(name) for name in libraries},
        **more,
    }


def _icu() -> str:
    """The version of ICU itself, whose rules say where words end."""
    import icu4py

    return str(icu4py.icu_version)
