"""What is told from the first bytes of a file: by whole signatures, not by letters of texts."""

import io
import tarfile
import warnings

import pytest

from embedcli.errors import CorpusError
from embedcli.files.kinds import is_parquet
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import count_corpus
from embedcli.text.recognition import check_is_text

SPANISH = ("Me " + "pregunto si " * 30)[:257]
TEXTS = {
    "a Spanish verb where tar has its magic": f"{SPANISH}ustaría saber más, y el resto.\n",
    "the word itself there": f"{SPANISH}ustar is what POSIX calls it\n",
    "spaces behind it": f"{SPANISH}ustar   00\n",
    "eight letters and a brace": 'var x = {"a": 1}\n',
    "eight others": 'a := [, {"b": 2}\n',
    "LZIP": "LZIP is a format of compressed files\n",
    "PAR1": "PAR1 is how Parquet begins — and ends: PAR1\n",
    "a table": "PAR1,text\n1,é\n",
    "ARROW1": "ARROW1 begins an Arrow file\n",
    "GIF": "GIF89a — das Format von 1989\n",
    "GIF, older": "GIF87a\n",
    "PDF": "%PDF-1.4 est l'en-tête d'un fichier\n",
    "a version of PDF": "%PDF-1.7\nThe line above begins a file\n",
    "7z": "7z is an archiver; Rar! is another, PK was Phil Katz\n",
    "SQLite": "SQLite format 3 is what all of them say\n",
    "ELF": "ELF and NUMPY, HDF and PNG\n",
    "git": "version https of what\n",
    "digits where a checksum is": ("x" * 148 + "0007777 " + "y" * 400) + "\n",
    "MATLAB": "MATLAB 5.0 MAT-file is how such a file begins\n",
    "formats of tables": "ORC and Obj and FEA1 and CDF\n",
    "Feather": "FEA1, ARROW1 and GGUF, lmgg and IxFI of faiss\n",
    "R": "X\n2 3 RDX2\n",
    "OS": "ustar\n" * 100,
}


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_text_with_the_letters_of_a_format_is_text(tmp_path, what, encoding):
    head = TEXTS[what].encode(encoding)
    check_is_text("FILE", head)

    assert not is_parquet(head)


def tar(**more):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", **more) as archive:
        member = tarfile.TarInfo("a/text.txt")
        member.size = 6
        archive.addfile(member, io.BytesIO(b"a b c\n"))
    return packed.getvalue()


def old_tar():
    """A header as before POSIX: nothing tells it but its checksum."""
    header = bytearray(tar(format=tarfile.USTAR_FORMAT))
    header[257:512] = bytes(255)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


def parquet():
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    sink = io.BytesIO()
    write_table(pyarrow.table({"text": ["a b", "c d"]}), sink)
    return sink.getvalue()


FILES = {
    "POSIX tar": (lambda: tar(format=tarfile.USTAR_FORMAT), "a tar archive"),
    "GNU tar": (lambda: tar(format=tarfile.GNU_FORMAT), "a tar archive"),
    "pax": (lambda: tar(format=tarfile.PAX_FORMAT), "a tar archive"),
    "old tar": (old_tar, "a tar archive"),
    "Parquet": (parquet, "a Parquet file"),
    "GIF": (lambda: b"GIF89a\x20\x03\x58\x02\xf7\x20\x20", "an image"),
    "JPEG": (lambda: b"\xff\xd8\xff\xe0\x00\x10JFIF", "an image"),
    "lzip": (lambda: b"LZIP\x01\x17" + bytes(9), "compressed by lzip"),
    "compress": (lambda: b"\x1f\x9d\x90a\xc4", "compressed by compress"),
    "lz4": (lambda: b"\x04\x22\x4d\x18\x64\x40\xa7", "compressed by lz4"),
    "Arrow": (lambda: b"ARROW1\0\0\xff\xff\xff\xff", "an Arrow .Feather. file"),
    "ORC": (lambda: b"ORC\x0a\x03\0\0\0"[:3] + b"\x01", "an ORC file"),
    "faiss": (lambda: b"IxF2\x64\0\0\0", "a faiss index"),
    "MATLAB": (
        lambda: b"MATLAB 5.0 MAT-file, made here".ljust(124) + b"\0\x01IM",
        "a MATLAB file",
    ),
    "PDF": (lambda: b"%PDF-1.4\n1 0 obj\n<</Type /Catalog>>\n", "a PDF document"),
}


@pytest.mark.parametrize("what", FILES)
def test_what_is_no_text_is_refused_unless_somebody_insists(tmp_path, what):
    make, said = FILES[what]
    path = tmp_path / "file"
    path.write_bytes(make() + b" " + b"word " * 2000)
    with pytest.raises(CorpusError, match=f"file is {said}, not text; .*--as-text"):
        count_corpus([str(path)], min_count=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NUL and of malformed sequences
        vocabulary, _ = count_corpus([str(path)], rules=TextRules(as_text=True), min_count=1000)
    assert ["word"] == vocabulary.words


def test_many_files_of_one_kind_are_one_warning(tmp_path):
    paths = [tmp_path / f"{number}.html" for number in range(300)]
    for path in paths:
        path.write_text("<!DOCTYPE html>\n<html> a b </html>\n")
    with pytest.warns(UserWarning) as caught:
        count_corpus([str(path) for path in paths], min_count=1)

    first = ", ".join(map(str, paths[:3]))
    assert [f"{first} and 297 more: the first line looks like an HTML page, not plain text"] == [
        str(warning.message) for warning in caught
    ]
