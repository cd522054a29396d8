"""Plain-loop truths that the fast code is compared with; written for reading, one formula a line."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def attend(
    q: Array, k: Array, v: Array, keep: Array, relative: Array | None = None, bias: Array | None = None
) -> Array:
    """Attention of one batch entry and head: q, k (L, d), v (L, dv), keep (L,), relative (L, L, d), bias (L, L).

    The rule of `drop_connect`: softmax over all keys, dropped ones set to zero, the rest divided by its sum, to which
    the published code adds 1e-8.
    """
    L, y = len(q), np.zeros_like(v)
    for i in range(L):
        logits = []
        for j in range(L):
            logit = sum(q[i] * k[j])
            if relative is not None:
                logit += sum(q[i] * relative[i, j])
            if bias is not None:
                logit += bias[i, j]
            logits.append(logit)
        weights = [math.exp(logit - max(logits)) for logit in logits]
        kept = [w / sum(weights) if keep[j] else 0.0 for j, w in enumerate(weights)]
        for j in range(L):
            y[i] += kept[j] / sum(kept) * v[j] if any(keep) else 0.0
    return y


def propagate(x: Array, A: Array) -> Array:
    """x·A for every partition: (T, V, C), (K, V, V) -> (T, V, K, C)."""
    K, V, _ = A.shape
    y = np.zeros((x.shape[0], V, K, x.shape[2]))
    for t in range(x.shape[0]):
        for w in range(V):
            for k in range(K):
                for u in range(V):
                    y[t, w, k] += x[t, u] * A[k, u, w]
    return y


def random_move(x: Array, degrees: Array, scale: Array, shift_x: Array, shift_y: Array) -> Array:
    """Camera motion (C, T, V, M) from its start and end values, frame by frame."""
    y, T = x.copy(), x.shape[1]
    for t in range(T):
        part = t / (T - 1) if T > 1 else 0.0
        a, s, dx, dy = (ends[0] + part * (ends[1] - ends[0]) for ends in (degrees, scale, shift_x, shift_y))
        cos, sin = s * math.cos(math.radians(a)), s * math.sin(math.radians(a))
        for u in range(x.shape[2]):
            for m in range(x.shape[3]):
                px, py = x[0, t, u, m], x[1, t, u, m]
                y[0, t, u, m] = cos * px - sin * py + dx
                y[1, t, u, m] = sin * px + cos * py + dy
    return y


def min_max(x: Array) -> Array:
    """Every channel to [-1, 1] over the frames and persons that are there (C, T, V, M)."""
    C, T, V, M = x.shape
    y = np.zeros_like(x)
    for c in range(C):
        there = [(t, m) for t in range(T) for m in range(M) if any(x[i, t, u, m] for i in range(C) for u in range(V))]
        values = [x[c, t, u, m] for t, m in there for u in range(V)]
        for t, m in there:
            for u in range(V):
                spread = max(values) - min(values)
                y[c, t, u, m] = (x[c, t, u, m] - min(values)) / (spread or 1) * 2 - 1
    return y
