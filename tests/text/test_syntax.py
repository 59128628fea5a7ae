"""Text that is full of syntax is said to be, in one line, with the option that reads it."""

import json

import pytest

from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import count_corpus
from embedcli.text.syntax import syntax

PLAIN = TextRules()
JSON = '{"id": 1, "text": "good morning to you"}\n'
TABLE = "id,label,text\n" + "".join(f'{i},x,"the text, {i}"\n' for i in range(9))
SYNTAX = {
    "JSON lines": (JSON * 3, "JSON; to read a field of it: --field text"),
    "nested": (
        '{"id": "1", "meta": {"text": "good morning"}, "turns": [{"is": "a b"}]}\n',
        "JSON; to read a field of it: --field meta.text (others are 'id', 'turns.is')",
    ),
    "one long line": ('{"text": "' + "a b " * 2000, "JSON; to read a field of it: --field text"),
    "an array": (f"[{JSON.strip()},\n{JSON}]", "JSON; to read a field of it: --field text"),
    "indented": (
        json.dumps({"text": "a b"}, indent=2),
        "JSON; to read a field of it: --field text",
    ),
    "CSV": (TABLE, "CSV; to read a column of it: --field text"),
    "semicolons": (TABLE.replace(",", ";"), "CSV; to read a column of it: --field text"),
    "no header": (TABLE.partition("\n")[2], "CSV; to read a column of it: --field 3"),
    "TSV": ("1\tA text.\n2\tAnother one.\n" * 4, "TSV; to read a column of it: --field 2"),
    "XML": ('<?xml version="1.0"?>\n<a>b</a>\n', "XML: extract its text first, without its tags"),
    "tags": ('<doc id="1">\na b\n</doc>\n', "XML or HTML: extract its text first"),
    "wiki": ('<mediawiki xmlns="x">\n <page>', "a dump of a wiki: extract its text first"),
    "tags in prose": (
        "A house<br>on a <b>hill</b>, and <a href='x'>far</a>.\nIt <i>rained</i>.\n",
        "HTML: extract its text first, without its tags",
    ),
    "entities": ("A&nbsp;b &amp; c &lt; d &quot;e&quot; f\n", "HTML: extract its text first"),
    "wiki markup": (
        "== House ==\nA [[house]] on a [[hill|hills]], {{see|x}}.\n=== Rain ===\nIt rained.\n",
        "the markup of a wiki: extract its text first, without its markup",
    ),
    "Word": (
        '<?xml version="1.0"?>\n<w:document xmlns:w="x">',
        "a Word document in XML: save it as",
    ),
    "WARC": ("WARC/1.0\r\nWARC-Type: response\r\n", "WARC, an archive of web pages: the .wet"),
    "RTF": (r"{\rtf1\ansi\deff0 a b}", "RTF, a word processor's: save it as plain text"),
    "SubRip": ("1\n00:00:01,000 --> 00:00:02,000\nHello.\n", "subtitles (SubRip): leave out its"),
    "TeX": ("% a\n\\documentclass{article}\n", "TeX: extract its text first: detex FILE"),
    "mailbox": ("From a@b.c Mon Nov 30 2026\nSubject: x\n\nHello\n", "a mailbox: extract its text"),
    "SQL": (
        "-- dump\nCREATE TABLE a (b);\n",
        "SQL: write its column to CSV, and give --field",
    ),
    "vectors": (
        "2 9\n" + f"the {' 0.5' * 9}\n".replace("  ", " ") * 3,
        "a file of vectors, not text",
    ),
}
PROSE = {
    "commas": "One, two, three.\nFour, five, six.\nSeven, eight, and so on.\nNine.\nTen, eleven.\n",
    "short": "a,b,c\nd,e,f\n",
    "braces": "{ set notation } is used here\nand [ there ]\n" * 3,
    "sentences": "<s> a b </s>\n<s> c d </s>\n",
    "marks of paragraphs": "<p> a b c\n<p> d e f\n" * 9,
    "generic types": "vector<int> a of map<T> b or list<a_b> c\n" * 9,
    "one tag": "A <b>house</b> [[here]], and R&D.\n" * 2,
    "numbers": "1 2 3\n4 5 6\n" * 9,
    "from": "From the start, it was clear in 1999\nthat: nothing is.\n",
    "less": "< b > a </ c >\n",
    "empty": "",
    "blank": "\n\n",
}


@pytest.mark.parametrize("name", SYNTAX)
def test_syntax_is_recognised(name):
    content, expected = SYNTAX[name]
    for before in ("", "\ufeff", "\n \n"):
        said = syntax((before + content).encode()[:4096], PLAIN)
        assert f"it looks like {expected}" == (said or "")[: 14 + len(expected)]


@pytest.mark.parametrize("name", PROSE)
def test_prose_is_not(name):
    assert syntax(PROSE[name].encode(), PLAIN) is None


def test_items_may_be_in_columns():
    assert syntax(TABLE.encode(), TextRules(items=True, separator=",")) is None


def test_one_line_and_only_without_the_option(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(JSON * 9)
    paths = [str(tmp_path / name) for name in ("a", "b")]
    with pytest.warns(UserWarning, match=r"a, .*b: it looks like JSON.*--field text") as caught:
        count_corpus(paths, min_count=1)
    assert 1 == len(caught)
    count_corpus(paths, rules=TextRules(field="text"), min_count=1)  # warnings are errors
    count_corpus(paths, rules=TextRules(as_text=True), min_count=1)


def test_the_share_of_bytes_that_is_too_long(tmp_path):
    sentence = "我爱北京天安门。" * 20 + "\n"  # 480 bytes without white space
    path = tmp_path / "zh.txt"
    path.write_text(sentence * 3 + "我 爱\n" * 80)
    expected = (
        "75% of the text, by bytes, are 3 tokens of more than 256 bytes, which are left out; "
        "--tokenizer unicode finds the words of Chinese, Japanese"
    )
    with pytest.warns(UserWarning, match=expected):
        _, tally = count_corpus([str(path)], min_count=1)
    assert (3, 1440) == (tally.too_long, tally.too_long_bytes)
    _, tally = count_corpus([str(path)], rules=TextRules(tokenizer="words"), min_count=1)
    assert (0, 0) == (tally.too_long, tally.too_long_bytes)


@pytest.mark.parametrize("block_bytes", [1 << 10, 1 << 20])
def test_the_bytes_of_a_token_in_several_blocks(tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr("embedcli.text.corpus_reader.BLOCK_BYTES", block_bytes)
    (tmp_path / "x").write_text(f"a b {'x' * 10_000} a {'y' * 300}\n{'İ' * 127} a\n")
    with pytest.warns(UserWarning, match="100% of the text, by bytes, are 3 tokens"):
        _, tally = count_corpus([str(tmp_path / "x")], rules=TextRules(lowercase=True), min_count=1)
    assert (3, 10_000 + 300 + 254) == (tally.too_long, tally.too_long_bytes)
