"""Headers that may say anything: of safetensors, of NumPy's arrays, and of how a model was made."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from click.testing import CliRunner

from embedcli import formats
from embedcli.cli.main import embed
from embedcli.embeddings import Embeddings
from embedcli.errors import EmbedError, FormatError, InputError
from embedcli.vocabulary import Vocabulary

MODEL = Embeddings(Vocabulary.from_words(["a", "b"], [2, 1]), np.eye(2, dtype=np.float32))


def safetensors(entries, data=b""):
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(shape, offsets=(0, 0)):
    return {"dtype": "F32", "shape": shape, "data_offsets": list(offsets)}


SHAPES = {
    "65 dimensions": ([0] * 65, "of shape (0, 0"),
    "33 dimensions of 0": ([0] * 33, "of shape (0, 0"),
    "2^70 and nothing": ([2**70, 0], "not whole numbers"),
    "2^63 and nothing": ([2**63, 0], "of shape (9223372036854775808, 0)"),
    "10^3000": ([10**3000], "not whole numbers"),
    "10^3000 squared": ([10**3000, 10**3000], "not whole numbers"),
    "a product beyond 2^63": ([2**40, 2**40, 0], "of shape (1099511627776, 1099511627776, 0"),
    "minus one": ([-1], "not whole numbers"),
    "a boolean": ([True], "not whole numbers"),
    "a fraction": ([1.5], "not whole numbers"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_safetensors(tmp_path, name):
    shape, message = SHAPES[name]
    (tmp_path / "x").write_bytes(safetensors({"syn0": tensor(shape)}))
    with pytest.raises(FormatError) as caught:
        formats.load(tmp_path / "x")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_offsets_of_safetensors(tmp_path):
    for offsets in ([0, 10**3000], [-1, 0], [2**64, 2**64]):
        (tmp_path / "x").write_bytes(safetensors({"syn0": tensor([0], offsets)}))
        with pytest.raises(FormatError, match="offsets that are not whole numbers"):
            formats.load(tmp_path / "x")


def changed(path, change):
    """Save a model and change its header; the bytes behind it stay."""
    formats.save(MODEL, path)
    content = path.read_bytes()
    stop = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:stop])
    change(entries)
    path.write_bytes(safetensors(entries, content[stop:]))
    return path


METADATA = {
    "settings a number": ('{"settings": 5}', "'settings' is 5, not an object"),
    "settings nothing": ('{"settings": null}', "'settings' is None, not an object"),
    "a window of text": ('{"settings": {"window": "wide"}}', None),
    "a window of a list": ('{"settings": {"window": [5]}}', "the setting window is [5]"),
    "an exponent of text": ('{"settings": {"ns_exponent": "x"}}', "ns_exponent is 'x'"),
    "a pattern of a number": ('{"settings": {"pattern": 7}}', "the setting pattern is 7"),
    "a case of text": ('{"settings": {"lowercase": "yes"}}', "the setting lowercase is 'yes'"),
    "losses of text": ('{"loss": ["low"]}', "'loss' is ['low'], not a list of numbers"),
    "losses an object": ('{"loss": {"a": 1}}', "not a list of numbers"),
    "epochs of numbers": ('{"epochs": [1]}', "'epochs' is [1], not a list of objects"),
    "an epoch of text": ('{"epochs": [{"held_out": "low"}]}', "not numbers by name"),
    "a corpus of text": ('{"corpus": "wiki"}', "'corpus' is 'wiki', not an object"),
    "a corpus without number": ('{"corpus": {"read": "many"}}', "the corpus has 'many' tokens"),
    "fasttext a list": ('{"fasttext": [1]}', "'fasttext' is [1], not an object"),
    "NaN": ('{"loss": [NaN]}', "NaN, which is not JSON"),
    "deep": ('{"x": ' + "[" * 400 + "]" * 400 + "}", "more than 50 levels"),
    "deeper": ('{"x": ' + "[" * 9000 + "]" * 9000 + "}", "the metadata is not JSON"),
    "a surrogate": ('{"x": "\\ud800"}', "half of a surrogate pair"),
    "a long number": ('{"seed": ' + "9" * 4000 + "}", None),
    "a longer number": ('{"seed": ' + "9" * 5000 + "}", "the metadata is not JSON"),
    "what nobody knows": ('{"x": [1, "a", null, {"y": true}]}', None),
}


@pytest.mark.parametrize("name", METADATA)
def test_what_a_model_says_of_itself(tmp_path, name):
    meta, message = METADATA[name]
    path = changed(
        tmp_path / "m.safetensors", lambda entries: entries["__metadata__"].update(meta=meta)
    )
    for arguments in (["info", str(path)], ["info", str(path), "--json"]):
        result = CliRunner().invoke(embed, arguments)
        if message is None:
            assert 0 == result.exit_code, result.exception
        else:
            assert isinstance(result.exception, FormatError)
            assert message in str(result.exception)
            assert len(str(result.exception)) < 300 + len(str(path))
    if message is None:
        for arguments in (["neighbors", "a"], ["vectors", "--sentences"]):
            result = CliRunner().invoke(embed, [*arguments, "-m", str(path)], input="a b\n")
            assert result.exception is None or isinstance(result.exception, EmbedError)


NUMBERS = struct.pack("<4f", 1, 2, 3, 4)


def array(text, data=NUMBERS, version=(1, 0)):
    header = text.encode() + b"\n"
    length = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + length + header + data


def described(shape="(2, 2)", kind="'<f4'", order="False"):
    return array(f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}")


ARRAYS = {
    "a zip archive": b"PK\x03\x04", "the end of one": b"PK\x05\x06" + bytes(18),
    "a pickle": b"\x80\x04]q.", "nothing": b"", "text": b"hello", "the magic only": b"\x93NUMPY",
    "version 9": b"\x93NUMPY\x09\0" + bytes(99), "half a header": described()[:30],
    "2^70 rows": described(f"({2**70}, 2)"), "2^70 rows of nothing": described(f"({2**70}, 0)"),
    "2^80 numbers": described(f"({2**40}, {2**40})"), "65 dimensions": described(str((0,) * 65)),
    "minus one": described("(-1, 2)"), "fractions": described("(2.5, 2)"),
    "booleans": described("(True, 2)"), "text for a shape": described("'ab'"),
    "no shape": described("None"), "3,000 digits": described(f"({'9' * 3000}, 2)"),
    "5,000 digits": described(f"({'9' * 5000}, 2)"), "no dimensions": described("(2, 0)"),
    "no rows": described("(0, 2)"), "more than follow": described("(3, 2)"),
    "objects": described(kind="'O'"), "records": described("(2,)", "[('a', '<f4')]"),
    "complex numbers": described(kind="'<c8'"), "times": described(kind="'<M8[s]'"),
    "a type that is a number": described(kind="5"), "no type": described(kind="None"),
    "an unknown type": described(kind="'<f9'"), "empty texts": described(kind="'S0'"),
    "arrays in arrays": described(kind="'(9999999999,)f4'"), "an order of 7": described(order="7"),
    "brackets": array("[" * 900), "deeper brackets": array("(" * 9000), "NUL": array("\0"),
    "a list as a key": array("{[]: 2}"), "a set": array("{'descr'}"),
    "minus signs": array("-" * 5000 + "1"),
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("file", ["vectors.npy", "counts.npy"])
@pytest.mark.parametrize("name", ARRAYS)
def test_headers_of_arrays(tmp_path, name, file):
    formats.save(MODEL, tmp_path / "x", "npy")
    (tmp_path / "x" / file).write_bytes(ARRAYS[name])
    with pytest.raises(FormatError) as caught:
        formats.load(tmp_path / "x")
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_arrays_of_any_layout(tmp_path):
    formats.save(MODEL, tmp_path / "x", "npy")
    for content, expected in (
        (described(), [[1, 2], [3, 4]]),
        (described(order="True"), [[1, 3], [2, 4]]),
        (array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}", version=(2, 0)),
         [[1, 2], [3, 4]]),
        (described("(2, 1)", "'<f8'"), [[np.float32(struct.unpack("<d", NUMBERS[:8])[0])],
                                        [np.float32(struct.unpack("<d", NUMBERS[8:])[0])]]),
    ):  # fmt: skip
        (tmp_path / "x" / "vectors.npy").write_bytes(content)
        read = formats.load(tmp_path / "x")
        assert expected == read.vectors.tolist()


def test_a_pipe_in_place_of_an_array(tmp_path):
    formats.save(MODEL, tmp_path / "x", "npy")
    (tmp_path / "x" / "counts.npy").unlink()
    os.mkfifo(tmp_path / "x" / "counts.npy")
    with pytest.raises(InputError, match="it is no plain file"):
        formats.load(tmp_path / "x")


def test_vectors_without_a_dimension(tmp_path):
    empty = np.zeros((2, 0), np.float32)
    path = tmp_path / "x.safetensors"
    formats.save(MODEL, path)
    from embedcli.files import safetensors as layout
    from embedcli.files.publish import publish

    arrays = dict(layout.map_tensors(path, layout.read_header(path)))
    with publish(path) as sink:
        layout.write(
            sink,
            {n: a for n, a in arrays.items() if n != "sha256"} | {"syn0": empty},
            {"format": "embed", "version": "1", "meta": "{}"},
        )
    with pytest.raises(FormatError, match=r"shape \(2, 0\): there is not a number in it"):
        formats.load(path)
