"""The demo's data: synthetic recordings as NTU `.skeleton` files, and the arrays made of them.

`python data_gen/demo_gendata.py [--out_folder data/demo] [--seed 0]` computes how the performers of `demo.motion` do
the actions of `demo.actions`, and what the cameras of `demo.sensor` record of it. The recordings go to
`{out_folder}/raw/SsssCcccPpppRrrrAaaa.skeleton`. `preprocess`, which converts NTU, makes
`{out_folder}/{xsub,xview}/{train,val}_data_joint.npy` and `_label.pkl` of them. No real person was recorded: the demo
shows that the program works, and says nothing about real people. The same seed gives the same files.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tqdm import tqdm

from data_gen.common.command_line import Parser, Report, default_workers, run
from data_gen.demo.actions import ACTIONS
from data_gen.demo.motion import perform
from data_gen.demo.sensor import CAMERAS, film
from data_gen.ntu.splits import SampleName
from data_gen.preprocess import preprocess
from graph.common.words import plural

__all__ = ["ACTIONS", "make_demo"]

VERSION = 2  # raise it when a change of the code changes the files of a seed
MANIFEST = "demo.json"
_STALE = 3600  # seconds; no call takes as long


def make_demo(
    out_folder: str | Path = "data/demo",
    *,
    seed: int = 0,
    performers: int = 10,
    replications: int = 2,
    num_worker: int = 1,
) -> Path:
    """Make the recordings and arrays of the demo, unless `out_folder` holds them already.

    All files are written to a temporary folder beside `out_folder`, which is renamed when it is complete.

    Args:
        out_folder: gets `raw`, `xsub`, `xview` and a manifest.
        seed: another seed gives other people.
        performers: number of performers; of them 1 2 4 5 8 9 train in X-Sub.
        replications: number of times that each performer does each action.
        num_worker: number of processes that convert.

    Returns:
        `out_folder`.

    Raises:
        ValueError: `out_folder` holds other files.
    """
    out_folder = Path(out_folder)
    settings = {"version": VERSION, "seed": seed, "performers": performers, "replications": replications}
    if _is_made(out_folder, settings):
        return out_folder
    parent, prefix = out_folder.parent, f".{out_folder.name}-"
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{prefix}*"):  # of a killed call; a newer one may still be running
        if time.time() - left.stat().st_mtime > _STALE:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as scratch:
        made = Path(scratch) / "demo"
        _write_raw(made / "raw", seed=seed, performers=performers, replications=replications)
        preprocess(made / "raw", made, strict=True, num_worker=num_worker, script="demo_gendata.py", options=settings)
        (made / MANIFEST).write_text(json.dumps(settings), encoding="utf-8")
        if not _is_made(out_folder, settings):  # another call may have made it meanwhile
            if out_folder.exists():
                out_folder.rmdir()
            made.rename(out_folder)
    return out_folder


def _is_made(out_folder: Path, settings: dict[str, int]) -> bool:
    """Whether `out_folder` holds the demo of these settings; False if it is missing or empty.

    Raises:
        ValueError: it holds other files.
    """
    if not out_folder.exists() or not any(out_folder.iterdir()):
        return False
    manifest = out_folder / MANIFEST
    if manifest.is_file() and manifest.read_text(encoding="utf-8") == json.dumps(settings):
        return True
    wanted = ", ".join(f"{name} {value}" for name, value in settings.items())
    raise ValueError(f"{out_folder}: this folder is not the demo of {wanted}; delete it or choose another --out_folder")


def _write_raw(folder: Path, *, seed: int, performers: int, replications: int) -> None:
    """Write every recording to `folder`."""
    folder.mkdir(parents=True)
    samples = recordings(seed=seed, performers=performers, replications=replications)
    total = performers * replications * len(ACTIONS) * len(CAMERAS)
    for name, text in tqdm(samples, desc="recording the demo", total=total, unit="file", disable=None):
        (folder / name).write_bytes(text.encode("ascii"))


def recordings(*, seed: int, performers: int, replications: int) -> Iterator[tuple[str, str]]:
    """(file name, text) of every recording; all cameras record the same performance."""
    for performer in range(1, performers + 1):
        for replication in range(1, replications + 1):
            for number, action in enumerate(ACTIONS, 1):
                scene = perform(action, performer, replication, seed=seed)
                for camera in CAMERAS:
                    sample = SampleName((performer + 4) // 5, camera, performer, replication, number)
                    yield sample.file, film(scene, sample, seed=seed)


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and make the demo."""
    parser = Parser(description="Make the synthetic demo corpus and its arrays.")
    parser.option("out_folder", default="data/demo", help="folder of the demo (default: %(default)s)")
    parser.option("seed", type=int, default=0, help="another seed gives other people (default: %(default)s)")
    parser.option("num_worker", type=int, default=default_workers(), help="number of processes that convert")
    args = parser.parse_args(argv)
    folder = make_demo(args.out_folder, seed=args.seed, num_worker=args.num_worker)
    num_raw = sum(1 for _ in (folder / "raw").glob("*.skeleton"))
    actions = ", ".join(ACTIONS)
    return Report(notes=[f"{folder}: {plural(num_raw, 'synthetic recording')} ({actions}), arrays in xsub and xview"])


if __name__ == "__main__":
    run(main)
