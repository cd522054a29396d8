"""One model that labels recordings: its weights, and how a recording becomes what it takes."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from data_gen.common.command_line import Report
from data_gen.common.convert import Row, Sample, write_arrays
from data_gen.formats.recording import Recording
from data_gen.ntu_gen_bones import gen_bones
from data_gen.ntu_merge_joint_bones import merge_joint_bones
from feeders.arrays import BONE, JOINT, JOINT_BONES, LABEL, SKELETON, beside, class_names_in
from graph.channels import Channels
from graph.common.imports import import_object
from graph.common.words import plural
from graph.common.yaml_text import load, plain
from graph.custom import skeleton_text
from graph.mapping import body_size
from model.base import SkeletonModel
from processor.config.schema import Config, load_config
from processor.engine.evaluate import score
from processor.engine.models import model_of_weights
from processor.engine.sources import check_streams
from processor.runtime.device import choose_device, effective_precision
from processor.state.data import TestData, data_of, graph_skeleton
from processor.state.weights import Weights, read_weights
from processor.tools.preparation import AS_RECORDED, PUBLISHED, SIZED, fitted_to, row_of, script_of

FEEDER = "feeders.feeder.Feeder"
FAR = 20.0  # times that bodies are larger or smaller where their unit must be another


@dataclass
class Trained:
    """A model with what it takes.

    Attributes:
        path: the file of its weights.
        model: on its device, in evaluation mode.
        class_names: a name for each logit, or its number (`named` is False).
        data: the arrays that recordings are made like.
        feeder: the class that opens them, with `args`.
        notes: what a user should know.
    """

    path: Path
    model: nn.Module
    class_names: tuple[str, ...]
    named: bool
    data: TestData
    feeder: Any
    args: dict[str, Any]
    average: Any
    precision: str
    device: torch.device
    notes: tuple[str, ...]

    def fit(self, recording: Recording) -> Recording:
        """The recording with the joints, channels and unit that the model's data have, and notes of what changed.

        Raises:
            ValueError: that cannot be done; the message is the rest of a sentence that names the recording.
        """
        skeleton, data = self.data.skeleton, self.data
        if skeleton is None and recording.joints.shape[2] != data.shape[2]:
            raise ValueError(f"it has {plural(recording.joints.shape[2], 'joint')}, the model takes {data.shape[2]}")
        fitted = fitted_to(recording, skeleton, data.channels, data.made)
        notes = list(fitted.notes)
        M = fitted.joints.shape[1]
        if data.shape[3] < M:
            notes.append(f"it has up to {plural(M, 'person', 'persons')}, the model takes {data.shape[3]}")
        if recording.frame_rate and data.frame_rate and not 0.8 < recording.frame_rate / data.frame_rate < 1.25:
            rates = f"{recording.frame_rate:g} frames a second, the model's data {data.frame_rate:g}"
            notes.append(f"it has {rates}; movements look faster or slower to the model")
        if script_of(data.made).reads is None and data.size and data.channels.position:
            some = slice(None, None, max(len(fitted.joints) // SIZED, 1))
            size = body_size(fitted.joints[some][..., list(data.channels.position)], fitted.present[some])
            if size and not 1 / FAR < size / data.size < FAR:
                notes.append(
                    f"its bodies have a size of {size:.3g}, those of the model's data of {data.size:.3g}; is its unit "
                    "another one?"
                )
        return replace(fitted, notes=tuple(notes))

    @property
    def longest(self) -> int | None:
        """How many frames of a recording the model is given at most; None: all."""
        may_grow = self.args.get("window_size", -1) > 0
        is_limit = script_of(self.data.made).reads or (self.data.made.get("options") or {}).get("max_frame")
        return self.data.shape[1] if is_limit or not may_grow else None  # else T is that of the longest recording

    def row(self, recording: Recording) -> Row:
        """The row of a recording that `fit` gave.

        Raises:
            ValueError: nobody is in it; the message is the rest of a sentence that names the recording.
        """
        _, T, _, M = self.data.shape
        return row_of(recording, self.data.made, self.longest or max(T, len(recording.joints)), M)

    def logits(self, rows: Sequence[Row]) -> np.ndarray:
        """(N, num_class) of rows."""
        with self.opened(rows) as feeder:
            samples = [feeder[index] for index in range(len(rows))]
        batch = torch.stack([torch.as_tensor(x) for x, *_ in samples])
        batches = [(batch, None, torch.arange(len(rows)))]
        ((_, logits),) = score(self.model, batches, self.device, self.precision, self.average)
        return np.asarray(logits.cpu().numpy(), np.float32)

    @contextmanager
    def opened(self, rows: Sequence[Row]) -> Iterator[Any]:
        """The test's feeder of rows, from a folder like that of the test's data."""
        T = max(row.x.shape[1] if row.frames is None else len(row.frames) for row in rows)
        with tempfile.TemporaryDirectory(prefix="st-tr-", ignore_cleanup_errors=True) as folder:
            yield self._open(Path(folder), [_longer(row, T) for row in rows])

    def _open(self, folder: Path, rows: Sequence[Row]) -> Any:
        data, name = self.data, self.data.array
        stream = next((kind for kind in (JOINT_BONES, BONE) if name.endswith(f"_{kind}")), None)
        joints = f"{name.removesuffix(stream)}{JOINT}" if stream else name
        samples = [Sample(str(number), 0, (joints,)) for number in range(len(rows))]
        write_arrays(
            folder, [joints], samples, zip(samples, rows, strict=True), Report(),
            row_shape=rows[0].in_order(rows[0].x).shape, channels=data.channels, frame_rate=data.frame_rate,
            made=data.made or None,
            texts={SKELETON: skeleton_text(data.skeleton)} if data.has_file and data.skeleton else None,
        )  # fmt: skip
        if stream:
            gen_bones(folder)
        if stream == JOINT_BONES:
            merge_joint_bones(folder)
        path = folder / name
        args = {**self.args, "data_path": str(path), "label_path": str(beside(path, LABEL))}
        feeder = self.feeder(**args)
        if data.statistics is not None:
            feeder.statistics = tuple(x.numpy() for x in data.statistics)
        return feeder


def _longer(row: Row, T: int) -> Row:
    """A row with zeros up to frame T."""
    if row.frames is not None or row.x.shape[1] == T:
        return row
    more = T - row.x.shape[1]
    missing = row.missing if row.missing is None else np.pad(row.missing, ((0, more), (0, 0), (0, 0)))
    length = min(row.num_frame, row.x.shape[1]) if row.length is None else row.length
    return row._replace(x=np.pad(row.x, ((0, 0), (0, more), (0, 0), (0, 0))), missing=missing, length=length)


def load_trained(
    paths: Sequence[Path],
    *,
    config: str | Path | None = None,
    class_names: str | Path | None = None,
    device: str | Sequence[int] = "auto",
    words: Sequence[str] = (),
) -> list[Trained]:
    """The models of files of weights; arguments and errors as `Recognizer.load`. `words` change the configuration."""
    return [_trained(path, config, class_names, choose_device(device), words) for path in paths]


def _trained(
    path: Path, config: str | Path | None, names: str | Path | None, device: torch.device, words: Sequence[str]
) -> Trained:
    weights = read_weights(path)
    run = config_of(weights, config, words)
    check_streams({"test": run.test_feeder_args}, weights)
    model, model_args = model_of_weights(run.model, run.model_args, weights)
    notes: list[str] = []
    data = _with_script(weights.data or _assumed(run, model, model_args), notes)
    num_class = model.options.num_class if isinstance(model, SkeletonModel) else len(run.class_names or ())
    given_names = class_names_in(names) if names else ()
    known = weights.class_names or given_names or tuple(run.class_names or ())
    if given_names and given_names != known:
        raise ValueError(f"class_names: {names} has other names, or another order, than {path} knows; leave it out")
    if known and num_class and len(known) != num_class:
        raise ValueError(
            f"class_names: {plural(len(known), 'name')}, {path} has {plural(num_class, 'class', 'classes')}"
        )
    if not known:
        notes.append("the weights know no names of classes, so labels are numbers from 0; --class_names names a file")
    kind = import_object(run.feeder)
    takes = inspect.signature(kind).parameters
    extra = {"mmap": False, "debug": False}  # Windows deletes no file that is mapped
    args = {**run.test_feeder_args, **{key: value for key, value in extra.items() if key in takes}}
    if "seed" in takes:
        args.setdefault("seed", run.seed)
    return Trained(
        path=path,
        model=model.to(device).eval(),
        class_names=known or tuple(map(str, range(num_class))),
        named=bool(known),
        data=data,
        feeder=kind,
        args=args,
        average=run.average,
        precision=effective_precision(device, run.precision),
        device=device,
        notes=tuple(f"{path}: {note}" for note in notes),
    )


def config_of(weights: Weights, config: str | Path | None = None, words: Sequence[str] = ()) -> Config:
    """The configuration that a user names, or else that in the file of weights."""
    if config is not None:
        return load_config(["--config", str(config), "--phase", "test", "--weights", str(weights.path), *words])
    if not weights.trained:
        what = "of the published code" if weights.published else "a state dict"
        raise ValueError(
            f"weights: {weights.path} is {what}, and does not tell how recordings are prepared for it; add --config "
            "with the configuration that it is tested with"
        )
    told = plain(load(weights.config, str(weights.path), []))
    kept = {key: told[key] for key in ("feeder", "test_feeder_args", "average", "precision", "seed") if key in told}
    run = Config(**kept, model=weights.trained[0], model_args=weights.trained[1])
    if named := weights.stranger() or (("feeder", run.feeder) if run.feeder != FEEDER else None):
        raise ValueError(
            f"weights: {weights.path} names a {named[0]} from elsewhere; if it is to be trusted, add --config with a "
            f"configuration that says `{named[0]}: {named[1]}`"
        )
    return run


def _assumed(run: Config, model: nn.Module, model_args: Mapping[str, Any]) -> TestData:
    """What is known of the data of weights that do not tell: the arrays of the configuration, or those published."""
    data = data_of(run.test_feeder_args, model_args)
    if data is None:
        if not isinstance(model, SkeletonModel):
            raise ValueError("weights: neither they nor arrays of the test tell how recordings are prepared")
        C, _, V, M = model.input_shape(300)
        name = Path(str(run.test_feeder_args.get("data_path", f"val_{JOINT}"))).name
        num_stream = len(str(run.test_feeder_args.get("stream", "joint")).split("+"))
        C //= num_stream * (2 if name.endswith(JOINT_BONES) else 1)
        data = TestData(name, (C, 300, V, M), Channels.numbered(C), None, {}, graph_skeleton(model_args, V))
    return data


def _with_script(data: TestData, notes: list[str]) -> TestData:
    """The data of a test with the script that made them; where nothing tells it, that of the published code."""
    if data.made:
        return data
    made = PUBLISHED.get((data.shape[2], len(data.channels.names)), AS_RECORDED)
    notes.append(f"nothing tells how its data were made; recordings are prepared as by {made['script']}")
    return replace(data, made=dict(made), channels=script_of(made).reads or data.channels)
