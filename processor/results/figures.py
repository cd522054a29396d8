"""The pictures of a run that TensorBoard shows: the confusion matrix, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_gen.common.drawing import imread, save_png
from data_gen.common.pictures import draw
from processor.results.scores import Scores
from processor.results.skeletons import Skeletons

if TYPE_CHECKING:
    from processor.results.work_dir import Record

MOST = 4  # samples


def write_figures(
    record: Record, step: int, confusion: Path, scores: Scores, class_names: Sequence[str] | None, data_path: Any
) -> None:
    """Write the picture `confusion` and skeletons of the array of joints or bones at `data_path`, if there is one.

    Raises:
        ValueError: the array is not one whose skeletons can be drawn.
    """
    record.picture("test/confusion_matrix", _pixels(confusion), step)
    if not isinstance(data_path, str) or not Path(data_path).is_file():
        return
    skeletons, names = Skeletons(data_path), class_names or [str(k) for k in range(scores.scores.shape[1])]
    guesses, labels = scores.scores.argmax(axis=1), scores.known_labels
    lead = scores.scores.max(axis=1) - scores.scores[np.arange(len(labels)), labels]  # of a mistake over the truth
    samples: list[tuple[str, np.ndarray]] = []
    for i in np.argsort(-lead, kind="stable")[: 5 * MOST].tolist():
        x = np.nan_to_num(np.array(skeletons.data[i], np.float32), posinf=0, neginf=0)
        if len(samples) < MOST and x.any():
            said = names[labels[i]] + (f", taken for {names[guesses[i]]}" if guesses[i] != labels[i] else "")
            samples.append((f"{said}: {scores.names[i]}", x))
    if samples:
        file = BytesIO()
        save_png(file, draw(samples, skeletons.skeleton, scored=skeletons.scored, down=skeletons.down))
        record.picture("test/skeletons", _pixels(BytesIO(file.getvalue())), step)


def _pixels(file: Path | BytesIO) -> np.ndarray:
    """(height, width, 3), a byte a colour."""
    return (255 * imread(file)[..., :3]).round().astype(np.uint8)
