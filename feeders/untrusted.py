"""Reads pickles of untrusted origin: containers, text, numbers and numpy arrays; no code of the file runs.

Python's unpickler calls any function that a file names. This one accepts only the few names that a pickled array
needs, and does not call these either, because numpy's `__setstate__` reads foreign memory if its state is forged:
stand-ins take the state, and arrays are built from checked bytes.

It reads files of Python 2 (text as latin-1) and 3, of any protocol, and of numpy 1 and 2.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

_DTYPE = re.compile(r"\?|b1|[iu][1248]|f(2|4|8|16)|c(8|16)|[SU]\d{1,6}|O8?")


class _RefusedError(Exception):
    """The file holds more than plain data; the message is the rest of a sentence that names the file."""


class _Dtype:
    """Stands in for `numpy.dtype`: numbers, text or objects, in either byte order, but no records."""

    def __init__(self, kind: str, *_: Any) -> None:
        if not isinstance(kind, str) or not _DTYPE.fullmatch(kind):
            raise _RefusedError(f"holds an array of {kind!r}, not of numbers or text")
        self.dtype = np.dtype(kind)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *extras = state[:5]
        if extras != [None, None, None]:  # subarray, names, fields
            raise _RefusedError("holds an array of records, not of numbers or text")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands in for an array until the file is read completely; arrays of objects are pickled as lists."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        order: Literal["C", "F"] = "F" if fortran else "C"
        if not dtype.dtype.hasobject:
            self.array = _from_buffer(data, dtype, shape, order)
            return
        flat = np.empty(len(data), dtype=object)
        for i, item in enumerate(data):  # a slice would unpack the items
            flat[i] = item
        self.array = flat.reshape(tuple(shape), order=order)


def _from_buffer(
    data: Any, dtype: _Dtype, shape: Sequence[int], order: Literal["C", "F", "K"], axes: Any = None
) -> np.ndarray:
    """An array whose bytes are `data` (text if it comes from Python 2); read-only if these are read-only."""
    if dtype.dtype.hasobject:
        raise _RefusedError("holds objects where numbers or text should be")
    flat = np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype=dtype.dtype)
    if order == "K":
        return flat.reshape(tuple(shape)).transpose(axes)
    return flat.reshape(tuple(shape), order=order)


def _scalar(dtype: _Dtype, data: Any) -> Any:
    return _from_buffer(data, dtype, (1,), "C")[0]


def _encode(text: str, encoding: str) -> bytes:
    """The bytes that a pickle of protocol 2 holds as text."""
    return text.encode("latin1")


_NDARRAY = "the class numpy.ndarray"  # an argument of `_reconstruct`, never called
_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _NDARRAY,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: b"",  # protocol 2 writes empty bytes so
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("collections", "OrderedDict"): OrderedDict,
}
for _core in ("numpy.core", "numpy._core"):
    _KNOWN[f"{_core}.multiarray", "_reconstruct"] = lambda *_: _Array()
    _KNOWN[f"{_core}.multiarray", "scalar"] = _scalar
    _KNOWN[f"{_core}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise _RefusedError(f"names {module}.{name}, and only plain containers and numpy arrays are read")
        return _KNOWN[module, name]


def load_pickle(path: str | Path) -> Any:
    """The content of a pickle: containers, text, numbers and numpy arrays.

    Raises:
        ValueError: the file holds or names anything else, or is no complete pickle.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        try:
            return _plain(_Unpickler(file, encoding="latin1").load(), {})
        except _RefusedError as error:
            raise ValueError(f"{path} {error}; it was not loaded") from None
        except Exception as error:  # a forged file can raise anything
            raise ValueError(f"{path} is cut short or is no pickle ({error}); make or copy it again") from error


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """`value` with arrays in place of their stand-ins; `done` holds the results by the id of values seen before."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _Array):
        array = done[id(value)] = value.array
        for index in np.ndindex(array.shape if array.dtype.hasobject else (0,)):
            array[index] = _plain(array[index], done)
        return array
    if isinstance(value, dict):
        result: dict[Any, Any] = {}
        done[id(value)] = result
        result.update((_plain(key, done), _plain(item, done)) for key, item in dict.items(value))
        return result
    if isinstance(value, list):
        items: list[Any] = []
        done[id(value)] = items
        items.extend(_plain(item, done) for item in value)
        return items
    if isinstance(value, tuple | set | frozenset):
        done[id(value)] = type(value)(_plain(item, done) for item in value)
        return done[id(value)]
    if value is None or isinstance(value, str | bytes | bytearray | int | float | complex | np.generic | np.ndarray):
        return value
    raise _RefusedError("holds more than plain containers and numpy arrays")
