"""The tokenize kernels against their slow twin, on any bytes, threads and block sizes."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedcli.kernels import tokenize as kernels
from embedcli.text.blocks import Block, BlockReader
from embedcli.text.ranking import rank
from embedcli.text.separators import SPACE, WHITE, Separator
from embedcli.text.words import SPARE, Words, WordTable, concatenate
from tests.reference import tokenize as reference

SPACES = [chr(c) for c in range(0x110000) if chr(c).isspace()] + ["\0"]
PIECES = st.one_of(
    st.sampled_from([space.encode() for space in SPACES]),
    st.sampled_from([b"a", b"B", b"The", b"sixteen-bytes-16", b"seventeen-bytes-7"]),
    st.sampled_from([b"x" * 256, b"x" * 257, b"y" * 1500, "é".encode(), "漢字".encode()]),
    st.sampled_from([b"\xe2\x80", b"\xe2", b"\xc2", b"\xe1\x9a", b"\xe3\x80\x81", b"\xf0\x9f\x98"]),
    st.sampled_from([b"\xed\xa0\x80", b"\xc0\x80", b"\xff", b"\x80", b"\x85", b"\xa0"]),
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode(errors="surrogatepass")),
)
TEXTS = st.lists(PIECES, max_size=60).map(b"".join)


class OneFile:
    """A file in memory that gives at most `step` bytes at a time."""

    def __init__(self, text, step=1 << 30):
        self._text, self._step, self._at = text, step, 0

    def readinto(self, buffer):
        piece = self._text[self._at : self._at + min(len(buffer), self._step)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def encode(text, *, lowercase=False, block_bytes=1 << 16, step=1 << 30, separator=WHITE):
    """The kernel's reading of one text: a `Scan`."""
    file = separator.of(OneFile(text, step))
    reader = BlockReader(iter([file]), block_bytes, separator)
    buffer = reader.buffer()
    out = np.empty(len(buffer) + 2, np.int32)
    table = WordTable(lowercase=lowercase, separator=separator.byte)
    entries, open_lines = [], 0
    while (block := reader.next(buffer)) is not None:
        entries += table.encode(block, buffer, out).tolist()
        open_lines += block.open_line
    words = table.words()
    ends = words.offsets.tolist()
    names = [bytes(words.blob[a:b]) for a, b in itertools.pairwise(ends)]
    sentences = [[]]
    for entry in entries:
        if entry >= 0:
            sentences[-1].append(entry)
        elif sentences[-1]:
            sentences.append([])
    assert [] == sentences.pop()
    return reference.Scan(
        dict(zip(names, words.counts.tolist(), strict=True)),
        sentences,
        table.lines + open_lines,
        table.too_long,
        table.too_long_bytes,
    )


@given(TEXTS, st.booleans())
@example(b"", False)
@example(b"\n", False)
@example(b"a\nb", True)
@example(b"a" * 64, False)
def test_kernel_is_its_twin(text, lowercase):
    assert reference.scan(text, lowercase=lowercase) == encode(text, lowercase=lowercase)


@given(TEXTS, st.integers(1, 200), st.integers(1, 50))
@example(b"y" * 5000 + b" z", 1, 1)
@example("\u3000".encode() * 500, 1, 1)
@example(b"\xe2\x80" * 1500 + b"\xa8 z", 7, 3)
@example(b"\x80" * 3000 + b"\n" + b"\x80" * 3000, 64, 64)
def test_blocks_of_any_size_give_the_same(text, block_bytes, step):
    assert encode(text) == encode(text, block_bytes=block_bytes, step=step)


@given(TEXTS, st.sampled_from([b",", b" ", b"::", "·".encode()]), st.integers(1, 200))
@example(b"a, b\r\n,,c,\0d", b",", 3)
@example(b"a::b:::c:", b"::", 1)
def test_items_are_apart_by_what_one_says(text, between, block_bytes):
    one = between if len(between) == 1 else b"\x1f"
    expected = reference.scan(text.replace(between, one), separator=one[0])

    assert expected == encode(text, separator=Separator(between), block_bytes=block_bytes, step=5)


@given(TEXTS, st.integers(1, 200))
def test_blocks_are_the_text(text, block_bytes):
    reader = BlockReader(iter([OneFile(text)]), block_bytes)
    buffer = reader.buffer()
    blocks = []
    while (block := reader.next(buffer)) is not None:
        blocks.append(bytes(buffer[: block.end]))
        assert b" " * kernels.PAD == bytes(buffer[block.end : block.end + kernels.PAD])
    assert text == b"".join(blocks)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"U+{ord(space):04X}")
