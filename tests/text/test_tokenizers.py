"""What a token is: words, patterns, Unicode's rules; normal forms, digits; on many threads."""

import itertools
import re
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli import formats
from embedcli.embeddings import Embeddings
from embedcli.errors import ConfigError, CorpusError, EmbedError, MissingExtraError
from embedcli.kernels.word_mask import mask_non_words
from embedcli.settings.config import TrainConfig
from embedcli.settings.text_rules import TextRules
from embedcli.text import corpus_reader, encoder, splitting_process
from embedcli.text.corpus_reader import count_corpus, encode_corpus
from embedcli.text.preparing import _word_bits
from embedcli.text.splitting_process import SplittingProcess, splitter
from embedcli.text.tokens import word_characters
from embedcli.vocabulary import Vocabulary
from tests.reference import tokenize as reference

WORDS, JOINED = (frozenset(map(chr, codes)) for codes in word_characters())
TEXT = "Don't stop: it's 3,14 o'clock!\n\nनमस्ते दुनिया, ½ İstanbul e\u0301t\u00e9\nx-y_z 我爱北京。\n"
ENGLISH = ("Don't", "stop", "it's", "3,14", "o'clock")


def counted(path, **settings):
    vocabulary, tally = count_corpus([str(path)], rules=TextRules(**settings), min_count=1)
    assert tally.read == int(vocabulary.counts.sum())
    return dict(zip(vocabulary.words, vocabulary.counts.tolist(), strict=True))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def test_words_are_runs_of_letters_marks_and_numbers(text):
    found = counted(text, tokenizer="words")

    assert {"Don", "t", "stop", "it", "s", "3", "14", "o", "clock"} <= set(found)
    assert {"नमस्ते", "दुनिया", "½", "İstanbul", "e\u0301t\u00e9"} <= set(found)
    assert {"x", "y", "z", "我爱北京"} <= set(found)


def test_a_pattern_is_matched_within_white_space(text):
    rules = {"tokenizer": "pattern", "pattern": r"(\w)\w+(?:'\w+)?"}
    found = counted(text, **rules)

    assert {"Don't", "stop", "it's", "14", "clock"} <= set(found)
    assert {"aa": 1, "bb": 1} == counted(_write(text, "aa bb"), tokenizer="pattern", pattern=".+")
    lowercase = counted(
        _write(text, "AB cd"), tokenizer="pattern", pattern="[a-z]+", lowercase=True
    )
    assert {"ab": 1, "cd": 1} == lowercase


def test_unicode_words(text):
    pytest.importorskip("icu4py")
    found = counted(text, tokenizer="unicode")

    assert set(ENGLISH) <= set(found)
    assert {"我", "爱", "北京"} <= set(found)
    assert {"สวัสดี": 1, "ชาว": 1, "โลก": 1} == counted(
        _write(text, "สวัสดีชาวโลก"), tokenizer="unicode"
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"normalize": "NFC"}, ["é", "ﬁ", "Ⅷ", "A\u00a8B"]),
        ({"normalize": "NFKC"}, ["é", "fi", "VIII", "A\u00a8B"]),
        ({"normalize": "NFKC", "lowercase": True}, ["é", "fi", "viii", "a\u00a8b"]),
        ({"normalize": "NFKC", "tokenizer": "words"}, ["é", "fi", "VIII", "A", "B"]),
    ],
)
def test_normal_forms(text, settings, expected):
    expected = [unicodedata.normalize("NFC", word) for word in expected]

    assert sorted(expected) == sorted(counted(_write(text, "e\u0301 ﬁ Ⅷ A\u00a8B"), **settings))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("don\u00b4t", "don\u00b4t"),  # the acute accent, in place of an apostrophe
        ("a\u00b8 o\u02dc", "a\u00b8 o\u02dc"),
        ("\uff41\u00b4\uff42 e\u0301\u00b4", "a\u00b4b \u00e9\u00b4"),
        ("\u304b\u309b", "\u304b\u309b"),
        ("\u2026 \u00bd x\u00a0y", "... 1\u20442 x y"),
        ("\u00a8\u0301", "\u0385"),
    ],
)
def test_accents_that_stand_alone_are_put_on_no_letter(text, written, expected):
    _write(text, f"{written} {written}")
    assert dict.fromkeys(expected.split(), 2) == counted(text, normalize="NFKC")
    rules = TextRules(normalize="NFKC")
    assert expected.split() == splitter(rules)(written)


