"""The benchmarks measure what they say; how fast anything is belongs to `make bench`."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from importlib import import_module

import pytest


@pytest.fixture
def part(root, monkeypatch):
    """Import a module of `benchmarks/` by name; the test is skipped where the directory is not."""
    if not (root / "benchmarks").is_dir():
        pytest.skip("needs benchmarks/, which only a checkout has")
    monkeypatch.syspath_prepend(str(root))
    return lambda name: import_module(f"benchmarks.{name}")


@pytest.fixture
def make_session(part, tmp_path):
    """A session on a corpus of `text`."""

    def make(text="a b c\nd e\n", **changed):
        corpus = tmp_path / "corpus.txt"
        corpus.write_text(text)
        places = {"corpus": corpus, "tests": tmp_path, "folder": tmp_path, "cache": tmp_path}
        options = {"quick": False, "repeat": 1, "seeds": 3}
        return part("session").Session(**places | options | changed)

    return make


def test_an_excerpt_has_as_many_tokens_as_asked(make_session):
    session = make_session()

    assert "a b c\nd\n" == session.excerpt(4).read_text()
    assert "a b c\nd e\na b\n" == session.excerpt(7).read_text()


def test_a_text_without_tokens_is_refused(make_session):
    with pytest.raises(ValueError, match="holds no tokens"):
        make_session("\n\n").excerpt(3)


def test_a_packed_corpus_is_unpacked_once_and_again_when_incomplete(part, tmp_path):
    unpacked = part("corpora").unpacked
    packed = tmp_path / "c.txt.gz"
    packed.write_bytes(gzip.compress(b"a b c\n" * 1000))

    target = unpacked(packed, tmp_path)
    assert (tmp_path / "c.txt", 6000) == (target, target.stat().st_size)
    assert target == unpacked(target, tmp_path)
    target.write_text("half")
    assert b"a b c\n" * 1000 == unpacked(packed, tmp_path).read_bytes()


def test_a_child_is_measured_from_outside(part):
    script = "import sys; data = b'x' * 300_000_000; print(len(data), sys.stdin.read())"
    done = part("processes").run([sys.executable, "-c", script], dict(os.environ))

    assert "300000000 \n" == done.stdout
    assert done.peak > 300e6
    assert done.seconds > 0


def test_a_child_that_fails_is_told_with_its_own_words(part):
    processes = part("processes")
    with pytest.raises(processes.ChildError, match="exit code 3: what was wrong"):
        script = "import sys; print('what was wrong', file=sys.stderr); sys.exit(3)"
        processes.run([sys.executable, "-c", script], dict(os.environ))
    with pytest.raises(processes.ChildError, match="No such file"):
        processes.run(["/no/such/command"], dict(os.environ))


def test_a_table_is_markdown_for_people_and_unrounded_for_programs(part):
    table = part("tables").Table("Times", {"who": "", "wall s": ".1f"}, notes=["Noted."])
    table.add("embed", 1.26)
    table.add("gensim", None)

    expected = (
        "### Times\n\n"
        "| who    | wall s |\n"
        "| ------ | -----: |\n"
        "| embed  |    1.3 |\n"
        "| gensim |    n/a |\n\n"
        "Noted."
    )
    assert expected == table.markdown()
    rows = [{"who": "embed", "wall s": 1.26}, {"who": "gensim", "wall s": None}]
    assert {"title": "Times", "rows": rows, "notes": ["Noted."]} == table.as_json()


def test_trainers_take_turns_and_the_short_one_runs_three_times(part, make_session):
    order = part("peers")._order
    two = ["embed", "gensim"]

    assert ["embed", "gensim", "embed", "embed"] == list(order(make_session(), two))
    assert 2 * two + ["embed"] == list(order(make_session(repeat=2), two))
    assert two == list(order(make_session(quick=True), two))


def test_scores_are_remembered_for_the_same_text_and_settings_only(part, make_session):
    scores, settings = part("scores"), part("trainers").Settings()
    session = make_session()
    found = scores.Scores(40.0, 52.5, "2026-01-01 00:00 UTC")
    scores.remember(session, "gensim", settings, found)

    assert found == scores.recall(session, "gensim", settings)
    other = part("trainers").Settings(seed=2)
    assert None is scores.recall(session, "gensim", other)
    assert 1 == len(json.loads((session.cache / "scores.json").read_text()))


def test_a_claim_that_cannot_be_measured_does_not_stop_the_others(
    part, make_session, tmp_path, capsys, monkeypatch
):
    session_module, table = part("session"), part("tables").goals("Fine")
    table.add("figure", 2.0, "1 or less")  # a missed target is no failure

    def broken(session):
        raise part("processes").ChildError("it broke")

    monkeypatch.setattr(session_module, "describe", lambda environment: {"versions": {}})
    results = tmp_path / "results.json"
    results.write_text('{"other": 1}')
    session = make_session()
    claims = {"broken": broken, "fine": lambda session: [table]}
    assert 1 == session_module._measure(claims, session, results)
    assert {"other", "fine"} == json.loads(results.read_text()).keys()
    assert "broken could not be measured: it broke" in capsys.readouterr().out
    assert 0 == session_module._measure({"fine": claims["fine"]}, session, results)


def test_a_missing_corpus_is_named(part, root):
    part("options")
    command = [sys.executable, "-m", "benchmarks", "--corpus", "no-such.txt"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert 2 == done.returncode
    assert "there is no corpus no-such.txt: name a text with --corpus FILE" in done.stderr
