"""Published ST-TR checkpoints: what their keys mean, and the model they are of.

Source: the published implementation's state dicts (Plizzari et al., CVIU 2021). The map below is the only place that
knows their keys. Axis legend of the shape comments: K partitions, V joints, o and i channels out and in.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from graph import graph_of
from model.layers.gcn import GCN, AdaptiveGCN
from model.st_tr import Model

log = logging.getLogger(__name__)

LABELING_MODES = {3: "spatial", 2: "distance", 1: "uniform"}  # by the number of partitions
SLIP = 1e-6  # the value of every entry of the fixed adjacency that published agcn weights were trained with


def _matrix(weights: list[Tensor]) -> Tensor:
    """1x1 convolutions (o, i, 1, 1) of the partitions, side by side: (o, K·i)."""
    return torch.cat([w.flatten(1) for w in weights], dim=1)


def _stack(tensors: list[Tensor]) -> Tensor:
    """1x1 convolutions of the partitions, one below the other: (K·o, i), or biases (K·o)."""
    return torch.cat([t.flatten(1) if t.dim() > 1 else t for t in tensors])


def _sum(biases: list[Tensor]) -> Tensor:
    return torch.stack(biases).sum(dim=0)


def _only(tensors: list[Tensor]) -> Tensor:
    return tensors[0]


def _tokens(weights: list[Tensor]) -> Tensor:
    """Temporal q, k, v (o, i, 1, s) over s frames: (o, s·i)."""
    return rearrange(weights[0], "o i 1 s -> o (s i)")


# published key inside a unit, our key, what becomes of the tensors (several where a partition's number k stands)
KEYS: tuple[tuple[str, str, Callable[[list[Tensor]], Tensor]], ...] = (
    (r"(g_convolutions|conv_list|conv_d)\.(?P<k>\d+)\.weight", "conv.linear.weight", _matrix),
    (r"(g_convolutions|conv_list|conv_d)\.(?P<k>\d+)\.bias", "conv.linear.bias", _sum),
    (r"conv_a\.(?P<k>\d+)\.(?P<p>weight|bias)", "query.{p}", _stack),
    (r"conv_b\.(?P<k>\d+)\.(?P<p>weight|bias)", "key.{p}", _stack),
    (r"down\.0\.(?P<p>weight|bias)", "down.linear.{p}", _stack),
    (r"down\.1\.(?P<p>\w+)", "down.bn.{p}", _only),
    (r"(?P<d>down1?)\.conv\.(?P<p>weight|bias)", "{d}.linear.{p}", _stack),
    (r"(attention_conv\.)?qkv_conv\.weight", "attention.qkv.weight", _tokens),
    (r"(attention_conv\.)?qkv_conv\.bias", "attention.qkv.bias", _only),
    (r"(attention_conv\.)?attn_out\.(?P<p>weight|bias)", "attention.out.{p}", _stack),
    (r"(attention_conv\.)?(?P<p>key_rel(_diagonal)?)", "attention.relative.{p}", _only),
    (r"attention_conv\.mask", "attention.bias.mask", _only),
    (r"tcn_conv\.(?P<p>(conv|bn)\.\w+)", "conv.{p}", _only),
    (r"data_bn\.(?P<p>\w+)", "norm.{p}", _only),
    (r"mask", "conv.mask", _only),
)
UNIT = re.compile(r"(?P<unit>gcn0\.|tcn0\.|backbone\.\d+\.([gt]cn1\.)?)(?P<rest>.+)")
IDLE = re.compile(
    r"person_bn\..+|data_bn\..+|.+\.[gt]cn1\.data_bn\..+|.+\.tcn1\.(tcn_conv|down)\..+|.+\.num_batches_tracked"
)
# what published configurations name otherwise, and the options that do nothing there
RENAMED_IMPORTS = {
    "st_gcn.feeder.Feeder": "feeders.feeder.Feeder",
    "st_gcn.feeder.Feeder_kinetics": "feeders.feeder.Feeder",
    "st_gcn.net.ST_GCN": "model.st_tr.Model",
    "st_gcn.graph.NTU_RGB_D": "graph.ntu_rgb_d.Graph",
    "st_gcn.graph.Kinetics": "graph.kinetics.Graph",
    "st_gcn.graph.kinetics": "graph.kinetics.Graph",
}
WITHOUT_EFFECT = (
    "weight_matrix",
    "bn_flag",
    "attention_3",
    "kernel_temporal",
    "visualization",
    "optical_flow",
)


def from_published(state_dict: Mapping[str, Any], model_args: Mapping[str, Any] | None = None) -> Model:
    """The model of a published checkpoint, with its weights, in eval mode.

    Args:
        state_dict: of the published implementation, with or without `module.` prefixes; tensors or numpy arrays.
        model_args: the options, by their published names; None infers all that keys and shapes settle and takes the
            releases' values (`Nh` 8, skip connections, normalised input) for what leaves no trace.

    Raises:
        ValueError: keys or shapes that are not those of this model.
    """
    published = {key.removeprefix("module."): torch.as_tensor(value) for key, value in state_dict.items()}
    inferred = infer_model_args(published)
    given = {key: value for key, value in (model_args or {}).items() if key not in WITHOUT_EFFECT}
    args = {**inferred, **given}
    graph = args.get("graph") or graph_of(args["num_point"])
    model = Model(**{**args, "graph": RENAMED_IMPORTS.get(graph, graph)})
    load_published(model, published)
    return model.eval()


def is_published(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether these are keys and shapes of the published code: there `fcn` is a convolution."""
    return "fcn.weight" in state_dict and state_dict["fcn.weight"].dim() == 3


