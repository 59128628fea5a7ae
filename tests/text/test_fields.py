"""One field of every record: JSON lines, CSV, TSV, Parquet."""

import datetime
import gzip
import io
import itertools
import json
import warnings

import pytest

from embedcli.errors import CorpusError, MissingExtraError
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import count_corpus, digest_corpus, encode_corpus
from embedcli.text.fields import Field
from embedcli.text.splitting_process import splitter

RULES = TextRules(field="text")
TEXTS = ["The cat, it sat", 'a "mat"', "two\nlines", "é"]


def sentences(path, rules=RULES):
    with encode_corpus([str(path)], rules=rules, min_count=1) as corpus:
        words, bounds = corpus.vocabulary.words, corpus.offsets.tolist()
        return [[words[i] for i in corpus.ids[a:b]] for a, b in itertools.pairwise(bounds)]


def write_jsonl(path):
    records = [{"id": i, "text": text} for i, text in enumerate(TEXTS)]
    path.write_text("\n\n".join(map(json.dumps, records)))


def write_csv(path):
    quoted = ['"' + text.replace('"', '""') + '"' for text in TEXTS]
    path.write_text("id,text\r\n" + "".join(f"{i},{text}\r\n" for i, text in enumerate(quoted)))


def write_tsv(path):
    rows = [f"{i}\t{text}\n" for i, text in enumerate(TEXTS)]
    path.write_text("id\ttext\n" + "".join(rows).replace("two\nlines", "two lines"))


def write_packed(path):
    write_jsonl(path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def write_parquet(path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"id": range(len(TEXTS)), "text": TEXTS}), path)


@pytest.mark.parametrize(
    "write",
    [write_jsonl, write_csv, write_tsv, write_packed, write_parquet],
    ids=lambda f: f.__name__,
)
def test_a_record_is_a_line(tmp_path, write):
    write(tmp_path / "data")

    assert [text.split() for text in TEXTS] == sentences(tmp_path / "data")
    with encode_corpus([str(tmp_path / "data")], rules=RULES, min_count=1) as corpus:
        assert corpus.digest == digest_corpus([str(tmp_path / "data")], rules=RULES)


def test_a_byte_order_mark_hides_nothing(tmp_path):
    (tmp_path / "data").write_bytes(b"\xef\xbb\xbf" + b'{"text": "a b"}\n{"text": "c d"}\n')

    assert [["a", "b"], ["c", "d"]] == sentences(tmp_path / "data")


def test_lists_are_items(tmp_path):
    path = tmp_path / "baskets.jsonl"
    path.write_text('{"items": ["whole milk", "rolls", 7]}\n{"items": []}\n{"items": ["rolls"]}\n')
    rules = TextRules(field="items", items=True, separator=",")

    assert [["whole milk", "rolls", "7"], ["rolls"]] == sentences(path, rules)
    path.write_text('{"items": ["a", "b c"]}\n')
    assert [["a", "b", "c"]] == sentences(path, TextRules(field="items"))


def test_records_without_the_field_are_counted(tmp_path):
    (tmp_path / "x").write_text('{"text": "a b"}\n{"other": 1}\n{"text": null}\n')
    with pytest.warns(UserWarning, match="2 of 3 records have no 'text'"):
        _, tally = count_corpus([str(tmp_path / "x")], rules=RULES, min_count=1)
    assert (2, 3) == (tally.read, tally.lines)
    (tmp_path / "x").write_text("id,text\n1,a b\n2\n")
    with pytest.warns(UserWarning, match="1 of 2 records have no 'text'"):
        count_corpus([str(tmp_path / "x")], rules=RULES, min_count=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"body": "a b"}\n', "x has no field 'text'; there are 'body'"),
        ("id,body\n1,a\n", "x has no field 'text'; there are 'id', 'body'"),
        ('{"text": "a b"}\nnot JSON\n', "x, line 2: expected a JSON object, found 'not JSON'"),
        ('{"text": "a b"}\n[1]\n', "x, line 2: expected a JSON object"),
        ('{"text": {"a": 1}}\n', "x, line 1: the field 'text' holds a dict, not text"),
        ('{"text": "a b"}\n{"text": {}}\n', "1 of 2 records are malformed, and --bad-records 0.01"),
        ('["a b", "c d"]', "x, line 1: expected a JSON object, found '"),
        ('{"text": null}\n{"text": []}\n', "x holds only white space"),
        ('{"text": null, "a": 1}\n', "x: nothing is in the field 'text' of any record"),
        ("id,text\n", "x holds no records"),
        ('id,text\n1,"a"b\n', "x, line 2: not as a table is quoted"),
        ("PAR1\x15\x04 and no more", "x is damaged: "),
        ("", "x holds no records"),
        ("\n\n", "x holds no records"),
        ("1,a b\n2,c d\n", "x has no field 'text'; there are '1', 'a b'"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, monkeypatch, content, message):
    if content.startswith("PAR1"):
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text(content)
    with pytest.raises(CorpusError) as caught:
        sentences("x")
    assert message in str(caught.value)


