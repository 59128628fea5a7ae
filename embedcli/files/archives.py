"""Zip archives with one file of vectors in them, as many are published.

What accompanies it (a licence, a read-me, JSON about the model, folders, what macOS adds) is left
aside. ``.npz`` archives are NumPy's and read by `npz.py`; others that are something else altogether
are named.
"""

from __future__ import annotations

import io
import lzma
import re
import zipfile
import zlib
from typing import Final

from embedcli.errors import FormatError
from embedcli.files.compression import DamagedError
from embedcli.quoting import quoted

__all__ = ["ZIP_DAMAGE", "ZipMember", "only_member"]

_ASIDE: Final = re.compile(
    r"(.*/)?(__MACOSX/.*|\..*|[^/]*(read.?me|licen[cs]e|copying|notice)[^/]*|LIST|[^/]*\."
    r"(json|md|pdf|html?|py|yaml|yml))|.*/",
    re.IGNORECASE,
)
_KINDS: Final = (
    (r"(.*/)?data\.pkl", "a PyTorch file: save its matrix and words as .npz or text"),
    (r"\[Content_Types\]\.xml", "a document of an office program"),
    (r"(.*/)?model\.weights\.h5", "a Keras model: save its matrix and words as .npz or text"),
    (r"(.*/)?syn0\.txt", "a model of Deeplearning4j: write it by its `writeWord2VecModel` as .bin"),
    (r"META-INF/MANIFEST\.MF", "a Java archive"),
)
ZIP_DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, OSError),
)


class ZipMember(io.RawIOBase):
    """A file in an archive, being read."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive = archive
        self._file = archive.open(info)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with the next bytes.

        Raises:
            DamagedError: the archive is damaged.
        """
        try:
            data = self._file.read(len(buffer))
        except ZIP_DAMAGE as error:
            raise DamagedError(str(error)) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the archive, too."""
        self._file.close()
        self._archive.close()
        super().close()


def only_member(path: str) -> ZipMember | None:
    """The one file of vectors in the archive at `path`; None for NumPy's archives.

    Raises:
        FormatError: there is none, or more; it is encrypted or damaged, or of another kind.
    """
    try:
        archive = zipfile.ZipFile(path)
        infos = archive.infolist()
        if infos and all(info.filename.endswith(".npy") for info in infos):
            archive.close()
            return None
        _refuse_kinds(path, [info.filename for info in infos])
        found = [info for info in infos if not _ASIDE.fullmatch(info.filename)]
        if len(found) != 1:
            held = ", ".join(quoted(info.filename) for info in found[:8]) or "none"
            more = " ..." if len(found) > 8 else ""
            raise FormatError(
                f"{path} is a zip archive with {len(found)} files that may be the vectors ({held}"
                f"{more}): name one as zip://NAME::{path}"
            )
        return ZipMember(archive, found[0])
    except ZIP_DAMAGE as error:
        raise FormatError(f"{path} is a damaged zip archive: {error}") from error


def _refuse_kinds(path: str, names: list[str]) -> None:
    for pattern, kind in _KINDS:
        if any(re.fullmatch(pattern, name) for name in names):
            raise FormatError(f"{path} is {kind}")
