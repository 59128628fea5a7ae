"""Calls of compiled functions by their address: who calls need not be compiled with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["caller"]


def caller(argument_types: tuple[Any, ...]) -> Callable[..., None]:
    """What calls a function of these Numba types, which returns nothing: ``call(address, (..))``.

    `jit.address_of` gives addresses. Arguments of other types are cast, or refused by the compiler.
    """

    @intrinsic
    def call(typing_context, address, arguments) -> tuple[Any, Callable[..., ir.Value]]:
        """Call the function at `address`, int64, with a tuple of `arguments`."""

        def generate(context, builder: ir.IRBuilder, signature, args) -> ir.Value:
            values = [builder.extract_value(args[1], i) for i in range(len(argument_types))]
            kind = context.call_conv.get_function_type(types.none, argument_types)
            function = builder.inttoptr(args[0], kind.as_pointer())
            context.call_conv.call_function(builder, function, types.none, argument_types, values)
            return context.get_dummy_value()

        return types.void(types.int64, types.Tuple(argument_types)), generate

    result: Callable[..., None] = call
    return result