def load_published(model: Model, published: Mapping[str, Tensor], kept: Mapping[str, Tensor] | None = None) -> None:
    """Loads a published state dict into `model`, but for the tensors `kept` (by our names).

    Raises:
        ValueError: keys or shapes that are not those of this model.
    """
    model.load_state_dict(convert(published, model, kept or {}))
    if any(isinstance(module, AdaptiveGCN) for module in model.modules()):
        _fill_slip(model)


def _fill_slip(model: Model) -> None:
    """Set every fixed adjacency to what published agcn weights were trained with, and say so."""
    partitions = next(len(unit.PA) for unit in model.modules() if isinstance(unit, AdaptiveGCN))
    for name, buffer in model.named_buffers():
        if name.rsplit(".", 1)[-1] == "A":
            buffer.fill_(SLIP)
        elif name.endswith(".adjacency"):
            buffer.fill_(SLIP * partitions)
    log.info("published agcn weights: fixed adjacency set to %g, with which they were trained", SLIP)


def convert(published: Mapping[str, Tensor], model: Model, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict as one of `model`; tensors without effect on the scores are logged as idle.

    Tensors named in `kept` come from there.

    Raises:
        ValueError: tensors that are missing, unknown, or of another shape than the model's.
    """
    sources: dict[str, list[tuple[int, str]]] = {}
    folds: dict[str, Callable[[list[Tensor]], Tensor]] = {}
    for key in published:
        name, number, folds[name] = _translate(key)
        sources.setdefault(name, []).append((number, key))
    own = model.state_dict()
    local = {f"{name}.bn" for name, unit in model.named_modules() if isinstance(unit, GCN) and unit.local_bn}
    state: dict[str, Tensor] = {}
    idle: list[str] = []
    problems: list[str] = []
    for name, keys in sources.items():
        if name in kept:
            continue
        if name not in own:
            (idle if IDLE.fullmatch(keys[0][1]) else problems).extend(key for _, key in keys)
            continue
        tensor = folds[name]([published[key] for _, key in sorted(keys)])
        parent = name.rpartition(".")[0]
        if tensor.dim() == 1 and (parent in local or parent.endswith("cn1.norm")):
            tensor = rearrange(tensor, "(c v) -> (v c)", v=model.options.num_point)  # ours ends in channels
        if tensor.shape != own[name].shape:
            problems.append(f"{keys[0][1]} gives {tuple(tensor.shape)}, the model takes {tuple(own[name].shape)}")
        state[name] = tensor
    fixed = {name for name in own if name.endswith((".A", ".adjacency"))}
    problems += [f"{name} is missing" for name in own.keys() - state.keys() - kept.keys() - fixed]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ValueError(f"weights: they are not those of a model with these options: {shown}")
    if idle:
        log.info("published weights: %d tensors are idle, such as %s", len(idle), idle[0])
    return {**{name: own[name] for name in fixed}, **state, **kept}


def _translate(key: str) -> tuple[str, int, Callable[[list[Tensor]], Tensor]]:
    """Our name of a published key, its partition's number (0 without one), and how its tensors become ours."""
    if key == "fcn.weight":
        return key, 0, _stack
    if inside := UNIT.fullmatch(key):
        for pattern, name, fold in KEYS:
            if match := re.fullmatch(pattern, inside["rest"]):
                groups = match.groupdict()
                return inside["unit"] + name.format(**groups), int(groups.get("k") or 0), fold
    return key, 0, _only


def infer_model_args(published: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options that keys and shapes of a published state dict settle.

    Raises:
        ValueError: keys that an ST-TR state dict has are missing.
    """
    shapes = {key: tuple(value.shape) for key, value in published.items()}

    def first(pattern: str) -> tuple[str, tuple[int, ...]] | None:
        return next(((key, shape) for key, shape in shapes.items() if re.search(pattern, key)), None)

    all_layers = first(r"^gcn0\.") is None
    lowest = r"backbone\.0\.gcn1" if all_layers else "gcn0"
    entry = first(rf"^{lowest}\.(conv_list\.0|conv_d\.0|attention_conv\.qkv_conv)\.weight")
    if not entry or "fcn.weight" not in shapes or "data_bn.weight" not in shapes:
        raise ValueError("weights: not a state dict of ST-TR, `fcn`, `data_bn` or the first layer is missing")
    num_class, width = shapes["fcn.weight"][:2]
    channel = entry[1][1]
    partitions = len({m[1] for key in shapes if (m := re.search(r"(?:conv_list|conv_d|g_convolutions)\.(\d+)\.", key))})
    spatial = first(r"gcn1\.attention_conv\.attn_out\.weight")
    temporal = first(r"tcn1\.attn_out\.weight")
    down = shapes.get("backbone.3.down1.conv.weight")
    num_point = _num_point(shapes)
    bn = first(r"^(gcn0|backbone\.\d\.gcn1)\.bn\.weight")
    conv = first(r"^(gcn0|backbone\.\d\.gcn1)\.conv_list\.0\.weight")
    args: dict[str, Any] = {
        "num_class": num_class,
        "channel": channel,
        "num_point": num_point,
        "num_person": shapes["data_bn.weight"][0] // (num_point * channel),
        "graph_args": {"labeling_mode": LABELING_MODES[partitions or 3]},
        "double_channel": width == 512,
        "attention": spatial is not None,
        "tcn_attention": temporal is not None,
        "all_layers": all_layers,
        "agcn": first(r"\.PA$") is not None,
        "concat_original": down is not None and down[1] != width // 4,
        "adjacency": first(r"attention_conv\.mask$") is not None,
        "relative": first(r"key_rel$") is not None,
        "mask_learning": conv is None or first(r"^(gcn0|backbone\.\d\.gcn1)\.mask$") is not None,
        "use_local_bn": conv is not None and bn is not None and bn[1][0] != conv[1][0],
        "data_normalization": temporal is None or first(r"tcn1\.data_bn") is not None,
    }
    for attention, switch in ((spatial, "only_attention"), (temporal, "only_temporal_attention")):
        if attention:
            args.update(_attention_args(shapes, attention[0].removesuffix("attn_out.weight"), switch))
    return {**args, **_frames(shapes, width)}


def _num_point(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """V, from whatever has it among its sizes."""
    for key, shape in shapes.items():
        if key.endswith((".PA", "mask")):
            return shape[-1]
        if key.endswith("gcn1.data_bn.weight"):
            unit = key.removesuffix("data_bn.weight")
            return shape[0] // shapes[unit + "attention_conv.qkv_conv.weight"][1]
        if key.endswith("tcn1.data_bn.weight"):
            return shape[0] // shapes[key.removesuffix("data_bn.weight") + "qkv_conv.weight"][1]
    raise ValueError("weights: they do not settle the number of joints; give num_point in model_args")


def _attention_args(shapes: Mapping[str, tuple[int, ...]], prefix: str, switch: str) -> dict[str, Any]:
    """dk, dv, heads and channel sharing, from one attention's shapes; `switch` says if a convolution is beside it."""
    unit = prefix.removesuffix("attention_conv.")
    width = shapes[unit + "bn.weight"][0]
    dv, inner = shapes[prefix + "attn_out.weight"][:2]
    keys = (shapes[prefix + "qkv_conv.weight"][0] - inner) // 2  # channels of all heads' keys
    key_rel = shapes.get(prefix + "key_rel")
    args: dict[str, Any] = {switch: dv == width, "more_channels": inner != dv}
    if dv != width:
        args["dv"] = dv / width
    if inner != dv:
        heads = 8
        args["n"] = heads * dv // inner
        args["dk"] = keys // heads * args["n"] / width
    else:
        args["dk"] = keys / width
        if key_rel:
            args["Nh"] = keys // key_rel[1]
    return args


def _frames(shapes: Mapping[str, tuple[int, ...]], width: int) -> dict[str, int]:
    """`window_size` and block sizes, as far as relative tables of frames hold them."""
    args = {}
    for key, shape in shapes.items():
        if key.endswith("tcn1.key_rel"):
            frames = (shape[0] + 1) // 2
            stage = shapes[key.replace("key_rel", "bn.weight")][0]
            if stage == width // 4:
                args["dim_block1" if stage <= 64 else "dim_block2"] = frames
            else:
                args["window_size"] = frames * (2 if stage == width // 2 else 4)
                break
    return args
