"""Encoding whole texts: the same ids whatever the threads, the blocks, the memory."""

import errno
import gzip
import hashlib
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.errors import CorpusError, ResourceError
from embedcli.files import memory as memory_module
from embedcli.settings.text_rules import TextRules
from embedcli.text import corpus_reader, judging, ordered_pool
from embedcli.text.corpus_reader import count_corpus, encode_corpus
from embedcli.vocabulary import Vocabulary
from tests.reference import tokenize as reference

WORDS = ["a", "b", "The", "ÉCOLE", "école", "ΣΑΣ", "σας", "İs", "x" * 256, "İ" * 128, "漢字"]
MALFORMED = [b"\xff", b"a\xe2\x80", b"\xef\xbf\xbd", b"\xff" * 100, b"y" * 257]
TOKENS = st.sampled_from([word.encode() for word in WORDS] + MALFORMED)
SPACES = st.sampled_from([b" ", b"\n", b"\n\n", b"\t ", "\u3000".encode(), b"\0"])
TEXTS = st.lists(st.tuples(TOKENS, SPACES), max_size=80).map(
    lambda pairs: b"two words\n" + b"".join(token + space for token, space in pairs)
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="text.txt"):
        (tmp_path / name).write_bytes(text)
        return str(tmp_path / name)

    return write_file


def sentences(corpus):
    ends, words = corpus.offsets.tolist(), corpus.vocabulary.words
    return [[words[i] for i in corpus.ids[a:b]] for a, b in pairwise(ends)]


def everything(corpus):
    counts = corpus.vocabulary.counts.tolist()
    return corpus.vocabulary.words, counts, sentences(corpus), corpus.tally, corpus.digest


def expected_sentences(text, *, lowercase):
    """The sentences that Python's own strings make."""
    found = []
    for line in text.split(b"\n"):
        words = line.replace(b"\0", b" ").decode(errors="surrogateescape").split()
        tokens = [word.encode(errors="surrogateescape") for word in words]
        words = [token.decode(errors="replace") for token in tokens if len(token) <= 256]
        if lowercase:
            words = [word.lower() for word in words]
        words = [word for word in words if len(word.encode()) <= 256]
        found += [words] if words else []
    return found


@given(TEXTS, st.booleans(), st.sampled_from([1, 2, 3, 7]), st.integers(1, 100), st.booleans())
def test_encoding_is_what_strings_do(directory, text, lowercase, threads, block_bytes, spill):
    (directory / "any.txt").write_bytes(text)
    expected = expected_sentences(text, lowercase=lowercase)
    counts = {}
    for word in (word.encode() for sentence in expected for word in sentence):
        counts[word] = counts.get(word, 0) + 1
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(corpus_reader, "BLOCK_BYTES", block_bytes)
        patch.setattr(corpus_reader, "TABLES_MOST", 1 if spill else 1 << 28)
        patch.setattr(judging, "MOST_MALFORMED", 1.0)
        with encode_corpus(
            [str(directory / "any.txt")],
            rules=TextRules(lowercase=lowercase),
            min_count=1,
            threads=threads,
        ) as corpus:
            tally = corpus.tally
            assert expected == sentences(corpus)
            assert [word.decode() for word in reference.ranked(counts)] == corpus.vocabulary.words
            assert hashlib.sha256(text).hexdigest() == corpus.digest
    assert (sum(map(len, expected)), 0, 0) == (tally.kept, tally.oov, tally.pruned_bound)
    assert len(text.replace(b"\0", b" ").decode(errors="replace").split()) == tally.read
    assert tally.read == tally.kept + tally.oov + tally.too_long
    assert text.count(b"\n") + (not text.endswith(b"\n")) == tally.lines


