# ruff: noqa: E402
"""Measures speed and memory of NTU preprocessing: `python benchmarks/preprocess.py --raw FOLDER --num_file 200`.

Links the `.skeleton` files in FOLDER (a few real ones are enough) under `num_file` NTU names in a temporary folder.
Converts them to the arrays of X-Sub and X-View twice: by `data_gen/preprocess.py`, including the start of its
processes, and by the plain loops of `tests/data_gen/slow_preprocess.py`. Compares the arrays, and writes the times,
their ratio, and the peak resident memory of the largest process. Linux and macOS; a file takes 0.7 MB of disk.
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "data_gen")]

import numpy as np
import slow_preprocess

from data_gen.common.command_line import Report, main_of, run
from data_gen.common.storage import require_space

_BYTES_PER_FILE = 2 * 2 * 4 * 3 * 300 * 25 * 2  # two programs, two benchmarks, float32


def link_copies(raw: Path, folder: Path, num_file: int) -> None:
    """Make `num_file` links to the recordings in `raw`; their NTU names belong to all parts of both benchmarks.

    Raises:
        ValueError: there are no recordings.
    """
    recordings = sorted(raw.resolve().glob("*.skeleton"))
    if not recordings:
        raise ValueError(f"{raw}: no .skeleton file in this folder; name theirs with --raw")
    numbers = itertools.product(range(1, 18), range(1, 61), range(1, 4), range(1, 41))
    for (setup, action, camera, performer), recording in zip(
        itertools.islice(numbers, num_file), itertools.cycle(recordings), strict=False
    ):
        name = f"S{setup:03}C{camera:03}P{performer:03}R001A{action:03}.skeleton"
        (folder / name).symlink_to(recording)


def measure(raw: Path, num_file: int = 200) -> Report:
    """Run both programs on `num_file` files and compare their arrays.

    Args:
        raw: folder of .skeleton files.
        num_file: number of files to make of them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copies, fast, slow = (Path(scratch) / name for name in ("raw", "fast", "slow"))
        copies.mkdir()
        require_space(copies, _BYTES_PER_FILE * num_file)
        link_copies(raw, copies, num_file)
        command = [sys.executable, ROOT / "data_gen" / "preprocess.py", "--data_path", copies, "--out_folder", fast]
        start = time.perf_counter()
        subprocess.run([*map(str, command), "--strict"], check=True, stdout=subprocess.DEVNULL)
        fast_seconds = time.perf_counter() - start
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # of the processes that have ended
        peak = largest / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        start = time.perf_counter()
        slow_preprocess.preprocess(copies, slow)
        slow_seconds = time.perf_counter() - start
        difference = max(_difference(path, fast / path.relative_to(slow)) for path in slow.rglob("*.npy"))
    return Report(
        notes=[
            f"{num_file} files, both benchmarks; largest difference between the arrays: {difference:.1e} m",
            f"data_gen/preprocess.py: {fast_seconds:.2f} s, {num_file / fast_seconds:.0f} files/s",
            f"its largest process: {peak:.0f} MiB",
            f"plain loops: {slow_seconds:.2f} s, {num_file / slow_seconds:.1f} files/s",
            f"ratio: {slow_seconds / fast_seconds:.1f}",
        ]
    )


def _difference(first: Path, second: Path) -> float:
    """The largest difference between two arrays of rows."""
    pairs = zip(np.load(first, mmap_mode="r"), np.load(second, mmap_mode="r"), strict=True)
    return max((float(np.abs(one - other).max()) for one, other in pairs), default=0.0)


if __name__ == "__main__":
    run(main_of(measure, __doc__))
