"""The tests of fast routes and of steps that need a GPU."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.parts.setting import Setting
from graph.common.files import ROOT

FILES = (
    "tests/processor/runtime/test_device.py",
    "tests/processor/runtime/test_recording.py",
    "tests/model/test_fast.py",
)


def measure(setting: Setting) -> None:
    """What pytest says at its end."""
    few = ["-k", "on_a_gpu or (every_route and cuda and 17)"] if setting.device == "cuda" else ["-k", "reference_holds"]
    workers = str(min(8, os.cpu_count() or 1)) if setting.device == "cuda" else "0"
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, *few, *FILES]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=setting.left(), check=False)
    setting.record("pytest", {"status": done.returncode, "said": done.stdout[-3000:] + done.stderr[-1000:]})