def test_parquet_without_a_field_or_a_library(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(CorpusError, match="--field NAME"):
        sentences(tmp_path / "x", TextRules())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match="interchange"):
        sentences(tmp_path / "x")


def test_a_pipe_and_a_command(run_embed, tmp_path):
    done = run_embed(
        *("vocab", "-", "--field", "text", "--min-count", 1, "-q"), input='{"text": "a b a"}\n'
    )
    assert (0, "a 2\nb 1\n") == (done.returncode, done.stdout)


def test_lone_surrogates_become_u_fffd(tmp_path):
    path = tmp_path / "l.jsonl"
    path.write_bytes(
        b'{"text": "good morning \\ud83d sun"}\n'
        b'{"text": "\\ud83d\\ude00 \\udc80\\udce2\\udc82\\udcac"}\n'
    )
    with pytest.warns(UserWarning, match=r"5 lone surrogates .* the first in .*l\.jsonl, line 1"):
        assert [["good", "morning", "\ufffd", "sun"], ["\U0001f600", "\ufffd" * 4]] == sentences(
            path
        )
    with pytest.warns(UserWarning, match="lone surrogates"):
        _, tally = count_corpus([str(path)], rules=RULES, min_count=1)
    assert 5 == tally.invalid
    path.write_text(f"[{path.read_text().strip()}]".replace("\n", ",\n"))
    with pytest.warns(UserWarning, match="5 lone surrogates"):
        assert 2 == len(sentences(path))


def test_surrogates_among_malformed_bytes(tmp_path):
    lines = ['{"text": "a b"}'] * 99
    path = tmp_path / "x"
    path.write_bytes("\n".join(lines).encode() + b'\n{"text": "a\xff \\ud83d"}\n')
    with pytest.warns(UserWarning) as caught:
        assert [["a\ufffd", "\ufffd"]] == sentences(path)[99:]
    said = " ".join(str(each.message) for each in caught)
    assert (True, True) == ("1 lone surrogates" in said, "1 malformed UTF-8 sequences" in said)


@pytest.mark.parametrize("name", ["first", "last"])
def test_a_malformed_line_of_many_is_left_out(tmp_path, name):
    lines = ['{"text": "a b"}'] * 150
    lines[0 if name == "first" else 149] = '{"text": "cut'
    (tmp_path / "x").write_text("\n".join(lines))
    place = 1 if name == "first" else 150
    with pytest.warns(UserWarning, match=rf"1 of 150 records are malformed .*x, line {place}: exp"):
        assert 149 == len(sentences(tmp_path / "x"))
    with pytest.raises(CorpusError, match=rf"line {place}: .* --bad-records 0 is the share"):
        sentences(tmp_path / "x", TextRules(field="text", bad_records=0))


def test_a_malformed_row_of_many_is_left_out(tmp_path):
    rows = [f"{i},a b" for i in range(300)]
    rows[7] = '7,"a"b'
    rows[9] = "9,a, b, c"
    rows[11] = '11,"a b'  # costs its own line only
    (tmp_path / "x").write_text("id,text\n" + "\n".join(rows))
    with pytest.warns(UserWarning, match=r"3 of 300 records are malformed .*x, line 9: not as a"):
        assert [["a", "b"]] * 297 == sentences(tmp_path / "x")


