"""The walls of the house, read from the imports: which way they point, and who may use what."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "embedcli"

# Each room may import from rooms below it and from itself.
LEVELS = [
    {"__main__"},
    {"cli"},
    {"embedcli"},  # the names of the public API
    {"api"},
    {"maps", "tuning", "cluster"},
    {"training"},
    {"formats", "evaluation", "spaces", "phrases"},
    {"lookup", "classification"},
    {"cooccurrence"},
    {"embeddings"},
    {"subwords"},
    {"text"},
    {"vocabulary"},
    {"kernels", "files"},
    {"settings", "progress"},
    {"errors"},
    {"quoting"},
]
# The one place that may import a library; None means everywhere.
OWNERS = {
    "numba": "kernels",
    "llvmlite": "kernels",
    "click": "cli",
    "tqdm": "cli",
    "yaml": "settings",
    "dask": "cluster",
    "distributed": "cluster",
    "pickle": "nowhere",
    "shelve": "nowhere",
    "marshal": "nowhere",
    "socket": "tuning",  # the name of this machine
    "ssl": "nowhere",
    "http": "nowhere",
    "requests": "nowhere",
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported_names(tree, *, with_types=False):
    """Yield every dotted name a module imports, at its top or inside its functions."""
    for node in tree.body if isinstance(tree, ast.Module) else [tree]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not with_types:
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Import):
                yield from (alias.name for alias in part.names)
            elif isinstance(part, ast.ImportFrom):
                assert 0 == part.level, "imports are absolute"
                yield from (f"{part.module}.{alias.name}" for alias in part.names)


def our_module(name):
    """The module of ours that an imported dotted name means, or None."""
    while name:
        if name in MODULES:
            return name
        name = name.rpartition(".")[0]
    return None


def room(module):
    return module.split(".")[1] if "." in module else "embedcli"


def edges(*, with_types=False):
    """Yield (module, imported module); a version number is data, wherever it is read."""
    for module, path in MODULES.items():
        for name in imported_names(ast.parse(path.read_text()), with_types=with_types):
            target = our_module(name)
            if target and target != module and name != "embedcli.__version__":
                yield module, target


def test_every_room_has_its_level():
    rooms = {room(module) for module in MODULES}

    assert set() == rooms - set.union(*LEVELS)


def test_imports_point_down():
    level = {name: depth for depth, names in enumerate(LEVELS) for name in names}
    wrong = [
        f"{module} imports {target}"
        for module, target in edges(with_types=True)
        if room(module) != room(target) and level[room(module)] >= level[room(target)]
    ]

    assert [] == wrong


def test_no_import_cycles_not_even_for_types():
    graph = {module: set() for module in MODULES}
    for module, target in edges(with_types=True):
        graph[module].add(target)

    assert len(MODULES) == len(list(TopologicalSorter(graph).static_order()))


def test_libraries_stay_in_their_rooms():
    wrong = [
        f"{module} imports {library}"
        for module, path in MODULES.items()
        for library in {n.split(".")[0] for n in imported_names(ast.parse(path.read_text()))}
        if room(module) != OWNERS.get(library, room(module))
    ]

    assert [] == wrong


def test_kernels_import_nothing_of_ours_but_kernels():
    assert {"kernels"} >= {room(t) for m, t in edges() if room(m) == "kernels"}


def test_no_exec_and_no_eval():
    called = {
        (module, node.func.id)
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    assert [] == sorted(call for call in called if call[1] in ("exec", "eval"))


def test_no_room_for_leftovers():
    parts = {part for module in MODULES for part in module.split(".")}

    assert set() == parts & {"utils", "util", "helpers", "common", "misc", "tools"}


def test_every_module_says_what_it_is_for():
    undocumented = [
        m for m, p in MODULES.items() if not ast.get_docstring(ast.parse(p.read_text()))
    ]

    assert [] == undocumented


def test_every_module_is_in_the_map():
    text = (ROOT / "docs" / "README.md").read_text()
    missing = [
        str(path.relative_to(PACKAGE))
        for path in MODULES.values()
        if f"`{path.relative_to(PACKAGE)}`" not in text and path.read_text().count("\n") > 3
    ]

    assert [] == missing


def test_the_map_has_no_module_that_is_gone():
    text = (ROOT / "docs" / "README.md").read_text()
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]

    assert [] == [row for row in rows if not (PACKAGE / row).exists()]


@pytest.mark.parametrize(
    "modules",
    [
        "embedcli",
        "embedcli.cli.main",
        "embedcli.cli.neighbors",
        "embedcli.cli.analogy",
        "embedcli.cli.info",
        "embedcli.cli.train",
    ],
)
def test_numba_is_not_imported_by(modules):
    code = f"import sys, {modules}; print('numba' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert "False\n" == done.stdout


@pytest.mark.parametrize("name", ["Embeddings", "Vocabulary", "TrainConfig", "load", "save"])
def test_the_api_imports_numba_and_training_only_to_train(name):
    code = (
        f"import sys, embedcli; embedcli.{name}; "
        "print({'numba', 'embedcli.training'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert "set()\n" == done.stdout
