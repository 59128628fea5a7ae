"""Tables as programs write them: delimiters, quotes, escapes, headers, line ends."""

import csv
import itertools

import pytest

from embedcli.errors import ConfigError, CorpusError
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import encode_corpus

ROWS = [
    ("1", "plain words"),
    ("2", 'a "quoted" word'),
    ("3", '"all" quoted'),
    ("4", "two\nlines"),
    ("5", "a, b; c | d"),
    ("6", "tab\there"),
    ("7", ""),
    ("8", "last words"),
]
EXPECTED = [text.split() for _, text in ROWS if text]


def lines_of(path, **settings):
    rules = TextRules(**{"field": "text", **settings})
    with encode_corpus([str(path)], rules=rules, min_count=1) as corpus:
        words, bounds = corpus.vocabulary.words, corpus.offsets.tolist()
        return [[words[i] for i in corpus.ids[a:b]] for a, b in itertools.pairwise(bounds)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x"


def write(path, *, header=True, **dialect):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, **dialect)
        if header:
            writer.writerow(["id", "text"])
        writer.writerows(ROWS)


DIALECTS = {
    "excel": {"dialect": "excel"},
    "excel-tab": {"dialect": "excel-tab"},
    "unix": {"dialect": "unix"},
    "semicolon": {"delimiter": ";"},
    "pipe": {"delimiter": "|"},
    "all quoted": {"delimiter": "\t", "quoting": csv.QUOTE_ALL, "lineterminator": "\n"},
    "numbers bare": {"quoting": csv.QUOTE_NONNUMERIC},
    "escaped": {"doublequote": False, "escapechar": "\\"},
    "escaped tsv": {"doublequote": False, "escapechar": "\\", "delimiter": "\t"},
}


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("name", DIALECTS)
def test_what_csv_writes_is_read(path, name, header):
    write(path, header=header, **DIALECTS[name])

    assert EXPECTED == lines_of(path, field="text" if header else "2")


def test_other_quotes_and_delimiters_are_given(path):
    write(path, quotechar="'", delimiter=":")
    assert EXPECTED == lines_of(path, delimiter=":", quote="'")
    write(path, quotechar="'", delimiter="\t")
    assert EXPECTED == lines_of(path, delimiter=r"\t", quote="'")
    path.write_text('id,text\n1,"a" b\n2,c"\n')
    assert [['"a"', "b"], ['c"']] == lines_of(path, quote="none")


def test_tables_that_are_never_quoted(path):
    path.write_text('id\ttext\n1\t"No," she said\n2\t"so\n3\tit" is\n')

    assert [['"No,"', "she", "said"], ['"so'], ['it"', "is"]] == lines_of(path)
    path.write_text(path.read_text().replace("\t", "|"))
    assert [['"No,"', "she", "said"], ['"so'], ['it"', "is"]] == lines_of(path)


def test_a_backslash_before_a_quote_may_be_the_end_of_a_path(path):
    path.write_text('id,text\n1,"in C:\\dir\\"\n2,"a ""b"""\n')

    assert [["in", "C:\\dir\\"], ["a", '"b"']] == lines_of(path)


@pytest.mark.parametrize(
    "begin", ["\n\n", "# made by hand\n", "#, 1\n\n", "sep=,\n", "\ufeff\n", "  \n# a\n# b\n"]
)
def test_what_stands_before_a_header(path, begin):
    path.write_text(f"{begin}id,text\n1,a b\n2,c d\n")

    assert [["a", "b"], ["c", "d"]] == lines_of(path)


def test_a_header_may_begin_like_a_comment(path):
    path.write_text("#id\ttext\n1\ta b\n2\tc d\n")
    assert [["a", "b"], ["c", "d"]] == lines_of(path)
    path.write_text('id, text\n1, a b\n2, "c, d"\n')
    assert [["a", "b"], ["c,", "d"]] == lines_of(path)
    path.write_text("id,text\n1,a b\nid,text\n2,c d\n")  # two files joined
    assert [["a", "b"], ["c", "d"]] == lines_of(path)


def test_carriage_returns_inside_cells(path):
    path.write_bytes(b'id,text\r\n1,"a\rb"\r\n2,c\rd\r\n')

    assert [["a", "b"], ["c", "d"]] == lines_of(path)


@pytest.mark.parametrize("field", ["text", "2"])
def test_a_table_whose_lines_end_with_carriage_returns(path, field):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\r")
        writer.writerows([("id", "text")] * (field == "text"))
        writer.writerows(row for row in ROWS if "\n" not in row[1])

    assert [text.split() for _, text in ROWS if text and "\n" not in text] == lines_of(
        path, field=field
    )


def test_json_lines_that_end_with_carriage_returns(path):
    path.write_bytes(b'{"text": "a b"}\r{"text": "c d"}\r')

    assert [["a", "b"], ["c", "d"]] == lines_of(path)


def test_a_column_by_its_number(path):
    path.write_text('1;Hello, world;x\n2;So, it is;y\n3;"one; two";z\n')

    assert [["Hello,", "world"], ["So,", "it", "is"], ["one;", "two"]] == lines_of(path, field="2")
    with pytest.raises(CorpusError, match="x has no field '4'; there are 1 to 3"):
        lines_of(path, field="4")
    path.write_text("one column\nof, words\n")
    assert [["one", "column"], ["of,", "words"]] == lines_of(path, field="1")


def test_a_quote_that_is_never_closed_costs_its_line(path):
    rows = [f"{i},a b" for i in range(200)]
    rows[3] = '3,"never closed'
    rows[150] = '150,"a\nb"'
    path.write_text("id,text\n" + "\n".join(rows))
    with pytest.warns(UserWarning, match=r"1 of 200 records are malformed .*x, line 5: not as a"):
        assert [["a", "b"]] * 199 == lines_of(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delimiter": ";"}, "delimiter is ';', but only the tables that --field reads have one"),
        ({"field": "a", "delimiter": "ab"}, "delimiter is 'ab', but must be a single character"),
        ({"field": "a", "quote": "\n"}, "must be a single character"),
        ({"quote": "none"}, "quote is 'none', but only the tables that --field reads have one"),
        ({"bad_records": 2}, "bad_records is 2, but must be a number from 0 to 1"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError) as caught:
        TextRules(**settings)
    assert message in str(caught.value)


def test_options_of_the_commands(run_embed, path):
    path.write_text("7:'a b'\n8:'a c'\n")
    options = ("--field", 2, "--quote", "'", "--delimiter", ":")
    done = run_embed("vocab", "x", "--min-count", 1, "-q", *options)
    assert (0, "a 2\nb 1\nc 1\n") == (done.returncode, done.stdout)
    done = run_embed("phrases", "x", "-q", *options[:4], "--field-delimiter", ":", "--min-count", 1)
    assert (0, "a b\na c\n") == (done.returncode, done.stdout)
