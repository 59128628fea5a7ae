"""A text cut into shards, counted and encoded apart, is the text."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli import TrainConfig
from embedcli.cluster.counts import (
    N_PARTS,
    add_tables,
    choose,
    count,
    sum_tallies,
    vocabulary_of,
)
from embedcli.cluster.plan import Plan, make_plan, read_plan, write_plan
from embedcli.cluster.shards import Shard, cut, digest_shards, joint_digest
from embedcli.errors import CorpusError, FormatError, UsageError
from embedcli.files.spans import Span
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import encode_corpus

CONFIG = TrainConfig(min_count=1, threads=1, shards=3, rounds=1)
LINES = [f"word{i % 7} und noch{i % 3} wörter {'x' * (i % 11)}" for i in range(60)]
TEXT = "\n".join(LINES).encode()


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="text.txt"):
        (tmp_path / name).write_bytes(text)
        return str(tmp_path / name)

    return write_file


def read(shard):
    parts = []
    for span in shard.spans:
        with Path(span.source).open("rb") as file:
            file.seek(span.begin)
            parts.append(file.read() if span.end is None else file.read(span.end - span.begin))
    return b"".join(parts)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("shards")


@given(st.lists(st.sampled_from([b"a b", b"", b"cdef g", b"\xc3\xa9"])), st.integers(1, 9))
def test_every_line_is_in_one_shard(directory, lines, n_shards):
    (directory / "text").write_bytes(text := b"\n".join([b"begin", *lines]))
    parts = [read(shard) for shard in cut([str(directory / "text")], n_shards)]

    assert text == b"".join(parts)
    assert all(part.endswith(b"\n") for part in parts[:-1])
    assert 1 <= len(parts) <= n_shards


def test_shards_are_about_equal_and_go_over_files(write):
    paths = [write(TEXT + b"\n", f"{number}.txt") for number in range(5)]
    shards = cut(paths, 3)

    sizes = [len(read(shard)) for shard in shards]
    assert (TEXT + b"\n") * 5 == b"".join(map(read, shards))
    assert max(sizes) - min(sizes) <= 2 * max(map(len, LINES))
    assert [2, 3, 2] == [len(shard.spans) for shard in shards]


def test_a_text_without_lines_is_cut_between_words(write, monkeypatch):
    monkeypatch.setattr("embedcli.cluster.shards.LONGEST_LINE", 16)
    monkeypatch.setattr("embedcli.cluster.shards.BLOCK_BYTES", 8)
    text = b"eins zwei drei " * 40
    parts = [read(shard) for shard in cut([write(text)], 4)]

    assert text == b"".join(parts)
    assert text.split() == [word for part in parts for word in part.split()]
    assert 4 == len(parts)


def test_packed_files_stay_whole(write):
    packed = [write(gzip.compress(TEXT), f"{number}.gz") for number in range(3)]
    shards = cut(packed, 8)

    assert [(Span(name),) for name in packed] == [shard.spans for shard in shards]
    assert count(shards[0], CONFIG).tally.n_bytes == len(TEXT)


def test_records_in_shards_are_the_records(write):
    lines = [json.dumps({"id": i, "text": line}) for i, line in enumerate(LINES)]
    lines[len(lines) // 2 :: 3] = ['{"other": 1}'] * len(lines[len(lines) // 2 :: 3])
    path = write("\n".join(lines).encode(), "text.jsonl")
    rules = replace(CONFIG, field="text")
    shards = cut([path], 4, rules=rules)
    with pytest.warns(UserWarning, match="records have no 'text'"):
        tables = [count(shard, rules) for shard in shards]
        with encode_corpus([path], rules=rules, min_count=1) as whole:
            assert 4 == len(shards)
            assert whole.vocabulary == vocabulary_of([add_tables(tables)], rules)
            assert whole.tally == sum_tallies([table.tally for table in tables])


def test_tables_stay_whole_as_a_line_may_end_within_a_cell(write):
    text = b'id,text\n1,"a b\n c d"\n' + b"".join(b"%d,e f\n" % i for i in range(99))
    rules = replace(CONFIG, field="text")
    shards = cut([write(text, "1.csv"), write(text, "2.csv")], 4, rules=rules)

    assert [1, 1] == [len(shard.spans) for shard in shards]
    assert all(shard.spans[0].is_whole for shard in shards)
    digests = [digest_shards([shard], rules) for shard in shards]
    assert digests[0] == digests[1] == joint_digest([hashlib.sha256(text).hexdigest()])


def test_lines_of_items_are_not_cut(write, monkeypatch):
    monkeypatch.setattr("embedcli.cluster.shards.LONGEST_LINE", 16)
    monkeypatch.setattr("embedcli.cluster.shards.BLOCK_BYTES", 8)
    path = write(b"whole milk,rolls,butter and beer,tea,coffee\n" * 3)

    assert 3 == len(cut([path], 9, rules=TextRules(items=True, separator=",")))
    assert 3 < len(cut([path], 9))


def test_as_many_shards_as_there_are_is_what_asking_for_so_many_gives(write):
    packed = [write(gzip.compress(TEXT * n), f"{n}.gz") for n in (9, 1, 1, 9, 2)]
    plan = make_plan(packed, replace(CONFIG, shards=None), n_workers=7)

    assert len(plan.shards) == plan.config.shards < 7
    assert plan == make_plan(packed, plan.config)
    with pytest.raises(UsageError, match=r"--shards is 7, but .* into \d only: packed files and"):
        make_plan(packed, replace(CONFIG, shards=7))


def test_a_url_is_cut_and_counted_like_a_file(write):
    import fsspec

    with fsspec.open("memory://text.txt", "wb") as file:
        file.write(TEXT)
    far, near = (cut([name], 3) for name in ("memory://text.txt", write(TEXT)))

    assert [s.spans[0].begin for s in near] == [s.spans[0].begin for s in far]
    assert (
        add_tables([count(s, CONFIG) for s in far]).words
        == add_tables([count(s, CONFIG) for s in near]).words
    )


def test_what_cannot_be_cut_is_refused(write, tmp_path):
    with pytest.raises(UsageError, match="standard input"):
        cut(["-"], 2)
    with pytest.raises(UsageError, match="nobody://x cannot be opened: Protocol not known"):
        cut(["nobody://x"], 2)
    with pytest.raises(CorpusError, match="no such file"):
        cut([str(tmp_path / "none")], 2)
    with pytest.raises(CorpusError, match="no text to cut"):
        cut([write(b"")], 2)


def test_counts_of_shards_add_up_to_those_of_the_text(write):
    path = write(TEXT)
    tables = [count(shard, CONFIG) for shard in cut([path], 3)]
    with encode_corpus([path], min_count=1) as whole:
        assert whole.vocabulary == vocabulary_of([add_tables(tables)], CONFIG)
        assert replace(whole.tally) == sum_tallies([table.tally for table in tables])
        dealt = [
            choose([table.part(part, N_PARTS) for table in tables], CONFIG)
            for part in range(N_PARTS)
        ]
        vocabulary = vocabulary_of(dealt, CONFIG)
        assert whole.vocabulary == vocabulary
        assert whole.vocabulary.counts.tolist() == vocabulary.counts.tolist()


def test_shards_encode_to_the_text(write):
    path = write(TEXT)
    with encode_corpus([path], min_count=1) as whole:
        parts = [
            encode_corpus(shard.spans, vocabulary=whole.vocabulary) for shard in cut([path], 3)
        ]
        assert whole.ids.tolist() == np.concatenate([part.ids for part in parts]).tolist()
        sentences = [length for part in parts for length in np.diff(part.offsets).tolist()]
        assert np.diff(whole.offsets).tolist() == sentences


def test_a_shard_may_hold_nothing(write):
    names = write(TEXT), write(gzip.compress(b" \n" * 40), "blank.gz")
    shards = [Shard(number, (Span(name),)) for number, name in enumerate(names)]
    tables = [count(shard, CONFIG) for shard in shards]

    assert [True, False] == [bool(len(table.words)) for table in tables]
    vocabulary = vocabulary_of([add_tables(tables)], CONFIG)
    with encode_corpus(shards[1].spans, vocabulary=vocabulary, is_part=True) as blank:
        assert (0, [0], 40) == (len(blank.ids), blank.offsets.tolist(), blank.tally.lines)
    with pytest.raises(CorpusError, match="holds only white space"):
        encode_corpus(shards[1].spans, vocabulary=vocabulary)


def test_too_rare_words_are_an_error_that_names_what_would_do(write):
    config = replace(CONFIG, min_count=1000, max_vocab=5)
    tables = [count(shard, config) for shard in cut([write(b"a b a\n" * 20)], 2)]

    with pytest.raises(CorpusError, match="highest count 40; try --min-count 20"):
        vocabulary_of([choose(tables, config)], config)


def test_a_stretch_that_was_cut_short_is_named(write):
    path = write(TEXT)
    shards = cut([path], 2)
    write(TEXT[: len(TEXT) // 2 + 90])

    with pytest.raises(CorpusError, match=r"text\.txt \(bytes \d+ to \d+\) cannot be read"):
        count(shards[1], CONFIG)


def test_a_plan_is_read_back(write, tmp_path):
    plan = Plan(tuple(cut([write(TEXT)], 3)), CONFIG.resolve())
    write_plan(plan, str(tmp_path / "plan.json"))
    again = read_plan(str(tmp_path / "plan.json"))

    assert (plan, plan.digest) == (again, again.digest)
    with pytest.raises(FormatError, match="there is no shard 3: they are 0 to 2"):
        again.shard(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no plan"),
        ("[]", "is no plan: make one with embed shard plan"),
        ('{"format": "embed-shards", "version": 9}', "of version 9, this embed reads 1"),
        ('{"format": "embed-shards", "version": 1}', "is a damaged plan"),
        ('{"format": "embed-shards", "version": 1, "shards": [], "settings": {"x": 1}}', "'x'"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path, text, message):
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(FormatError, match=message):
        read_plan(str(tmp_path / "plan.json"))
