"""Python's pickles, read without running anything: an interpreter of their opcodes.

A pickle is a program for a stack machine (PEP 307, PEP 3154, and the comments of CPython's
``pickletools``). It names functions and classes and asks for them to be called. Here nothing is
looked up and nothing is called: a name that the caller allows becomes a `Global`, what would be an
object becomes a `Record` of what was asked for, and every other name ends the reading. Numbers,
text, bytes, tuples, lists and dictionaries are themselves; sets are lists.

Every value costs at least a byte of the file and is never copied, so memory stays in proportion to
what was read. Keys of dictionaries are text, bytes, small integers and records (each its own key):
hashing others could take longer than reading.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any, Final

from embedcli.errors import FormatError
from embedcli.files.source import Source
from embedcli.quoting import quoted_bytes

__all__ = ["Global", "Record", "read_pickle"]

_BLOCK_BYTES: Final = 1 << 20
_LARGEST_READ: Final = 1 << 23
_LONGEST_LINE: Final = 1 << 16
_LARGEST_KEY: Final = (1 << 61) - 1  # from here on, integers that differ may have equal hashes


@dataclass(frozen=True)
class Global:
    """The name of a function or class; nothing more is known of it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Record:
    """What a pickle asks to be made.

    Attributes:
        kind: the class or function.
        args: what it would be called with.
        state: what the object would be given afterwards.
        items: entries of a kind of dictionary.
        members: those of a kind of list.
    """

    kind: Global
    args: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    members: list[Any] = field(default_factory=list)


def read_pickle(source: Source, allowed: Container[str]) -> Any:
    """Read the one value that the pickle at the beginning of `source` describes.

    Args:
        source: the file.
        allowed: the names of functions and classes that may occur, ``module.name``.

    Raises:
        FormatError: it is damaged, or holds another name.
    """
    return _Machine(source, allowed).run()