def test_threads_blocks_and_memory_do_not_show(shared, tmp_path, monkeypatch):
    text = gzip.decompress((shared / "data" / "wiki-raw.txt.gz").read_bytes())[:2_000_000]
    text = text[: text.rindex(b" ")]
    path = tmp_path / "raw.txt"
    path.write_bytes(text)

    def encoded(**options):
        with encode_corpus([str(path)], rules=TextRules(lowercase=True), **options) as corpus:
            return everything(corpus)

    first = encoded()
    for threads, block_bytes, tables in [(2, 1 << 18, 1 << 28), (3, 70_001, 1), (7, 4096, 1 << 28)]:
        monkeypatch.setattr(corpus_reader, "BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(corpus_reader, "TABLES_MOST", tables)
        assert first == encoded(threads=threads)


def test_one_line_is_the_same_text_as_many(write):
    lines = b"one two three\nfour five six\n" * 30_000
    many = encode_corpus([write(lines)])
    one = encode_corpus([write(lines.replace(b"\n", b" "), "one.txt")])

    assert many.ids.tolist() == one.ids.tolist()
    assert [0, 180_000] == one.offsets.tolist()
    assert list(range(0, 180_001, 3)) == many.offsets.tolist()


def test_min_count_and_max_vocab(write):
    path = write(b"c c c b b b a a d\n" * 2)

    def kept(**options):
        corpus = encode_corpus([path], **options)
        counts = corpus.vocabulary.counts.tolist()
        return dict(zip(corpus.vocabulary.words, counts, strict=True)), corpus.tally.oov

    assert ({"b": 6, "c": 6}, 6) == kept(min_count=5)
    assert ({"b": 6, "c": 6, "a": 4, "d": 2}, 0) == kept(min_count=1)
    assert ({"b": 6, "c": 6, "a": 4}, 2) == kept(min_count=1, max_vocab=3)
    assert ({"b": 6}, 12) == kept(min_count=1, max_vocab=1)


def test_sentences_without_any_known_word_vanish(write):
    corpus = encode_corpus([write(b"x\na b\n\ny\nb a a\nz")], min_count=2)

    assert [["a", "b"], ["b", "a", "a"]] == sentences(corpus)
    assert [0, 2, 5] == corpus.offsets.tolist()
    assert (8, 5, 3, 6) == (
        corpus.tally.read,
        corpus.tally.kept,
        corpus.tally.oov,
        corpus.tally.lines,
    )


def test_given_words_keep_their_order_and_their_counts(write):
    path = write(b"a a a b b c\n")
    given_counts = Vocabulary.from_words(["zero", "c", "a"], [9, 8, 7])
    corpus = encode_corpus([path], vocabulary=given_counts, min_count=100, max_vocab=1)

    assert [["a", "a", "a", "c"]] == sentences(corpus)
    assert (["zero", "c", "a"], [9, 8, 7]) == (
        corpus.vocabulary.words,
        corpus.vocabulary.counts.tolist(),
    )
    assert (6, 4, 2) == (corpus.tally.read, corpus.tally.kept, corpus.tally.oov)


@pytest.mark.parametrize("tables", [1, 1 << 28])
def test_given_words_without_counts_are_counted(write, monkeypatch, tables):
    monkeypatch.setattr(corpus_reader, "TABLES_MOST", tables)
    words = [f"w{i}" for i in range(500)]
    text = " ".join(words[i] for i in range(499) for _ in range(i + 1)).encode()
    corpus = encode_corpus([write(text)], vocabulary=Vocabulary.from_words(words))

    assert words == corpus.vocabulary.words
    assert [*range(1, 500), 0] == corpus.vocabulary.counts.tolist()


def test_counts_of_nothing_but_0_are_none(write):
    given = Vocabulary.from_words(["b", "a", "z"], [0, 0, 0])
    with encode_corpus([write(b"a b a c\n")], vocabulary=given) as corpus:
        assert [1, 2, 0] == corpus.vocabulary.counts.tolist()
    some = Vocabulary.from_words(["b", "a", "z"], [0, 0, 4])
    with encode_corpus([write(b"a b a c\n")], vocabulary=some) as corpus:
        assert [0, 0, 4] == corpus.vocabulary.counts.tolist()


def test_given_words_are_met_in_lower_case(write):
    corpus = encode_corpus(
        [write("ÉCOLE École the".encode())],
        vocabulary=Vocabulary.from_words(["école", "the"]),
        rules=TextRules(lowercase=True),
    )

    assert [["école", "école", "the"]] == sentences(corpus)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "a"], "1 words occur twice in the vocabulary"),
        (["a", "x" * 257], "word 2 of the vocabulary has more than 256 bytes"),
        (["nothing", "of", "this"], "none of the 3 tokens of .* is among the 3 words"),
    ],
)
def test_given_words_that_cannot_be_used(write, words, message):
    with pytest.raises(CorpusError, match=message):
        encode_corpus([write(b"a b c")], vocabulary=Vocabulary.from_words(words))


def test_counting_is_encoding_without_ids(write):
    path = write(b"a b a c a\nb\n" * 10)
    corpus = encode_corpus([path], threads=2)
    vocabulary, tally = count_corpus([path], threads=2)

    assert (corpus.vocabulary, corpus.tally) == (vocabulary, tally)
    assert corpus.vocabulary.counts.tolist() == vocabulary.counts.tolist()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_does_not_fit_in_memory_is_pruned_with_a_bound(write, threads):
    # 3000 words once, 1000 words twice, 10 words three times, in an order that mixes them
    names = [f"w{i}" for i in range(3000)] + [f"t{i}" for i in range(1000)] * 2
    names += [f"h{i}" for i in range(10)] * 3
    np.random.default_rng(1).shuffle(names)
    path = write(" ".join(names).encode())
    with pytest.warns(UserWarning, match="words that occur up to 1 times were left out"):
        vocabulary, tally = count_corpus([path], min_count=1, memory=100_000, threads=threads)

    assert (1010, 1) == (len(vocabulary), tally.pruned_bound)
    assert (3000, 2030) == (tally.oov, tally.kept)
    vocabulary, tally = count_corpus([path], min_count=1, memory=400_000, threads=threads)
    assert (4010, 0) == (len(vocabulary), tally.pruned_bound)


