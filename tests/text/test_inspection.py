"""What is in a text is found in one reading, in bounded memory."""

import gzip
import json

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import Vocabulary
from embedcli.cli import doctor
from embedcli.cli.main import embed
from embedcli.text import inspection
from embedcli.text.corpus_reader import count_corpus, inspect_corpus
from embedcli.text.inspection import heaps, scripts, zipf

TEXT = "the cat saw the dog\n\nThe dog saw\nthe cat saw the dog\n   \nend"


def run(*args, **more):
    return CliRunner().invoke(embed, ["doctor", *map(str, args)], **more)


def facts(*args, **more):
    done = run(*args, "--json", **more)
    assert 0 == done.exit_code
    return json.loads(done.stdout)


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    return tmp_path / "a.txt"


def test_lines_words_and_files(corpus, tmp_path):
    (tmp_path / "b.gz").write_bytes(gzip.compress(TEXT.encode()))
    found = facts(corpus, tmp_path / "b.gz")

    first, second = found["files"]
    assert (6, 2, 19, len(TEXT)) == (
        *(first[name] for name in ("n_lines", "empty_lines", "longest_line", "n_bytes")),
    )
    assert (None, str(corpus)) == (first["same_as"], second["same_as"])
    assert {"median": 11, "p90": 19, "longest": 19} == found["line_bytes"]
    assert {"share": 1 - 3 / 8, "is_estimate": False} == found["repeated_lines"]
    assert (12, 4, 1, 28, 6) == (
        *(found[name] for name in ("lines", "empty_lines", "repeated_files", "tokens", "types")),
    )
    assert {"Latin": 1.0} == found["scripts"]
    assert [[1, 8], [2, 6], [5, 2], [6, 2]] == found["zipf"]
    assert {"min_count": 5, "words": 3, "tokens": 20, "share": 20 / 28} == found["min_counts"][2]
    assert f"{tmp_path / 'b.gz'}: the same text as {corpus}" == found["remarks"][-1]
    assert "too little" == found["training"]["verdict"][:10]


def test_counts_are_those_of_vocab(corpus):
    found = inspect_corpus([str(corpus)])
    vocabulary, tally = count_corpus([str(corpus)], min_count=1)
    assert (vocabulary, tally) == (found.vocabulary, found.tally)
    assert vocabulary.counts.tolist() == found.counts.tolist()


def test_blocks_of_any_size_give_the_same(corpus, monkeypatch):
    corpus.write_text(TEXT * 50 + "ä€\ufffd" * 20)
    whole = inspect_corpus([str(corpus)])
    monkeypatch.setattr("embedcli.text.corpus_reader.BLOCK_BYTES", 7)
    parts = inspect_corpus([str(corpus)])
    assert whole.noted.files == parts.noted.files
    assert whole.noted.line_lengths.tolist() == parts.noted.line_lengths.tolist()
    assert whole.noted.repeated_share == parts.noted.repeated_share


def test_malformed_bytes_are_counted_by_file_and_end_nothing(tmp_path):
    (tmp_path / "good.txt").write_text("a \ufffd b\n" * 9)
    (tmp_path / "bad.txt").write_bytes("Müller grüßt Jörg über Köln\n".encode("cp1252") * 9)
    found = facts(tmp_path / "good.txt", tmp_path / "bad.txt", "--tokenizer", "whitespace")
    assert [("utf-8", 0), ("utf-8", 54)] == [
        (file["encoding"], file["malformed"]) for file in found["files"]
    ]
    assert "cp1252" == found["files"][1]["likely"]
    assert (
        f"{tmp_path / 'bad.txt'}: seems to be cp1252; --encoding cp1252 reads it"
        in (found["remarks"])
    )
    again = facts(tmp_path / "bad.txt", "--encoding", "cp1252")
    assert ("cp1252", 0) == (again["files"][0]["encoding"], again["malformed"])


def test_few_lines_are_kept_and_the_share_is_about_right(monkeypatch):
    monkeypatch.setattr(inspection, "_SAMPLED_LINES", 256)
    noted = inspection.Inspection()
    for number in range(20_000):
        noted.add_line(b"%d" % (number % 10_000))
    assert noted.is_estimate
    assert len(noted._lines) <= 256
    assert 0.5 == noted.repeated_share


def test_very_long_lines_are_told_apart_by_length(tmp_path):
    text = f"{'ab ' * 10_000}\n{'ab ' * 10_001}\n{'ab ' * 10_000}\n"
    (tmp_path / "a.txt").write_text(text)
    found = inspect_corpus([str(tmp_path / "a.txt")])
    assert (30_003, 1 / 3) == (
        found.noted.files[0].longest_line,
        pytest.approx(found.noted.repeated_share),
    )


def test_scripts_are_shares_of_letters():
    words = Vocabulary.from_words(
        ["abc", "да", "東京", "かな", "한", "3.", "ｱ", "µ"], [4, 3, 2, 1, 1, 9, 1, 1]
    )
    expected = {
        "Latin": 12,
        "Cyrillic": 6,
        "Han": 4,
        "Hiragana": 2,
        "Hangul": 1,
        "Katakana": 1,
        "Greek": 1,
    }
    assert {name: n / 27 for name, n in expected.items()} == scripts(words, words.counts)
    assert {} == scripts(Vocabulary.from_words(["3"], [1]), np.array([1]))


def test_curves():
    counts = np.array([4000, 1000] + [1] * 1000)
    curve = heaps(counts)
    assert [(1000, 169), (2000, 335), (5000, 835), (6000, 1002)] == curve
    assert [(1, 4000), (2, 1000), (5, 1), (10, 1)] == zipf(counts)[:4]
    assert [(3, 2)] == heaps(np.array([2, 1]))
    assert [(1, 2), (2, 1)] == zipf(np.array([2, 1]))


def test_tables_fit_a_terminal(corpus, monkeypatch, tmp_path, capsys):
    name = tmp_path / ("long" * 40 + ".txt")
    name.write_text(TEXT + " " + "w" * 200)
    found = facts(corpus, name)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    doctor._print(found)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("remark: ")) <= 80
    assert ["text", "fact             value"] == lines[:2]
    assert "verdict: too little" == lines[-1][:19]


def test_streams_that_train_reads(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one two"}\n{"text": "one"}\n{"other": 1}\n')
    found = facts(tmp_path / "a.jsonl", "--field", "text")
    assert (3, 3) == (found["tokens"], found["lines"])
    assert any("1 of 3 records" in remark for remark in found["remarks"])
    assert 14 == facts("-", input=TEXT)["tokens"]


def test_wrong_input_is_refused_as_everywhere(tmp_path, run_embed):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n")
    (tmp_path / "a.txt").write_text(TEXT)
    for args, code, error in (
        (("missing.txt",), 3, "missing.txt"),
        (("empty",), 3, "empty is empty"),
        (("a.pdf",), 3, "a.pdf"),
        (("a.txt", "-o", "curves.gif"), 2, "-o is curves.gif, but a picture ends in .png, .svg or"),
    ):
        done = run_embed("doctor", *args)
        assert (code, "") == (done.returncode, done.stdout)
        assert error in done.stderr


def test_a_picture(tmp_path, corpus):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.svg"
    assert 0 == run(corpus, "-o", picture).exit_code
    assert "Distinct words" in picture.read_text()
