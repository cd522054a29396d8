"""What several test modules share: the real samples, the golden figures, and what is around a run of the program."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch
from undrawn import UNDRAWN

# tensors here are small, and two workers share the cores: threads would only wait for each other
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start

# every run tries the same examples; `--hypothesis-profile=explore` tries others
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.register_profile("explore")
hypothesis.settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def samples() -> Path:
    """Folder of real recordings (`STTR_SAMPLES`, by default `../shared/data`); skips where it is absent."""
    folder = Path(os.environ.get("STTR_SAMPLES", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real samples: {folder} is absent (set STTR_SAMPLES)")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of figures that the published implementations give; they are part of the tests."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def golden_of_samples(samples: Path) -> Path:
    """Folder of figures made of the real samples; beside them, for it is research-only too."""
    folder = samples.parent / "golden"
    if not folder.is_dir():
        pytest.skip(f"no figures for the real samples: {folder} is absent")
    return folder


@pytest.fixture(autouse=True)
def around(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For tests of `processor/`: nothing may stay in the temporary directory of the processes that a test starts.

    Runs in the test's process write empty pictures, unless the test takes `drawn`: drawing is half of a small run.
    """
    if "processor" not in request.path.relative_to(ROOT).parts:
        yield
        return
    if "drawn" not in request.fixturenames:
        for name, instead in UNDRAWN.items():
            monkeypatch.setattr(name, instead)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield
        theirs = ("torchinductor_", ".ses")  # a cache of torch, and what ONNX Runtime tells its makers
        assert [name for name in os.listdir(folder) if not name.startswith(theirs)] == []


@pytest.fixture
def drawn() -> None:
    """Pictures are drawn."""
