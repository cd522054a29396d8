"""Without a GPU, Triton's interpreter runs the kernels: in a process of its own, for it is chosen before the import."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from conftest import ROOT
from kernels import DEVICE, INTERPRETED

FILES = ("attention", "models", "norm", "propagate")


@pytest.mark.skipif(DEVICE == "cuda" or INTERPRETED, reason="the tests of kernels run themselves")
@pytest.mark.skipif(not find_spec("triton"), reason="neither a GPU nor Triton")
@pytest.mark.slow
@pytest.mark.parametrize("which", ["not slow", "slow"], ids=["short", "long"])
def test_kernels_in_the_interpreter(which: str) -> None:
    files = [f"tests/model/test_gpu_{name}.py" for name in FILES]
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-m", which, *files]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
