"""What a result was made with: program, libraries, machine, data."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from feeders.arrays import PREPARED, beside, load_array
from graph.common.files import ROOT, VERSION
from processor.runtime import distributed
from processor.runtime.device import device_name

SAMPLES = 64  # of an array, whose numbers go into its fingerprint


@dataclass(frozen=True)
class Made:
    """How the scores of a run were made."""

    config: str  # YAML
    weights: str = ""  # whose they are
    seed: int = 0
    seconds: float = 0.0  # of training
    step: int = 0  # optimiser steps that are done
    device: str = "cpu"
    precision: str = "float32"
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # feeder arguments of each part
    features: tuple[np.ndarray, np.ndarray] | None = None  # indices (n,) of samples, their last features (n, D)
    glance: Callable[[int], list[dict[str, Any]]] | None = None  # the attention of a sample, of each kind


def provenance(device: str, precision: str) -> dict[str, str]:
    """The program, its libraries, the machine and the device, each as a line of text."""
    name, number = device_name(torch.device(device)), distributed.world()
    return {
        "program": f"ST-TR {VERSION}{commit()}",
        "libraries": f"Python {platform.python_version()}, PyTorch {torch.__version__}, NumPy {np.__version__}",
        "machine": f"{platform.system()} {platform.release()}, {os.cpu_count()} CPU cores",
        "device": f"{device} ({name}), {precision}" + (f", {number} processes" if number > 1 else ""),
    }


def commit() -> str:
    """The text ", commit ..." of the program's folder, which tells also of changed files; "" where it is unknown."""
    if not (ROOT / ".git").exists():
        return ""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return f", commit {git('rev-parse', '--short=12', 'HEAD')}{changed}"
    except (OSError, subprocess.SubprocessError):
        return ""


def fingerprint(args: Mapping[str, Any]) -> str:
    """16 digits that tell the data of feeder arguments from others; "" where these name no array.

    They depend on the labels, `prepared.yaml`, the array's shape and type, and the numbers of some samples, evenly
    spaced: an array of many gigabytes is not read as a whole.
    """
    path = args.get("data_path")
    if not isinstance(path, str) or not Path(path).is_file():
        return ""
    array, digest = load_array(path), blake2b(digest_size=8)
    digest.update(f"{array.shape} {array.dtype}".encode())
    for index in np.unique(np.linspace(0, len(array) - 1, SAMPLES).astype(int)) if len(array) else []:
        digest.update(array[index].tobytes())
    for file in (Path(str(args.get("label_path", ""))), beside(path, PREPARED)):
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()
