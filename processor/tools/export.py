"""A trained model as a file that other programs run: ONNX, or PyTorch's exported program.

The file takes prepared clips (N, C, T, V, M) and gives logits (N, num_class), for any N, and any T where the model
takes any. With `--stream` two files are written, for S-TR frame by frame (`model.streaming`): the step takes four
frames and a state and gives the next state, the tail gives the logits of a state and up to four more frames. The
metadata of a file, one JSON text under the key `st_tr`, say what the classes, joints, channels and frames are and how
recordings are prepared. The plain functions of `model.layers` are traced, in float32 on the CPU.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils._pytree import tree_map

from graph.common.files import atomic_write, check_folder
from model import fast
from model.base import SkeletonModel
from model.streaming import STEP, Step, Tail, streamable
from processor.state.data import versions
from processor.tools.phase import PhaseParser, of_weights
from processor.tools.trained import Trained, load_trained

log = logging.getLogger(__name__)

KEY = "st_tr"  # of the metadata
TALKATIVE = ("torch.fx", "torch.onnx", "onnxscript", "onnx_ir")  # loggers that tell each step
Format = Literal["onnx", "pt2"]
MANY = 1 << 30  # frames: no limit


def parser() -> PhaseParser:
    """The options of the command."""
    words = PhaseParser(
        "export",
        description="Write a trained model as a file that other programs can run.",
        epilog="With --config, keys of the configuration can be given, too. See docs/deploy.md.",
    )
    words.option("weights", type=Path, required=True, help="last.pt or best.pt of a run")
    words.option("format", choices=get_args(Format), required=True, help="onnx, or pt2, which torch.export.load reads")
    words.option("stream", action="store_true", help="export S-TR frame by frame: writes NAME.step.* and NAME.tail.*")
    words.option("out", type=Path, help="file to write (default: beside the weights, with the format as suffix)")
    return words


def main(argv: Sequence[str]) -> int:
    """Exports what the command line names; returns the exit status, errors as `export`."""
    args, changes = parser().read(argv)
    out = args.out or args.weights.with_suffix(f".{args.format}")
    if out.is_dir() or out.resolve() == args.weights.resolve():
        raise ValueError(f"out: {out} is {'a folder' if out.is_dir() else 'the file of weights'}; name another file")
    if args.device not in (None, "auto", "cpu"):
        raise ValueError("device: export computes on the CPU, so that the file works anywhere; leave --device out")
    check_folder(out.parent, "out")
    (trained,) = load_trained([args.weights], **of_weights(args, changes) | {"device": "cpu"})
    for path in export_stream(trained, out, args.format) if args.stream else export(trained, out, args.format):
        log.info("wrote %s", path)
    return 0


def require(format: Format) -> None:
    """Refuses a format whose packages are not installed."""
    if format == "onnx" and (lacking := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]):
        raise ValueError(f"format: onnx needs {' and '.join(lacking)}; pip install -r requirements-onnx.txt")


def export(trained: Trained, path: Path, format: Format) -> list[Path]:
    """Writes a model to a file, complete or not at all; returns its path.

    Raises:
        ValueError: the model cannot be traced, or a package is not installed.
    """
    require(format)
    shape = clip_shape(trained)
    program, frames = trace(trained.model, shape, format)
    write(program, path, format, metadata(trained, shape, frames), ["x"], ["logits"])
    return [path]


def export_stream(trained: Trained, path: Path, format: Format) -> list[Path]:
    """Writes NAME.step.SUFFIX and NAME.tail.SUFFIX; returns their paths, errors as `export` and `Step`.

    What both take and give is in their metadata: `state` has the name, shape (N: streams) and type of each tensor.
    """
    require(format)
    streamable(trained.model)  # before what another training could change
    if keys := [key for key in ("min_max", "random_shift") if trained.args.get(key)]:
        raise ValueError(
            f"stream: the feeder's {keys[0]} looks at all frames of a clip; leave --stream out, or train the model "
            f"with {keys[0]}: false in both feeders' arguments"
        )
    if trained.args.get("sampling", "crop") != "crop":
        raise ValueError(
            f"stream: sampling: {trained.args['sampling']} chooses among all frames of a clip; leave --stream out, or "
            "train the model with sampling: crop"
        )
    step, shape = Step(trained.model), clip_shape(trained)
    C, _, V, M = shape
    frames, count, state = torch.zeros(2, C, STEP, V, M), torch.full((1,), STEP), step.empty(2)
    about = metadata(trained, shape, (1, None)) | {
        "state": [
            {"name": name, "shape": ["N" if x.dim() > 1 else 1, *x.shape[1:]], "type": str(x.dtype)[len("torch.") :]}
            for name, x in state.items()
        ]
    }
    parts: dict[str, tuple[nn.Module, list[Any], list[str], list[str]]] = {
        "step": (step, [frames, state], ["frames", *state], [f"next_{name}" for name in state]),
        "tail": (Tail(step), [frames, count, state], ["frames", "count", *state], ["logits"]),
    }
    paths = []
    for part, (module, inputs, taken, given) in parts.items():
        program = traced(module, inputs, [0])
        paths.append(path.with_suffix(f".{part}{path.suffix}"))
        write(program, paths[-1], format, {**about, "part": part}, taken, given)
    return paths


def write(
    program: ExportedProgram, path: Path, format: Format, about: Mapping[str, Any], taken: Sequence[str],
    given: Sequence[str],
) -> None:  # fmt: skip
    """Writes a traced program, with its metadata and the names of what it takes and gives."""
    text = json.dumps(about, ensure_ascii=False)
    with atomic_write(path) as temporary:
        if format == "pt2":
            with temporary.open("wb") as file:
                torch.export.save(program, file, extra_files={KEY: text})
            return
        with _silence():
            onnx = torch.onnx.export(program, dynamo=True, input_names=taken, output_names=given, verbose=False)
        if onnx is None:
            raise ValueError("format: the exporter of this torch gives no ONNX program; take torch 2.6 or newer")
        onnx.model.metadata_props[KEY] = text
        onnx.save(str(temporary))


@contextmanager
def _silence() -> Iterator[None]:
    """Inside, the tracer and the exporter to ONNX tell errors alone."""
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in TALKATIVE}
    try:
        for logger in levels:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def clip_shape(trained: Trained) -> tuple[int, int, int, int]:
    """(C, T, V, M) of the clips that the feeder gives, or of the model's input."""
    window, model = int(trained.args.get("window_size", -1)), trained.model
    T = window if window > 0 else trained.data.shape[1]
    C, _, V, M = model.input_shape(T) if isinstance(model, SkeletonModel) else trained.data.shape
    return C, T, V, M


