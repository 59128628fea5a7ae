# ruff: noqa: RUF001
# (letters of other scripts are what is tested)
"""Text that is not UTF-8: read by `--encoding`, recognised file by file, and what is advised."""

import contextlib
import sys

import pytest

from embedcli.errors import ConfigError, CorpusError
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import count_corpus, encode_corpus
from embedcli.text.encodings import likely_encoding, seven_bit_encoding
from embedcli.text.sources import Library

DE = "Der größte Bär läuft über die Straße und äußert sich höflich über das schöne Wetter.\n"
FR = "L'élève étudiait déjà là-bas où la forêt s'étend jusqu'à la mer, après l'été.\n"
PL = (
    "Zażółć gęślą jaźń, proszę państwa. Wszyscy ludzie rodzą się wolni i równi pod względem praw.\n"
)
RU = "Все люди рождаются свободными и равными в своем достоинстве и правах.\n"
EL = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.\n"
TR = "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar..\n"
JA = "すべての人間は、 生まれながらにして 自由であり、 尊厳と権利とについて 平等である。\n"
ZH = "人人生而自由， 在尊严和权利上一律平等。 他们赋有理性和良心， 并应以兄弟关系的精神相对待。\n"
TW = "人人生而自由， 在尊嚴和權利上一律平等。 他們賦有理性和良心， 並應以兄弟關係的精神相對待。\n"
KO = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.\n"
AR = "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.\n"
QUOTES = "“Smart quotes” — naïve café it’s €5 he said and so it’s the way.\n"

# text, what it is in, what is told of it
TOLD = [
    (DE, "cp1252", "cp1252"),
    (DE, "latin-1", "cp1252"),
    (DE, "mac_roman", "mac_roman"),
    (FR, "cp1252", "cp1252"),
    (QUOTES, "cp1252", "cp1252"),
    (PL, "cp1250", "cp1250"),
    (PL, "iso8859_2", "iso8859_2"),
    (RU, "cp1251", "cp1251"),
    (RU, "koi8_r", "koi8_r"),
    (RU, "cp866", "cp866"),
    (EL, "cp1253", "cp1253"),
    (TR, "cp1254", "cp1254"),
    (AR, "cp1256", "cp1256"),
    (JA, "shift_jis", "cp932"),
    (JA, "euc_jp", "euc_jp"),
    (ZH, "gbk", "gb18030"),
    (TW, "big5", "big5"),
    (KO, "euc_kr", "cp949"),
]


def words(paths, **rules):
    vocabulary, tally = count_corpus([str(p) for p in paths], rules=TextRules(**rules), min_count=1)
    return vocabulary.words, tally


@pytest.mark.parametrize(("text", "encoding", "told"), TOLD, ids=lambda v: v if len(v) < 12 else "")
def test_a_file_in_another_encoding_is_named_with_it(tmp_path, text, encoding, told):
    pytest.importorskip("charset_normalizer")
    path = tmp_path / "text"
    path.write_bytes((text * 20).encode(encoding))
    with pytest.raises(CorpusError, match=rf"text does not look like UTF-8 text.*{told}") as caught:
        words([path])

    assert f": --encoding {told}, or convert it: iconv -f " in str(caught.value)
    assert "\n" not in str(caught.value)
    path.write_bytes((text * 20).encode())
    expected, _ = words([path])
    path.write_bytes((text * 20).encode(encoding))
    assert expected == words([path], encoding=told)[0]


@pytest.mark.parametrize(
    "encoding",
    ["utf-16", "utf-16-be", "utf-32-le", "utf-32", "utf-7", "iso2022_jp", "gb18030", "utf-8-sig"],
)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_every_encoding_is_read_as_utf8(tmp_path, encoding, step):
    path = tmp_path / "text"
    path.write_bytes(JA.encode(encoding))
    buffer, text = bytearray(step), b""
    with contextlib.closing(Library([str(path)], rules=TextRules(encoding=encoding))) as library:
        for file in library:
            while n := file.readinto(memoryview(buffer)):
                text += buffer[:n]

    assert JA == text.decode()


def test_a_byte_order_mark_wins_over_the_option(tmp_path):
    marked, other = tmp_path / "marked", tmp_path / "other"
    marked.write_text(DE, encoding="utf-8-sig")
    other.write_text(DE, encoding="utf-16")
    (tmp_path / "plain").write_bytes(DE.encode("cp1252"))
    expected, tally = words([marked], tokenizer="words")
    paths = [marked, other, tmp_path / "plain"]
    found, all_of_them = words(paths, encoding="cp1252", tokenizer="words")

    assert (expected, 3 * tally.read) == (found, all_of_them.read)


