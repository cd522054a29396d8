"""NW-UCLA to arrays: `python data_gen/ucla_gendata.py --data_path FOLDER`.

Reads the JSON form of CTR-GCN (`aXX_sXX_eXX_vXX.json`: `skeletons` [T][20][3], `label` 1..10) and writes the
cross-view split of Wang et al., *Cross-view Action Modeling*, CVPR 2014: views 1 and 2 train, view 3 tests.
`{out_folder}/{train,val}_data_joint.npy` (N, 3, T, 20, 1) float32 holds the coordinates as recorded; T is the longest
sequence of the data set (201 in the complete one), and after its end a sequence is zero, which tells its true length.
`{part}_label.pkl` holds `(sample_names, labels)`: names such as `a01_s01_e00_v01.json`, in order; labels 0-based. Some
copies of the data set hold test sequences that are training ones, number for number: `val_unseen.txt` lists the names
of the others. All sequences of NW-UCLA together have 14 MB, so they are held in memory.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Parser, Report, run
from data_gen.common.derived import outdated
from data_gen.common.storage import PARTS, Staging, require_space
from graph.common.words import plural
from graph.nw_ucla import SKELETON

NUM_CLASS = 10
UNSEEN = "val_unseen.txt"
_MAX_BYTES = 16 << 20  # a sequence of 201 frames has 0.2 MB
PART_OF_VIEW = {1: "train", 2: "train", 3: "val"}
_NAME = re.compile(r"a\d\d_s\d\d_e\d\d_v(\d\d)\.json", re.ASCII)


def read_sequence(path: Path) -> tuple[np.ndarray, int]:
    """A file's joints (T, V, C) float64 and its label, 0-based.

    Raises:
        ValueError: the file is not of its form; the message names it.
    """
    if path.exists() and (not path.is_file() or path.stat().st_size > _MAX_BYTES):
        raise ValueError(f"{path.name}: it is no regular file of at most {_MAX_BYTES >> 20} MB")
    try:
        content = json.loads(path.read_bytes())
        joints, label = np.asarray(content["skeletons"], dtype=np.float64), content["label"]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}, line {error.lineno}: no JSON ({error.msg})") from error
    except KeyError as error:
        raise ValueError(f"{path.name}: it has no {error}") from error
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path.name}: not of the form {{skeletons: [T][20][3], label: 1..10}}") from error
    if joints.ndim != 3 or not len(joints) or joints.shape[1:] != (SKELETON.num_point, 3):
        raise ValueError(f"{path.name}: skeletons of shape [T][20][3] expected, found {list(joints.shape)}")
    if not (np.abs(joints) < 1e6).all():
        raise ValueError(f"{path.name}: a coordinate is no position in metres")
    if not joints.astype(np.float32).any():
        raise ValueError(f"{path.name}: no body in any frame")
    if type(label) is not int or not 1 <= label <= NUM_CLASS:
        raise ValueError(f"{path.name}: label {label!r} is none of 1 to {NUM_CLASS}")
    return joints, label - 1


def gendata(data_path: str | Path, out_folder: str | Path, *, strict: bool = False) -> Report:
    """Convert a folder of NW-UCLA's JSON files; finished files are replaced only by complete ones.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: nothing to convert, no space, or (`strict`) a file that cannot be used.
    """
    data_path, out_folder, report = Path(data_path), Path(out_folder), Report()
    if not data_path.is_dir():
        raise FileNotFoundError(
            f"{data_path} is no folder: unpack NW-UCLA's all_sqe there, or name its folder with --data_path"
        )
    sequences: dict[str, list[tuple[str, np.ndarray, int]]] = {part: [] for part in PARTS}
    for path in tqdm(sorted(data_path.glob("*.json")), desc="read", unit="file", disable=None):
        try:
            part = _part_of(path.name)
            joints, label = read_sequence(path)
            sequences[part].append((path.name, joints.astype(np.float32), label))
        except OSError as error:
            report.skip(f"{path.name}: cannot be read ({error.strerror})", strict=strict)
        except ValueError as error:
            report.skip(str(error), strict=strict)
    if not any(sequences.values()):
        first = f"; the first: {report.skipped[0]}" if report.skipped else ""
        raise ValueError(f"{data_path}: no sequence of NW-UCLA's JSON form there{first}")
    _write(sequences, out_folder, report)
    return report


def _part_of(name: str) -> str:
    match = _NAME.fullmatch(name)
    if match is None or int(match[1]) not in PART_OF_VIEW:
        raise ValueError(f"{name}: no NW-UCLA name (they read a01_s01_e00_v01.json, views 1 to 3)")
    return PART_OF_VIEW[int(match[1])]


def _write(sequences: dict[str, list[tuple[str, np.ndarray, int]]], out_folder: Path, report: Report) -> None:
    num_frame = max(len(joints) for part in sequences.values() for _, joints, _ in part)
    row_shape = (3, num_frame, SKELETON.num_point, 1)
    out_folder.mkdir(parents=True, exist_ok=True)
    require_space(out_folder, 4 * int(np.prod(row_shape)) * sum(map(len, sequences.values())))
    with Staging() as staging:
        for part, samples in sequences.items():
            target = out_folder / f"{part}_data_joint.npy"
            writer = staging.array(target, len(samples), row_shape)
            for _, joints, _ in samples:
                row = np.zeros(row_shape, np.float32)
                row[:, : len(joints), :, 0] = joints.transpose(2, 0, 1)
                writer.append(row)
            names, labels = [name for name, _, _ in samples], [label for _, _, label in samples]
            staging.labels(out_folder / f"{part}_label.pkl", names, labels)
            report.written[target] = writer.shape
            report.notes += outdated(target)
        staging.text(out_folder / UNSEEN, _unseen(sequences, report))


def _unseen(sequences: dict[str, list[tuple[str, np.ndarray, int]]], report: Report) -> str:
    """The names, one a line, of the test sequences that are no copies of training ones; how many are, is noted."""
    training = {joints.tobytes() for _, joints, _ in sequences["train"]}
    names = [name for name, joints, _ in sequences["val"] if joints.tobytes() not in training]
    if copies := len(sequences["val"]) - len(names):
        are_copies = "is a copy of a training one" if copies == 1 else "are copies of training ones"
        report.notes.append(
            f"{copies} of {plural(len(sequences['val']), 'test sequence')} {are_copies}: report accuracy on all "
            f"and on the {len(names)} that {UNSEEN} lists (python ensemble.py ... --only)"
        )
    return "".join(f"{name}\n" for name in names)


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and convert."""
    parser = Parser(description=__doc__)
    parser.option("data_path", default="data/nw_ucla_raw/all_sqe", help="folder of the JSON files")
    parser.option("out_folder", default="data/nw_ucla", help="where the arrays go")
    parser.strict()
    return gendata(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    run(main)
