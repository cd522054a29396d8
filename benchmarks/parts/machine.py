"""What the machine is, and what the packages of the program are."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.parts.peaks import copy_bandwidth
from benchmarks.parts.setting import Setting
from processor.runtime.device import device_name
from processor.tools.benchmark import peak_flops

PACKAGES = ("torch", "triton", "numpy", "einops", "pyyaml", "tqdm", "tensorboard", "matplotlib", "jinja2", "pytest")


def measure(setting: Setting) -> None:
    """Names, versions, and what the device can do at most."""
    device = torch.device(setting.device)
    setting.record("device", device_name(device))
    setting.record("python", platform.python_version())
    setting.record("cores", os.cpu_count())
    for name in PACKAGES:
        try:
            setting.record(name, version(name))
        except PackageNotFoundError:
            setting.record(name, "absent")
    for precision in ("float32", "bfloat16"):
        peak = peak_flops(device, precision, 512 if setting.rehearse else 8192)
        setting.record(f"{precision} FLOP/s of a product", peak)
    setting.record("bytes/s of a copy, read and written", copy_bandwidth(device, setting.rehearse))
    if device.type == "cuda":
        setting.record("compute capability", torch.cuda.get_device_capability(device))
        setting.record("bytes of memory", torch.cuda.get_device_properties(device).total_memory)
