"""Words that the vocabulary does not hold: how they are answered, said and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from embedcli import evaluate, load, save
from embedcli.cli.shell import _Shell
from embedcli.embeddings import Embeddings
from embedcli.errors import UnknownWordError
from embedcli.files.watch import Watch
from embedcli.lookup.out_of_vocabulary import Fallbacks, case_variants, resolve
from embedcli.lookup.query import Query, analogy, cosine_table, neighbors, odd_one_out
from embedcli.spaces.agreement import agreement
from embedcli.spaces.sentences import Averager
from embedcli.subwords.ngrams import NGrams
from embedcli.subwords.table import Subwords
from embedcli.vocabulary import Vocabulary

WORDS = ["walk", "walking", "Paris", "<unk>", "talk"]
NONE = Fallbacks(subwords=False, case=False, token=False)


@pytest.fixture(scope="module")
def model():
    vocabulary, units = Vocabulary.from_words(WORDS, [9, 7, 5, 4, 3]), NGrams(3, 4, 100_000)
    generator = np.random.default_rng(4)
    ids = np.unique(units.cut(vocabulary).ids)
    rows = generator.normal(size=(len(ids), 6)).astype(np.float32)
    own = generator.normal(size=(5, 6)).astype(np.float32)
    subwords = Subwords(units, own, ids, rows)
    return Embeddings(vocabulary, subwords.of_vocabulary(vocabulary), subwords=subwords)


def test_the_ways_in_their_order(model):
    asked = ["walk", "talking", "paris", "0", "walk"]
    resolved = resolve(model, asked)
    assert ["word", "subwords", "subwords", "unknown token", "word"] == resolved.sources
    assert [0, -1, -1, 3, 0] == resolved.ids.tolist()
    np.testing.assert_array_equal(resolved.vectors[1], model["talking"])
    np.testing.assert_array_equal(resolved.vectors[3], model["<unk>"])
    assert {"talking": "subwords", "paris": "subwords", "0": "unknown token"} == resolved.answered()

    resolved = resolve(model, asked, Fallbacks(subwords=False))
    assert ["word", "unknown token", "case variant", "unknown token", "word"] == resolved.sources
    np.testing.assert_array_equal(resolved.vectors[2], model["Paris"])

    resolved = resolve(model, asked, NONE)
    assert ["word", None, None, None, "word"] == resolved.sources
    assert not resolved.vectors[1:4].any()
    assert (0, 6) == resolve(model, []).vectors.shape


def test_spellings_that_differ_in_case():
    assert ["paris", "PARIS"] == case_variants("Paris")
    assert ["Straße", "STRASSE"] == case_variants("straße")
    assert [] == case_variants("東京")
    assert "istanbul" == case_variants("İstanbul", "tr")[0]
    assert "\u0131s\u0131" == case_variants("ISI", "tr")[0]
    words = Vocabulary.from_words(["istanbul", "\u0131s\u0131"])
    model = Embeddings(
        words, np.eye(2, dtype=np.float32), metadata={"settings": {"lowercase": "tr"}}
    )
    assert [0, 1] == resolve(model, ["İSTANBUL", "ISI"]).ids.tolist()


def test_lookups_of_unseen_words(model):
    (found,) = neighbors(model, [Query(("talking",))], 2)
    cosines = model.vectors @ model["talking"] / model.norms
    assert WORDS[int(np.argmax(cosines))] == found[0].word
    without = neighbors(model, [Query(("PARIS",))], fallbacks=Fallbacks(subwords=False))[0]
    assert "Paris" not in [word for word, _ in without]
    for method in ("cosadd", "cosmul"):
        assert 3 == len(analogy(model, ("walk", "walking", "tal"), method=method))
    assert 3 == len(odd_one_out(model, ["walk", "talks", "Paris"]))
    np.testing.assert_allclose(cosine_table(model, ["talks", "talks"]), 1)
    for ask in (
        lambda: neighbors(model, [Query(("talking",))], fallbacks=NONE),
        lambda: analogy(model, ("walk", "walking", "tal"), fallbacks=NONE),
        lambda: cosine_table(model, ["walk", "talks"], fallbacks=NONE),
    ):
        with pytest.raises(UnknownWordError, match="unknown word 'tal"):
            ask()
    assert 1 == agreement([model, model], Query(("talking",)), fallbacks=NONE)[1] + 1
    assert 2 == agreement([model, model], Query(("talking",)))[1]


def test_texts_with_unseen_words(model):
    averager = Averager(model)
    vectors = averager.add(["walk talking", "0 talking talking", ""])
    expected = [(model["walk"] + model["talking"]) / 2,
                (model["<unk>"] + 2 * model["talking"]) / 3, np.zeros(6)]  # fmt: skip
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)
    assert (5, 0, {"subwords": 3, "unknown token": 1}) == (
        averager.tokens, averager.unknown, averager.answered_by,
    )  # fmt: skip
    strict = Averager(model, "sif", fallbacks=NONE)
    assert not strict.add(["talking"]).any()
    assert 1 == strict.unknown


def test_similarity_of_unseen_words(model, tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("walk\ttalking\t3\nWALK\tTalks\t2\nwalk\tparis\t1\nwalk\t0\t5\n")
    (report,) = evaluate(model, [str(path)])
    assert (3, 4) == (report.main_part.seen, report.main_part.total)
    assert {"talking": "subwords", "Talks": "subwords"} == report.answered
    assert ", 2 words by subwords, pairs with an unknown word left out" in report.protocol_line
    unit = model["talks"] / np.linalg.norm(model["talks"])
    assert report.items.values[1, 1] == pytest.approx(
        unit @ model["walk"] / model.norms[0], abs=1e-6
    )

    (report,) = evaluate(model, [str(path)], unk=True)
    assert (4, "unknown token") == (report.main_part.seen, report.answered["0"])
    assert "protocol word2vec, changed in unk: " in report.protocol_line
    (report,) = evaluate(model, [str(path)], subwords=False)
    assert (1, {}) == (report.main_part.seen, report.answered)
    assert "changed in subwords" in report.protocol_line


@pytest.fixture
def saved(model, tmp_path):
    save(model, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_commands_say_how_words_were_answered(saved, run_embed):
    done = run_embed("neighbors", "talking", "PARIS", "0", "-k", "1", "--json")
    answers = json.loads(done.stdout)
    assert 0 == done.returncode
    assert [{"talking": "subwords"}, {"PARIS": "case variant"}, {"0": "unknown token"}] == [
        answer["answered_by"] for answer in answers
    ]
    assert (
        "not in the vocabulary, answered by subwords: 'talking'\n"
        "not in the vocabulary, answered by another case: 'PARIS'\n"
        "not in the vocabulary, answered by the unknown token: '0'\n"
    ) == done.stderr
    strict = ("--no-subwords", "--no-case-variants", "--no-unk")
    done = run_embed("neighbors", "talking", "PARIS", "walk", "-k", "1", *strict)
    assert (3, 1, 2) == (done.returncode, done.stdout.count("\n"), done.stderr.count("unknown"))
    for line in (("analogy", "walk", "walking", "tal"), ("odd", "walk", "walking", "tal")):
        done = run_embed(*line, "--json")
        assert {"tal": "subwords"} == json.loads(done.stdout)["answered_by"]
        assert "answered by subwords: 'tal'\n" in done.stderr
        assert 3 == run_embed(*line, *strict).returncode


@pytest.mark.parametrize("line", ["tal", "walk + tal", "walk ~ tal", "walk : walking :: tal",
                                  "odd walk walking tal"])  # fmt: skip
def test_the_shell_says_how_words_were_answered(model, line, capsys, tmp_path):
    watch = Watch(str(tmp_path))
    _Shell(model, 1, Fallbacks(), True, watch).answer(line)
    out, talk = capsys.readouterr()
    assert {"tal": "subwords"} == json.loads(out)["answered_by"]
    assert "not in the vocabulary, answered by subwords: 'tal'\n" == talk
    with pytest.raises(UnknownWordError, match="unknown word 'tal'"):
        _Shell(model, 1, NONE, True, watch).answer(line)


def test_vectors_of_words_never_seen(model, saved, run_embed):
    done = run_embed("vectors", "talking", "-", input="walks\n")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert ["talking", "walks"] == [row[0] for row in rows]
    np.testing.assert_array_equal(np.array(rows[0][1:], np.float32), model["talking"])
    assert "not in the vocabulary, answered by subwords: 'talking', 'walks'\n" == done.stderr
    done = run_embed("vectors", "talking", "--no-subwords", "--no-unk")
    assert (3, "") == (done.returncode, done.stdout)


def test_export_says_when_subwords_are_left_out(saved, tmp_path, run_embed):
    done = run_embed("export", saved, "x.vec")
    assert "x.vec: without the rows of subwords, so words never seen have no vectors" in done.stderr
    done = run_embed("export", saved, "x.fasttext.bin", "--top", "3")
    assert "without" not in done.stderr
    read = load(tmp_path / "x.fasttext.bin")
    assert (3, 100_000) == (len(read), len(read.subwords.rows))
    done = run_embed("info", saved, "--json")
    assert "ngrams" == json.loads(done.stdout)["subwords"]["kind"]