def trace(
    model: nn.Module, shape: tuple[int, int, int, int], format: Format
) -> tuple[ExportedProgram, tuple[int, int | None]]:
    """The exported program of a model for any number of clips, and the least and most frames that it takes; None: any.

    The tracer's conditions may ask for more frames than the model does. A pt2 file keeps them, ONNX drops them.

    Raises:
        ValueError: it cannot be traced.
    """
    x, T = torch.zeros(2, *shape), shape[1]
    with suppress(ValueError, ZeroDivisionError):  # it may be traced for one number of frames; windows divide by it
        program = traced(model, [x], [0, 2])
        least, most = _frames(program)
        if least == most:
            return program, (least, most)
        run = program.module() if format == "pt2" else partial(_unconditional, program)
        numbers = {least, T - 1, T + 1, most or T + 1}
        if _holds(run, model, shape, (n for n in numbers if least <= n <= (most or n))):
            while format == "onnx" and least > 1 and _holds(run, model, shape, [least - 1]):
                least -= 1
            return program, (least, most)
    return traced(model, [x], [0]), (T, T)


def _frames(program: ExportedProgram) -> tuple[int, int | None]:
    """The least and the most frames that a program takes; None: any."""
    frames = _size(program, 2)
    if _is_fixed(frames):
        return int(frames), int(frames)
    ends = program.range_constraints[frames.node.expr]  # relative positions reach so many frames
    least = int(ends.lower) if ends.lower > 2 else 1  # the tracer begins at 2
    return least, int(ends.upper) if ends.upper < MANY else None


