"""Work is spread over processes that nobody has to end, and its results come in order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from data_gen.common.parallel import ordered_map

ROOT = Path(__file__).resolve().parents[3]


def _where(item: int) -> tuple[int, int]:
    return item, os.getpid()


def test_this_process_and_another_share_the_work() -> None:
    results, processes, came = ordered_map(_where, range(10**9), num_worker=2), set(), []
    while len(processes) < 2:
        item, process = next(results)
        came.append(item)
        processes.add(process)
    results.close()
    assert os.getpid() in processes
    assert came == list(range(len(came)))


def test_little_work_starts_no_process() -> None:
    assert {process for _, process in ordered_map(_where, range(20), num_worker=8)} == {os.getpid()}


_KILLED = """
import os, signal
from data_gen.common.parallel import ordered_map
from test_parallel import _where

if __name__ == "__main__":
    for _, process in ordered_map(_where, range(10**9), num_worker=3):
        if process != os.getpid():
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_workers_of_a_killed_process_leave(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(_KILLED)
    folders = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    # returns when the last of the processes, which share the output, has gone
    ran = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": folders},
    )
    assert (ran.returncode, ran.stdout) == (-9, b"")
