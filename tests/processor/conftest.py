"""What a run leaves in the temporary directory is a defect, however the run ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A temporary directory for the processes of each test, empty at its end but for a cache of torch."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield folder
        assert [name for name in os.listdir(folder) if not name.startswith("torchinductor_")] == []
