"""The safetensors layout against the format's own library, and files that break its rules."""

import contextlib
import json
import tracemalloc

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from embedcli.errors import FormatError
from embedcli.files.publish import publish
from embedcli.files.safetensors import (
    DTYPES,
    _encode_header,
    check_digest,
    map_tensors,
    read_header,
    write,
)


def save(path, tensors, metadata=None):
    with publish(path) as sink:
        write(sink, tensors, metadata or {})


def load(path):
    header = read_header(path)
    tensors = map_tensors(path, header)
    return {name: array for name, array in tensors.items() if name != "sha256"}, header.metadata


def assert_equal_tensors(expected, actual):
    assert list(expected) == list(actual)
    for name, array in expected.items():
        assert array.dtype == actual[name].dtype
        assert array.shape == actual[name].shape
        assert array.tobytes() == actual[name].tobytes()


def example_tensors():
    padded = np.arange(70, dtype=np.float32).reshape(7, 10)[:, :6]
    return {"padded": padded, "empty": np.zeros((0, 3), np.float64)} | {
        name: np.arange(12).reshape(2, 3, 2).astype(dtype) for name, dtype in DTYPES.items()
    }


def test_the_official_library_opens_what_we_write(tmp_path):
    save(tmp_path / "x", example_tensors(), {"who": "é"})
    expected = dict(sorted(example_tensors().items()))
    loaded = safetensors.numpy.load_file(tmp_path / "x")
    assert 32 == len(loaded.pop("sha256"))
    assert_equal_tensors(expected, dict(sorted(loaded.items())))
    with safetensors.safe_open(tmp_path / "x", "np") as file:
        assert {"who": "é"} == file.metadata()


def test_we_open_what_the_official_library_writes(tmp_path):
    tensors = {name: np.ascontiguousarray(array) for name, array in example_tensors().items()}
    safetensors.numpy.save_file(tensors, tmp_path / "x", {"who": "é"})
    read, metadata = load(tmp_path / "x")
    assert_equal_tensors(dict(sorted(tensors.items())), dict(sorted(read.items())))
    assert {"who": "é"} == metadata


@given(name=st.text(max_size=70), text=st.text(), shape=st.lists(st.integers(0, 4), max_size=3))
def test_round_trip_and_alignment(tmp_path_factory, name, text, shape):
    path = tmp_path_factory.getbasetemp() / "round-trip"
    tensors = {name: np.random.default_rng(0).random(shape)}
    if name == "__metadata__":
        return
    save(path, tensors, {"k": text})
    read, metadata = load(path)
    assert_equal_tensors(tensors, read)
    assert {"k": text} == metadata
    assert 0 == len(_encode_header(tensors, {"k": text})[0]) % 64


def test_big_endian_and_large_arrays_are_written_in_blocks(tmp_path):
    tensors = {"x": np.arange(3_000_000, dtype=">f8").reshape(-1, 3)}
    save(tmp_path / "x", tensors)
    assert np.array_equal(tensors["x"], load(tmp_path / "x")[0]["x"])


def test_writing_does_not_copy_padded_rows_as_a_whole(tmp_path):
    padded = np.zeros((40_000, 512), np.float32)[:, :500]  # 80 MB
    tracemalloc.start()
    save(tmp_path / "x", {"padded": padded})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_the_map_is_read_only(tmp_path):
    save(tmp_path / "x", {"x": np.zeros(3)})
    with pytest.raises(ValueError, match="read-only"):
        load(tmp_path / "x")[0]["x"][0] = 1


