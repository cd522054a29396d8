"""A slow, literal twin of the original Zoom Transformer, for the model to be compared with.

Source: Zhang et al., *Zoom Transformer for Skeleton-Based Group Activity Recognition*, IEEE TCSVT 2022, as its
description has it. It shares nothing with `model`: units are functions of (state, prefix, x), and x is channels-first.

Axis legend: N samples, M persons, B = N·M, C channels, T frames, V joints or persons, H heads.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]
STRIDES = {"body_transf.l4.": 2, "body_transf.l6.": 2}


def shapes(golden: dict[str, list[int]], *, V: int, M: int, C: int) -> dict[str, list[int]]:
    """The shapes of a state dict for V joints, M persons and C channels, from those for 17, 12 and 3."""
    changed = {}
    for key, shape in golden.items():
        if re.search(r"\.PA|\.mask", key):
            shape = [V if size == 17 else size for size in shape]
        elif "data_bn" in key and shape:
            shape = [M * V * C]
        elif re.search(r"l1\.gcn1\.(conv_[abd]\.\d|down\.0)\.weight", key):
            shape = [shape[0], C, 1, 1]
        changed[key] = shape
    return changed


def logits(state: State, x: Tensor, A: np.ndarray, heads: int) -> Tensor:
    """(N, C, T, V, M) -> (N, classes) of published weights in float64; `A` (K, V, V) as the original has it."""
    N, C, T, V, M = x.shape
    flat = torch.stack([x[:, c, :, v, m] for m in range(M) for v in range(V) for c in range(C)], dim=1)
    flat = batch_norm(state, "body_transf.data_bn.", flat)
    h = flat.view(N, M, V, C, T).permute(0, 1, 3, 4, 2).reshape(N * M, C, T, V)
    h = scales(state, "body_transf.l1.tcn1.", adaptive_graph(state, "body_transf.l1.gcn1.", h, A)).relu()
    for i in range(2, 8):
        h = block(state, f"body_transf.l{i}.", h, heads)
    h = h.mean(dim=3).view(N, M, 192, -1).permute(0, 2, 3, 1)  # (N, C, T / 4, M)
    for i in (1, 2):
        h = block(state, f"group_transf.l{i}.", h, heads)
    return F.linear(h.mean(dim=(2, 3)), state["group_transf.fc.weight"], state["group_transf.fc.bias"])


def adaptive_graph(state: State, prefix: str, x: Tensor, A: np.ndarray) -> Tensor:
    total = torch.zeros(())
    for k, partition in enumerate(torch.from_numpy(A).double()):
        a, b = (convolve(state, f"{prefix}conv_{name}.{k}.", x) for name in "ab")
        similarity = torch.einsum("bctv,bctw->bvw", a, b) / (a.shape[1] * a.shape[2])
        graph = partition + state[prefix + "PA"][k] + similarity.softmax(dim=1)
        total = total + convolve(state, f"{prefix}conv_d.{k}.", torch.einsum("bctv,bvw->bctw", x, graph))
    down = batch_norm(state, prefix + "down.1.", convolve(state, prefix + "down.0.", x))
    return (batch_norm(state, prefix + "bn.", total) + down).relu()


def block(state: State, prefix: str, x: Tensor, heads: int) -> Tensor:
    stride = STRIDES.get(prefix, 1)
    h = transformer(state, prefix + "transf1.layers.0.", x, heads)
    residual = x
    if prefix + "residual.conv.weight" in state:
        residual = convolve(state, prefix + "residual.conv.", x[:, :, ::stride])
        residual = batch_norm(state, prefix + "residual.bn.", residual)
    return (scales(state, prefix + "tcn1.", h, stride) + residual).relu()


def transformer(state: State, prefix: str, x: Tensor, heads: int) -> Tensor:
    """x + attention, then that + perceptron of its layer norm, for every sample and frame."""
    rows = x.permute(0, 2, 3, 1)  # (B, T, V, C)
    B, T, _, C = rows.shape
    d = C // heads
    qkv = F.linear(rows, state[prefix + "0.fn.to_qkv.weight"], state[prefix + "0.fn.to_qkv.bias"])
    attended = torch.zeros_like(rows)
    for b in range(B):
        for t in range(T):
            for head in range(heads):
                q, k, v = (qkv[b, t, :, C * part + head * d : C * part + (head + 1) * d] for part in range(3))
                attended[b, t, :, head * d : (head + 1) * d] = (q @ k.T / C**0.5).softmax(dim=1) @ v
    rows = rows + F.linear(attended, state[prefix + "0.fn.nn1.weight"], state[prefix + "0.fn.nn1.bias"])
    norm = F.layer_norm(rows, (C,), state[prefix + "1.fn.norm.weight"], state[prefix + "1.fn.norm.bias"])
    inner = F.linear(norm, state[prefix + "1.fn.fn.nn1.weight"], state[prefix + "1.fn.fn.nn1.bias"]).relu()
    rows = rows + F.linear(inner, state[prefix + "1.fn.fn.nn2.weight"], state[prefix + "1.fn.fn.nn2.bias"])
    return rows.permute(0, 3, 1, 2)


def scales(state: State, prefix: str, x: Tensor, stride: int = 1) -> Tensor:
    branches = []
    for branch, kernel in enumerate((1, 3, 7), start=1):
        y = convolve(state, f"{prefix}conv{branch}1.", x)
        weight, bias = (state[f"{prefix}conv{branch}2.{part}"] for part in ("weight", "bias"))
        branches.append(F.conv2d(y, weight, bias, stride=(stride, 1), padding=((kernel - 1) // 2, 0)))
    return batch_norm(state, prefix + "bn.", torch.cat(branches, dim=1))


def convolve(state: State, prefix: str, x: Tensor) -> Tensor:
    return F.conv2d(x, state[prefix + "weight"], state[prefix + "bias"])


def batch_norm(state: State, prefix: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (state[prefix + part] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias)