@pytest.mark.parametrize(
    ("language", "written", "expected"),
    [
        (
            "tr",
            "ISI \u0130stanbul I\u0307i \u0131I A\u011eI",
            "\u0131s\u0131 istanbul ii \u0131\u0131 a\u011f\u0131",
        ),
        ("az", "QIRMIZI \u018f\u0130", "q\u0131rm\u0131z\u0131 \u0259i"),
        (
            "lt",
            "I\u0300 \u00cc J\u0303 \u012e\u0301 I A",
            "i\u0307\u0300 i\u0307\u0300 j\u0307\u0303 \u012f\u0307\u0301 i a",
        ),
        (True, "ISI \u0130X", "isi i\u0307x"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"tokenizer": "words"}, {"normalize": "NFC"}], ids=str)
def test_lower_case_of_a_language(text, language, written, expected, more):
    rules = TextRules(lowercase=language, **more)
    if more:
        expected = unicodedata.normalize("NFC", expected)
        written = unicodedata.normalize("NFC", written)
    assert expected == " ".join(splitter(rules)(written))
    found = counted(_write(text, f"{written}\n"), lowercase=language, **more)
    assert set(expected.split()) == set(found)


def test_a_model_keeps_the_language_of_lower_case(tmp_path):
    words = Vocabulary.from_words(["\u0131s\u0131", "ay"])
    metadata = {"settings": {"lowercase": "tr"}}
    formats.save(
        Embeddings(words, np.eye(2, dtype=np.float32), metadata=metadata),
        tmp_path / "m.safetensors",
    )
    read = formats.load(tmp_path / "m.safetensors")
    assert "tr" == read.metadata["settings"]["lowercase"]
    rules = TextRules.from_settings(read.metadata["settings"])
    assert ["\u0131s\u0131", "ay"] == splitter(rules)("ISI AY")


def test_the_language_of_lower_case_is_an_option(run_embed, tmp_path):
    (tmp_path / "tr").write_text("ISI ISI\n")
    for options, expected in (
        (("--lowercase", "tr", "./tr"), "\u0131s\u0131 2\n"),
        (("tr", "--lowercase"), "isi 2\n"),
        (("--lowercase", "--", "tr"), "isi 2\n"),
        (("--lowercase=az", "tr"), "\u0131s\u0131 2\n"),
        (("--lowercase", "--no-lowercase", "tr"), "ISI 2\n"),
    ):
        done = run_embed("vocab", "--min-count", 1, "-q", *options)
        assert (0, expected) == (done.returncode, done.stdout)
    done = run_embed("vocab", "tr", "--lowercase=de")
    assert (2, True) == (done.returncode, "must be true or false or tr or az or lt" in done.stderr)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
            ["\u0dc1\u0dca\u200d\u0dbb\u0dd3"],
        ),  # Sinhala, with a joiner
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"],
        ),
        ("co\u00adop, er", ["co\u00adop", "er"]),
        ("\u2764\ufe0f ok \ufe0f", ["ok"]),
        ("\u0301a b\u0301 -\u0301c", ["a", "b\u0301", "c"]),
        ("a\u200bb", ["a", "b"]),  # a zero width space separates
        ("1\ufe0f\u20e3", ["1\ufe0f\u20e3"]),
        ("\u0600\u0661", ["\u0661"]),
    ],
)
def test_what_joins_belongs_to_the_word_before_it(text, written, expected):
    for settings in ({}, {"normalize": "NFKC"}):
        rules = TextRules(tokenizer="words", **settings)
        assert expected == splitter(rules)(written)
        counts = counted(_write(text, f"{written} {written}\n"), tokenizer="words", **settings)
        assert dict.fromkeys(expected, 2) == counts


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("keep", {"1984": 1, "3.14": 1, "b2b": 1, "٣": 1}),
        ("zero", {"0000": 1, "0.00": 1, "b0b": 1, "0": 1}),
        ("hash", {"####": 1, "#.##": 1, "b#b": 1, "#": 1}),
        ("number", {"0": 3, "b0b": 1}),
    ],
)
def test_digits(text, digits, expected):
    assert expected == counted(_write(text, "1984 3.14 b2b ٣"), digits=digits)


