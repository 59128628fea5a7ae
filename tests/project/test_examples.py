"""The Makefiles, the scripts beside them and the configurations, run as people run them."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import random
import shutil
import subprocess
import sys
import threading
import zipfile

import pytest

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def served():
    """Serve bytes on 127.0.0.1 and give their URL."""
    content = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = content.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def serve(body):
        content["/text8.zip"] = body
        return f"http://127.0.0.1:{server.server_port}/text8.zip"

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


def zipped(text):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("text8", text)
    return data.getvalue()


@pytest.fixture
def fetch(root, tmp_path, command_environment):
    def run(*args):
        return subprocess.run(
            [sys.executable, root / "examples" / "fetch_text8.py", tmp_path / "d/text8.txt", *args],
            env=command_environment | {"no_proxy": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_text8_is_fetched_checked_and_unpacked(fetch, served, tmp_path):
    body = zipped("anarchism originated")
    done = fetch("--url", served(body), "--sha256", hashlib.sha256(body).hexdigest())

    assert (0, "") == (done.returncode, done.stdout), done.stderr
    assert "anarchism originated" == (tmp_path / "d/text8.txt").read_text()
    assert ["text8.txt"] == [path.name for path in (tmp_path / "d").iterdir()]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (zipped("other text"), "expected a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7"),
        (b"not a zip", "SHA-256"),
        (None, "HTTP Error 404"),
    ],
)
def test_what_is_not_text8_leaves_nothing(fetch, served, tmp_path, body, message):
    done = fetch("--url", served(body))

    assert 1 == done.returncode
    assert message in done.stderr
    assert 1 == done.stderr.count("\n")
    assert [] == list((tmp_path / "d").iterdir())


def test_a_damaged_archive_with_the_right_digest_leaves_nothing(fetch, served, tmp_path):
    body = zipped("text" * 1000)[:-30]
    done = fetch("--url", served(body), "--sha256", hashlib.sha256(body).hexdigest())

    assert 1 == done.returncode
    assert "not a zip file" in done.stderr
    assert [] == list((tmp_path / "d").iterdir())


def test_the_standard_library_has_a_corpus(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "examples"))
    import stdlib_corpus

    module = tmp_path / "module.py"
    module.write_text(
        '"""A module.\n\nSecond paragraph, `file_name`."""\n'
        "x = 1  # The first\n# comment, on two lines.\n\n# Alone2you\n"
        'def f():\n    """Does it."""\n    return "no prose"\n'
    )
    expected = [
        "a module",
        "second paragraph file name",
        "the first comment on two lines",
        "alone you",
        "does it",
    ]

    assert expected == list(stdlib_corpus.paragraphs(module))


def test_the_corpus_leaves_out_tests_and_packages(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "examples"))
    import stdlib_corpus

    for name in ("a.py", "b/c.py", "test/t.py", "b/tests/t.py", "site-packages/p.py", "b/n.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    found = [str(p.relative_to(tmp_path)) for p in stdlib_corpus.sources(tmp_path)]
    assert ["a.py", "b/c.py"] == found


@needs_make
def test_make_alone_shows_the_targets(root, command_environment):
    done = subprocess.run(
        ["make", "-C", root], env=command_environment, capture_output=True, text=True, check=True
    )

    for target in ("help", "demo", "test", "lint", "bench", "data", "clean"):
        assert f"  make {target} " in done.stdout


@pytest.fixture
def batch(root, tmp_path, command_environment):
    """Run the batch example in a directory with a small corpus; returns what make printed."""
    draw = random.Random(1)
    topics = [[f"{kind}{i}" for i in range(12)] for kind in ("plant", "metal", "river")]
    lines = (" ".join(draw.choices(draw.choice(topics), k=8)) for _ in range(400))
    (tmp_path / "corpus.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "pairs.tsv").write_text("plant1\tplant2\t9\nplant1\tmetal1\t1\nmetal2\triver1\t2\n")

    def run(*args):
        command = [
            *("make", "-f", root / "examples" / "Makefile", "TESTS=pairs.tsv", "EPOCHS=1"),
            *("DIMS=2 4 6", f"EMBED={sys.executable} -m embedcli", *args),
        ]
        return subprocess.run(
            command, cwd=tmp_path, env=command_environment, capture_output=True, text=True
        )

    return run


@needs_make
def test_the_batch_makes_everything_once_and_again_only_what_changed(batch, tmp_path):
    first = batch("-j2")
    assert 0 == first.returncode, first.stderr
    assert 1 == first.stdout.count("embedcli vocab")
    assert 3 == first.stdout.count("embedcli train")
    for dim in (2, 4, 6):
        header, *rows = (tmp_path / f"batch/{dim}.vec").read_text().splitlines()
        assert (f"36 {dim}", 36) == (header, len(rows))
    scores = (tmp_path / "batch/scores.json").read_text().splitlines()
    assert 3 == len([json.loads(line) for line in scores])

    assert "Nothing to be done" in batch().stdout

    vectors = (tmp_path / "batch/4.vec").read_bytes()
    (tmp_path / "batch/4.safetensors").unlink()
    third = batch()
    assert 1 == third.stdout.count("embedcli train")
    assert 0 == third.stdout.count("embedcli vocab")
    assert vectors == (tmp_path / "batch/4.vec").read_bytes()


@needs_make
def test_a_failed_step_leaves_no_target(batch, tmp_path):
    (tmp_path / "pairs.tsv").write_text("neither\n")

    assert 0 != batch("-j2").returncode
    made = {path.suffix for path in (tmp_path / "batch").iterdir()}
    assert {".txt", ".safetensors", ".vec"} >= made
    assert ".safetensors" in made
