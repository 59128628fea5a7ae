"""General kernels and those of one size: when each is taken, and that both compute the same."""

import threading

import numpy as np
import pytest

from embedcli import TrainConfig
from embedcli.kernels.alignment import row_stride
from embedcli.kernels.intrinsics.lanes import host_lanes
from embedcli.kernels.loop import training_kernel
from embedcli.kernels.rounds import loop_of_rounds
from embedcli.kernels.weights import make_scratch
from embedcli.training.kernel_choice import KernelChoice, is_long
from tests.kernels.test_kernels import make_noise, make_weights, staged_sentences


def test_a_short_run_never_compiles_the_special_kernel():
    asked = []
    choice = KernelChoice(lambda: "general", lambda: asked.append(1), is_long=False)

    assert ["general"] * 3 == [choice.best() for _ in range(3)]
    assert [] == asked


def test_a_long_run_goes_on_with_the_special_kernel_when_it_is_there():
    may_end, has_ended = threading.Event(), threading.Event()

    def special():
        may_end.wait(60)
        has_ended.set()
        return "special"

    choice = KernelChoice(lambda: "general", special, is_long=True)

    assert "general" == choice.best()
    may_end.set()
    has_ended.wait(60)
    choice._compiling.wait()
    assert ["special", "special"] == [choice.best(), choice.best()]


def test_what_fails_while_the_special_kernel_is_compiled_is_raised():
    def special():
        raise MemoryError("no room for a compiler")

    choice = KernelChoice(lambda: "general", special, is_long=True)
    with pytest.raises(MemoryError, match="no room for a compiler"):
        choice._compiling.wait()
    with pytest.raises(MemoryError, match="no room for a compiler"):
        choice.best()


def test_what_a_long_run_is_depends_on_tokens_epochs_and_components():
    assert is_long(17_000_000, TrainConfig(dim=100, epochs=5))
    assert not is_long(17_000_000, TrainConfig(dim=100, epochs=1))
    assert is_long(17_000_000, TrainConfig(dim=500, epochs=1))


@pytest.mark.parametrize("is_cbow", [False, True])
def test_general_and_special_kernels_compute_the_same_bits(is_cbow):
    dim, negative, window, lanes = 33, 6, 3, host_lanes()
    results = []
    for is_special in (False, True):
        kernel = training_kernel(
            lanes, 1 + negative, -(-dim // lanes), is_special=is_special, is_cbow=is_cbow
        )
        weights = make_weights(dim)
        scratch = make_scratch(1 + negative, window, row_stride(dim))
        kernel(
            staged_sentences(), 0, 300, weights, make_noise(), window, True, np.uint64(3),
            np.float32(0.05), True, scratch, None,
        )  # fmt: skip
        results.append([part.tobytes() for part in (*weights[:2], scratch.tally)])

    assert results[0] == results[1]
    assert results[0][0] != make_weights(dim)[0].tobytes()


def test_one_loop_of_rounds_serves_all_sizes_with_the_same_rest():
    lanes = host_lanes()

    assert loop_of_rounds(False, lanes, 6, 1) == loop_of_rounds(False, lanes, 12, 7)
    assert loop_of_rounds(False, lanes, 6, 1) != loop_of_rounds(False, lanes, 6, 1, is_special=True)
