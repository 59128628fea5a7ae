"""Classes, the odd one out, maps and curves; the page itself in headless Chromium where it is."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import Embeddings, Vocabulary, save
from embedcli.cli import plot
from embedcli.errors import (
    FormatError,
    InputError,
    MissingExtraError,
    UnknownWordError,
    UsageError,
)
from embedcli.lookup.kmeans import classes
from embedcli.lookup.query import Query, neighbors, odd_one_out
from embedcli.maps import figures
from embedcli.maps.layout import lay_out
from embedcli.maps.page import make_page
from embedcli.settings.reading import STRICT

KINDS = ("red", "green", "blue")
WORDS = [f"{kind}{i}" for i in range(40) for kind in KINDS]


@pytest.fixture
def model(tmp_path):
    rng = np.random.default_rng(0)
    vectors = np.eye(3, 8)[np.arange(120) % 3] + rng.normal(scale=0.1, size=(120, 8))
    epochs = [{"held_out": 2.25}, {"held_out": 1.75}, {"held_out": 1.5}]
    metadata = {"loss": [2.5, 1.5, 1.25], "epochs": epochs}
    embeddings = Embeddings(
        Vocabulary.from_words(WORDS, list(range(120, 0, -1))),
        vectors.astype(np.float32),
        metadata=metadata,
    )
    save(embeddings, str(tmp_path / "model.safetensors"))
    return embeddings


def test_classes_are_the_groups_that_are_there(model):
    belongs, cosines = classes(model, 3)
    assert 3 == len({tuple(belongs[i::3].tolist()) for i in range(3)})
    assert all(1 == len(set(belongs[i::3].tolist())) for i in range(3))
    assert 0.85 < cosines.min()
    assert np.array_equal(belongs, classes(model, 3)[0])


def test_classes_at_the_limits(model):
    belongs, _ = classes(model, 120)
    assert set(range(120)) >= set(belongs.tolist())
    assert {0} == set(classes(model, 1)[0].tolist())
    assert 0 == classes(model, 5)[0].min()
    sizes = np.bincount(classes(model, 5)[0])
    assert sorted(sizes.tolist(), reverse=True) == sizes.tolist()
    with pytest.raises(UsageError, match="121 classes of 120 words"):
        classes(model, 121)
    same = Embeddings(Vocabulary.from_words(["a", "b", "c"]), np.zeros((3, 2), np.float32))
    assert 3 == len(classes(same, 2)[0])


def test_cluster_as_a_shell_sees_it(model, run_embed):
    done = run_embed("cluster", "-k", "3")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert (0, WORDS) == (done.returncode, [row[0] for row in rows])
    assert 3 == len({(row[0].rstrip("0123456789"), row[1]) for row in rows})
    (first, *_) = json.loads(run_embed("cluster", "-k", "3", "--summary", "2", "--json").stdout)
    assert (0, 40, 2) == (first["class"], first["size"], len(first["words"]))
    assert 2 == run_embed("cluster", "-k", "999").returncode


def test_the_odd_one_out(model, run_embed):
    scored = odd_one_out(model, ["red1", "blue1", "red2", "red3"])
    assert "blue1" == scored[0].word
    units = model.vectors / np.linalg.norm(model.vectors, axis=1, keepdims=True)
    others = [WORDS.index(w) for w in ("red1", "red2", "red3")]
    assert np.mean(units[others] @ units[WORDS.index("blue1")]) == pytest.approx(scored[0].score)
    done = run_embed("odd", "red1", "blue1", "red2")
    assert (0, "blue1") == (done.returncode, done.stdout.split("\t")[0])
    assert "blue1" == json.loads(run_embed("odd", "red1", "blue1", "red2", "--json").stdout)["odd"]
    assert 2 == run_embed("odd", "red1", "red1", "red2").returncode
    assert 3 == run_embed("odd", "red1", "red2", "reed3").returncode
    with pytest.raises(UnknownWordError):
        odd_one_out(model, ["red1", "no", "red2"])


def test_pca_puts_groups_apart(model):
    places = lay_out(model)
    assert ((120, 2), 0.0, 1.0) == (places.shape, places.min(), places.max())
    centers = np.array([places[i::3].mean(axis=0) for i in range(3)])
    spread = max(places[i::3].std(axis=0).max() for i in range(3))
    gaps = [np.linalg.norm(centers[i] - centers[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(gaps) > 4 * spread
    flat = Embeddings(Vocabulary.from_words(["a", "b"]), np.array([[1], [-2]], np.float32))
    assert [0.0, 1.0] == sorted(lay_out(flat)[:, 0].tolist())
    with pytest.raises(UsageError, match="no layout 'tsne'"):
        lay_out(model, "tsne")


def test_umap_is_an_extra(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedcli\[viz\]'"):
        lay_out(model, "umap")


def test_umap_puts_groups_apart(model):
    pytest.importorskip("umap")
    places = lay_out(model, "umap")
    centers = np.array([places[i::3].mean(axis=0) for i in range(3)])
    assert min(np.linalg.norm(centers[0] - centers[i]) for i in (1, 2)) > 0.2


def page_data(page):
    return json.loads(re.search(r"const data = (\{.*\});\n", page)[1])


def test_the_page_holds_everything_and_fetches_nothing(model, tmp_path, run_embed):
    arguments = ("plot", "-o", "map.html", "--clusters", "3", "--top", "90", "-k", "4")
    done = run_embed(*arguments, "--json")
    size = (tmp_path / "map.html").stat().st_size
    facts = {"file": "map.html", "shows": "map", "of": ["model.safetensors"], "bytes": size}
    assert (0, facts) == (done.returncode, json.loads(done.stdout))
    page = (tmp_path / "map.html").read_text()
    data = page_data(page)
    assert (WORDS[:90], 4, 3) == (data["words"], data["k"], len(data["groups"]))
    assert ["0: ", "1: ", "2: "] == [name[:3] for name in data["groups"]]
    assert [] == re.findall(r"(?:src|href)=|https?://|@import|fetch\(", page)


def test_words_cannot_become_markup(model):
    nasty = Embeddings(Vocabulary.from_words(["</script><b>", "\u2028", "<!--"]), model.vectors[:3])
    page = make_page(nasty, lay_out(nasty), ["a", "b", "a"], title="<i>", colored_by="x")
    assert 1 == page.count("</script>")
    assert ["</script><b>", "\u2028", "<!--"] == page_data(page)["words"]


def test_colours_from_a_file(model, tmp_path, run_embed):
    (tmp_path / "c.tsv").write_text("red1\twarm\nblue1\tcold\n")
    assert 0 == run_embed("plot", "-o", "map.html", "--color", "c.tsv").returncode
    data = page_data((tmp_path / "map.html").read_text())
    assert (["(none)", "cold", "warm"], "c.tsv") == (data["groups"], data["coloredBy"])
    (tmp_path / "c.tsv").write_text("zebra\twarm\n")
    assert 3 == run_embed("plot", "-o", "map.html", "--color", "c.tsv").returncode


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("-o", "map.gif"), 2, "use .html, .png, .svg, .pdf"),
        (("-o", "loss.html", "--loss"), 2, "use .png, .svg, .pdf"),
        (("-o", "no/map.html"), 5, "mkdir -p no"),
        (("a", "b", "-o", "map.html"), 2, "one map shows one model, not 2"),
        (("none.vec", "-o", "map.html"), 3, "none.vec"),
        (("-o", "t.png", "--tune", "t.json"), 3, "cannot read t.json: No such file"),
        (("-o", "t.png", "--tune", "t.json", "--loss"), 2, "leave MODEL and --loss out"),
    ],
)
def test_plot_errors(model, run_embed, arguments, code, message):
    done = run_embed("plot", *arguments)
    assert (code, 1) == (done.returncode, done.stderr.count("\n"))
    assert message in done.stderr


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_still_pictures(model, tmp_path, run_embed, kind, magic):
    pytest.importorskip("matplotlib")
    for name, arguments in (("map", ()), ("loss", ("--loss",))):
        done = run_embed("plot", "model.safetensors", "-o", f"{name}.{kind}", *arguments)
        assert (0, True) == (done.returncode, "bytes" in done.stderr)
        assert (tmp_path / f"{name}.{kind}").read_bytes().startswith(magic)


@pytest.mark.parametrize(
    ("name", "title", "expected"),
    [
        ("held_out", ", held out", [(1, 2.25), (2, 1.75), (3, 1.5)]),
        ("sample", "", [(1, 2.25), (2, 1.75), (3, 1.5)]),
        ("score", ", while training", [(1, 2.5), (2, 1.5), (3, 1.25)]),
    ],
)
def test_a_curve_of_the_loss_that_compares(name, title, expected, model, tmp_path, monkeypatch):
    epochs = [{name: epoch["held_out"]} for epoch in model.metadata["epochs"]]
    metadata = {**model.metadata, "epochs": epochs}
    changed = Embeddings(model.vocabulary, model.vectors, metadata=metadata)
    save(changed, str(tmp_path / "model.safetensors"))
    drawn = []
    monkeypatch.setattr(figures, "draw_curves", lambda curves, *more: drawn.append(curves))
    plot._loss_curves([str(tmp_path / "model.safetensors")], "svg")
    assert {f"{tmp_path / 'model.safetensors'}{title}": expected} == drawn[0]


def test_what_was_measured_by_dimension_is_a_curve_each(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "draw_measures", lambda curves, *more: drawn.append(curves))
    trials = [
        {"settings": {"dim": dim}, "score": score, "held_out": None, "seconds": 0.1 * dim}
        for dim, score in ((8, 50.0), (4, 40.0), (16, None))
    ]
    (tmp_path / "tune.json").write_text(json.dumps({"trials": trials}))
    plot._tune_curves(str(tmp_path / "tune.json"), "svg")
    expected = {
        "mean score": [(4, 40.0), (8, 50.0)],
        "seconds a run": [(4, 0.4), (8, 0.8), (16, 1.6)],
    }
    assert [expected] == drawn


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


# What a visitor does, one thing after the other; what the page then shows is left in an attribute.
VISIT = """<script>
const seen = {}, mouse = (kind, x, y, more) => map.dispatchEvent(
  new (kind === "wheel" ? WheelEvent : PointerEvent)(kind, {clientX: x, clientY: y, ...more}));
