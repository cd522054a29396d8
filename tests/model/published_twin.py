"""A slow, literal twin of the published ST-TR, for the model to be compared with.

Source: Plizzari, Cannici, Matteucci, *Skeleton-based action recognition via spatial and temporal transformer
networks*, CVIU 208-209, 2021; the released code's behaviour as its description has it. It shares nothing with
`model` but the graphs: every unit is a function of (state, prefix, x), and x stays channels-first.

Axis legend: N samples, M persons, B = N·M, C channels, T frames, V joints, K graph partitions, H heads,
D channels of a head, L attended positions (the joints of a frame, or the frames of a joint), X other axes.

The description leaves these open; read here as follows.

* agcn slip. The state dict lists `backbone` before `gcn0`, so `backbone.0.gcn1` is built first. Unless attention
  takes every block (`all_layers` with `attention`, where no adaptive unit is built), that unit is adaptive. Nothing
  that uses A is then built before the first adaptive unit, and "in place" spoils its own A too: A is either
  1e-6 everywhere (adaptive units, `gcn0`, convolutions beside attention, the sum of `adjacency`) or true everywhere.
* Partitions other than three: convolutions, `PA` and the sum of `adjacency` run over as many as the graph has.
* `adjacency` is of joints, so the attention along frames has none; its mask is there without `mask_learning` too.
* `use_local_bn` and `mask_learning` leave adaptive units alone.

Where the published code fails and the description says what ours gives, this gives it too: `key_rel` counts the
frames of `window_size`, the last window may be shorter, and an odd number of frames at stride 2 gives ceil(T/2).
"""

from __future__ import annotations

from itertools import accumulate, product
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from graph import skeleton_of
from graph.tools import partitions

Args = dict[str, Any]
Shapes = dict[str, list[int]]
State = dict[str, torch.Tensor]


class Block(NamedTuple):
    """`backbone.i`: its channels, and what takes the places of `gcn1` and `tcn1`."""

    prefix: str
    width_in: int
    width: int
    stride: int
    spatial: bool  # attention over joints
    temporal: bool  # attention over frames
    window: int | None  # frames of a window, in the windowed form
    frames: int  # after the stride, of a clip of `window_size`


