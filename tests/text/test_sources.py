"""Which files a path means, what is inside of them, and how they are opened."""

import bz2
import contextlib
import gzip
import hashlib
import importlib
import io
import lzma
import os
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from embedcli.cli.spool import spooled
from embedcli.cluster.shards import cut
from embedcli.errors import CorpusError, MissingExtraError, ResourceError, UsageError
from embedcli.files import compression
from embedcli.text import sources
from embedcli.text.corpus_reader import count_corpus
from embedcli.text.sources import Library, find_sources, opened

TEXT = "first line here\nzweite Zeile, größer\n第三 行\n".encode() * 50


def zstd(data):
    zstandard = pytest.importorskip("zstandard")
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACKERS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a.txt", "sub/c.txt", "sub/deep/d.txt", ".hidden", "sub/.git/e.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"this is {name}\n")
    return tmp_path


def read(paths, step=1000):
    """All the text of some sources, and the library it was read from."""
    buffer = bytearray(step)
    text = b""
    with contextlib.closing(Library(paths)) as library:
        for file in library:
            while n := file.readinto(memoryview(buffer)):
                text += buffer[:n]
    return text, library


def test_files_are_read_in_the_order_given(tree):
    assert ["b.txt", "a.txt", "b.txt"] == find_sources(["b.txt", "a.txt", "b.txt"])
    assert b"this is b.txt\nthis is a.txt\n" == read(["b.txt", "a.txt"])[0]


def test_globs_are_expanded_by_name_unless_a_file_is_called_so(tree):
    assert ["a.txt", "b.txt"] == find_sources(["*.txt"])
    assert ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt"] == find_sources(["**/*.txt"])
    assert [f"{tree}/sub/c.txt"] == find_sources([f"{tree}/su[b]/?.txt"])
    Path("[x].txt").write_text("x")
    assert ["[x].txt"] == find_sources(["[x].txt"])


def test_directories_give_what_is_below_them_once(tree):
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "sub" / "deep" / "self").symlink_to(".")
    (tree / "sub" / "again.txt").symlink_to("c.txt")
    os.link(tree / "a.txt", tree / "sub" / "z.txt")
    (tree / "sub" / "dangling.txt").symlink_to("nowhere")
    os.mkfifo(tree / "sub" / "pipe")

    assert [
        "./a.txt",
        "./b.txt",
        "./sub/again.txt",
        "./sub/deep/d.txt",
    ] == find_sources(["."], recursive=True)
    assert ["sub/again.txt"] == find_sources(["sub", "sub/"], recursive=True)[:1]
    assert ["a.txt", "b.txt"] == find_sources(["[ab].txt"], recursive=True)
    assert ["sub/c.txt"] == [p for p in find_sources(["su*/c*"]) if "c" in p]


@pytest.mark.parametrize(
    ("paths", "error", "message"),
    [
        (["sub"], CorpusError, "sub is a directory; to read all files below it: --recursive"),
        (["nope.txt"], CorpusError, "nope.txt: no such file"),
        (["*.nope"], CorpusError, r"\*.nope: no such file"),
        (["-", "a.txt", "-"], UsageError, r"standard input \(-\) can be read once only"),
    ],
)
def test_paths_that_mean_nothing(tree, paths, error, message):
    with pytest.raises(error, match=message):
        find_sources(paths)


def test_a_directory_without_files(tree):
    (tree / "empty").mkdir()
    with pytest.raises(CorpusError, match="no files below empty"):
        find_sources(["empty"], recursive=True)


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["text", "text.gz", "text.zst", "text.txt"])
def test_compression_is_told_by_content_not_by_name(tmp_path, packer, name):
    path = tmp_path / name
    path.write_bytes(PACKERS[packer](TEXT))
    text, library = read([str(path)])

    assert TEXT == text
    assert hashlib.sha256(TEXT).hexdigest() == library.digest.hexdigest()
    assert (len(TEXT), path.stat().st_size) == (library.n_bytes, library.n_consumed)


@pytest.mark.parametrize("packer", PACKERS)
def test_several_members_are_one_text(tmp_path, packer):
    path = tmp_path / "text"
    path.write_bytes(PACKERS[packer](TEXT) + PACKERS[packer](b"and more"))

    assert TEXT + b"and more" == read([str(path)])[0]