def test_a_malformed_value_of_many_is_left_out(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "x").write_text('{"text": "a b"}\n' * 100 + '{"text": {"a": 1}}\n')
    with pytest.warns(UserWarning, match="1 of 101 records are malformed .*holds a dict"):
        assert 100 == len(sentences(tmp_path / "x"))
    table = pyarrow.table({"text": [datetime.date(2020, 1, 1)]})
    parquet.write_table(table, tmp_path / "x")
    with pytest.raises(CorpusError, match="x, row 1: the field 'text' holds a date, not text"):
        sentences(tmp_path / "x")


def test_a_record_that_never_ends_is_not_held(tmp_path, monkeypatch):
    for module in ("fields", "lines", "json_records", "tables"):
        monkeypatch.setattr(f"embedcli.text.{module}.LONGEST_RECORD", 1 << 21)
    good = '{"text": "a b"}\n' * 100
    for record, message in (
        ('{"text": "' + "c " * (1 << 21) + '"}', "line 101: more than 64 MiB without a line end"),
    ):
        (tmp_path / "x").write_text(f"{good}{record}\n{good}")
        with pytest.warns(UserWarning, match=f"1 of 201 records are malformed.*{message}"):
            assert [["a", "b"]] * 200 == sentences(tmp_path / "x")


def test_many_short_lines_of_a_record_count_as_much_as_they_take(tmp_path, monkeypatch):
    monkeypatch.setattr("embedcli.text.tables.LONGEST_RECORD", 66 * 100)
    path = tmp_path / "t.csv"
    path.write_text('id,text\n1,"' + "x\n" * 250 + '"\n2,last one\n')
    rules = TextRules(field="text", bad_records=1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        vocabulary, _ = count_corpus([str(path)], rules=rules, min_count=1)

    assert ["last", "one"] == vocabulary.words
    assert "line 2: not as a table is quoted: more than" in " ".join(str(w.message) for w in said)


def test_a_field_missing_in_the_first_record(tmp_path):
    (tmp_path / "x").write_text('{"delete": 1}\n{"text": "good night"}\n')
    with pytest.warns(UserWarning, match="1 of 2 records have no 'text'"):
        assert [["good", "night"]] == sentences(tmp_path / "x")


@pytest.mark.parametrize(
    "write",
    [write_jsonl, write_csv, write_tsv, write_packed, write_parquet],
    ids=lambda f: f.__name__,
)
def test_shards_without_records(tmp_path, write):
    write(tmp_path / "part-1")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "part-2").touch()
    (tmp_path / "part-3").write_text("id,text\n")
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    if write is write_parquet:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({}), tmp_path / "part-3")
    with (
        pytest.warns(UserWarning, match="no records in .*_SUCCESS and 2 more"),
        encode_corpus(paths, rules=RULES, min_count=1) as corpus,
    ):
        assert len(TEXTS) == len(corpus.offsets) - 1


def test_nested_fields(tmp_path):
    path = tmp_path / "x"
    path.write_text('{"meta": {"text": "a b", "n": [1, {"text": "c"}]}, "meta.text": "own name"}\n')
    assert [["own", "name"]] == sentences(path, TextRules(field="meta.text"))
    path.write_text('{"meta": {"text": "a b"}, "turns": [{"is": "c"}, {"is": "d e"}, {}]}\n')
    assert [["a", "b"]] == sentences(path, TextRules(field="meta.text"))
    assert [["c", "d", "e"]] == sentences(path, TextRules(field="turns.is"))
    assert [["d", "e"]] == sentences(path, TextRules(field="turns.1.is"))
    with pytest.raises(
        CorpusError, match=r"x has no field 'meta\.nothing'; there are 'meta', 'tur"
    ):
        sentences(path, TextRules(field="meta.nothing"))


def test_nested_fields_of_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"text": "a b", "n": 1}, None, {"text": "c d", "n": 2}]
    turns = [[{"is": "e"}, {"is": "f"}], [], None]
    parquet.write_table(pyarrow.table({"meta": rows, "turns": turns}), tmp_path / "x")
    with pytest.warns(UserWarning, match=r"1 of 3 records have no 'meta\.text'"):
        assert [["a", "b"], ["c", "d"]] == sentences(tmp_path / "x", TextRules(field="meta.text"))
    with pytest.warns(UserWarning, match=r"2 of 3 records have no 'turns\.is'"):
        assert [["e", "f"]] == sentences(tmp_path / "x", TextRules(field="turns.is"))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("is_array", [True, False])
