"""The documentation says what is there, and its examples run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from docs.reference import rewritten
from embedcli.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "data/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_documented(name):
    introduction, *_ = (text := (ROOT / "docs" / "cli.md").read_text()).split("\n## ")
    section = text.split(f"\n## embed {name}\n")[1].split("\n## ")[0]
    command = import_module(f"embedcli.cli.{name}").command
    steps = getattr(command, "commands", {}).values()
    parameters = [*command.params, *(param for step in steps for param in step.params)]
    options = {max(p.opts, key=len) for p in parameters if p.opts[0].startswith("-")}

    assert set() == {option for option in options if option not in introduction + section}


def test_the_reference_of_the_commands_is_their_help():
    page = (ROOT / "docs" / "cli.md").read_text()

    assert [] == [name for name in COMMANDS if f"<!-- embed {name}" not in page]
    assert rewritten(page) == page, "the help has changed: run `make docs`"


def test_a_change_of_the_help_changes_the_reference(monkeypatch):
    page = (ROOT / "docs" / "cli.md").read_text()
    command = import_module("embedcli.cli.odd").command
    monkeypatch.setattr(command, "help", "Something else.")

    changed = set(rewritten(page).splitlines()) - set(page.splitlines())
    assert {"Something else."} == changed


def test_the_exit_codes_documented_are_those_that_exist():
    from embedcli import errors

    text = (ROOT / "docs" / "cli.md").read_text().split("## Exit codes")[1]
    codes = {getattr(errors, name).exit_code for name in errors.__all__}

    assert codes == {code for code in range(1, 100) if f"\n| {code} |" in text}


def test_every_table_that_was_measured_is_shown():
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    shown = re.findall(r"^### (.*)$", (ROOT / "docs" / "benchmarks.md").read_text(), re.MULTILINE)
    elsewhere = {"cluster"}  # docs/cluster.md has its tables, under headings of its own
    titles = [
        table["title"]
        for claim, measured in results.items()
        if claim not in elsewhere
        for table in measured["tables"]
    ]

    assert len(titles) > 30
    assert set() == set(titles) - set(shown)
    assert sorted(set(shown)) == sorted(shown)


def test_the_tests_that_the_page_on_security_names_are_there():
    from torture.suite import KINDS

    text = (ROOT / "SECURITY.md").read_text()
    named = set(re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", text))
    assert len(named) > 10
    for file, test in named:
        [path] = (ROOT / "tests").rglob(file)
        content = path.read_text()
        assert f"\ndef {test}" in content, f"{file}::{test}"
    kinds = {kind.name for kind in KINDS}
    told = re.findall(r"torture: ([a-z]+(?:[^|]*?, [a-z]+)*)", re.sub(r" \([^)]*\)", "", text))
    listed = [name.strip() for row in told for name in row.split(",")]
    assert len(listed) > 5
    assert set() == set(listed) - kinds


def test_the_files_to_read_first_are_there():
    text = (ROOT / "docs" / "README.md").read_text().split("\n## ")[1]
    assert text.startswith("What to read first")
    files = re.findall(r"^\d\. `(\S+)`", text, re.MULTILINE)

    assert 8 == len(files)
    assert [] == [name for name in files if not (ROOT / "embedcli" / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target]

    assert [] == [target for target in local if not (page.parent / target).exists()]


def test_the_examples_in_the_api_page_run(tmp_path, command_environment):
    lines = ["the king and the queen sat on the throne of the land"] * 200
    (tmp_path / "corpus.txt").write_text("\n".join(lines))
    (tmp_path / "pairs.tsv").write_text("king\tqueen\t9\nking\tland\t3\nqueen\tsat\t1\n")
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "api.md").read_text(), re.DOTALL)
    assert 4 == len(examples)

    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example],
            cwd=tmp_path,
            env=command_environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr)
        assert done.stdout
    assert (tmp_path / "model.vec").exists()
