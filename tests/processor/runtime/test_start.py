"""A run starts without the parts of torch that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import ROOT
from runs import make, write_data

from processor.config.schema import resolved

PROGRAM = """
import sys
import main
from processor.engine import train

first = train.step

def step(*args, **settings):
    first(*args, **settings)
    sys.exit(3 * ("torch._dynamo" in sys.modules))

train.step = step
main.main(sys.argv[1:])
sys.exit("no step was taken")
"""


def test_the_compiler_is_not_imported_where_nothing_is_compiled(tmp_path: Path) -> None:
    """It takes as long as everything else that is imported."""
    config = make(write_data(tmp_path), tmp_path, num_epoch=1, warm_up_epoch=0)
    (tmp_path / "config.yaml").write_text(resolved(config), encoding="utf-8")
    command = [sys.executable, "-c", PROGRAM, "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