@pytest.mark.parametrize("at", [1, 62, 63, 64, 65])
def test_every_white_space_splits_wherever_it_stands(space, at):
    done = encode(b"a" * at + space.encode() + b"b")

    assert [b"a" * at, b"b"] == list(done.counts)
    assert (1 + (space == "\n")) == done.lines


def test_only_white_space_splits():
    others = [chr(c) for c in range(1, 0x3100) if not chr(c).isspace()]
    words = [f"a{character}b".encode() for character in others]

    assert words == list(encode(b" ".join(words)).counts)
    assert [] == [character for character in others if SPACE.search(character.encode())]


def test_a_table_grows_and_keeps_its_counts():
    words = [b"%d-%s" % (i, b"w" * (i % 40)) for i in range(60_000)]
    text = b" ".join(words + words[::2])
    done = encode(text)

    assert reference.scan(text) == done


def words_of(counts):
    blob = b"".join(counts)
    offsets = np.cumsum([0, *map(len, counts)])
    padded = np.frombuffer(blob + bytes(SPARE), np.uint8)
    return Words(padded, offsets, np.array(list(counts.values()), np.int64))


NAMES = st.binary(min_size=1, max_size=50).map(lambda name: name.replace(b"\0", b"\1"))
COUNTS = st.dictionaries(
    NAMES | NAMES.map(lambda name: b"https://www.example.org/" + name),
    st.integers(0, 3),
    max_size=40,
)


@given(st.lists(COUNTS, max_size=4))
def test_absorbing_adds_counts(several):
    table = WordTable()
    ids = [table.absorb(words_of(counts)) for counts in several if counts]
    expected = {}
    for counts in several:
        for word, count in counts.items():
            expected[word] = expected.get(word, 0) + count
    found = table.words()
    names = [bytes(found.blob[a:b]) for a, b in itertools.pairwise(found.offsets.tolist())]

    assert list(expected) == names
    assert list(expected.values()) == found.counts.tolist()
    filled = [counts for counts in several if counts]
    assert [[names.index(word) for word in c] for c in filled] == [i.tolist() for i in ids]


@given(COUNTS.filter(bool))
def test_ranking_is_by_falling_count_then_bytes(counts):
    order = rank(words_of(counts))
    names = list(counts)

    assert reference.ranked(counts, 0) == [names[i] for i in order]


def test_ranking_tells_long_words_apart_at_their_last_byte():
    counts = {b"x" * 255 + bytes([last]): 1 for last in range(50, 20, -1)}
    counts |= {b"x" * length: 1 for length in range(1, 256)}
    names = list(counts)

    assert sorted(names) == [names[i] for i in rank(words_of(counts))]


@given(COUNTS.filter(bool), st.data())
def test_taking_and_joining_words(counts, data):
    names = list(counts)
    chosen = data.draw(st.lists(st.sampled_from(range(len(names))), max_size=60))
    words = words_of(counts).take(np.array(chosen, np.int64))
    twice = concatenate([words, words])

    assert [names[i] for i in chosen] * 2 == [
        bytes(twice.blob[a:b]) for a, b in itertools.pairwise(twice.offsets.tolist())
    ]


@given(st.lists(st.integers(-1, 5), max_size=60), st.permutations([0, 1, 2, -1, -1, -1]))
def test_remap_leaves_out_and_ends_sentences(provisional, ids):
    expected, ends = [], []
    for word in provisional:
        if word < 0:
            ends += [len(expected)] if ends[-1:] != [len(expected)] else []
        elif ids[word] >= 0:
            expected.append(ids[word])
    out, found = np.empty(60, np.int32), np.empty(60, np.int64)
    n_out, n_ends = kernels.remap(
        np.array(provisional, np.int32), np.array(ids, np.int32), out, found
    )

    assert (expected, ends) == (out[:n_out].tolist(), found[:n_ends].tolist())


def test_words_made_to_collide_take_no_longer_paths():
    # Equal in FNV-1a and djb2 would need search; equal in all but one byte position is worse for
    # a hash that adds, and every one of these is 16 bytes: 8 are the same, 8 count.
    table = WordTable()
    text = b" ".join(b"collides" + b"%08d" % i for i in range(30_000))
    buffer = np.frombuffer(text + b" " * kernels.PAD, np.uint8).copy()
    out = np.empty(len(buffer) + 2, np.int32)
    table.encode(Block(0, 0, len(text), True, True), buffer, out)
    _, slots, _, _ = table._table
    taken = np.flatnonzero(slots[2::4])
    longest = max(len(list(run)) for _, run in itertools.groupby(taken - np.arange(len(taken))))

    assert 30_000 == len(taken)
    assert longest < 100  # random placement at most half full: about 30
