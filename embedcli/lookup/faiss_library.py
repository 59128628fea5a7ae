"""Loads faiss, where it is installed."""

from __future__ import annotations

import os
import warnings
from typing import Any

from embedcli.errors import MissingExtraError

__all__ = ["load_faiss"]


def load_faiss(purpose: str) -> Any:
    """The library, for `purpose`.

    Raises:
        MissingExtraError: it is not installed.
    """
    # Threads of faiss that wait for each other would keep their cores busy, and others off them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the code that SWIG made
            import faiss
    except ImportError as error:
        raise MissingExtraError(purpose, "faiss", "ann") from error
    return faiss
