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
    *(f"tests/model/test_gpu_{name}.py" for name in ("attention", "norm", "propagate")),
)
ROUTES = "every_route and cuda and 17 and rows"
ON_A_GPU = f"on_a_gpu or two_runs or (bfloat16 and (values or training_is or ({ROUTES})))"


def measure(setting: Setting) -> None:
    """What pytest says at its end."""
    few = ["-k", ON_A_GPU] if setting.device == "cuda" else ["-k", "reference_holds"]
    workers = str(min(8, os.cpu_count() or 1)) if setting.device == "cuda" else "0"
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, *few, *FILES]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pytest:
        try:
            said, status = pytest.communicate(timeout=setting.left())[0], pytest.returncode
        except subprocess.TimeoutExpired:
            pytest.kill()
            said, status = pytest.communicate()[0], "cut: no time left"
    setting.record("pytest", {"status": status, "said": said[-4000:]})