def test_json_that_is_no_lines(tmp_path, indent, is_array):
    records = [{"text": "a b"}, {"text": "c\nd", "more": [{"x": []}]}, {"text": "e f"}]
    path = tmp_path / "x"
    if is_array:
        path.write_text(json.dumps(records, indent=indent))
    else:
        path.write_text("\n".join(json.dumps(record, indent=indent) for record in records))
    assert [["a", "b"], ["c", "d"], ["e", "f"]] == sentences(path)


def test_a_malformed_record_of_an_array_is_left_out(tmp_path):
    records = [json.dumps({"text": "a b"}, indent=1)] * 200
    records[100] = '{"text": "a b}'
    (tmp_path / "x").write_text("[\n" + ",\n".join(records) + "\n]\n")
    with pytest.warns(UserWarning, match=r"1 of 200 records are malformed .*x, line 302: expected"):
        assert 199 == len(sentences(tmp_path / "x"))


def test_elements_of_lists_are_tokens(tmp_path):
    path = tmp_path / "x"
    path.write_text('{"tags": ["new york", "a,b", "c\\nd"]}\n{"tags": "new york,rome"}\n')
    items = TextRules(field="tags", items=True)
    assert [["new york", "a,b", "c d"], ["new", "york,rome"]] == sentences(path, items)
    by_comma = TextRules(field="tags", items=True, separator=",")
    assert [["new york", "a,b", "c d"], ["new york", "rome"]] == sentences(path, by_comma)
    assert ["new", "york"] == splitter(items)("new york")  # a line is still cut by white space


def test_parquet_that_repeats_a_long_text_takes_no_memory_for_it(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from embedcli.text.columns import parquet_texts

    text = "word " * 20_000
    same = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 2000), [text])
    parquet.write_table(pyarrow.table({"text": same}), tmp_path / "x", store_schema=False)
    assert (tmp_path / "x").stat().st_size < 10_000
    before = pyarrow.default_memory_pool().max_memory()
    with (tmp_path / "x").open("rb") as file:
        field = Field("text", RULES)
        assert 2000 * len(text) == sum(map(len, parquet_texts(file, field, "x")))
    assert pyarrow.default_memory_pool().max_memory() - before < 1 << 24  # of 200 MB


def test_batches_follow_the_bytes_of_a_row(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from embedcli.files.parquet_library import chunks_of
    from embedcli.text.columns import _batch_rows

    rows = [f"{i} " * (1 << 18) for i in range(8)]
    parquet.write_table(pyarrow.table({"text": rows}), tmp_path / "x", use_dictionary=False)
    assert 7 == _batch_rows(chunks_of(io.BytesIO((tmp_path / "x").read_bytes()))[0], 8)
    parquet.write_table(pyarrow.table({"text": ["a"] * 5000}), tmp_path / "x")
    assert 1024 == _batch_rows(chunks_of(io.BytesIO((tmp_path / "x").read_bytes()))[0], 5000)


def test_a_dot_in_the_name_of_a_column(tmp_path):
    (tmp_path / "x").write_text("id,meta.text\n1,a b\n2,c d\n")
    assert [["a", "b"], ["c", "d"]] == sentences(tmp_path / "x", TextRules(field="meta.text"))
    (tmp_path / "x").write_text("id,meta\n1,a b\n")
    with pytest.raises(CorpusError, match=r"x has no field 'meta\.text'; there are 'id', 'meta'"):
        sentences(tmp_path / "x", TextRules(field="meta.text"))


def test_byte_order_marks_of_joined_files(tmp_path):
    (tmp_path / "x").write_text('{"text": "a b"}\n\ufeff{"text": "c d"}\n')
    assert [["a", "b"], ["c", "d"]] == sentences(tmp_path / "x")


def test_parquet_whose_text_is_not_utf8(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    raw = pyarrow.array([b"a b"] * 199 + [b"a \xff b"], pyarrow.binary())
    text = pyarrow.Array.from_buffers(pyarrow.string(), 200, raw.buffers())
    for use_dictionary in (True, False):
        table = pyarrow.table({"text": text})
        parquet.write_table(table, tmp_path / "x", use_dictionary=use_dictionary)
        with pytest.warns(UserWarning, match="1 malformed UTF-8 sequences"):
            assert ["a", "\ufffd", "b"] == sentences(tmp_path / "x")[199]