def blocks_of(args: Args) -> list[Block]:
    """The backbone that `args` describe."""
    sizes = [(64, 64, 1)] * 3 + [(64, 128, 2)] + [(128, 128, 1)] * 2 + [(128, 256, 2)] + [(256, 256, 1)] * 2
    if args["all_layers"]:
        sizes = [(3, 64, 1), *sizes]
    times = 2 if args["double_channel"] else 1
    strides = [stride for *_, stride in sizes]
    frames = list(accumulate(strides, lambda T, stride: -(-T // stride), initial=args["window_size"]))[1:]
    blocks = []
    for i, (width_in, width, stride) in enumerate(sizes):
        width_in, width = times * width_in, times * width
        if i == 3 and args["concat_original"]:
            width_in += args["channel"]
        attentive = args["all_layers"] or width >= 128 * times
        windowed = args["all_layers"] and width == 64 * times
        window = {64: args["dim_block1"], 128: args["dim_block2"]}[width] if windowed else None
        spatial, temporal = attentive and args["attention"], attentive and args["tcn_attention"]
        blocks.append(Block(f"backbone.{i}", width_in, width, stride, spatial, temporal, window, frames[i]))
    return blocks


def adjacency_of(args: Args) -> torch.Tensor:
    """A (K, V, V), spoiled where the published code spoils it."""
    A = partitions(skeleton_of(args["num_point"]), args["graph_args"]["labeling_mode"])
    spoiled = args["agcn"] and not (args["all_layers"] and args["attention"])
    return torch.from_numpy(np.full_like(A, 1e-6) if spoiled else A).double()


class Heads(NamedTuple):
    """Channels of an attention: of a query or key and of a value in each of H heads, and after `attn_out`."""

    H: int
    d: int
    dv: int
    width: int
    scale: float  # of q


def heads_of(args: Args, width: int, only: bool) -> Heads:
    """The heads of a unit with `width` outputs; `only`: no convolution beside the attention."""
    H, dk, dv = args["Nh"], int(width * args["dk"]), width if only else int(width * args["dv"])
    share = args["n"] if args["more_channels"] else H
    return Heads(H, dk // share, dv // share, dv, (dk // H) ** -0.5)


# ---- shapes


def state_shapes(model_args: Args) -> Shapes:
    """Every key of the published state dict with its shape; `model_args` as published configs have them."""
    args = model_args
    C, V, M = args["channel"], args["num_point"], args["num_person"]
    blocks = blocks_of(args)
    first, last = blocks[0].width, blocks[-1].width
    shapes = bn_shapes("data_bn", M * V * C)
    if not args["all_layers"]:
        shapes |= graph_shapes("gcn0", C, first, args) | unit_shapes("tcn0", first, first, 9)
    for block in blocks:
        spatial = spatial_shapes if block.spatial else graph_shapes
        shapes |= spatial(f"{block.prefix}.gcn1", block.width_in, block.width, args)
        if block.temporal:
            shapes |= temporal_shapes(f"{block.prefix}.tcn1", block, args)
        else:
            shapes |= unit_shapes(f"{block.prefix}.tcn1", block.width, block.width, 9)
        if block.width_in != block.width or block.stride != 1:
            shapes |= unit_shapes(f"{block.prefix}.down1", block.width_in, block.width, 1)
    return shapes | bn_shapes("person_bn", last) | conv_shapes("fcn", last, args["num_class"], (1,))


def bn_shapes(prefix: str, width: int) -> Shapes:
    vectors = {f"{prefix}.{name}": [width] for name in ("weight", "bias", "running_mean", "running_var")}
    return vectors | {f"{prefix}.num_batches_tracked": []}


def conv_shapes(prefix: str, width_in: int, width: int, kernel: tuple[int, ...] = (1, 1)) -> Shapes:
    return {f"{prefix}.weight": [width, width_in, *kernel], f"{prefix}.bias": [width]}


def unit_shapes(prefix: str, width_in: int, width: int, kernel: int) -> Shapes:
    """A convolution along frames with its batch norm."""
    return conv_shapes(f"{prefix}.conv", width_in, width, (kernel, 1)) | bn_shapes(f"{prefix}.bn", width)


def graph_shapes(prefix: str, width_in: int, width: int, args: Args) -> Shapes:
    """The GCN unit, or the adaptive one."""
    K, V, _ = adjacency_of(args).shape
    shapes: Shapes = {}
    if not args["agcn"]:
        for k in range(K):
            shapes |= conv_shapes(f"{prefix}.conv_list.{k}", width_in, width)
        if args["mask_learning"]:
            shapes[f"{prefix}.mask"] = [K, V, V]
        return shapes | bn_shapes(f"{prefix}.bn", width * V if args.get("use_local_bn") else width)
    for k, (name, out) in product(range(K), (("a", width // 4), ("b", width // 4), ("d", width))):
        shapes |= conv_shapes(f"{prefix}.conv_{name}.{k}", width_in, out)
    shapes[f"{prefix}.PA"] = [K, V, V]
    if width_in != width:
        shapes |= conv_shapes(f"{prefix}.down.0", width_in, width) | bn_shapes(f"{prefix}.down.1", width)
    return shapes | bn_shapes(f"{prefix}.bn", width)


def attention_shapes(prefix: str, width_in: int, kernel: int, heads: Heads) -> Shapes:
    H, d, dv, width, _ = heads
    qkv_conv = conv_shapes(f"{prefix}.qkv_conv", width_in, H * (2 * d + dv), (1, kernel))
    return qkv_conv | conv_shapes(f"{prefix}.attn_out", H * dv, width)


def spatial_shapes(prefix: str, width_in: int, width: int, args: Args) -> Shapes:
    K, V, _ = adjacency_of(args).shape
    heads = heads_of(args, width, args["only_attention"])
    shapes = bn_shapes(f"{prefix}.data_bn", width_in * V) | bn_shapes(f"{prefix}.bn", width)
    shapes |= attention_shapes(f"{prefix}.attention_conv", width_in, 1, heads)
    if args["relative"]:
        shapes[f"{prefix}.attention_conv.key_rel"] = [V * V - V, heads.d]
        shapes[f"{prefix}.attention_conv.key_rel_diagonal"] = [1, heads.d]
    if args["adjacency"]:
        shapes[f"{prefix}.attention_conv.mask"] = [V, V]
    if not args["only_attention"]:
        for k in range(K):
            shapes |= conv_shapes(f"{prefix}.g_convolutions.{k}", width_in, width - heads.width)
    return shapes


def temporal_shapes(prefix: str, block: Block, args: Args) -> Shapes:
    width, V = block.width, args["num_point"]
    heads = heads_of(args, width, args["only_temporal_attention"])
    kernel = 1 if V % 2 == 0 and not args["more_channels"] else block.stride
    shapes = attention_shapes(prefix, width, kernel, heads) | bn_shapes(f"{prefix}.bn", width)
    if args["data_normalization"]:
        shapes |= bn_shapes(f"{prefix}.data_bn", width * V)
    if args["relative"]:
        shapes[f"{prefix}.key_rel"] = [2 * (block.window or block.frames) - 1, heads.d]
    if not args["only_temporal_attention"]:
        shapes |= unit_shapes(f"{prefix}.tcn_conv", width, width - heads.width, 9)
    if block.stride != 1:
        shapes |= unit_shapes(f"{prefix}.down", width, width, 1)
    return shapes


# ---- scores


def logits(state: dict[str, np.ndarray], x: np.ndarray, model_args: Args) -> np.ndarray:
    """Class scores (N, num_class) of clips x (N, C, T, V, M), in float64 and eval mode."""
    args = model_args
    doubles = {key: torch.from_numpy(np.asarray(value, dtype=np.float64)) for key, value in state.items()}
    return model(doubles, torch.from_numpy(x.astype(np.float64)), args).numpy()


def model(state: State, x: torch.Tensor, args: Args) -> torch.Tensor:
    N, C, T, V, M = x.shape
    raw = x.permute(0, 4, 1, 2, 3).reshape(N * M, C, T, V)
    if args["use_data_bn"]:
        x = bn(state, "data_bn", x.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T))
        x = x.reshape(N, M, V, C, T).permute(0, 3, 4, 2, 1)
    x = x.permute(0, 4, 1, 2, 3).reshape(N * M, C, T, V)
    A = adjacency_of(args)
    if not args["all_layers"]:
        x = graph_unit(state, "gcn0", x, A, args)
        x = conv_unit(state, "tcn0", x)
    for i, block in enumerate(blocks_of(args)):
        if i == 3 and args["concat_original"]:
            x = torch.cat([x, raw], dim=1)
        x = run_block(state, block, x, A, args)
    x = x.reshape(N, M, *x.shape[1:]).mean(dim=(1, 3, 4))
    return x @ state["fcn.weight"][:, :, 0].T + state["fcn.bias"]


def run_block(state: State, block: Block, x: torch.Tensor, A: torch.Tensor, args: Args) -> torch.Tensor:
    gcn1, tcn1 = f"{block.prefix}.gcn1", f"{block.prefix}.tcn1"
    residual = x
    if block.width_in != block.width or block.stride != 1:
        residual = conv_unit(state, f"{block.prefix}.down1", x, block.stride)
    y = spatial_attention(state, gcn1, x, A, args) if block.spatial else graph_unit(state, gcn1, x, A, args)
    if block.temporal:
        return temporal_attention(state, tcn1, y, block, args) + residual
    return conv_unit(state, tcn1, y, block.stride) + residual


def bn(state: State, prefix: str, x: torch.Tensor) -> torch.Tensor:
    """Batch norm of the features (axis 1) by the running statistics."""
    weight, bias, mean, var = (
        state[f"{prefix}.{name}"].reshape(-1, *[1] * (x.dim() - 2))
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def bn_of_joints(state: State, prefix: str, x: torch.Tensor) -> torch.Tensor:
    """BN1(C·V) of x (B, C, T, V): a channel of a joint is a feature."""
    B, C, T, V = x.shape
    x = bn(state, prefix, x.permute(0, 1, 3, 2).reshape(B, C * V, T))
    return x.reshape(B, C, V, T).permute(0, 1, 3, 2)


def conv(state: State, prefix: str, x: torch.Tensor, stride: tuple[int, int] = (1, 1)) -> torch.Tensor:
    """Convolution of x (B, C, T, V), padded along frames to keep their number."""
    weight = state[f"{prefix}.weight"]
    return F.conv2d(x, weight, state[f"{prefix}.bias"], stride, ((weight.shape[2] - 1) // 2, 0))


def conv_unit(state: State, prefix: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    return bn(state, f"{prefix}.bn", conv(state, f"{prefix}.conv", x, (stride, 1))).relu()


def graph_unit(state: State, prefix: str, x: torch.Tensor, A: torch.Tensor, args: Args) -> torch.Tensor:
    """The GCN unit, or with `agcn` the adaptive one: (B, C, T, V) -> (B, width, T, V)."""
    if args["agcn"]:
        return adaptive_unit(state, prefix, x, A)
    if args["mask_learning"]:
        A = A * state[f"{prefix}.mask"]
    y = sum_of_convs(state, f"{prefix}.conv_list", x, A)
    normalize = bn_of_joints if args.get("use_local_bn") else bn
    return normalize(state, f"{prefix}.bn", y).relu()


def sum_of_convs(state: State, prefix: str, x: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
    """sum_k conv_k(x·A_k)."""
    parts = [conv(state, f"{prefix}.{k}", x @ A_k) for k, A_k in enumerate(A)]
    return torch.stack(parts).sum(dim=0)


def adaptive_unit(state: State, prefix: str, x: torch.Tensor, A: torch.Tensor) -> torch.Tensor:
    B, _, T, V = x.shape
    y = torch.zeros(())
    for k in range(len(A)):
        a, b = conv(state, f"{prefix}.conv_a.{k}", x), conv(state, f"{prefix}.conv_b.{k}", x)
        c = a.shape[1]
        products = a.reshape(B, c * T, V).transpose(1, 2) @ b.reshape(B, c * T, V)
        S = (products / (c * T)).softmax(dim=-2)
        mixed = x @ (S + A[k] + state[f"{prefix}.PA"][k])[:, None]
        y = y + conv(state, f"{prefix}.conv_d.{k}", mixed)
    down = x
    if y.shape[1] != x.shape[1]:
        down = bn(state, f"{prefix}.down.1", conv(state, f"{prefix}.down.0", x))
    return (bn(state, f"{prefix}.bn", y) + down).relu()


def attend(qkv: torch.Tensor, heads: Heads, R: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
    """Attention among the last axis of qkv (X, H(2D + Dv), L) -> (X, H·Dv, L).

    R (L, L, D) is the vector of every pair (query, key), bias (L, L) is added to their logits.
    """
    X, _, L = qkv.shape
    H, d, dv, _, scale = heads
    q, k, v = qkv.split([H * d, H * d, H * dv], dim=1)
    q = q.reshape(X, H, d, L).transpose(2, 3) * scale
    products = q @ k.reshape(X, H, d, L)
    if bias is not None:
        products = products + bias
    if R is not None:
        products = products + torch.einsum("xhid,ijd->xhij", q, R)
    weights = products.softmax(dim=-1)
    return (v.reshape(X, H, dv, L) @ weights.transpose(2, 3)).reshape(X, H * dv, L)


def spatial_attention(state: State, prefix: str, x: torch.Tensor, A: torch.Tensor, args: Args) -> torch.Tensor:
    B, _, T, V = x.shape
    width = len(state[f"{prefix}.bn.weight"])
    heads = heads_of(args, width, args["only_attention"])
    unit = f"{prefix}.attention_conv"
    normed = bn_of_joints(state, f"{prefix}.data_bn", x) if args["data_normalization"] else x
    R = bias = None
    if args["relative"]:
        R = state[f"{unit}.key_rel_diagonal"].expand(V, V, -1).clone()
        pairs = [(i, j) for i, j in product(range(V), repeat=2) if i != j]
        for row, (i, j) in enumerate(pairs):
            R[i, j] = state[f"{unit}.key_rel"][row]
    if args["adjacency"]:
        bias = A.sum(dim=0) * state[f"{unit}.mask"]
    qkv = conv(state, f"{unit}.qkv_conv", normed)
    y = attend(qkv.transpose(1, 2).flatten(0, 1), heads, R, bias)
    y = conv(state, f"{unit}.attn_out", y.reshape(B, T, -1, V).transpose(1, 2))
    if not args["only_attention"]:
        y = torch.cat([sum_of_convs(state, f"{prefix}.g_convolutions", normed, A), y], dim=1)
    elif args["skip_conn"] and x.shape[1] == width:
        y = y + x
    return bn(state, f"{prefix}.bn", y).relu()


def temporal_attention(state: State, prefix: str, x: torch.Tensor, block: Block, args: Args) -> torch.Tensor:
    B, C, _, V = x.shape
    heads = heads_of(args, block.width, args["only_temporal_attention"])
    normed = bn_of_joints(state, f"{prefix}.data_bn", x) if args["data_normalization"] else x
    frames_last = normed.permute(0, 3, 1, 2).reshape(B * V, C, 1, -1)
    kernel = state[f"{prefix}.qkv_conv.weight"].shape[3]
    if frames_last.shape[3] % 2 and kernel == 2:
        frames_last = F.pad(frames_last, (0, 1))  # a zero frame at the end: the published code fails here
    qkv = conv(state, f"{prefix}.qkv_conv", frames_last, (1, block.stride))[:, :, 0]
    T = qkv.shape[2]
    windows = []
    for window in qkv.split(block.window or T, dim=2):
        R = None
        if args["relative"]:
            R = relative_frames(state[f"{prefix}.key_rel"], window.shape[2], block.window or T)
        windows.append(attend(window, heads, R, None))
    y = torch.cat(windows, dim=2).reshape(B, V, -1, T).permute(0, 2, 3, 1)
    y = conv(state, f"{prefix}.attn_out", y)
    if not args["only_temporal_attention"]:
        y = torch.cat([conv_unit(state, f"{prefix}.tcn_conv", x, block.stride), y], dim=1)
    if args["skip_conn"]:
        y = y + (x if block.stride == 1 else conv_unit(state, f"{prefix}.down", x, block.stride))
    return bn(state, f"{prefix}.bn", y).relu()


def relative_frames(key_rel: torch.Tensor, L: int, frames: int) -> torch.Tensor:
    """(L, L, D): row j - i + frames - 1 of `key_rel` (2·frames - 1, D) for query i and key j."""
    if len(key_rel) != 2 * frames - 1:
        raise ValueError(f"key_rel has {len(key_rel)} rows, {frames} frames need {2 * frames - 1}")
    i, j = torch.arange(L)[:, None], torch.arange(L)[None, :]
    return key_rel[j - i + frames - 1]