@given(
    st.text(max_size=200) | st.text("ab \n\u0301\u200d\u00ad\ufe0f\u200b\u2764", max_size=30),
    st.booleans(),
)
def test_blank_is_its_twin(text, cut):
    data = text.encode(errors="surrogatepass")
    buffer = np.frombuffer(data + b" " * 8, np.uint8).copy()
    mask_non_words(buffer, 0, len(data), *_word_bits())

    sound = "".join(c for c in text if not "\ud800" <= c <= "\udfff")
    if sound == text:
        is_kept = WORDS.__contains__, JOINED.__contains__
        assert reference.mask_non_words(text, *is_kept).encode() == bytes(buffer[: len(data)])


def test_malformed_bytes_stay_to_be_counted(text):
    broken = b"ok \xff\xfe caf\xe9 \xed\xa0\x80 \xf0\x80\x80\x80 \xc3"
    buffer = np.frombuffer(broken + b" " * 8, np.uint8).copy()
    mask_non_words(buffer, 0, len(broken), *_word_bits())
    assert broken == bytes(buffer[: len(broken)])

    text.write_bytes(b"word, " * 999 + b"caf\xe9 ")
    for settings in ({"tokenizer": "words"}, {"tokenizer": "pattern", "pattern": r"\w+"}):
        with pytest.warns(UserWarning, match="1 malformed"):
            assert {"word": 999, "caf\ufffd": 1} == counted(text, **settings)