map.setPointerCapture = () => {};  // there is no pointer
const click = i => { mouse("pointerdown", atX(i), atY(i)); mouse("pointerup", atX(i), atY(i)); };
const shown = () => document.querySelector("#panel h2")?.textContent ?? null;
const press = (where, key) =>
  where.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const search = text => { const box = byId("search"); box.value = text;
  box.dispatchEvent(new Event("input")); press(box, "Enter"); };
const inked = () => { draw(); const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
  return data.reduce((sum, part, i) => sum + (i % 4 === 3 && part > 0), 0); };
seen.address = shown();
seen.all = inked();
search("RED7"); seen.searched = shown();
seen.offered = [...byId("found").children].map(option => option.value);
search("purple"); seen.message = byId("message").textContent;
document.querySelector("#panel li").click(); seen.neighbour = shown();
click(place.get("blue5")); seen.clicked = shown();
const before = scale; mouse("wheel", 300, 300, {deltaY: -500}); seen.zoomed = scale / before;
const from = shiftX; mouse("pointerdown", 200, 200); mouse("pointermove", 240, 200);
mouse("pointerup", 240, 200); seen.dragged = shiftX - from;
press(document, "Escape"); seen.escaped = [shown(), scale === before];
document.querySelectorAll("#groups div").forEach(line => line.click()); seen.hidden = inked();
document.body.dataset.seen = JSON.stringify(seen);
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_works_in_a_browser(model, tmp_path, run_embed):
    run_embed("plot", "-o", "map.html", "--clusters", "3", "-k", "5")
    with (tmp_path / "map.html").open("a") as page:
        page.write(VISIT)
    shell = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    shell += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000"]
    done = subprocess.run(
        [*shell, f"file://{tmp_path / 'map.html'}#green3"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert 'data-ready="yes"' in done.stdout
    seen = json.loads(html.unescape(re.search(r'data-seen="(.*?)"', done.stdout)[1]))
    assert ("green3", "red7", "blue5") == (seen["address"], seen["searched"], seen["clicked"])
    assert ["red7"] == seen["offered"]
    assert "“purple” is not among these 120 words" == seen["message"]
    assert seen["neighbour"].startswith("red")
    assert (pytest.approx(2.117, abs=1e-3), 40) == (seen["zoomed"], seen["dragged"])
    assert [None, True] == seen["escaped"]
    assert 0 == seen["hidden"] < seen["all"]


def test_neighbours_in_the_page_are_those_of_the_model(model, tmp_path, run_embed):
    run_embed("plot", "-o", "map.html", "-k", "4")
    data = page_data((tmp_path / "map.html").read_text())
    near = np.frombuffer(base64.b64decode(data["near"]), "<u4").reshape(120, 4)
    (expected,) = neighbors(model, [Query(("blue7",))], 4)
    assert [word for word, _ in expected] == [WORDS[i] for i in near[WORDS.index("blue7")]]


def parsed(picture):
    return ElementTree.fromstring(picture)  # noqa: S314 (our own)


FOREIGN = {
    "not JSON": b"{",
    "nested": b"[" * 100_000,
    "a list": b"[]",
    "a number": b"7",
    "trials of another kind": b'{"trials": {"a": 1}}',
    "no trials": b'{"trials": []}',
    "a trial that is text": b'{"trials": ["x"]}',
    "settings that are text": b'{"trials": [{"settings": "abc", "score": 1}]}',
    "no settings": b'{"trials": [{"settings": {}, "score": 1}]}',
    "settings of others": b'{"trials": [{"settings": {"\\u0001x": 1}, "score": 1}]}',
    "other settings": b'{"trials": [{"settings": {"dim": 1}, "score": 1}, '
    b'{"settings": {"lr": 1}, "score": 1}]}',
    "a nested setting": b'{"trials": [{"settings": {"lr": [1]}, "score": 1}]}',
    "a dimension that is text": b'{"trials": [{"settings": {"dim": "x"}, "score": 1}]}',
    "a score that is text": b'{"trials": [{"settings": {"dim": 1}, "score": "x"}]}',
    "no score": b'{"trials": [{"settings": {"dim": 1}}]}',
    "not a number": b'{"trials": [{"settings": {"dim": 1}, "score": NaN}]}',
    "endless": b'{"trials": [{"settings": {"dim": 1}, "score": 1e999}]}',
    "many digits": b'{"trials": [{"settings": {"dim": 1' + b"0" * 400 + b'}, "score": 1}]}',
    "bytes": b"\xff\xfe\x00",
    "a list of losses": b'{"trials": [{"settings": {"dim": 1}, "score": 1, "seconds": []}]}',
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_json_is_no_record_of_trials(tmp_path, content):
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(FormatError, match="embed tune --json"):
        plot._tune_curves(str(tmp_path / "t.json"), "svg")


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_trials_of_any_value_are_drawn(tmp_path, kind):
    pytest.importorskip("matplotlib")
    values = ["$\\frac$", "\x07", None, True, 0.5]
    trials = [{"settings": {"arch": value}, "score": 1} for value in values]
    (tmp_path / "t.json").write_text(json.dumps({"trials": trials}))
    picture = plot._tune_curves(str(tmp_path / "t.json"), kind)
    if kind == "svg":
        parsed(picture)


def test_losses_of_a_foreign_file_are_no_losses(model, tmp_path):
    for loss in ("abc", ["x"], [float("inf")], 3, [{}]):
        foreign = Embeddings(model.vocabulary, model.vectors, metadata={"loss": loss, "epochs": 3})
        path = str(tmp_path / "foreign.safetensors")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("embedcli.load", lambda *_, foreign=foreign, **__: foreign)
            with pytest.raises(InputError, match="does not say the loss"):
                plot._loss_curves([path], "svg", STRICT)


ODD_WORDS = [
    "\x01\x1b[31m",
    "$a$",
    "a$\\frac$",
    "\ufffe",
    "_x",
    "a\nb",
    "--",
    "\u202e",
    "]]>",
    "\x7f\x9b",
]


def test_pictures_of_odd_words_are_sound(model):
    pytest.importorskip("matplotlib")
    places = np.linspace(0, 1, 2 * len(ODD_WORDS), dtype="f").reshape(-1, 2)
    groups = list(range(len(ODD_WORDS)))
    for word in ODD_WORDS:
        root = parsed(figures.draw_map(places, ODD_WORDS, groups, word, "svg"))
        assert root.tag.endswith("svg")
    curves = {word: [(1, 2.0), (2, 1.0)] for word in ODD_WORDS}
    drawn = figures.draw_curves(curves, "epoch", "loss", "svg")
    parsed(drawn)
    assert drawn == figures.draw_curves(curves, "epoch", "loss", "svg")


def test_a_model_whose_name_is_not_utf8_has_a_page(model, tmp_path):
    (tmp_path / "caf\udce9.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes())
    done = CliRunner().invoke(
        plot.command, [str(tmp_path / "caf\udce9.safetensors"), "-o", str(tmp_path / "x.html")]
    )
    assert 0 == done.exit_code, done.exception
    assert "caf\\udce9" in page_data((tmp_path / "x.html").read_text())["title"]


def test_more_groups_than_two_bytes_can_name():
    n = 65_540
    vectors = np.ones((n, 1), np.float32)
    many = Embeddings(Vocabulary.from_words([f"w{i}" for i in range(n)]), vectors)
    groups = [f"{i:06}" for i in range(n)]
    page = make_page(many, np.zeros((n, 2), "f"), groups, title="", colored_by="", k=0)
    told = page_data(page)
    numbers = np.frombuffer(base64.b64decode(told["group"]), "<u4")
    assert "unpack(data.group, Uint32Array)" in page
    assert [groups[i] for i in (0, 65_536, n - 1)] == [
        told["groups"][numbers[i]] for i in (0, 65_536, n - 1)
    ]
