"""One field of every record: JSON lines, CSV, TSV, Parquet."""

import gzip
import itertools
import json

import pytest

from embedcli.corpus import count_corpus, digest_corpus, encode_corpus
from embedcli.errors import CorpusError, MissingExtraError
from embedcli.rules import TextRules

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
        ('{"text": "a b"}\nnot JSON\n', "x, line 2: expected a JSON object, found b'not JSON'"),
        ('{"text": "a b"}\n[1]\n', "x, line 2: expected a JSON object"),
        ('{"text": {"a": 1}}\n', "x, line 1: the field 'text' holds a dict, not text"),
        ('[{"text": "a"}]', "x is a JSON array; --field reads an object a line"),
        ('id,text\n1,"a"b\n', "x, line 2: not as a table is quoted"),
        ("PAR1 and no more", "x is damaged: "),
        ("", "x has no field 'text'; there are none"),
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
