"""Foreign pickles give plain data or a sentence; nothing that they name is called."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feeders.untrusted import load_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def reload(tmp_path: Path, value: Any, protocol: int = 2) -> Any:
    path = tmp_path / "file.pkl"
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=protocol))
    return load_pickle(path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_containers(tmp_path: Path, protocol: int) -> None:
    value = {"names": ["a", "ü"], "n": (1, 2.5, None, True, -(1 << 80)), "nested": [{"x": ()}]}
    assert reload(tmp_path, value, protocol) == value
    ordered = reload(tmp_path, OrderedDict(b=1, a=2), protocol)
    assert list(ordered.items()) == [("b", 1), ("a", 2)]


ARRAYS = {
    "float": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "other axes": np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(1, 2, 0),
    "big-endian": np.arange(4, dtype=">f4"),
    "text": np.array(["a", "bcd", "ü"]),
    "bytes": np.array([b"a", b"bcd"]),
    "truth": np.array([True, False]),
    "scalar array": np.array(3.0),
    "empty": np.zeros((0, 3), dtype=np.float32),
    "half": np.ones(2, dtype=np.float16),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path: Path, name: str, protocol: int) -> None:
    again = reload(tmp_path, {"x": [ARRAYS[name]]}, protocol)["x"][0]
    assert type(again) is np.ndarray
    assert again.dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(again, ARRAYS[name])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_and_objects(tmp_path: Path, protocol: int) -> None:
    assert reload(tmp_path, [np.float32(0.5), np.int64(-3), np.str_("a")], protocol) == [0.5, -3, "a"]
    value = np.empty((2, 2), dtype=object)
    value[0, 0], value[0, 1], value[1, 0] = [1, 2], {"a": np.arange(3)}, "text"
    again = reload(tmp_path, value, protocol)
    assert again.shape == (2, 2)
    assert again[0, 0] == [1, 2]
    assert type(again[0, 1]["a"]) is np.ndarray
    assert again[1].tolist() == ["text", None]


def test_numpy_1_and_python_2(tmp_path: Path) -> None:
    data = pickle.dumps(np.arange(3.0), protocol=2)
    newer = data.replace(b"numpy.core.multiarray", b"numpy._core.multiarray")
    for module in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        spelled = newer.replace(b"numpy._core.multiarray", module)
        assert module in spelled
        np.testing.assert_array_equal(reload(tmp_path, spelled), np.arange(3.0))
    # what Python 2 wrote for ["caf\xe9", array([1., 2.], "<f8")]: `str`, so SHORT_BINSTRING throughout
    text = b"U\x04caf\xe9"
    dtype = b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01K\x02\x85" + dtype + b"\x89"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R" + state
    array += b"U\x10" + np.array([1.0, 2.0]).tobytes() + b"tb"
    name, values = reload(tmp_path, b"\x80\x02](" + text + array + b"e.")
    assert name == "caf\xe9"
    np.testing.assert_array_equal(values, [1.0, 2.0])


def test_shared_and_circular_values(tmp_path: Path) -> None:
    array = np.arange(2)
    first, second = reload(tmp_path, [array, array])
    assert first is second
    circle: list[Any] = []
    circle.append({"again": circle})
    again = reload(tmp_path, circle)
    assert again[0]["again"] is again
    for kind in (list, tuple):
        doubled: Any = kind("x")
        for _ in range(60):  # 2^60 leaves, if shared values were visited again
            doubled = kind([doubled, doubled])
        again = reload(tmp_path, doubled)
        assert again[0] is again[1]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_call_is_refused_and_not_made(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "touched"
    payload = {"a": [Calls(os.system, f"echo x > {target}")]}
    pickle.loads(pickle.dumps(payload, protocol=protocol))
    assert target.exists()  # the payload is a real one
    target.unlink()
    with pytest.raises(ValueError, match=rf"^{tmp_path}.file.pkl names \w+\.system, .*; it was not loaded$"):
        reload(tmp_path, payload, protocol)
    inside = np.empty(1, dtype=object)
    inside[0] = payload
    with pytest.raises(ValueError, match=r"names \w+\.system"):
        reload(tmp_path, inside, protocol)
    assert not target.exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Fraction(1, 2), "fractions.Fraction"),
        (Calls(eval, "1"), "__builtin__.eval"),
        (Calls(getattr, "", "join"), "__builtin__.getattr"),
        (Calls(np.load, "x"), "numpy.load"),
        (Calls(np.memmap, "x"), "numpy.memmap"),
        (len, "__builtin__.len"),
    ],
)
def test_what_is_refused_is_named(tmp_path: Path, value: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"names {name}, and only plain containers and numpy arrays are read"):
        reload(tmp_path, value)


def as_numpy(function: str, *args: Any) -> bytes:
    """A pickle that calls `numpy._core.FUNCTION(*args)`; in `args`, names open with `@`."""
    module, _, name = function.rpartition(".")
    out = io.BytesIO()
    out.write(f"\x80\x02cnumpy._core.{module}\n{name}\n(".encode("latin1"))
    for arg in args:
        if isinstance(arg, str) and arg.startswith("@"):
            module, _, name = arg[1:].rpartition(".")
            out.write(f"c{module}\n{name}\n".encode())
        else:
            out.write(pickletools.optimize(pickle.dumps(arg, protocol=2))[2:-1])
    out.write(b"tR.")
    pickletools.dis(out.getvalue(), out=io.StringIO())  # well-formed
    return out.getvalue()


FORGED_FLAGS = pickle.dumps(np.arange(2.0), protocol=2).replace(b"K\x00tq", b"K\x3ftq")  # "these floats are objects"


def test_numpy_itself_is_not_called(tmp_path: Path) -> None:
    """A forged dtype makes numpy take bytes for addresses; here only kind and byte order are read."""
    assert pickle.dumps(np.arange(2.0), protocol=2) != FORGED_FLAGS
    again = reload(tmp_path, FORGED_FLAGS)
    assert not again.dtype.hasobject
    np.testing.assert_array_equal(again, [0.0, 1.0])
    with pytest.raises(ValueError, match=r"names numpy\.memmap"):
        reload(tmp_path, as_numpy("multiarray._reconstruct", "@numpy.memmap", (4,), b"b"))
    with pytest.raises(ValueError, match="is cut short or is no pickle"):  # no state follows
        reload(tmp_path, as_numpy("multiarray._reconstruct", "@numpy.ndarray", (1 << 40,), b"b"))
    with pytest.raises(ValueError, match="is cut short or is no pickle"):  # the class is no function here
        reload(tmp_path, b"\x80\x02cnumpy\nndarray\n(K\x05tR.")
    with pytest.raises(ValueError, match="holds objects where numbers or text should be"):
        reload(tmp_path, as_numpy("multiarray.scalar", np.dtype("O"), b"\0" * 8))
    with pytest.raises(ValueError, match="holds objects where numbers or text should be"):
        reload(tmp_path, as_numpy("numeric._frombuffer", b"\0" * 8, np.dtype("O"), (1,), "C"))


@pytest.mark.parametrize(
    "value",
    [np.array("2024-01-01", dtype="M8[D]"), np.zeros(2, dtype=[("a", "f4")]), np.dtype("f4")],
)
def test_other_numpy_things_are_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ValueError, match="it was not loaded"):
        reload(tmp_path, value)


def test_wrong_sizes_are_refused(tmp_path: Path) -> None:
    data = pickle.dumps(np.arange(3, dtype=np.uint8), protocol=2)
    assert data.count(b"K\x03\x85") == 1
    with pytest.raises(ValueError, match="cannot reshape array of size 3"):
        reload(tmp_path, data.replace(b"K\x03\x85", b"K\x09\x85"))


@pytest.mark.parametrize("size", [0, 1, 40, -1])
def test_cut_files(tmp_path: Path, size: int) -> None:
    data = pickle.dumps((["name"] * 9, np.arange(100)), protocol=2)[:size]
    with pytest.raises(ValueError, match=r"file.pkl is cut short or is no pickle \(.*\); make or copy it again$"):
        reload(tmp_path, data)


def test_another_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is cut short or is no pickle"):
        reload(tmp_path, b"PK\x03\x04 not a pickle")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / "absent.pkl")
