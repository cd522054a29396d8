"""SBU Kinect Interaction to arrays: `python data_gen/sbu_gendata.py --data_path FOLDER`.

Reads `sAAsBB/CC/NNN/skeleton_pos.txt` (Yun et al., CVPR Workshops 2012): persons AA and BB, class CC 01 to 08,
repetition NNN; a line is a frame: its number, then 15 joints (x, y, z) of the one person and of the other, comma
separated. x and y are fractions of the picture, z a depth.

`{out_folder}/fold{1..5}/{train,val}_data_joint.npy` (N, 3, T, 15, 2) float32 holds what the data set's page converts
them to, in metres, x growing to the left of the picture, y upwards, z away from the camera:
X = 1.28 - 2.56 x, Y = 0.96 - 1.92 y, Z = 1.28 z. Nothing else is done to them. T is the longest sequence of the data
set (46 in the complete one); after its end a sequence is zero. `{part}_label.pkl` holds `(sample_names, labels)`: names
such as `s01s02_01_001`, in order; labels 0-based. The folds are the authors'. All arrays together have 20 MB, so the
sequences are held in memory.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tqdm import tqdm

from data_gen.common.command_line import Parser, Report, run
from data_gen.common.derived import outdated
from data_gen.common.storage import PARTS, Staging, require_space
from graph.sbu import SKELETON

NUM_PERSON = 2
TEST_PAIRS = (  # of each fold
    ("s01s02", "s03s04", "s05s02", "s06s04"),
    ("s02s03", "s02s07", "s03s05", "s05s03"),
    ("s01s03", "s01s07", "s07s01", "s07s03"),
    ("s02s01", "s02s06", "s03s02", "s03s06"),
    ("s04s02", "s04s03", "s04s06", "s06s02", "s06s03"),
)
_FIELDS = 1 + NUM_PERSON * SKELETON.num_point * 3
_MAX_BYTES = 16 << 20  # a sequence of 46 frames has 0.03 MB
_MAX_RECORDED = 100  # real numbers lie between -1 and 3
_NAME = re.compile(r"(s\d\ds\d\d)_(0[1-8])_\d\d\d", re.ASCII)


class Sample(NamedTuple):
    """A sequence: its name, the two persons' folder, the class (0-based), and `joints` (C, T, V, M) in metres."""

    name: str
    pair: str
    label: int
    joints: np.ndarray


def read_sequence(path: Path) -> np.ndarray:
    """A file's joints (C, T, V, M) float32 in metres.

    Raises:
        ValueError: the file is not of its form; the message names the line.
        OSError: the file cannot be read.
    """
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it is no regular file of at most {_MAX_BYTES >> 20} MB")
    lines = path.read_bytes().rstrip().splitlines()
    if not lines:
        raise ValueError("the file is empty")
    rows = np.array([_numbers(line, number) for number, line in enumerate(lines, 1)])
    _check(rows)
    x, y, z = rows[:, 1:].reshape(-1, NUM_PERSON, SKELETON.num_point, 3).transpose(3, 0, 2, 1)
    return np.stack([1.28 - 2.56 * x, 0.96 - 1.92 * y, 1.28 * z]).astype(np.float32)


def _numbers(line: bytes, number: int) -> list[float]:
    """The numbers of a line; it is the `number`th."""
    fields = line.split(b",")
    if len(fields) != _FIELDS:
        raise ValueError(f"line {number}: {_FIELDS} numbers expected, found {len(fields) if line.strip() else 0}")
    try:
        return [float(field) for field in fields]
    except ValueError:
        raise ValueError(f"line {number}: not all of it is numbers") from None


def _check(rows: np.ndarray) -> None:
    """Look at what the lines say, (T, 91).

    Raises:
        ValueError: a frame out of order, a position that is none, or a person who is not there.
    """
    recorded = rows[:, 1:].reshape(len(rows), NUM_PERSON, -1)
    for wrong, problem in (
        (rows[:, 0] != rows[0, 0] + np.arange(len(rows)), "the frame number does not follow the one before it"),
        (~(np.abs(recorded) < _MAX_RECORDED).all(axis=(1, 2)), "a number is no position"),  # NaN compares false
        ((recorded == 0).all(axis=2).any(axis=1), "all numbers of a person are zero"),
    ):
        if wrong.any():
            raise ValueError(f"line {wrong.argmax() + 1}: {problem}")


def gendata(data_path: str | Path, out_folder: str | Path, *, strict: bool = False) -> Report:
    """Convert the folders of SBU's sequences; finished files are replaced only by complete ones.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: nothing to convert, no space, or (`strict`) a file that cannot be used.
    """
    data_path, out_folder, report = Path(data_path), Path(out_folder), Report()
    if not data_path.is_dir():
        raise FileNotFoundError(
            f"{data_path} is no folder: unpack SBU's s01s02.zip and its like there, or name theirs with --data_path"
        )
    samples: list[Sample] = []
    files = sorted(data_path.glob("*/*/*/skeleton_pos.txt"))
    for path in tqdm(files, desc="read", unit="file", disable=None):
        try:
            samples.append(_sample(path))
        except OSError as error:
            report.skip(f"{path.relative_to(data_path)}: cannot be read ({error.strerror})", strict=strict)
        except ValueError as error:
            report.skip(f"{path.relative_to(data_path)}: {error}", strict=strict)
    if not samples:
        first = f"; the first: {report.skipped[0]}" if report.skipped else ""
        raise ValueError(f"{data_path}: no sequence of SBU (s01s02/01/001/skeleton_pos.txt) there{first}")
    _write(samples, out_folder, report)
    return report


def _sample(path: Path) -> Sample:
    name = "_".join(path.parts[-4:-1])
    match = _NAME.fullmatch(name)
    if match is None or not any(match[1] in pairs for pairs in TEST_PAIRS):
        raise ValueError("no folder of SBU (they read s01s02/01/001, 21 pairs, classes 01 to 08)")
    return Sample(name, match[1], int(match[2]) - 1, read_sequence(path))


def _write(samples: list[Sample], out_folder: Path, report: Report) -> None:
    row_shape = (3, max(sample.joints.shape[1] for sample in samples), SKELETON.num_point, NUM_PERSON)
    out_folder.mkdir(parents=True, exist_ok=True)
    require_space(out_folder, 4 * int(np.prod(row_shape)) * len(samples) * len(TEST_PAIRS))
    with Staging() as staging:
        for fold, test_pairs in enumerate(TEST_PAIRS, 1):
            for part in PARTS:
                rows = [sample for sample in samples if (sample.pair in test_pairs) == (part == "val")]
                target = out_folder / f"fold{fold}" / f"{part}_data_joint.npy"
                writer = staging.array(target, len(rows), row_shape)
                for sample in rows:
                    row = np.zeros(row_shape, np.float32)
                    row[:, : sample.joints.shape[1]] = sample.joints
                    writer.append(row)
                names, labels = [sample.name for sample in rows], [sample.label for sample in rows]
                staging.labels(target.with_name(f"{part}_label.pkl"), names, labels)
                report.written[target] = writer.shape
                report.notes += outdated(target)


def main(argv: Sequence[str] | None = None) -> Report:
    """Parse the command line and convert."""
    parser = Parser(description=__doc__)
    parser.option("data_path", default="data/sbu_raw", help="folder of s01s02, s01s03 ... (default: %(default)s)")
    parser.option("out_folder", default="data/sbu", help="gets a folder a fold (default: %(default)s)")
    parser.strict()
    return gendata(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    run(main)
