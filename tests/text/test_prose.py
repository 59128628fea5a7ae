# ruff: noqa: RUF001, E501 (letters of other scripts look alike, and are wide)
"""Text that is plainly prose is read as words in lower case, by every command alike."""

import gzip
import json

import pytest
from click.testing import CliRunner

from embedcli import TrainConfig, load, train
from embedcli.cli.main import embed
from embedcli.errors import ConfigError
from embedcli.settings.text_rules import TextRules
from embedcli.text.corpus_reader import count_corpus, encode_corpus
from embedcli.text.prose import choice_line, is_prose, settled

ENGLISH = (
    "The old house stood on a hill, and nobody had lived in it for years.\nIn the evening, when "
    "the light was low, you could see its windows from the road (they were broken). “Do not go "
    "there,” said my mother; but we went.\nMr. Smith, who was born in the U.S., didn't mind it.\n"
)
PREPARED = " ".join(word.strip("(“”,.;)").lower() for word in ENGLISH.split()) + "\n"
ALIKE = {
    "German": (
        "Das alte Haus stand auf einem Hügel, und seit Jahren wohnte niemand mehr darin. Am Abend, "
        "wenn das Licht tief stand, sah man die Fenster von der Straße aus; sie waren zerbrochen. "
        "„Geht nicht hin“, sagte meine Mutter. Wir gingen.\n"
    ),
    "Russian": (
        "Старый дом стоял на холме, и уже много лет в нём никто не жил. Вечером, когда свет был "
        "низким, с дороги были видны его окна; они были разбиты. «Не ходите туда», — сказала мать, "
        "но мы всё-таки пошли.\n"
    ),
    "Hindi": (
        "पुराना घर एक पहाड़ी पर था, और बरसों से उसमें कोई नहीं रहता था। शाम को, जब रोशनी कम होती थी, "
        "तब सड़क से उसकी खिड़कियाँ दिखती थीं। माँ ने कहा, वहाँ मत जाओ।\n"
    ),
    "Korean": (
        "오래된 집은 언덕 위에 있었고, 몇 년 동안 아무도 살지 않았다. 저녁에 빛이 낮아지면 길에서 그 "
        "창문이 보였다. 창문은 깨져 있었다. 어머니는 가지 말라고 했지만, 우리는 갔다. 그곳은 조용했다. "
        "아무도 없었다.\n"
    ),
    "Arabic": (
        "كان البيت القديم يقف على تل، ولم يسكنه أحد منذ سنين. وفي المساء، عندما يخفت الضوء، كنا نرى "
        "نوافذه من الطريق، وكانت مكسورة. قالت أمي: لا تذهبوا إلى هناك. ولكننا ذهبنا رغم ذلك.\n"
    ),
}
UNLIKE = {
    "prepared": PREPARED,
    "tokens apart": ENGLISH.replace(",", " ,").replace(".", " .").replace(";", " ;"),
    "one token a line": PREPARED.replace(" ", "\n"),
    "items": "milk bread_rolls butter olive_oil yogurt\n" * 20,
    "lists": "milk, bread, butter, oil, yogurt\n" * 20,
    "numbers": "12, 14. 17; 3 4 5 6\n" * 20,
    "logs": "2026-01-02 03:04:05 status installed libc6:amd64 2.36-9, done. ok\n" * 20,
    "code": "def f(self, x):\n    self.x = x[0]  # so; it is\n    return {'a': 1, 'b': g(x)}\n"
    * 20,
    "edges": "12 51\n13 17\n" * 50,
    "Chinese": "我爱北京天安门,天安门上太阳升。 伟大领袖毛主席,指引我们向前进。\n" * 20,
    "Thai": "บ้านเก่าตั้งอยู่บนเนินเขา และไม่มีใครอาศัยอยู่มาหลายปี.\n" * 40,
    "few words": "A house, a hill. It rained.\n",
    "nothing": "",
}


def run(*args, **more):
    return CliRunner().invoke(embed, list(map(str, args)), **more)


@pytest.mark.parametrize("name", ALIKE)
def test_prose_of_many_scripts_is_told(name):
    assert is_prose(ALIKE[name] * 3)


@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_none_is_told(name):
    assert is_prose(ENGLISH)
    assert not is_prose(UNLIKE[name])


@pytest.mark.parametrize(
    ("asked", "prose", "expected"),
    [
        ({}, True, ("words", True)),
        ({}, False, ("whitespace", False)),
        ({"lowercase": False}, True, ("words", False)),
        ({"lowercase": "tr"}, True, ("words", "tr")),
        ({"lowercase": True}, False, ("whitespace", True)),
        ({"tokenizer": "whitespace"}, True, ("whitespace", False)),
        ({"tokenizer": "words"}, True, ("words", False)),
        ({"items": True}, True, ("whitespace", False)),
    ],
)
def test_what_somebody_chose_stays(tmp_path, asked, prose, expected):
    path = tmp_path / "a.txt"
    path.write_text(ENGLISH if prose else PREPARED)
    rules = settled([str(path)], TextRules(**asked))
    assert expected == (rules.tokenizer, rules.lowercase)
    assert not rules.is_open
    with encode_corpus([str(path)], rules=TextRules(**asked), min_count=1) as corpus:
        assert rules == corpus.rules


