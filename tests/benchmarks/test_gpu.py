"""What fails, hangs or takes too long on a GPU leaves the figures before and after it in the file."""

from __future__ import annotations

import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.parts.setting import Setting

CHILD = """
import sys, time
part = sys.argv[sys.argv.index("--part") + 1]
print("a line that is no figure", flush=True)
print('figure: ["first", {"s": 1.5}]', flush=True)
if part == "speed":
    time.sleep(60)
if part == "loop":
    sys.exit("it broke")
print('figure: ["last", 2]', flush=True)
"""


def test_parts_that_hang_or_break_leave_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "child.py").write_text(CHILD, encoding="utf-8")
    monkeypatch.setattr(gpu, "__file__", str(tmp_path / "child.py"))
    monkeypatch.setattr(gpu, "LIMITS", dict.fromkeys(gpu.LIMITS, 3.0))
    argv = ["--out", str(tmp_path / "out.json"), "--part", "speed", "loop", "study", "--device", "cuda"]
    begun = time.monotonic()
    notes = gpu.main(argv).notes
    assert time.monotonic() - begun < 40
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [*content] == ["date", "command", "rehearsal", "machine", "speed", "loop", "study"]
    for part in ("machine", "speed", "loop", "study"):
        assert content[part]["first"] == {"s": 1.5}
    assert content["study"]["last"] == content["machine"]["last"] == 2
    assert "failed" not in content["study"]
    assert content["speed"]["failed"]["said"] == "a line that is no figure\n"
    assert "it broke" in content["loop"]["failed"]["said"]
    assert "failed failed" not in notes[3]
    assert notes[1].startswith("speed: ")
    assert notes[1].endswith("failed failed")


def setting(seconds: float, figures: dict[str, Any]) -> Setting:
    return Setting("cpu", True, time.monotonic() + seconds, figures.__setitem__)


def test_a_figure_that_fails_or_has_no_time_leaves_the_next() -> None:
    figures: dict[str, Any] = {}
    of_part = setting(60, figures)
    with of_part.guarded("broken"):
        raise ZeroDivisionError("in the middle")
    with of_part.guarded("long"):
        of_part.need(61)
        figures["long"] = "measured"
    with of_part.guarded("good"):
        of_part.need(10)
        of_part.record("good", 1)
    assert "ZeroDivisionError: in the middle" in figures["broken"]["failed"]
    assert figures["long"] == "skipped: no time left"
    assert figures["good"] == 1


def test_all_parts_exist_and_end_within_six_minutes() -> None:
    assert sum(gpu.LIMITS.values()) < 360
    for part in gpu.LIMITS:
        assert callable(import_module(f"benchmarks.parts.{part}").measure)
        assert f"\n{part} " in (gpu.__doc__ or "")
