"""NumPy's arrays in a pickle, built from its data alone.

    _reconstruct(ndarray, (0,), b"b"), state (version, shape, dtype, is Fortran order, bytes)
    _frombuffer(bytes, dtype, shape, order)          protocol 5
    scalar(dtype, bytes)
    dtype("f4", ...), state (3, byte order, ...)

Python 2 wrote bytes as they are, protocol 2 of Python 3 as ``_codecs.encode(text, "latin1")``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from embedcli.formats.pickled import Global, Record
from embedcli.quoting import quoted

__all__ = ["ARRAY_GLOBALS", "array_of", "bytes_of", "mapping_of", "number_of"]

_CORE: Final = ("numpy.core.", "numpy._core.")
_DTYPE: Final = re.compile(r"[<>|=]?([fiub][1248]|[SU][0-9]{1,6}|O8?)")
_DICTIONARIES: Final = ("defaultdict", "OrderedDict", "Counter", "dict")
ARRAY_GLOBALS: Final = frozenset(
    [
        *("numpy.ndarray", "numpy.dtype", "_codecs.encode"),
        *(
            f"{core}{name}"
            for core in _CORE
            for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
        ),
    ]
)


def array_of(value: Any) -> NDArray[Any]:
    """The array that `value` describes; objects in it stay as the pickle has them.

    Raises:
        ValueError: it describes none, or is damaged.
    """
    if not isinstance(value, Record):
        raise ValueError("no array")
    name = value.kind.name
    if name == "_reconstruct" and isinstance(value.state, tuple) and len(value.state) == 5:
        _, shape, dtype, is_fortran, data = value.state
    elif name == "_frombuffer" and len(value.args) == 4:
        data, dtype, shape, order = value.args
        is_fortran = order == "F"
    else:
        raise ValueError(f"no array, but {value.kind}")
    shape = shape_of(shape)
    kind = _dtype_of(dtype)
    order = "F" if is_fortran else "C"
    if kind.hasobject:
        return _objects(data, shape)
    return np.frombuffer(bytes_of(data), kind).reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]


def _objects(data: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    if not isinstance(data, list) or math.prod(shape) != len(data):
        raise ValueError("an array of objects of another size")
    array = np.empty(len(data), object)
    array[:] = data
    return array.reshape(shape)


def shape_of(value: Any) -> tuple[int, ...]:
    """A shape: a few whole numbers from 0.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, tuple) or len(value) > 8:
        raise ValueError("no shape")
    if not all(isinstance(n, int) and 0 <= n < 1 << 48 for n in value):
        raise ValueError("no shape")
    return value


def _dtype_of(value: Any) -> np.dtype[Any]:
    if not isinstance(value, Record) or value.kind != Global("numpy", "dtype") or not value.args:
        raise ValueError("no type of numbers")
    code = text_of(value.args[0])
    if _DTYPE.fullmatch(code) is None:
        raise ValueError(f"numbers of type {quoted(code)}")
    kind = np.dtype(code)
    state = value.state
    if isinstance(state, tuple) and len(state) > 1 and text_of(state[1]) in (">", "<"):
        kind = kind.newbyteorder(text_of(state[1]))  # type: ignore[arg-type]
    return kind


def bytes_of(value: Any) -> bytes:
    """The bytes that `value` describes.

    Raises:
        ValueError: it describes none.
    """
    if isinstance(value, Record) and value.kind == Global("_codecs", "encode"):
        text = value.args[0] if value.args else None
        if isinstance(text, str) and value.args[1:] in (("latin1",), ("latin-1",)):
            return text.encode("latin-1")
    if isinstance(value, Record) and value.kind.name == "bytes" and not value.args:
        return b""  # how protocol 2 writes no bytes at all
    if not isinstance(value, bytes):
        raise ValueError("no bytes")
    return value


def text_of(value: Any) -> str:
    """Text, which Python 2 may have written as bytes.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def number_of(value: Any) -> int | float | bool | None:
    """A number, which may be one of NumPy's; None for anything else."""
    if isinstance(value, Record) and value.kind.name == "scalar" and len(value.args) == 2:
        kind = _dtype_of(value.args[0])
        if kind.kind in "fiub":
            (number,) = np.frombuffer(bytes_of(value.args[1]), kind).tolist()
            return number  # type: ignore[no-any-return]
    return value if isinstance(value, int | float) else None


def mapping_of(value: Any) -> Mapping[Any, Any]:
    """A dictionary of any of Python's kinds.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, Record) and value.kind.name in _DICTIONARIES:
        first = value.args[0] if value.args else None
        if isinstance(first, dict):
            return first | value.items
        if isinstance(first, list):
            pairs = [tuple(pair) for pair in first if isinstance(pair, list | tuple)]
            if all(len(pair) == 2 and isinstance(pair[0], str | bytes) for pair in pairs):
                return dict(pairs) | value.items
        return value.items
    raise ValueError("no dictionary")