def _unconditional(program: ExportedProgram, x: Tensor) -> Tensor:
    """What the graph of a program gives, without the tracer's conditions on the input."""
    held = {**program.state_dict, **program.constants}
    inputs = [held[spec.target] if spec.target else x for spec in program.graph_signature.input_specs]
    (y,) = program.graph_module(*inputs)
    return y


def _holds(
    run: Callable[[Tensor], Tensor], model: nn.Module, shape: tuple[int, int, int, int], numbers: Iterable[int]
) -> bool:
    """Whether a program gives the logits of the model for clips of these numbers of frames.

    It does not where the model splits the frames into windows: the trace has their number, and how many frames the last
    one has. Such conditions are not among those that `range_constraints` tells, and ONNX drops them.
    """
    C, _, V, M = shape
    generator = torch.Generator().manual_seed(0)
    for frames in numbers:
        x = torch.randn(2, C, frames, V, M, generator=generator)
        with fast.reference(), torch.no_grad():
            try:
                given = run(x)
            except (AssertionError, RuntimeError):
                return False
            if not torch.allclose(given, model(x), rtol=1e-3, atol=1e-4):
                return False
    return True


def traced(module: nn.Module, inputs: Sequence[Any], free: Sequence[int]) -> ExportedProgram:
    """The exported program of a module whose inputs, tensors or dictionaries of them, have `free` axes of any length.

    A tensor with one axis has a fixed shape.

    Raises:
        ValueError: it cannot be traced, or takes one number of clips only.
    """
    shapes = tree_map(lambda x: dict.fromkeys(free if x.dim() > 1 else (), Dim.AUTO), tuple(inputs))
    try:
        with _silence(), fast.reference(), torch.no_grad():
            program = torch.export.export(module.eval(), tuple(inputs), dynamic_shapes=shapes)
    except Exception as error:  # the tracer raises errors of many kinds
        raise ValueError(f"export: the model cannot be traced ({str(error).splitlines()[0]})") from error
    if _is_fixed(_size(program, 0)):
        raise ValueError(f"export: the model takes batches of {_size(program, 0)} only")
    return program


def _size(program: ExportedProgram, axis: int) -> Any:
    """The length of an axis of the first input: a number, or a symbol for what may be any."""
    name = program.graph_signature.user_inputs[0]
    return next(node.meta["val"] for node in program.graph.nodes if node.name == name).shape[axis]


def _is_fixed(size: Any) -> bool:
    """Whether the tracer made a length one number, which it may hide in a symbol."""
    return isinstance(size, int) or bool(size.node.expr.is_number)


def metadata(trained: Trained, shape: tuple[int, int, int, int], frames: tuple[int, int | None]) -> dict[str, Any]:
    """What a program needs to know to use the file."""
    data, skeleton = trained.data, trained.data.skeleton
    return {
        "class_names": list(trained.class_names),
        "joints": skeleton and list(skeleton.joints),
        "parents": skeleton and list(skeleton.parents),
        "channels": data.channels.as_mapping(),
        "shape": list(shape),  # C, T, V, M of a clip of the test
        "frames": list(frames),  # the least and the most; null: any
        "frame_rate": data.frame_rate,
        "made": data.made,
        "feeder": {key: value for key, value in trained.args.items() if not key.endswith("_path")},
        # (C, V) each: what `normalization` subtracts from a clip, and what it then divides it by
        "statistics": data.statistics and [x[:, 0, :, 0].tolist() for x in data.statistics],
        "versions": versions(),
    }
