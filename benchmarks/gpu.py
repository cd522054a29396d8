# ruff: noqa: E402
"""Measures all figures of a GPU with one command: `python benchmarks/gpu.py --out gpu.json`.

Needs no network and no data, and less than six minutes on one H100; `--rehearse` runs all of it in small sizes on a CPU
in less than two. Each part is a process with a time limit: if a part fails, hangs or breaks the GPU, the other parts
still run, and its traceback is in the file. The file is written anew after each figure.

machine     the machine, and its largest speed and bandwidth; always measured
equality    golden figures; values and gradients of every model against its plain functions in float64
attention   kernels for the shapes that occur
speed       training and evaluation over batch sizes: samples/s, memory, shares of the peak and of the copy bandwidth
compiled    the same with torch.compile, and the time of its start
profile     the kernels that a training step's time goes to
loop        the training loop with its feeder on NTU RGB+D 60's 40,091 samples: an epoch, and waiting for data
study       the trainings of NW-UCLA, on data of that form
whole       `main.py` from the demo to a test, resumed from a checkpoint, and moved from one device to another
tests       the tests that need a GPU, if pytest is installed
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.parts.setting import Setting
from data_gen.common.command_line import Parser, Report, run
from graph.common.files import write_text

LIMITS = {  # seconds of each part on a GPU; together six minutes
    **{"machine": 12, "equality": 45, "attention": 20, "speed": 47, "compiled": 58, "loop": 41, "study": 15},
    **{"whole": 59, "tests": 35, "profile": 20},
}
REHEARSAL = 100  # seconds after which a part of a rehearsal is ended; on a quiet machine it takes about ten
MARK = "figure: "  # how a line of a part begins that holds a figure


class Journal:
    """The file: the machine, and each part's figures by name, written anew after each."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.content = path, about

    def put(self, part: str, name: str, value: Any) -> None:
        """Adds a figure."""
        self.content.setdefault(part, {})[name] = value
        write_text(self.path, json.dumps(self.content, indent=1) + "\n")


def in_process(part: str, device: str, rehearse: bool, seconds: float, journal: Journal) -> None:
    """Runs a part in a process with a limit, and writes its figures as they come."""
    begun = time.monotonic()
    words = [sys.executable, __file__, "--part", part, "--device", device, "--child", str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} if rehearse else None  # threads of busy cores wait long
    settings: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {}
    with subprocess.Popen(
        [*words, *(["--rehearse"] if rehearse else [])],
        cwd=ROOT, env=environment, text=True, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        **settings,
    ) as child:  # fmt: skip
        timer = threading.Timer(seconds, _kill, [child])
        timer.start()
        others: list[str] = []  # lines that are no figures
        for line in child.stdout or ():
            if line.startswith(MARK):
                journal.put(part, *json.loads(line.removeprefix(MARK)))
            else:
                others.append(line)
        timer.cancel()
    if child.returncode:
        what = f"ended with status {child.returncode} after {time.monotonic() - begun:.0f} s"
        journal.put(part, "failed", {"what": what, "said": "".join(others)[-4000:]})
    journal.put(part, "seconds", round(time.monotonic() - begun, 1))


def _kill(child: subprocess.Popen[str]) -> None:
    """Ends a part and the processes that it started."""
    if os.name == "posix":
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()


def run_part(part: str, device: str, rehearse: bool, seconds: float) -> None:
    """A part, in the process that was started for it."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

    def record(name: str, value: Any) -> None:
        sys.stdout.write(f"{MARK}{json.dumps([name, value])}\n")

    margin = 0.1 * seconds  # before the process is killed
    setting = Setting(device, rehearse, time.monotonic() + seconds - margin, record)
    with setting.guarded("failed"):
        import_module(f"benchmarks.parts.{part}").measure(setting)


def measure(out: Path, parts: Sequence[str], device: str, rehearse: bool, patience: float) -> Report:
    """Runs the parts one after another, with `patience` times their limits."""
    command = f"python benchmarks/gpu.py {' '.join(sys.argv[1:])}"
    begun = datetime.now().astimezone().isoformat(timespec="seconds")
    journal = Journal(out, {"date": begun, "command": command, "rehearsal": rehearse})
    started, notes = time.monotonic(), []
    for part in dict.fromkeys(("machine", *parts)):
        in_process(part, device, rehearse, patience * (REHEARSAL if rehearse else LIMITS[part]), journal)
        figures = journal.content[part].items()
        failed = [
            name for name, value in figures if name == "failed" or (isinstance(value, dict) and "failed" in value)
        ]
        notes.append(f"{part}: {journal.content[part]['seconds']} s" + "".join(f"; {name} failed" for name in failed))
    return Report({out: (len(parts),)}, notes=[*notes, f"{time.monotonic() - started:.0f} s in all"])


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and measure."""
    parser = Parser(description=__doc__)
    parser.option("out", type=Path, default=Path("gpu.json"), help="JSON file to write (default: %(default)s)")
    parser.option("part", nargs="+", default=[*LIMITS], choices=LIMITS, help="parts (default: all)")
    parser.option("device", default="", help="cuda or cpu (default: cuda, in a rehearsal cpu)")
    parser.option("rehearse", action="store_true", help="small sizes")
    parser.option("patience", type=float, default=1.0, help="factor of all time limits (default: %(default)s)")
    parser.option("child", type=float, help="seconds; for the processes that this program starts")
    args = parser.parse_args(argv)
    device = args.device or ("cpu" if args.rehearse else "cuda")
    if args.child:
        run_part(args.part[0], device, args.rehearse, args.child)
        return Report()
    return measure(args.out, args.part, device, args.rehearse, args.patience)


if __name__ == "__main__":
    run(main)