@pytest.mark.parametrize("packer", [name for name in PACKERS if name != "plain"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_truncated_files_are_refused_by_name(tmp_path, packer, share):
    packed = PACKERS[packer](os.urandom(20_000).hex().encode())
    path = tmp_path / "text"
    path.write_bytes(packed[: int(share * len(packed))])
    with pytest.raises(CorpusError, match="text is truncated: its compressed data ends too early"):
        read([str(path)])


@pytest.mark.parametrize("packer", [name for name in PACKERS if name != "plain"])
def test_damaged_files_are_refused_by_name(tmp_path, packer):
    packed = bytearray(PACKERS[packer](os.urandom(20_000).hex().encode()))
    packed[5000:5100] = bytes(100)
    path = tmp_path / "text"
    path.write_bytes(packed)
    with pytest.raises(CorpusError, match=r"text is (damaged|truncated)"):
        read([str(path)])


@pytest.mark.parametrize("library", ["isal.igzip", "backports.zstd"])
def test_the_extra_gives_the_same(tmp_path, library):
    """Both libraries of the extra are used where they are installed."""
    pytest.importorskip(library)
    packer = gzip.compress if library.startswith("isal") else zstd
    packed = packer(TEXT) + packer(b"more")
    path = tmp_path / "text"
    path.write_bytes(packed)

    assert TEXT + b"more" == read([str(path)])[0]
    path.write_bytes(packed[:-3])
    with pytest.raises(CorpusError, match="is truncated"):
        read([str(path)])
    path.write_bytes(packed + b"garbage that is no member")
    with pytest.raises(CorpusError, match=r"is (damaged|truncated)"):
        read([str(path)])


def without(monkeypatch, *missing):
    """Act as if these libraries were not installed."""
    real = importlib.import_module

    def import_module(name):
        if name in missing:
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(compression, "import_module", import_module)


def test_gzip_and_zstd_without_the_extra(tmp_path, monkeypatch):
    without(monkeypatch, "isal.igzip_lib", "compression.zstd", "backports.zstd")
    for packer in ("gzip", "zstd"):
        path = tmp_path / packer
        path.write_bytes(PACKERS[packer](TEXT))
        assert TEXT == read([str(path)])[0]


MEMBERS = [f"{'spam eggs ' * 9}{n}\n".encode() for n in range(5)]
PACKED = [name for name in PACKERS if name != "plain"]
LIBRARIES = {  # what each kind is unpacked by where others are missing
    "gzip": (("isal.igzip_lib",), ()),
    "bz2": ((),),
    "xz": ((),),
    "zstd": (("compression.zstd", "backports.zstd"), ()),
}
EVERY_LIBRARY = [(name, missing) for name in PACKED for missing in LIBRARIES[name]]


def broken_members(packer):
    """Five members, the third of them broken in one way after another."""
    members = [PACKERS[packer](text) for text in MEMBERS]
    third = members[2]
    broken = {
        "zeroed": bytes(len(third) // 4 * 4 + 1),
        "its magic": b"\xff\xff\xff" + third[3:],
        "its middle": third[:12] + bytes(b ^ 0x55 for b in third[12:]),
        "its end": third[:-4] + bytes(b ^ 0x55 for b in third[-4:]),
        "cut": third[:-5],
        "text": b"these are words and no member",
    }
    for how, part in broken.items():
        yield f"{how}, others follow", b"".join([*members[:2], part, *members[3:]])
        if how != "zeroed":
            yield f"{how}, at the end", b"".join([*members[:2], part])


@pytest.mark.parametrize(("packer", "missing"), EVERY_LIBRARY)
def test_a_broken_member_is_never_the_end_of_the_text(tmp_path, monkeypatch, packer, missing):
    without(monkeypatch, *missing)
    path = tmp_path / "text"
    found = []
    for how, packed in broken_members(packer):
        path.write_bytes(packed)
        with pytest.raises(CorpusError, match=r"text is (damaged|truncated)"):
            read([str(path)])
        found.append(how)

    assert 11 == len(found)


@pytest.mark.parametrize(("packer", "missing"), EVERY_LIBRARY)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_members_are_read_to_the_last_whatever_is_asked_for(
    tmp_path, monkeypatch, packer, missing, step
):
    without(monkeypatch, *missing)
    texts = [b"", *MEMBERS, b"", os.urandom(2000).hex().encode() if step > 1 else b"x", b""]
    path = tmp_path / "text"
    path.write_bytes(b"".join(map(PACKERS[packer], texts)))

    assert b"".join(texts) == read([str(path)], step)[0]


@pytest.mark.parametrize(
    ("packer", "between", "behind"),
    [("gzip", b"", None), ("xz", bytes(8), bytes(4)), ("xz", b"", bytes(1 << 17))],
)
def test_padding_that_the_formats_know_is_skipped_and_said(tmp_path, packer, between, behind):
    path = tmp_path / "text"
    packed = PACKERS[packer](b"one ") + between + PACKERS[packer](b"two")
    if behind is None:  # up to the end of a block of a tape
        behind = bytes(10240 - len(packed))
    path.write_bytes(packed + behind)
    text, library = read([str(path)])

    assert b"one two" == text
    n = len(between + behind)
    assert [f"{path}: {n} zero bytes were taken for padding of packed data"] == library.suspicions


@pytest.mark.parametrize(
    ("packer", "padding", "message"),
    [
        ("gzip", bytes(3), "3 zero bytes stand where its next member should"),
        ("xz", bytes(6), "6 zero bytes follow a stream: not a multiple of four"),
        ("bz2", bytes(4), "what follows its bzip2 data at byte"),
        ("zstd", bytes(4), "what follows its zstd data at byte"),
    ],
)
def test_padding_that_they_do_not_know_is_an_error(tmp_path, packer, padding, message):
    path = tmp_path / "text"
    path.write_bytes(PACKERS[packer](b"one ") + padding + PACKERS[packer](b"two"))
    with pytest.raises(CorpusError, match=message):
        read([str(path)])


@pytest.mark.parametrize("number", range(1, 5))
def test_a_zeroed_member_of_gzip_is_no_padding(tmp_path, number):
    members = [gzip.compress(text) for text in MEMBERS]
    members[number] = bytes(len(members[number]))
    path = tmp_path / "text"
    path.write_bytes(b"".join(members))
    with pytest.raises(CorpusError, match=r"zero bytes (stand where its next|follow its 4) member"):
        read([str(path)])


def skippable(content, number=0):
    return bytes([0x50 + number, 0x2A, 0x4D, 0x18]) + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize("missing", LIBRARIES["zstd"])
def test_skippable_frames_of_zstd(tmp_path, monkeypatch, missing):
    without(monkeypatch, *missing)
    large = skippable(os.urandom(200_000), 15)
    frames = [skippable(b""), zstd(b"one "), large, skippable(b"x" * 9, 3), zstd(b"two"), large]
    path = tmp_path / "text"
    path.write_bytes(b"".join(frames))

    assert b"one two" == read([str(path)])[0]
    path.write_bytes(b"".join(frames)[:-1])
    with pytest.raises(CorpusError, match="text is truncated"):
        read([str(path)])


def long_window(window_log, text=b"far and wide"):
    """A frame of zstd that asks for a window of 2^window_log bytes (RFC 8878, 3.1.1)."""
    block = (len(text) << 3 | 1).to_bytes(3, "little") + text  # the last one, stored
    return b"\x28\xb5\x2f\xfd" + bytes([0, (window_log - 10) << 3]) + block


@pytest.mark.parametrize("missing", LIBRARIES["zstd"])
@pytest.mark.parametrize("window_log", [10, 27, 28, 31])
def test_long_windows_of_zstd(tmp_path, monkeypatch, missing, window_log):
    without(monkeypatch, *missing)
    monkeypatch.setattr(compression, "available_memory", lambda: 1 << 31)
    path = tmp_path / "text"
    path.write_bytes(zstd(b"near, ") + long_window(window_log))

    assert b"near, far and wide" == read([str(path)])[0]


def test_windows_that_do_not_fit(tmp_path, monkeypatch):
    path = tmp_path / "text"
    monkeypatch.setattr(compression, "available_memory", lambda: (1 << 30) - 1)
    path.write_bytes(long_window(30))
    with pytest.raises(ResourceError, match=r"needs 1,024 MiB of memory, and 1,023 MiB are left"):
        read([str(path)])
    path.write_bytes(long_window(32))
    with pytest.raises(ResourceError, match="of 4,096 MiB is more than the 2,048 MiB that zstd"):
        read([str(path)])
    monkeypatch.setattr(compression, "WINDOW_UNASKED", 1 << 20)  # not 2 GiB to make one that is
    monkeypatch.setattr(compression, "available_memory", lambda: 1 << 20)
    path.write_bytes(lzma.compress(b"x", preset=3))  # a dictionary of 4 MiB
    with pytest.raises(ResourceError, match="its dictionary does not fit in the memory"):
        read([str(path)])


def test_zstd_without_any_library(tmp_path, monkeypatch):
    without(monkeypatch, "compression.zstd", "backports.zstd", "zstandard")
    path = tmp_path / "text"
    path.write_bytes(b"\x28\xb5\x2f\xfd and so on")
    with pytest.raises(MissingExtraError, match=r"pip install 'embedcli\[io\]'"):
        read([str(path)])


@pytest.mark.parametrize("packer", ["plain", "gzip", "xz"])
def test_pipes(tmp_path, packer):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(PACKERS[packer](TEXT)))
    writer.start()
    text, library = read([str(path)])
    writer.join()

    assert (TEXT, None) == (text, library.n_total)


def test_standard_input(monkeypatch, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(gzip.compress(TEXT))
    with path.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert TEXT == read(["-"])[0]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
    assert TEXT == read(["-"])[0]


def test_standard_input_that_is_a_terminal(monkeypatch):
    _, terminal = os.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(UsageError, match=r"reading from terminal\?"):
            read(["-"])


def test_urls_go_through_fsspec():
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/corpus/text.gz", gzip.compress(TEXT))

    assert TEXT == read(["memory://corpus/text.gz"])[0]
    with pytest.raises(CorpusError, match="memory://corpus/none cannot be read"):
        read(["memory://corpus/none"])
    with pytest.raises(UsageError, match="nope://x cannot be opened"):
        read(["nope://x"])


@pytest.fixture
def archives(tmp_path):
    """A directory with two texts, a zip and a tar of them."""
    for name, text in (("a.txt", "one two\n"), ("b.txt", "three\n"), ("c.md", "no text\n")):
        (tmp_path / name).write_text(text)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("b.txt", "a.txt", "c.md"):
            archive.write(tmp_path / name, f"in/{name}")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "a.txt", "in/a.txt")
    return tmp_path


def test_members_of_archives(archives):
    for kind in ("zip", "tar"):
        assert b"one two\n" == read([f"{kind}://in/a.txt::file://{archives}/x.{kind}"])[0]


def test_globs_and_directories_in_urls(archives):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe({"/globs/a.txt": b"one ", "/globs/b.txt": b"two", "/globs/deep/c.txt": b" three"})
    zipped = f"file://{archives}/x.zip"
    both = [f"zip://in/a.txt::{zipped}", f"zip://in/b.txt::{zipped}"]

    assert both == find_sources([f"zip://in/*.txt::{zipped}"])
    assert b"one two\nthree\n" == read(find_sources([f"zip://in/*.txt::{zipped}"]))[0]
    found = find_sources([f"file://{archives}/[ab].txt"])
    assert [f"file://{archives}/a.txt", f"file://{archives}/b.txt"] == found
    assert b"one two" == read(find_sources(["memory://globs/*"]))[0]
    assert b"one two three" == read(find_sources(["memory://globs"], recursive=True))[0]
    assert b"one two three" == read(find_sources(["memory://glob*"], recursive=True))[0]
    memory.pipe("/globs/[x].txt", b"itself")
    assert b"itself" == read(find_sources(["memory://globs/[x].txt"]))[0]
    with pytest.raises(CorpusError, match=r"memory://globs/\*.gz cannot be read: no such file"):
        find_sources(["memory://globs/*.gz"])


class DeadNetwork(Exception):
    """What the libraries behind fsspec raise is of no common kind."""


def flaky(open_):
    fsspec = pytest.importorskip("fsspec")

    class Flaky(fsspec.AbstractFileSystem):
        protocol = "flaky"
        cachable = False

        def _open(self, path, mode="rb", **options):
            return open_(path)

        def info(self, path, **options):
            raise DeadNetwork("no route to host")

        ls = info

    fsspec.register_implementation("flaky", Flaky, clobber=True)


class CutShort(io.BytesIO):
    size = 100


def test_dead_networks_and_servers_that_end_too_early(archives):
    def dead(path):
        raise DeadNetwork("no route to host")

    flaky(dead)
    with pytest.raises(CorpusError, match="flaky://x cannot be read: DeadNetwork: no route"):
        read(["flaky://x"])
    with pytest.raises(CorpusError, match=r"flaky://\*.txt cannot be read: DeadNetwork: no route"):
        find_sources(["flaky://*.txt"])
    with pytest.raises(CorpusError, match="flaky://x cannot be read: DeadNetwork: no route"):
        cut(["flaky://x"], 2)
    flaky(lambda path: CutShort(b"a b c"))
    with pytest.raises(CorpusError, match="flaky://x cannot be read: it ends 95 bytes too early"):
        read(["flaky://x"])
    packed = (archives / "x.zip").read_bytes()
    (archives / "x.zip").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CorpusError, match=r"x.zip cannot be read: BadZipFile"):
        read([f"zip://in/a.txt::file://{archives}/x.zip"])


@pytest.mark.parametrize(
    "url",
    ["nope://x", "reference://x", "github://", "blockcache://", "jupyter://"],
)
def test_urls_that_nothing_can_open(url):
    with pytest.raises(UsageError, match=f"{url} cannot be opened: "):
        read([url])


@pytest.mark.parametrize(
    "url", ["://x", "file://", "zip://", "tar://::", "memory://", "zip://a", "data://x"]
)
def test_urls_that_name_no_file(url):
    with pytest.raises(CorpusError, match=f"{url} cannot be read: "):
        read([url])


def test_what_is_skipped_below_a_directory_is_said(tree):
    (tree / "sub" / "dangling.txt").symlink_to("nowhere")
    (tree / "sub" / "gone.txt").symlink_to("/nowhere")
    os.mkfifo(tree / "sub" / "pipe")
    library = opened(["sub"], recursive=True)

    assert [
        "sub/dangling.txt, sub/gone.txt: skipped, as it is a link to nothing",
        "sub/pipe: skipped, as it is no plain file",
    ] == library.suspicions


def test_standard_input_that_does_not_block(monkeypatch):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def write():
        for piece in (TEXT[:1000], TEXT[1000:]):
            time.sleep(0.05)
            os.write(writing, piece)
        os.close(writing)

    writer = threading.Thread(target=write)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        writer.start()
        assert TEXT == read(["-"])[0]
    writer.join()


def test_it_is_spooled_whole(monkeypatch, tmp_path):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    writer = threading.Thread(
        target=lambda: (time.sleep(0.05), os.write(writing, TEXT), os.close(writing))
    )
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        writer.start()
        with spooled(["-"], str(tmp_path / "spooled")) as [name]:
            assert TEXT == Path(name).read_bytes()
    writer.join()


def test_a_file_that_changes_while_it_is_read(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    library = Library([str(path)])
    file = next(library)
    file.readinto(memoryview(bytearray(100)))
    with path.open("ab") as more:
        more.write(b"more")
    with pytest.raises(CorpusError, match="text was changed while it was read"):
        while file.readinto(memoryview(bytearray(1000))):
            pass
    library.close()


def test_unreadable_files_are_found_before_the_work(tmp_path, monkeypatch):
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    with pytest.raises(CorpusError, match="text cannot be read: Permission denied"):
        Library([str(path)])


def test_a_file_that_is_gone_when_its_turn_comes(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    library = Library([str(path)])
    path.unlink()
    with pytest.raises(CorpusError, match="text cannot be read: No such file or directory"):
        next(library)


def test_an_input_output_error_names_the_file(tmp_path, monkeypatch):
    class Failing(io.RawIOBase):
        def readinto(self, buffer):
            raise OSError(5, "Input/output error")

    path = tmp_path / "text"
    path.write_bytes(TEXT)
    monkeypatch.setattr(sources, "open_source", lambda name: Failing())
    with pytest.raises(CorpusError, match="text cannot be read: Input/output error"):
        read([str(path)])


@pytest.mark.parametrize(
    ("encoding", "bom"),
    [
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_byte_order_marks(tmp_path, encoding, bom, step):
    path = tmp_path / "text"
    text = TEXT.decode()[:300] + "😀 end"
    path.write_bytes(bom + text.encode(encoding))
    found, library = read([str(path)], step)

    assert text.encode() == found
    assert hashlib.sha256(path.read_bytes()).hexdigest() == library.digest.hexdigest()


def test_files_do_not_run_into_each_other(tmp_path):
    for name, text in (("a", b"one two"), ("b", b"\xef\xbb\xbfthree"), ("c", b"")):
        (tmp_path / name).write_bytes(text)
    vocabulary, tally = count_corpus([str(tmp_path / name) for name in "abc"], min_count=1)

    assert ["one", "three", "two"] == vocabulary.words
    assert 2 == tally.lines