def raw(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


EIGHT = bytes(8)
BROKEN = {
    "empty": (b"", "header of 0 bytes in a file of 0 bytes"),
    "seven bytes": (b"\x02" + bytes(6), "in a file of 7 bytes"),
    "header > file": (raw({}, length=3), "a header of 3 bytes in a file of 10 bytes"),
    "header 2**63": (raw({}, length=2**63), "in a file of 10 bytes"),
    "header 100 MB": (raw(b"{}" + b" " * 20_000_000), "at most 10000000 are read"),
    "no JSON": (raw(b"{x}"), "cannot be read"),
    "no UTF-8": (raw(b'{"\xff":1}'), "cannot be read"),
    "list": (raw([]), "not a JSON object"),
    "nested": (raw(b"[" * 200_000), "cannot be read"),
    "NaN": (raw(b'{"x":NaN}'), "NaN, which is not JSON"),
    "Infinity": (raw(b'{"__metadata__":{"x":-Infinity}}'), "-Infinity, which is not JSON"),
    "long number": (raw(b'{"x":' + b"9" * 5000 + b"}"), "cannot be read"),
    "duplicate": (
        raw(b'{"x":%b,"x":%b}' % ((json.dumps(entry()).encode(),) * 2), EIGHT),
        "a name that occurs twice",
    ),
    "duplicate inside": (raw(b'{"x":{"dtype":"F32","dtype":"F32"}}'), "occurs twice"),
    "metadata number": (raw({"__metadata__": {"x": 1}}), "metadata that is not text"),
    "metadata list": (raw({"__metadata__": []}), "metadata that is not text"),
    "missing key": (raw({"x": {"dtype": "F32", "shape": []}}), "without dtype, shape"),
    "no object": (raw({"x": 1}), "without dtype, shape"),
    "extra key": (raw({"x": entry() | {"y": 1}}, EIGHT), "without dtype, shape"),
    "unknown type": (raw({"x": entry("F7")}, EIGHT), "'F7', which is not supported"),
    "type list": (raw({"x": entry([])}, EIGHT), "not supported"),
    "negative shape": (raw({"x": entry(shape=(-2,))}, EIGHT), "not whole numbers"),
    "float shape": (raw({"x": entry(shape=(2.0,))}, EIGHT), "not whole numbers"),
    "true shape": (raw({"x": entry(shape=(True, 2))}, EIGHT), "not whole numbers"),
    "three offsets": (raw({"x": entry(offsets=(0, 4, 8))}, EIGHT), "not whole numbers"),
    "wrong size": (raw({"x": entry("F64")}, EIGHT), "needs 16 bytes but holds 8"),
    "offsets turned": (raw({"x": entry(offsets=(8, 0))}, EIGHT), "needs 8 bytes but holds -8"),
    "shape overflow": (raw({"x": entry(shape=(2**32, 2**32))}, EIGHT), f"needs {2**66} bytes"),
    "shape wraps to 8": (raw({"x": entry(shape=(2**63 + 1, 2))}, EIGHT), "but holds 8"),
    "hole": (raw({"x": entry(offsets=(4, 12))}, bytes(12)), "a hole before tensor 'x'"),
    "overlap": (raw({"x": entry(), "y": entry(offsets=(4, 12))}, bytes(12)), "an overlap before"),
    "data cut": (raw({"x": entry()}, bytes(7)), "end at byte"),
    "data too long": (raw({"x": entry()}, bytes(9)), "end at byte"),
    "outside": (raw({"x": entry(offsets=(2**62, 2**62 + 8))}, EIGHT), "a hole"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_with_the_rule_they_break(tmp_path, name):
    content, message = BROKEN[name]
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_header(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_in_the_header_raises_nothing_else(tmp_path_factory, position, bit):
    path = tmp_path_factory.getbasetemp() / "flipped"
    save(path, {"x": np.zeros((3, 2), np.float32), "words": np.zeros(5, np.uint8)}, {"a": "b"})
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with contextlib.suppress(FormatError):
        load(path)


def test_the_digest_notices_what_the_layout_cannot(tmp_path):
    path = tmp_path / "x"
    save(path, {"a": np.arange(1000, dtype=np.float32)})
    assert check_digest(path, read_header(path))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="changed since it was written"):
        check_digest(path, read_header(path))


def test_a_file_of_somebody_else_has_no_digest(tmp_path):
    safetensors.numpy.save_file({"a": np.zeros(3, np.float32)}, tmp_path / "x")
    assert not check_digest(tmp_path / "x", read_header(tmp_path / "x"))
