"""Bytes of a text, eight and sixty-four at a time."""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["WHITE_SPACE", "classify", "fold", "load8", "lowest_bit", "prefetch_slot", "store8"]

WHITE_SPACE = -1  # the separator that is no single byte

_BYTE, _INT, _WORD = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_CHUNK = ir.VectorType(_BYTE, 64)


def _address(context, builder, array_type, array, index) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


@intrinsic
def load8(typing_context, text, index) -> Any:
    """``text[index:index + 8]`` as a little-endian uint64, aligned or not."""

    def generate(context, builder, signature, arguments) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        return builder.load(builder.bitcast(address, _WORD.as_pointer()), align=1)

    return types.uint64(text, types.intp), generate


@intrinsic
def store8(typing_context, text, index, word) -> Any:
    """Write eight bytes at `index`."""

    def generate(context, builder, signature, arguments) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], builder.bitcast(address, _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(text, types.intp, types.uint64), generate


@intrinsic(prefer_literal=True)
def classify(typing_context, separator, text, index) -> Any:
    """Four uint64 masks of ``text[index:index + 64]``, bit i for byte i.

    ASCII white space (NUL, 09-0D, 1C-20); first bytes of white space that is two bytes wide
    (U+0085, A0); that is three wide (U+1680, 2000-200A, 2028, 2029, 202F, 205F, 3000); NUL and 0A.
    With a `separator` (int literal) other than `WHITE_SPACE`: that byte, NUL, 0A and 0D; nothing;
    nothing; NUL and 0A.
    """
    byte_between = separator.literal_value

    def generate(context, builder, signature, arguments) -> Any:
        def load(shift: int) -> Any:
            at = builder.add(arguments[2], ir.Constant(arguments[2].type, shift))
            address = _address(context, builder, signature.args[1], arguments[1], at)
            return builder.load(builder.bitcast(address, _CHUNK.as_pointer()), align=1)

        def among(byte, first: int, count: int = 1) -> Any:
            offset = builder.sub(byte, ir.Constant(_CHUNK, [first] * 64))
            return builder.icmp_unsigned("<", offset, ir.Constant(_CHUNK, [count] * 64))

        def either(*masks) -> Any:
            return functools.reduce(builder.or_, masks)

        def both(*masks) -> Any:
            return functools.reduce(builder.and_, masks)

        byte = load(0)
        nul = among(byte, 0x00)
        if byte_between != WHITE_SPACE:
            space = either(nul, among(byte, 0x0A), among(byte, 0x0D), among(byte, byte_between))
            items = (space, either(nul, among(byte, 0x0A)))
            none = ir.Constant(_WORD, 0)
            found, counted = (builder.bitcast(mask, _WORD) for mask in items)
            bits = [found, none, none, counted]
            return context.make_tuple(builder, signature.return_type, bits)
        second, third = load(1), load(2)
        in_2000 = either(among(third, 0x80, 11), among(third, 0xA8, 2), among(third, 0xAF))
        masks = (
            either(nul, among(byte, 0x09, 5), among(byte, 0x1C, 5)),
            both(among(byte, 0xC2), either(among(second, 0x85), among(second, 0xA0))),
            either(
                both(among(byte, 0xE1), among(second, 0x9A), among(third, 0x80)),
                both(among(byte, 0xE2), among(second, 0x80), in_2000),
                both(among(byte, 0xE2), among(second, 0x81), among(third, 0x9F)),
                both(among(byte, 0xE3), among(second, 0x80), among(third, 0x80)),
            ),
            either(nul, among(byte, 0x0A)),
        )
        bits = [builder.bitcast(mask, _WORD) for mask in masks]
        return context.make_tuple(builder, signature.return_type, bits)

    return types.UniTuple(types.uint64, 4)(separator, text, types.intp), generate


@intrinsic
def prefetch_slot(typing_context, array, index) -> Any:
    """Ask for the cache line of ``array[index]``, to be written soon."""

    def generate(context, builder, signature, arguments) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        line = builder.bitcast(address, _BYTE.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [line.type, *[_INT] * 3])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [line, _INT(1), _INT(3), _INT(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


@intrinsic
def lowest_bit(typing_context, mask) -> Any:
    """The index of the lowest set bit of a uint64 that is not zero."""

    def generate(context, builder, signature, arguments) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), generate


@intrinsic
def fold(typing_context, left, right) -> Any:
    """The two halves of the 128-bit product of two uint64, xored (the mixer of wyhash)."""

    def generate(context, builder, signature, arguments) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), _WORD)
        return builder.xor(builder.trunc(product, _WORD), high)

    return types.uint64(types.uint64, types.uint64), generate
