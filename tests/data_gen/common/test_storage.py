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
from conftest import ROOT

from data_gen.common import parallel
from data_gen.common.parallel import ordered_map
from data_gen.common.storage import ArrayWriter, require_space, staged
from feeders.arrays import load_array, read_chunks
from graph.common import files


def test_fewer_rows_than_announced_make_a_shorter_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((1000, 3, 2), dtype=np.float32)
    for num_row in (0, 1, 999, 1000):
        writer = ArrayWriter(tmp_path / "a.npy", 1000, (3, 2))
        writer.extend(rows[: num_row // 2])
        for row in rows[num_row // 2 : num_row]:
            writer.extend(row[None])
        writer.finish()
        writer.close()
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), rows[:num_row])
        assert np.load(tmp_path / "a.npy", mmap_mode="r").shape == writer.shape == (num_row, 3, 2)
        assert (tmp_path / "a.npy").stat().st_size == 128 + rows[:num_row].nbytes


def test_what_does_not_fit_is_no_row(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path / "a.npy", 1, (5,))
    with pytest.raises(RuntimeError, match=r"at most 1 rows of \(5,\) were announced, \(1, 1\) came"):
        writer.extend(np.zeros((1, 1)))
    writer.extend(np.zeros((1, 5)))
    with pytest.raises(RuntimeError, match="at most 1 rows"):
        writer.extend(np.zeros((1, 5)))
    writer.close()


_RESIDENT = r"""
import re, sys
from pathlib import Path
import numpy as np
from data_gen.common.storage import ArrayWriter
from feeders.arrays import read_chunks

path, row = Path(sys.argv[1]), np.ones((1, 1, 512, 512, 1), np.float32)  # 1 MB
peak = lambda: int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = peak()
writer = ArrayWriter(path, 300, row.shape[1:])
for _ in range(300):
    writer.extend(row)
writer.finish()
writer.close()
total = sum(float(chunk.sum()) for chunk in read_chunks(path, 8))
assert total == 300 * 512 * 512, total
sys.stdout.write(str(peak() - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_array(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RESIDENT, str(tmp_path / "a.npy")]
    grown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert int(grown.stdout) < 60, "MB resident for an array of 300 MB"


def _stage(folder: Path, value: float) -> None:
    with staged() as staging:
        names: list[str] = []
        writer = staging.array(folder / "sub" / "a.npy", 2, (3,))
        staging.labels(folder / "sub" / "a.pkl", names, [7])
        writer.extend(np.full((1, 3), value))
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

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(PermissionError):
        _stage(tmp_path, 1)
    assert not (tmp_path / "sub").exists()


def test_an_earlier_mask_stays_until_all_new_files_are_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(value: float) -> None:
        with staged() as staging:
            staging.npy(tmp_path / "a.npy", np.array([value]))
            staging.remove(tmp_path / "missing.npy")

    def refuse(source: Path, target: Path) -> None:
        raise OSError(5, "Input/output error", str(target))

    np.save(tmp_path / "a.npy", np.ones(1))
    np.save(tmp_path / "missing.npy", np.ones(1))
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "replace", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            write(2)
    assert np.load(tmp_path / "a.npy").tolist() == [1]
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "missing.npy"]
    write(2)
    assert np.load(tmp_path / "a.npy").tolist() == [2]
    assert os.listdir(tmp_path) == ["a.npy"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows renames no open file")
def test_what_a_killed_run_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    with staged() as living:
        living.array(folder / "a.npy", 1, (3,))
        (written,) = folder.iterdir()
        os.rename(written, other := folder / "a.npy.1.tmp")  # as if another process wrote it
        for name in ("a.npy.2.tmp", "a.pkl.2.tmp", "b.npy.2.tmp"):
            (folder / name).write_bytes(b"half")
        _stage(tmp_path, 1)
        assert sorted(os.listdir(folder)) == ["a.npy", "a.npy.1.tmp", "a.pkl", "b.npy.2.tmp"]
        os.rename(other, written)
    _stage(tmp_path, 2)
    assert sorted(os.listdir(folder)) == ["a.npy", "a.pkl", "b.npy.2.tmp"]


_FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from data_gen.common.command_line import Report, run
from data_gen.common.storage import staged

def main(_):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    with staged() as staging:
        writer = staging.array(Path(sys.argv[1]), 9, (5000,))
        for _ in range(9):
            writer.extend(np.ones((1, 5000)))
    return Report()

run(main)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("limit", [100, 70_000, 180_000])  # in the header, between rows, and in the last of them
def test_a_disk_that_becomes_full_is_one_clear_error(tmp_path: Path, limit: int) -> None:
    (tmp_path / "a.npy").write_bytes(b"finished")
    command = [sys.executable, "-c", _FULL, str(tmp_path / "a.npy"), str(limit)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"error: {tmp_path}: writing failed (File too large); make room there or choose")
    assert ran.stderr.count("\n") == 1
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"finished"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_whatever_was_to_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda _, content: write(Path("/dev/full"), content))
    with (
        pytest.raises(OSError, match=r"here: writing failed \(No space left on device\); make room"),
        staged() as staging,
    ):
        staging.text(tmp_path / "here" / "a.txt", "some text")
    assert not (tmp_path / "here").exists()


def test_a_disk_too_small_is_noticed_before(tmp_path: Path) -> None:
    require_space(tmp_path, 0)
    with pytest.raises(ValueError, match=r"1e\+09 GB are needed and .* make room"):
        require_space(tmp_path, 10**18)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00v\x00{'descr'"])
def test_what_is_no_array_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npy is not a complete \.npy array of numbers; make it again"):
        load_array(tmp_path / "a.npy")


def test_arrays_of_another_form_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    with pytest.raises(
        ValueError, match=r"a\.npy holds an array \(2, 3\) of float64, where \(N, C, T, V, M\) of floats is expected"
    ):
        load_array(tmp_path / "a.npy")


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