SETTINGS = [
    {},
    {"tokenizer": "words", "lowercase": True},
    {"tokenizer": "words", "normalize": "NFKC"},
    {"tokenizer": "pattern", "pattern": r"\w+|[^\w\s]", "digits": "zero"},
    {"normalize": "NFKC", "lowercase": True, "digits": "number"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_threads_and_blocks_and_single_texts_agree(text, monkeypatch, settings):
    rules = TextRules(**settings)
    split = splitter(rules)
    expected = [tokens for line in TEXT.split("\n") if (tokens := split(line))]
    monkeypatch.setattr(encoder, "LONG_TEXT", 0)  # processes, however short the text
    for threads, block_bytes in ((1, 1 << 20), (2, 7)):
        monkeypatch.setattr(corpus_reader, "BLOCK_BYTES", block_bytes)
        with encode_corpus([str(text)], rules=rules, min_count=1, threads=threads) as corpus:
            words = corpus.vocabulary.words
            bounds = corpus.offsets.tolist()
            found = [[words[i] for i in corpus.ids[a:b]] for a, b in itertools.pairwise(bounds)]
        assert expected == found


def test_text_without_white_space_is_cut_into_its_words(text, monkeypatch):
    monkeypatch.setattr(corpus_reader, "BLOCK_BYTES", 1 << 12)
    _write(text, "字\uff0c" * 5000)

    assert {"字": 5000} == counted(text, tokenizer="words")


def test_a_process_that_fails_says_so():
    with SplittingProcess(TextRules(tokenizer="pattern", pattern="a")) as process:
        assert b"a a\na" == process.prepared(b"ba,ab\na")
        process._process.kill()
        process._process.wait()  # so that what is sent stays behind, for `close` to find
        with pytest.raises(EmbedError, match="a process that cuts text into tokens ended with -9"):
            process.prepared(b"a")


@pytest.mark.parametrize("pattern", ["(a+)+$", r"(?:\p{L}|[a-z]|aa?)+$"])
def test_a_pattern_that_backtracks_for_ever_is_given_up(text, monkeypatch, pattern):
    pytest.importorskip("regex")
    assert 10 == splitting_process.LIMIT
    monkeypatch.setattr(splitting_process, "LIMIT", 0.05)
    rules = TextRules(tokenizer="pattern", pattern=pattern)
    _write(text, "aa " * 5 + "a" * 60 + "!\n")
    message = f"the pattern {pattern!r} takes without end for 61 characters of text, 'aaaa"
    with pytest.raises(CorpusError, match=re.escape(message)):
        count_corpus([str(text)], rules=rules, min_count=1)
    split = splitter(rules)
    with pytest.raises(CorpusError, match=re.escape(message)):
        split("a" * 60 + "!")
    assert ["aa"] == split("aa")  # the process goes on


def test_a_pattern_with_classes_of_characters(text, monkeypatch):
    pytest.importorskip("regex")
    pattern = r"[\p{L}\p{M}]+|\p{N}+"
    found = counted(text, tokenizer="pattern", pattern=pattern)
    assert {"नमस्ते", "दुनिया", "İstanbul", "e\u0301t\u00e9", "clock", "14"} <= set(found)
    assert {"ab": 1, "c": 1} == counted(
        _write(text, "ab1c"), tokenizer="pattern", pattern="[[:alpha:]]+"
    )
    assert {"p": 2} == counted(_write(text, "p{L p{L"), tokenizer="pattern", pattern=r"\w(?=\{L)")
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'embedcli[unicode]'")):
        TextRules(tokenizer="pattern", pattern=pattern)
    with pytest.raises(ConfigError, match="must be a regular expression: missing \\)"):
        TextRules(tokenizer="pattern", pattern="(")
    assert r"\\p{L}" == TextRules(tokenizer="pattern", pattern=r"\\p{L}").pattern


def test_a_process_ends_with_its_input():
    worker = [sys.executable, "-m", "embedcli.text.splitting_worker", "{}", "1"]
    assert 0 == subprocess.run(worker, input=b"", check=False, timeout=30).returncode


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokenizer": "pattern"}, "tokenizer is pattern and pattern is none"),
        ({"pattern": "a"}, "tokenizer is auto and pattern is a"),
        ({"tokenizer": "pattern", "pattern": "("}, "must be a regular expression: missing )"),
        ({"tokenizer": "spaces"}, "must be whitespace or words or pattern or unicode"),
        ({"normalize": "NFD"}, "normalize is 'NFD', but must be NFC or NFKC"),
        ({"digits": "none"}, "must be keep or zero or hash or number"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        TrainConfig(**settings)


def test_a_missing_library_is_named_before_the_work(text, monkeypatch):
    monkeypatch.setitem(sys.modules, "icu4py.breakers", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'embedcli[unicode]'")):
        counted(text, tokenizer="unicode")


def test_options_of_the_commands(run_embed, text):
    options = ("--tokenizer", "words", "--normalize", "NFKC", "--digits", "zero", "--lowercase")
    done = run_embed("vocab", "text.txt", "--min-count", 1, "-q", *options)

    assert {"istanbul 1".replace("i", "i\u0307", 1), "00 1"} <= set(done.stdout.splitlines())
    done = run_embed("train", "text.txt", "--tokenizer", "pattern")
    assert (2, True) == (done.returncode, "goes with --tokenizer pattern" in done.stderr)


def _write(path, content):
    path.write_text(content)
    return path