def test_a_pattern_needs_its_tokenizer():
    with pytest.raises(ConfigError, match=r"tokenizer is auto and pattern is \\w\+"):
        TextRules(pattern=r"\w+")


def test_a_model_that_says_nothing_leaves_nothing_open():
    rules = TextRules.from_settings({})
    assert ("whitespace", False) == (rules.tokenizer, rules.lowercase)


def test_files_decide_together_and_packed_ones_too(tmp_path):
    for number in range(20):
        text = ENGLISH if number < 18 else PREPARED
        (tmp_path / f"{number:02}.gz").write_bytes(gzip.compress(text.encode()))
    names = [str(path) for path in sorted(tmp_path.iterdir())]
    assert "words" == settled(names, TextRules()).tokenizer
    assert "whitespace" == settled(names[18:], TextRules()).tokenizer


def test_what_a_field_holds_decides(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": 1, "text": ENGLISH}) + "\n")
    name = [str(tmp_path / "a.jsonl")]
    assert "words" == settled(name, TextRules(field="text")).tokenizer
    assert "whitespace" == settled(name, TextRules(field="id")).tokenizer


def test_all_commands_read_alike_from_files_and_pipes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(ENGLISH * 5)
    listed = run("vocab", path)
    assert "the 25\nin 15" == "\n".join(listed.stdout.splitlines()[:2])
    assert listed.stderr.startswith("the text is prose: it is cut into words in lower case (--")
    assert listed.stdout == run("vocab", "-", input=ENGLISH * 5).stdout
    assert listed.stdout == run("vocab", path, "--tokenizer", "words", "--lowercase").stdout
    as_it_stands = run("vocab", path, "--tokenizer", "whitespace", "--as-text")
    assert "the 20\nin 10" == "\n".join(as_it_stands.stdout.splitlines()[:2])
    assert "prose" not in as_it_stands.stderr
    assert 0 == run("phrases", path, "-o", tmp_path / "joined").exit_code
    assert "the old house stood on a hill" == (tmp_path / "joined").read_text()[:29]
    plan = tmp_path / "plan.json"
    done = run("shard", "plan", path, "--shards", "1", "--rounds", "1", "-o", plan)
    assert (0, "words", True) == (
        done.exit_code,
        json.loads(plan.read_text())["settings"]["tokenizer"],
        json.loads(plan.read_text())["settings"]["lowercase"],
    )


def test_the_model_says_what_the_text_decided(tmp_path):
    path, model = tmp_path / "a.txt", tmp_path / "m.safetensors"
    path.write_text(ENGLISH * 20)
    options = ("--dim", "8", "--epochs", "1", "--sample", "0", "-o", model)
    done = run("train", path, *options)
    assert "the text is prose" == done.stderr.splitlines()[0][:17]
    settings = load(str(model)).metadata["settings"]
    assert ("words", True) == (settings["tokenizer"], settings["lowercase"])
    bytes_of_file = model.read_bytes()
    assert 0 == run("train", "-", *options, input=ENGLISH * 20).exit_code
    assert bytes_of_file == model.read_bytes()
    resumed = run("train", "--resume", path, "-o", model)
    assert f"{model} is complete: nothing to do\n" == resumed.stderr
    on = tmp_path / "on.safetensors"
    (tmp_path / "b.txt").write_text(PREPARED.upper() * 20)
    assert 0 == run("train", tmp_path / "b.txt", "--continue", model, "-o", on).exit_code
    assert load(str(model)).vocabulary.words[0] == load(str(on)).vocabulary.words[0] == "the"


def test_python_reads_alike(tmp_path):
    (tmp_path / "a.txt").write_text(ENGLISH * 20)
    model = train([tmp_path / "a.txt"], TrainConfig(dim=8, epochs=1, sample=0, min_count=1))
    assert {"The", "hill,"}.isdisjoint(model.vocabulary.words)
    vocabulary, _ = count_corpus([str(tmp_path / "a.txt")], min_count=1)
    assert vocabulary == model.vocabulary


def test_the_line_names_what_was_chosen():
    asked, chosen = TextRules(lowercase=False), TextRules(tokenizer="words", lowercase=False)
    expected = (
        "the text is prose: it is cut into words (--tokenizer words; --tokenizer whitespace keeps "
        "it as it stands)"
    )
    assert expected == choice_line(asked, chosen)
    assert None is choice_line(chosen, chosen)
    assert None is choice_line(TextRules(), TextRules().settled(prose=False))