class _Bytes:
    """The bytes of a file, taken in order."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.position = 0
        self._data = b""
        self._start = 0

    def take(self, n_bytes: int) -> bytes:
        stop = self._start + n_bytes
        if stop > len(self._data):
            return self._taken_from_file(n_bytes)
        taken = self._data[self._start : stop]
        self._start = stop
        self.position += n_bytes
        return taken

    def _taken_from_file(self, n_bytes: int) -> bytes:
        parts = [self._data[self._start :]]
        missing = n_bytes - len(parts[0])
        while missing > 0:
            block = self.source.read(max(_BLOCK_BYTES, min(missing, _LARGEST_READ)))
            if not block:
                break
            parts.append(block)
            missing -= len(block)
        if missing > 0:
            raise EOFError(f"the file ends {missing} bytes too early")
        self._data = b"".join(parts)
        self._start = n_bytes
        self.position += n_bytes
        return self._data[:n_bytes]

    def line(self) -> bytes:
        parts = []
        while (byte := self.take(1)) != b"\n":
            parts.append(byte)
            if len(parts) > _LONGEST_LINE:
                raise ValueError("a line without an end")
        return b"".join(parts)

    def number(self, layout: struct.Struct) -> Any:
        return layout.unpack(self.take(layout.size))[0]


_U1, _U2, _I4 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<i")
_U4, _U8, _F8 = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct(">d")


class _Machine:
    """The stack, the marks in it, and the memo."""

    def __init__(self, source: Source, allowed: Container[str]) -> None:
        self._where = source.path
        self._file = _Bytes(source)
        self._allowed = allowed
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._steps = self._table()

    def run(self) -> Any:
        try:
            while (code := self._file.take(1)) != b".":
                step = self._steps.get(code)
                if step is None:
                    raise ValueError(f"the opcode {quoted_bytes(code)} is none that is read")
                step()
            return self._stack.pop()
        except (IndexError, KeyError, TypeError, ValueError, EOFError) as error:
            what = str(error) if type(error) in (ValueError, EOFError, TypeError) else "no value"
            raise FormatError(
                f"{self._where}, byte {self._file.position}: the pickle is damaged: {what}"
            ) from error

    def _table(self) -> dict[bytes, Callable[[], None]]:
        """Every opcode and what it does; those left out reach outside of the file."""
        put, number, take = self._push, self._file.number, self._file.take
        steps: dict[bytes, Callable[[], None]] = {
            b"\x80": lambda: self._protocol(number(_U1)),
            b"\x95": lambda: _ignore(take(8)),  # FRAME: only the length of what follows
            b"(": self._mark,
            b"0": self._drop,
            b"1": lambda: _ignore(self._above_mark()),
            b"2": lambda: put(self._stack[-1]),
            b"N": lambda: put(None),
            b"\x88": lambda: put(True),
            b"\x89": lambda: put(False),
            b"I": lambda: put(self._decimal(self._file.line())),
            b"J": lambda: put(number(_I4)),
            b"K": lambda: put(number(_U1)),
            b"M": lambda: put(number(_U2)),
            b"L": lambda: put(int(self._file.line().removesuffix(b"L"))),
            b"\x8a": lambda: put(int.from_bytes(take(number(_U1)), "little", signed=True)),
            b"\x8b": lambda: put(int.from_bytes(take(number(_U4)), "little", signed=True)),
            b"F": lambda: put(float(self._file.line())),
            b"G": lambda: put(number(_F8)),
            b"S": lambda: put(_quoted(self._file.line())),
            b"V": lambda: put(self._file.line().decode("raw-unicode-escape")),
            b"d": lambda: put(self._dictionary(self._above_mark())),
            b"l": lambda: put(self._above_mark()),
            b"t": lambda: put(tuple(self._above_mark())),
            b"\x91": lambda: put(self._above_mark()),  # FROZENSET
            b"}": lambda: put({}),
            b"]": lambda: put([]),
            b")": lambda: put(()),
            b"\x8f": lambda: put([]),  # EMPTY_SET
            b"\x85": lambda: put(self._popped(1)),
            b"\x86": lambda: put(self._popped(2)),
            b"\x87": lambda: put(self._popped(3)),
            b"a": lambda: self._append([self._stack.pop()]),
            b"e": lambda: self._append(self._above_mark()),
            b"\x90": lambda: self._append(self._above_mark()),  # ADDITEMS
            b"s": lambda: self._set_items(list(self._popped(2))),
            b"u": lambda: self._set_items(self._above_mark()),
            b"c": lambda: put(self._global(self._file.line(), self._file.line())),
            b"\x93": lambda: put(self._global(*self._popped(2))),
            b"R": self._call,
            b"\x81": self._call,  # NEWOBJ
            b"\x92": self._call_with_keywords,
            b"i": self._instance,
            b"o": lambda: self._object(self._above_mark()),
            b"b": self._build,
            b"p": lambda: self._keep(int(self._file.line())),
            b"q": lambda: self._keep(number(_U1)),
            b"r": lambda: self._keep(number(_U4)),
            b"\x94": lambda: self._keep(len(self._memo)),
            b"g": lambda: put(self._memo[int(self._file.line())]),
            b"h": lambda: put(self._memo[number(_U1)]),
            b"j": lambda: put(self._memo[number(_U4)]),
        }
        for code, layout in ((b"X", _U4), (b"\x8c", _U1), (b"\x8d", _U8)):
            steps[code] = self._text_step(layout)
        for code, layout in (
            (b"T", _I4), (b"U", _U1), (b"B", _U4), (b"C", _U1), (b"\x8e", _U8), (b"\x96", _U8),
        ):  # fmt: skip
            steps[code] = self._bytes_step(layout)
        return steps

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _text_step(self, layout: struct.Struct) -> Callable[[], None]:
        number, take, put = self._file.number, self._file.take, self._push
        return lambda: put(take(number(layout)).decode("utf-8", "surrogatepass"))

    def _bytes_step(self, layout: struct.Struct) -> Callable[[], None]:
        number, take, put = self._file.number, self._file.take, self._push
        return lambda: put(take(max(0, number(layout))))

    def _protocol(self, version: int) -> None:
        if version > 5:
            raise ValueError(f"protocol {version}; protocols 0 to 5 are read")

    def _mark(self) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _above_mark(self) -> list[Any]:
        above, self._stack = self._stack, self._marked.pop()
        return above

    def _drop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._above_mark()

    def _popped(self, n: int) -> tuple[Any, ...]:
        if len(self._stack) < n:
            raise IndexError
        popped = tuple(self._stack[-n:])
        del self._stack[-n:]
        return popped

    def _decimal(self, line: bytes) -> int | bool:
        return line == b"01" if line in (b"00", b"01") else int(line)

    def _keep(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _dictionary(self, flat: list[Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            made[_key(key)] = value
        return made

    def _set_items(self, flat: list[Any]) -> None:
        target = self._stack[-1]
        items = target.items if isinstance(target, Record) else target
        if not isinstance(items, dict):
            raise ValueError("entries for what is no dictionary")
        items.update(self._dictionary(flat))

    def _append(self, values: list[Any]) -> None:
        target = self._stack[-1]
        members = target.members if isinstance(target, Record) else target
        if not isinstance(members, list):
            raise ValueError("members for what is no list")
        members += values

    def _global(self, module: Any, name: Any) -> Global:
        found = Global(_name(module), _name(name))
        if str(found) not in self._allowed:
            name = quoted_bytes(str(found).encode())
            raise FormatError(
                f"{self._where} is a Python pickle that asks for {name}, which is none of "
                "the names in gensim's files of vectors; nothing in it was run"
            )
        return found

    def _call(self) -> None:
        kind, args = self._popped(2)
        self._describe(kind, args)

    def _call_with_keywords(self) -> None:
        kind, args, keywords = self._popped(3)
        self._describe(kind, (*args, keywords))

    def _instance(self) -> None:
        kind = self._global(self._file.line(), self._file.line())
        self._describe(kind, tuple(self._above_mark()))

    def _object(self, above: list[Any]) -> None:
        self._describe(above[0], tuple(above[1:]))

    def _describe(self, kind: Any, args: Any) -> None:
        if not isinstance(kind, Global) or not isinstance(args, tuple):
            raise ValueError("a call of what is no function")
        self._push(Record(kind, args))

    def _build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if not isinstance(target, Record):
            raise ValueError("a state for what is no object")
        target.state = state


def _ignore(value: object) -> None:
    """Leave out what was taken."""


def _key(key: Any) -> Any:
    if isinstance(key, int):
        if abs(key) >= _LARGEST_KEY:
            raise ValueError("a key of a dictionary that is too large a number")
    elif not isinstance(key, str | bytes | Record | None):
        raise ValueError("a key of a dictionary that is neither text nor a number")
    return key


def _name(text: Any) -> str:
    if isinstance(text, bytes):
        return text.decode()
    if not isinstance(text, str):
        raise ValueError("a name that is no text")
    return text


def _quoted(line: bytes) -> bytes:
    """The bytes that Python 2 wrote as a literal between quotes."""
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("text without quotes")
    return line[1:-1].decode("unicode-escape").encode("latin-1")
