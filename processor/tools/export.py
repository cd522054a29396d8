"""A trained model as a file that other programs run: ONNX, or PyTorch's exported program.

The file takes prepared clips (N, C, T, V, M) and gives logits (N, num_class), for any N, and any T where the model
takes any. Its metadata, one JSON text under the key `st_tr`, say what the classes, joints, channels and frames are and
how recordings are prepared. The plain functions of `model.layers` are traced, in float32 on the CPU.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from graph.common.files import atomic_write
from model import fast
from model.base import SkeletonModel
from processor.state.data import versions
from processor.tools.phase import PhaseParser
from processor.tools.trained import Trained, load_trained

log = logging.getLogger(__name__)

KEY = "st_tr"  # of the metadata
Format = Literal["onnx", "pt2"]


def parser() -> PhaseParser:
    """The options of the command."""
    words = PhaseParser("export", description="Write a trained model as a file that other programs run.")
    words.option("weights", type=Path, required=True, help="last.pt, best.pt or ema.pt of a run")
    words.option("format", choices=get_args(Format), required=True, help="onnx, or pt2 for torch.export.load")
    words.option("out", type=Path, help="the file (default: beside the weights, with the format as its suffix)")
    return words


def main(argv: Sequence[str]) -> int:
    """Exports what the command line names; returns the exit status, errors as `export`."""
    args, changes = parser().read(argv)
    out = args.out or args.weights.with_suffix(f".{args.format}")
    if out.is_dir() or out.resolve() == args.weights.resolve():
        raise ValueError(f"out: {out} is {'a folder' if out.is_dir() else 'the file of weights'}; name another file")
    require(args.format)
    (trained,) = load_trained(
        [args.weights], config=args.config, class_names=args.class_names, device="cpu", words=changes
    )
    export(trained, out, args.format)
    log.info("wrote %s", out)
    return 0


def require(format: Format) -> None:
    """Refuses a format whose packages are not installed."""
    if format == "onnx" and (lacking := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]):
        raise ValueError(f"format: onnx needs {' and '.join(lacking)}; pip install -r requirements-onnx.txt")


def export(trained: Trained, path: Path, format: Format) -> None:
    """Writes a model to a file, complete or not at all.

    Raises:
        ValueError: the model cannot be traced, or a package is not installed.
    """
    require(format)
    shape = clip_shape(trained)
    program, any_frames = trace(trained.model, shape)
    text = json.dumps(metadata(trained, shape, any_frames), ensure_ascii=False)
    with atomic_write(path) as temporary:
        if format == "pt2":
            with temporary.open("wb") as file:
                torch.export.save(program, file, extra_files={KEY: text})
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter about itself
            onnx = torch.onnx.export(program, dynamo=True, input_names=["x"], output_names=["logits"], verbose=False)
        if onnx is None:
            raise ValueError("format: the exporter of this torch gives no ONNX program; take torch 2.6 or newer")
        onnx.model.metadata_props[KEY] = text
        onnx.save(str(temporary))


def clip_shape(trained: Trained) -> tuple[int, int, int, int]:
    """(C, T, V, M) of the clips that the feeder gives, or of the model's input."""
    window = int(trained.args.get("window_size", -1))
    if isinstance(trained.model, SkeletonModel):
        C, T, V, M = trained.model.input_shape(window)
        return C, window if window > 0 else T, V, M
    C, T, V, M = trained.data.shape
    return C, window if window > 0 else T, V, M


def trace(model: nn.Module, shape: tuple[int, int, int, int]) -> tuple[ExportedProgram, bool]:
    """The exported program of a model for any number of clips, and whether for any number of frames, too.

    Raises:
        ValueError: it cannot be traced.
    """
    x = torch.zeros(2, *shape)
    errors = []
    for any_frames in (True, False):
        dynamic: dict[int, Any] = {0: Dim.AUTO, **({2: Dim.AUTO} if any_frames else {})}
        try:
            with fast.reference(), torch.no_grad():
                program = torch.export.export(model.eval(), (x,), dynamic_shapes=(dynamic,))
            # a dimension that the model fixes is traced as a number
            batch, *others = _input_shape(program)
            if isinstance(batch, int):
                raise ValueError(f"the model takes batches of {batch} only")
            return program, not isinstance(others[1], int)
        except Exception as error:  # the tracer raises errors of many kinds
            errors.append(error)
    raise ValueError(f"export: the model cannot be traced ({str(errors[-1]).splitlines()[0]})") from errors[-1]


def _input_shape(program: ExportedProgram) -> tuple[Any, ...]:
    """The shape of the only input, with a symbol for what may be any."""
    name = program.graph_signature.user_inputs[0]
    value: Tensor = next(node.meta["val"] for node in program.graph.nodes if node.name == name)
    return tuple(value.shape)


def metadata(trained: Trained, shape: tuple[int, int, int, int], any_frames: bool) -> dict[str, Any]:
    """What a program needs to know to use the file."""
    data = trained.data
    feeder = {key: value for key, value in trained.args.items() if not key.endswith("_path")}
    return {
        "class_names": list(trained.class_names),
        "joints": list(data.skeleton.joints) if data.skeleton else None,
        "parents": list(data.skeleton.parents) if data.skeleton else None,
        "channels": data.channels.as_mapping(),
        "shape": list(shape),  # C, T, V, M of a clip
        "any_frames": any_frames,
        "frame_rate": data.frame_rate,
        "made": data.made,
        "feeder": feeder,
        "versions": versions(),
    }