def test_words_that_nothing_tells_apart_do_not_fit(write):
    path = write(" ".join(f"w{i}" for i in range(5000)).encode())
    with pytest.raises(ResourceError, match=r"5000 words of .* do not fit in memory, and none of"):
        count_corpus([path], min_count=1, memory=100_000)


def test_the_arrays_outlive_closing_and_release_changes_nothing(write):
    with encode_corpus([write(b"a b a b\n" * 1000)]) as corpus:
        ids = corpus.ids
        corpus.release()
        assert 4000 == len(ids)
        assert [0, 1, 0, 1] == ids[:4].tolist()
    assert (0, [0]) == (len(corpus.ids), corpus.offsets.tolist())
    assert [0, 1] == ids[-2:].tolist()


def test_scratch_files_have_no_names(write, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with encode_corpus([write(b"a b a b\n" * 1000)], scratch=scratch):
        assert [] == list(scratch.iterdir())


def test_a_scratch_directory_that_is_missing(write, tmp_path):
    with pytest.raises(
        ResourceError, match=r"cannot write temporary files in .*gone: No such file"
    ):
        encode_corpus([write(b"a b a b\n" * 1000)], scratch=tmp_path / "gone")


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_full_disk(write, monkeypatch, call):
    calls = []
    real = os.pwrite

    def full(*arguments):
        calls.append(1)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(ResourceError, match="No space left on device; free some space or name"):
        encode_corpus([write(b"a b a b\n" * 1000)], threads=2)


def test_progress_counts_the_bytes_of_the_file(write, monkeypatch):
    monkeypatch.setattr(ordered_pool, "WAKE_SECONDS", 0.001)  # however fast this is read
    reports = []
    path = write(gzip.compress(b"a b a b\n" * 500_000), "text.gz")
    encode_corpus([path], on_progress=reports.append)
    size = Path(path).stat().st_size

    assert {("reading", size)} == {(report.phase, report.total) for report in reports}
    assert size == reports[-1].done
    assert sorted(r.done for r in reports) == [r.done for r in reports]


def test_an_error_of_who_watches_ends_the_reading(write):
    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_corpus([write(b"a b a b\n" * 100_000)], on_progress=stop, threads=3)


def test_memory_is_that_of_the_container(tmp_path, monkeypatch):
    whole = memory_module.memory_size()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory_module, "CONTROL_GROUPS", tmp_path)
    for text, expected in [("max\n", whole), ("1048576\n", 1 << 20)]:
        limit.write_text(text)
        assert expected == memory_module.memory_size() or text == "max\n"
    (tmp_path / "memory.current").write_text("1000000\n")
    (tmp_path / "memory.stat").write_text("anon 900000\ninactive_file 100000\n")
    assert (1 << 20) - 900_000 == memory_module.available_memory()


@pytest.mark.parametrize(
    ("line", "group", "limit", "used"),
    [
        ("0::/pod/box", "", "memory.max", "memory.current"),
        ("4:memory:/pod/box", "memory/", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ],
)
def test_the_tightest_group_above_decides(tmp_path, monkeypatch, line, group, limit, used):
    box = tmp_path / f"{group}pod/box"
    box.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(line)
    monkeypatch.setattr(memory_module, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(memory_module, "PROCESSES", tmp_path / "proc")
    (box / limit).write_text("4000000\n")
    (box.parent / limit).write_text("3000000\n")
    assert 3_000_000 == memory_module.memory_size()
    (box / used).write_text("3900000\n")  # the outer one has more left
    assert 100_000 == memory_module.available_memory()


def test_the_limit_on_address_space_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_module.resource, "getrlimit", lambda which: (10**15, 10**15))
    free = memory_module.available_memory()
    assert free < 10**15
    (tmp_path / "self").mkdir()
    (tmp_path / "self/statm").write_text("2000000000000 1 1 1 0 1 0\n")  # pages
    monkeypatch.setattr(memory_module, "PROCESSES", tmp_path)
    assert 0 == memory_module.available_memory()


def test_interrupting_while_a_pipe_is_silent(command_environment, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "embedcli", "vocab", "-v", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=command_environment,
        cwd=tmp_path,
    )
    assert b"reading\n" == process.stderr.readline()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert (130, b"embed: error: interrupted\n") == (process.returncode, errors)
    assert time.monotonic() - began < 10


def test_a_tally_is_data():
    from embedcli.text.corpus import Tally

    tally = Tally(read=3, kept=2, oov=1, too_long=0, lines=1, n_bytes=5, invalid=0)
    assert 0 == tally.pruned_bound
    assert tally != replace(tally, kept=1)
