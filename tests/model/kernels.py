"""Where kernels for a GPU are tested: on one, or on a CPU in Triton's interpreter, whose bfloat16 is wrong."""

from __future__ import annotations

import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
TOLERANCES = {torch.float32: 1e-5, torch.float16: 5e-3, **({} if DEVICE == "cpu" else {torch.bfloat16: 3e-2})}

here = pytest.mark.skipif(DEVICE == "cpu" and not INTERPRETED, reason="no GPU; the interpreter has its own process")
on_a_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="no GPU")
