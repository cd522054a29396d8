"""Evaluation: logits of every sample, each scored once, by sample name."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from processor.data import Loader
from processor.runtime import autocast, to_device
from processor.scores import Scores


@torch.no_grad()
def evaluate(model: nn.Module, loader: Loader, device: torch.device, precision: str) -> Scores:
    """The scores (N, num_class) of all samples of the loader's feeder, in its order; those of clips are averaged."""
    model.eval()
    logits, order = [], []
    for x, _, index in tqdm(loader.epoch(0), desc="test", leave=False, dynamic_ncols=True, disable=None):
        clips = to_device(x if x.dim() == 6 else x[:, None], device)  # (N, clips, C, T, V, M)
        with autocast(device, precision):
            logits.append(model(clips.flatten(0, 1)).float().unflatten(0, clips.shape[:2]).mean(dim=1))
        order.append(index)
    scores = np.empty((len(loader.feeder), logits[0].shape[1]), np.float32)
    scores[torch.cat(order).numpy()] = torch.cat(logits).cpu().numpy()
    return Scores(tuple(loader.feeder.sample_name), scores, np.asarray(loader.feeder.label, np.int64))
