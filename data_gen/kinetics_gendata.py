"""Converts Kinetics-skeleton: `python data_gen/kinetics_gendata.py --data_path FOLDER --out_folder FOLDER`.

Reads the release of ST-GCN (Yan et al., *Spatial Temporal Graph Convolutional Networks*, AAAI 2018) from FOLDER:
`kinetics_{train,val}` with one JSON file for each clip, and `kinetics_{train,val}_label.json`. For each part, writes
`{out_folder}/{part}_data_joint.npy` (N, 3, 300, 18, 2) float32 and `{part}_label.pkl`, a pickle of (sample_names,
labels) ordered by name: names such as `ID.json`, labels from 0. Axis legend: N clips, C channels, T frames, V joints,
M persons.

- C = x - 0.5, 0.5 - y (up is positive) and score; a joint whose score is 0 is zero.
- `frame_index` is the index T: files count from 1, so frame 0 stays empty, and frames from 300 on are cut.
- Of the first five persons of a frame, the two with the largest total score are kept, the larger first.

Clips that are listed without a skeleton are left out. Clips that are listed but absent, present but not listed, broken
or without a body are skipped and reported. Memory holds a few clips at a time; the 240,436 training clips take 31 GB of
disk.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from data_gen.common.command_line import Report, main_of, run
from data_gen.common.convert import Row, Sample, convert_files, made_by
from data_gen.common.storage import require_space
from data_gen.formats.kinetics_json import NUM_FRAME, NUM_PERSON_READ, Clip, read_clip, read_labels
from data_gen.formats.recording import Recording
from feeders.arrays import JOINT, PARTS
from graph.channels import Channels
from graph.common.words import few_of, plural
from graph.kinetics import SKELETON

NUM_PERSON = 2
ROW_SHAPE = (3, NUM_FRAME, SKELETON.num_point, NUM_PERSON)
_BYTES = 4 * math.prod(ROW_SHAPE)  # of a sample
_NUM_NAMED = 10  # of absent clips, which may be thousands


def to_sample(clip: Clip) -> np.ndarray:
    """The two bodies with the largest total score of each frame, (C, T, V, M) float32."""
    # summed one after the other, as in the published code: of equal bodies, rounding may decide which is first
    total = np.cumsum(clip.score, axis=1)[:, -1]
    order = np.lexsort((-total, clip.frame))  # stable
    frame = clip.frame[order]
    rank = np.arange(len(frame)) - np.searchsorted(frame, frame)
    kept = rank < NUM_PERSON
    best, frame, rank = order[kept], frame[kept], rank[kept]
    score = clip.score[best]
    channels = np.stack([clip.pose[best, :, 0] - 0.5, 0.5 - clip.pose[best, :, 1], score], axis=1)  # (K, C, V)
    sample = np.zeros(ROW_SHAPE, np.float32)
    sample[:, frame, :, rank] = channels * (score != 0)[:, None]
    return sample


def convert_clip(listed: tuple[Path, int]) -> Row:
    """Convert the clip at a path that has this class in the label file.

    Raises:
        ValueError: the clip cannot be used; the message is the rest of a sentence that names it.
        OSError: the file cannot be read.
    """
    path, label = listed
    try:
        clip = read_clip(path)
    except ValueError as error:
        raise ValueError(f"{error}; unpack it again") from error
    if clip.label != label:
        raise ValueError(f"its label_index is {clip.label}, in the label file it is {label}")
    return row_of_clip(clip)


def row_of(recording: Recording) -> Row:
    """A recording of OpenPose's 18 joints, x, y in fractions of the picture and score, as the row of a clip.

    Raises:
        ValueError: there is no body.
    """
    frame, place = np.nonzero(recording.present[:NUM_FRAME, :NUM_PERSON_READ].any(axis=2))
    bodies = np.where(recording.present[..., None], recording.joints, 0)[frame, place].astype(np.float64)
    return row_of_clip(Clip(-1, frame, bodies[..., :2], bodies[..., 2], len(recording.joints)))


def row_of_clip(clip: Clip) -> Row:
    """A clip as a row, whatever its class; errors as `row_of`."""
    sample = to_sample(clip)
    if not sample.any():
        raise ValueError(f"no body in any of the first {NUM_FRAME} frames")
    is_present = np.asarray(sample.any(axis=0))  # (T, V, M): a joint that is there has a score
    missing = np.asarray(is_present.any(axis=1, keepdims=True)) & ~is_present
    return Row(sample, clip.num_frame, NUM_PERSON, missing if missing.any() else None)


def gendata(
    data_path: str | Path = "data/kinetics_raw",
    out_folder: str | Path = "data/kinetics",
    *,
    strict: bool = False,
    num_worker: int = 1,
) -> Report:
    """Convert the parts that a folder holds; finished files are replaced only by complete ones.

    Args:
        data_path: folder of `kinetics_train` and `kinetics_val`, or of one of them, with their label files.
        out_folder: folder for the arrays.
        strict: stop at the first clip that cannot be used, instead of skipping it.
        num_worker: number of processes that read clips.

    Raises:
        FileNotFoundError: both parts are missing, or a part's label file is.
        ValueError: a wrong label file, a part without any usable clip, no room on the disk, or (`strict`) a clip that
            cannot be used.
    """
    data_path, out_folder, report = Path(data_path), Path(out_folder), Report(strict=strict)
    parts: dict[str, dict[str, tuple[Path, int]]] = {}
    for part in PARTS:
        if (folder := data_path / f"kinetics_{part}").is_dir():
            parts[part] = _usable_clips(folder, report)
        else:
            report.notes.append(f"{folder} is no folder: there is no {part} part")
    if not parts:
        raise FileNotFoundError(
            f"{data_path}: kinetics_train and kinetics_val are not there; unpack Kinetics-skeleton, "
            "or name the folder that holds them with --data_path"
        )
    require_space(out_folder, _BYTES * sum(map(len, parts.values())))
    for part, clips in parts.items():
        array = f"{part}_{JOINT}"
        samples = {name: Sample(name, label, (array,)) for name, (_, label) in clips.items()}
        convert_files(
            convert_clip,
            clips,
            samples,
            report,
            folder=out_folder,
            arrays=[array],
            row_shape=ROW_SHAPE,
            nothing=f"{data_path / f'kinetics_{part}'}: no clip can be used",
            task=f"{out_folder / array} ({len(clips) * _BYTES / 1e9:.1f} GB)",
            unit=f"{part} clip",
            num_worker=num_worker,
            channels=Channels(("x", "y", "score"), "normalised"),
            made=made_by("kinetics_gendata.py"),
        )
    return report


def _usable_clips(folder: Path, report: Report) -> dict[str, tuple[Path, int]]:
    """Path and class of the clips of a part that have a skeleton, by name, in order."""
    label_path = folder.with_name(f"{folder.name}_label.json")
    listed = read_labels(label_path)
    labels = {name: label for name, label in listed.items() if label is not None}
    files = {path.name for path in folder.iterdir() if path.suffix == ".json"}
    if not labels.keys() & files:
        raise ValueError(
            f"{folder}: none of the {plural(len(labels), 'clip')} that {label_path.name} lists; unpack them there"
        )
    if labels.keys() - files:
        report.skip(f"{folder.name}: clips listed but absent: {_named(labels.keys() - files)}")
    if files - listed.keys():
        report.skip(f"{folder.name}: clips not in {label_path.name}: {_named(files - listed.keys())}")
    if len(labels) < len(listed):
        report.notes.append(f"{label_path.name}: clips without a skeleton, left out: {len(listed) - len(labels)}")
    return {name: (folder / name, labels[name]) for name in sorted(labels.keys() & files)}


def _named(names: set[str]) -> str:
    """The number of names, and the first of them; escaped, because they may hold any character."""
    return f"{len(names)} ({few_of(map(ascii, sorted(names)), _NUM_NAMED)})"


main = main_of(gendata, __doc__)

if __name__ == "__main__":
    run(main)
