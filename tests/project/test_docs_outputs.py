"""The outputs in docs/lookup.md and docs/evaluation.md are what their commands print."""

from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from docs import outputs
from embedcli.kernels.intrinsics.lanes import host_lanes


def test_the_outputs_shown_are_what_the_commands_print(shared, tmp_path):
    versions = tuple(version(name).split(".")[:2] for name in ("numba", "numpy"))
    has_fma = llvm.get_host_cpu_features().get("fma")
    if versions != (["0", "68"], ["2", "4"]) or host_lanes() < 8 or not has_fma:
        pytest.skip(f"other versions or another processor: {versions}, {host_lanes()} lanes")
    for name in outputs.FILES:
        (tmp_path / Path(name).name).symlink_to(shared / "data" / name)

    for path, n_blocks in zip(outputs.PAGES, (14, 3), strict=True):
        page = path.read_text()
        assert n_blocks == page.count("```console\n")
        assert page == outputs.rewritten(page, tmp_path), "run `python -m docs.outputs`"


def test_outputs_take_the_place_of_those_on_the_page(tmp_path):
    page = "a\n```console\n$ echo 1; echo 2 >&2\nold\n$ true\n```\nb\n```\n$ echo 3\n```\n"

    expected = "a\n```console\n$ echo 1; echo 2 >&2\n1\n2\n$ true\n```\nb\n```\n$ echo 3\n```\n"
    assert expected == outputs.rewritten(page, tmp_path)
