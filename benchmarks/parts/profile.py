"""Which kernels the time of a training step goes to."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.parts.setting import Setting
from benchmarks.peers import MODELS, random_batch, step_of
from processor.runtime.device import effective_precision

STEPS, MOST = 2, 30  # steps that are recorded, and kernels that are named


def measure(setting: Setting) -> None:
    """The milliseconds of a step at 300 frames in the kernels that take most of it, and how many there are."""
    device, small = torch.device(setting.device), setting.rehearse
    for name in ("S-TR", "T-TR", "ZiT-ZoT", "CTR-GCN")[: 1 if small else None]:
        with setting.guarded(name):
            setting.need(3)
            setting.record(name, of_step(name, 8 if small else 300, 1 if small else 64, device))


def of_step(name: str, T: int, batch_size: int, device: torch.device) -> dict[str, Any]:
    """The kernels of a GPU, or the operations of a CPU, by their names."""
    torch.manual_seed(0)
    precision = effective_precision(device, "bfloat16")
    step = step_of("training", MODELS[name](T).to(device), random_batch(batch_size, T, device), precision)
    for _ in range(2):
        step()
    activities = [ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU]
    with profile(activities=activities, acc_events=True) as recorded:
        for _ in range(STEPS):
            step()
        torch.get_device_module(device).synchronize()
    on_gpu = device.type == "cuda"
    kernels = {
        event.key: (event.self_device_time_total if on_gpu else event.self_cpu_time_total, event.count)
        for event in recorded.key_averages()
        if not on_gpu or event.device_type == DeviceType.CUDA
    }
    longest = sorted(kernels, key=lambda key: -kernels[key][0])[:MOST]
    return {
        "ms": sum(time for time, _ in kernels.values()) / 1e3 / STEPS,
        "kernels": sum(number for _, number in kernels.values()) / STEPS,
        "ms and times of": {key[:120]: [kernels[key][0] / 1e3 / STEPS, kernels[key][1] / STEPS] for key in longest},
    }
