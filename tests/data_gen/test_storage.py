"""Arrays are written in bounded memory, and finished files are replaced whole or not at all."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data_gen import parallel, storage
from data_gen.parallel import ordered_map
from data_gen.storage import ArrayWriter, Staging, open_array, read_chunks, require_space


def test_fewer_rows_than_announced_make_a_shorter_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((1000, 3, 2), dtype=np.float32)
    for num_row in (0, 1, 999, 1000):
        writer = ArrayWriter(tmp_path / "a.npy", 1000, (3, 2))
        writer.extend(rows[: num_row // 2])
        for row in rows[num_row // 2 : num_row]:
            writer.append(row)
        writer.finish()
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows[:num_row])
        assert np.load(tmp_path / "a.npy", mmap_mode="r").shape == writer.shape == (num_row, 3, 2)
        assert (tmp_path / "a.npy").stat().st_size == 128 + rows[:num_row].nbytes


def test_rows_survive_the_change_of_the_mapped_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_WINDOW_BYTES", 100)
    writer = ArrayWriter(tmp_path / "a.npy", 50, (5,))
    rows = np.arange(250, dtype=np.float32).reshape(50, 5)
    for start in range(0, 50, 7):
        writer.extend(rows[start : start + 7])
    writer.finish()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows)


def test_what_does_not_fit_is_no_row(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path / "a.npy", 1, (5,))
    with pytest.raises(AssertionError, match="rows of"):
        writer.append(np.zeros(1))
    writer.append(np.zeros(5))
    with pytest.raises(AssertionError, match="more rows"):
        writer.append(np.zeros(5))


_RESIDENT = r"""
import re, sys
from pathlib import Path
import numpy as np
from data_gen.storage import ArrayWriter, read_chunks

path, row = Path(sys.argv[1]), np.ones((1, 1, 512, 512, 1), np.float32)  # 1 MB
peak = lambda: int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = peak()
writer = ArrayWriter(path, 300, row.shape[1:])
for _ in range(300):
    writer.extend(row)
writer.finish()
total = sum(float(chunk.sum()) for chunk in read_chunks(path, 8))
assert total == 300 * 512 * 512, total
sys.stdout.write(str(peak() - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_array(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RESIDENT, str(tmp_path / "a.npy")]
    grown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(storage.__file__).parents[1])
    assert int(grown.stdout) < 120, "MB resident for an array of 300 MB"


def _stage(folder: Path, value: float) -> None:
    with Staging() as staging:
        names: list[str] = []
        writer = staging.array(folder / "sub" / "a.npy", 2, (3,))
        staging.labels(folder / "sub" / "a.pkl", names, [7])
        writer.append(np.full(3, value))
        names.append(str(value))
        if value < 0:
            raise KeyboardInterrupt


def test_interrupted_writing_leaves_the_finished_files_alone(tmp_path: Path) -> None:
    for value in (1, -1):
        try:
            _stage(tmp_path, value)
        except KeyboardInterrupt:
            assert value == -1
        assert sorted(os.listdir(tmp_path / "sub")) == ["a.npy", "a.pkl"]
        assert np.load(tmp_path / "sub" / "a.npy").tolist() == [[1, 1, 1]]
        assert pickle.loads((tmp_path / "sub" / "a.pkl").read_bytes()) == (["1"], [7])
    _stage(tmp_path, 2)
    assert np.load(tmp_path / "sub" / "a.npy").tolist() == [[2, 2, 2]]


def test_failing_to_publish_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "in use", str(target))

    monkeypatch.setattr(storage.os, "replace", refuse)
    with pytest.raises(PermissionError):
        _stage(tmp_path, 1)
    assert os.listdir(tmp_path / "sub") == []


def test_a_disk_too_small_is_noticed_before(tmp_path: Path) -> None:
    require_space(tmp_path, 0)
    with pytest.raises(ValueError, match=r"1000000000.0 GB are needed and .* make room"):
        require_space(tmp_path, 10**18)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00v\x00{'descr'"])
def test_what_is_no_array_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npy: no readable \.npy array .*; build it again"):
        open_array(tmp_path / "a.npy")


def test_arrays_of_another_form_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"an array of numbers \(N, C, T, V, M\) is expected"):
        open_array(tmp_path / "a.npy")


def test_chunks_are_the_array(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((10, 1, 2, 3, 1))
    np.save(tmp_path / "a.npy", array)
    chunks = list(read_chunks(tmp_path / "a.npy", 4))
    assert [len(chunk) for chunk in chunks] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(chunks), array)


def _later_first(item: int) -> int:
    time.sleep(0.02 if item % 2 == 0 else 0)
    return item * item


def test_results_come_in_order_from_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_ITEMS_WORTH_A_PROCESS", 1)
    assert list(ordered_map(_later_first, range(24), num_worker=2)) == [item**2 for item in range(24)]


def test_few_results_wait_for_a_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = []

    class Pool(parallel.ProcessPoolExecutor):
        def submit(self, function, item):  # type: ignore[no-untyped-def]
            submitted.append(item)
            return super().submit(function, item)

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Pool)
    results = ordered_map(_later_first, range(1000), num_worker=2)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(submitted) < 20
    results.close()
