"""What the machine is, and what the packages of the program are."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.parts.peaks import copy_bandwidth, peak_flops
from benchmarks.parts.setting import Setting
from processor.tools.benchmark import _name

PACKAGES = ("torch", "triton", "numpy", "einops", "pyyaml", "tqdm", "tensorboard", "matplotlib", "jinja2", "pytest")


def measure(setting: Setting) -> None:
    """Names, versions, and what the device can do at most."""
    device = torch.device(setting.device)
    setting.record("device", _name(device))
    setting.record("python", platform.python_version())
    setting.record("cores", os.cpu_count())
    for name in PACKAGES:
        try:
            setting.record(name, version(name))
        except PackageNotFoundError:
            setting.record(name, "absent")
    for precision in ("float32", "bfloat16"):
        setting.record(f"{precision} FLOP/s of a product", peak_flops(device, precision, setting.rehearse))
    setting.record("bytes/s of a copy, read and written", copy_bandwidth(device, setting.rehearse))
    if device.type == "cuda":
        setting.record("compute capability", torch.cuda.get_device_capability(device))
        setting.record("bytes of memory", torch.cuda.get_device_properties(device).total_memory)