def test_one_file_of_many_is_found_and_named(tmp_path):
    pytest.importorskip("charset_normalizer")
    paths = [tmp_path / f"{number:03}.txt" for number in range(120)]
    for path in paths:
        path.write_text("plain words that say nothing of note\n" * 50 + RU)
    paths[57].write_bytes((RU * 4).encode("cp1251"))
    with pytest.raises(CorpusError) as caught:
        words(paths)
    assert (
        f"{paths[57]} does not look like UTF-8 text: 44 of 44 tokens are malformed; it looks like "
        f"cp1251: convert it: iconv -f CP1251 -t UTF-8 {paths[57]}"
    ) == str(caught.value)

    paths[90].write_bytes((JA * 9).encode("shift_jis"))
    with pytest.raises(CorpusError, match=r"057.txt \(cp1251\), .*090.txt \(cp932\) do not look"):
        words(paths)
    with pytest.warns(UserWarning, match="malformed UTF-8 sequences in .* tokens were replaced"):
        assert "plain" in words(paths, encoding="utf-8")[0]  # who insists is warned


def test_a_few_malformed_sequences_are_a_warning_that_names_the_files(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("word " * 500)
    bad.write_bytes(b"word " * 500 + b"caf\xe9\n")
    with pytest.warns(UserWarning, match=rf"1 malformed .* in 1 tokens in {bad} were replaced"):
        words([good, bad])


def test_files_that_cannot_be_read_again_are_judged_too(tmp_path):
    pytest.importorskip("charset_normalizer")
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/russian.txt", (RU * 20).encode("koi8_r"))
    (tmp_path / "good").write_text("plain words " * 5000)
    with pytest.raises(CorpusError, match=r"russian.txt does not look like .* iconv -f KOI8-R"):
        words([tmp_path / "good", "memory://russian.txt"])


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("iso2022_jp", JA), ("iso2022_kr", KO), ("hz", ZH), ("utf-7", DE), ("utf-7", RU)],
)
def test_encodings_that_look_like_ascii_are_recognised(tmp_path, encoding, text):
    path = tmp_path / "text"
    path.write_bytes(("Subject: in plain words\n" + text * 20).encode(encoding))
    with pytest.raises(CorpusError, match=f"looks like {encoding}: --encoding {encoding}, or conv"):
        words([path])

    path.write_text("Subject: in plain words\n" + text * 20)
    expected, _ = words([path])
    path.write_bytes(("Subject: in plain words\n" + text * 20).encode(encoding))
    assert expected == words([path], encoding=encoding)[0]


def test_a_quoted_mail_in_other_letters_is_a_warning(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"plain words\n" * 9000 + JA.encode("iso2022_jp"))
    with pytest.warns(UserWarning, match="a part of it looks like iso2022_jp, and is read as ASC"):
        words([path])


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m \x1b$ and \x1b(B",
        "call +49-30-1234 or +1-800-FLOWERS- now, C++-code, a+b-c, +ABC-, +foo-, +x+y+",
        "1+2-3 +100- +AAA- +1111-",
        "~{ braces ~} and ~/{home}",
    ],
)
def test_ascii_with_such_signs_is_ascii(text):
    assert seven_bit_encoding((text + "\n").encode() * 50) is None


def test_a_wrong_encoding_is_refused_and_a_few_lost_characters_said(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(DE.encode() * 20)
    with pytest.raises(CorpusError, match=r"text does not look like ascii text: \d+ of its \d+"):
        words([path], encoding="ascii")
    path.write_bytes(JA.encode("shift_jis") * 20 + b" \x81\x20 end\n")
    with pytest.warns(UserWarning, match="1 of its 8.. characters are no shift_jis"):
        words([path], encoding="shift_jis")


@pytest.mark.parametrize("name", ["", "klingon", "rot13", "hex", "idna", "unicode_escape", "a\0b"])
def test_names_that_are_no_encoding(name):
    with pytest.raises(ConfigError, match="encoding"):
        TextRules(encoding=name)


def test_without_the_library_it_is_guessed_or_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    assert "cp1252" == likely_encoding(DE.encode("cp1252"))
    assert likely_encoding(JA.encode("euc_jp")) is None
    path = tmp_path / "text"
    for text, encoding in ((DE, "cp1252"), (RU, "koi8_r")):
        path.write_bytes((text * 20).encode(encoding))
        with pytest.raises(CorpusError, match=r"--encoding.*pip install 'embedcli\[encoding\]'"):
            words([path])


def test_records_in_another_encoding(tmp_path):
    path = tmp_path / "records"
    for encoding, given in (("utf-16", None), ("cp1252", "cp1252"), ("utf-16-le", "utf-16-le")):
        path.write_bytes('{"text": "größer als"}\n{"text": "größer"}\n'.encode(encoding))
        assert ["größer", "als"] == words([path], field="text", encoding=given)[0]


def test_the_encoding_is_part_of_the_rules_a_corpus_is_read_by(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(DE.encode("cp1252"))
    with encode_corpus([str(path)], rules=TextRules(encoding="latin-1"), min_count=1) as corpus:
        assert "größte" in corpus.vocabulary.words
