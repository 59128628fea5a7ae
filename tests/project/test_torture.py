"""The fault suite is whole: kinds and bugs belong together, and promises name what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from torture.bugs import BUGS
from torture.suite import KINDS

ROOT = Path(__file__).parents[2]
NAMES = {kind.name for kind in KINDS}
PAGE = (ROOT / "docs" / "reliability.md").read_text()


def test_every_kind_has_its_name_and_numbers():
    assert len(NAMES) == len(KINDS)
    assert [] == [kind.name for kind in KINDS if not 0 < kind.short <= kind.full]


def test_as_many_faults_as_were_promised():
    full = {kind.name: kind.full for kind in KINDS}
    assert (500, 3000, 72) == (full["kills"], full["checkpoints"], full["signals"])


@pytest.mark.parametrize("name", BUGS)
def test_every_bug_has_a_kind_that_looks_for_it(name):
    assert BUGS[name].kind in NAMES


def test_what_is_changed_is_still_there():
    """Bugs and slowed phases replace functions by name, which may have been renamed."""
    code = """
from torture.bugs import BUGS
from torture.driver import PHASES
for bug in BUGS.values():
    bug.plant()
for slow in PHASES.values():
    slow(lambda: None)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)


def test_the_page_has_every_kind_and_its_number_of_trials():
    rows = re.findall(r"^\| (\w+) \| .* \| ([\d,]+)[^|]* \|$", PAGE, re.M)

    assert [(kind.name, f"{kind.full:,}") for kind in KINDS] == rows


def test_every_promise_names_tests_that_exist():
    rows = [line for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]
    assert 12 == len(rows)
    for row in rows:
        tests = re.findall(r"`(test_\w+\.py)`", row)
        assert tests
        assert [] == [name for name in tests if not list((ROOT / "tests").rglob(name))]
        tortured = (
            re.sub(r"\(.*?\)", "", row.rpartition("torture: ")[2]) if "torture: " in row else ""
        )
        assert set(re.findall(r"\w+", tortured)) <= NAMES


def test_the_readme_has_every_promise():
    readme = (ROOT / "README.md").read_text()
    assert 12 == len(re.findall(r"^\d+\. \*\*", readme, re.MULTILINE))
