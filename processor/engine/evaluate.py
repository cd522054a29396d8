"""Evaluation: logits of every sample, each scored once, by sample name."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from processor.engine.data import Loader
from processor.engine.features import Features
from processor.results.scores import Scores
from processor.runtime.device import autocast, progress, to_device
from processor.runtime.distributed import gather
from processor.runtime.failure import sentence

Average = Literal["logits", "probabilities"]


def evaluate(
    model: nn.Module,
    loader: Loader,
    device: torch.device,
    precision: str,
    average: Average = "logits",
    *,
    features: Features | None = None,
) -> Scores:
    """The scores (N, num_class) of all samples of the loader's feeder, in its order.

    Each process scores its part of the batches, and all return all scores. Of several clips of a sample the logits are
    averaged, or the probabilities, of which the logarithms are given, so that scores are logits in either case.
    `features` keeps those of some samples.

    Raises:
        ValueError: scores are not finite.
        Exception: evaluation failed in one of the processes; it is raised in each of them.
    """
    scored: list[tuple[Tensor, Tensor]] = []
    failure = None
    try:
        batches = progress(loader.epoch(0), "test", total=len(loader.sizes))
        with features or nullcontext():
            for index, logits in score(model, batches, device, precision, average):
                scored.append((index, logits))  # which stay on a GPU, so as not to wait
                if features:
                    features.keep(index)
    except Exception as error:
        failure = error
        loader.close()  # its workers may be in any state
        traceback.clear_frames(error.__traceback__)  # they hold torch's iterator, which must end here: the garbage
        # collector may close a queue's pipe twice, where a worker never had a batch
    sentences = gather(sentence(failure) if failure else "")  # or the others would wait for this process
    if failure:
        raise failure
    if of_others := [text for text in sentences if text]:
        raise RuntimeError(f"another process could not evaluate: {of_others[0]}")
    arrays = [(index.numpy(), logits.cpu().numpy()) for index, logits in scored]
    parts = [part for of_process in gather(arrays) for part in of_process]
    order = np.argsort(np.concatenate([index for index, _ in parts]))
    scores = np.concatenate([logits for _, logits in parts])[order]
    return Scores(tuple(loader.feeder.sample_name), scores, np.asarray(loader.feeder.label, np.int64))


def cross_entropy(scores: Scores) -> float:
    """The mean cross entropy of the logits and the labels."""
    return float(F.cross_entropy(torch.from_numpy(scores.scores), torch.from_numpy(scores.known_labels)))


@torch.no_grad()
def score(
    model: nn.Module, batches: Iterable[Any], device: torch.device, precision: str, average: Average = "logits"
) -> Iterator[tuple[Tensor, Tensor]]:
    """The indices (N,) and the logits (N, num_class), still on the device, of each batch."""
    model.eval()
    for x, _, index in batches:
        clips = to_device(x if x.dim() == 6 else x[:, None], device)  # (N, clips, C, T, V, M)
        with autocast(device, precision):
            logits = model(clips.flatten(0, 1)).float()
        logits = logits.unflatten(0, clips.shape[:2])  # (N, clips, num_class)
        if average == "probabilities" and clips.shape[1] > 1:
            yield index, logits.log_softmax(dim=2).logsumexp(dim=1) - math.log(clips.shape[1])
        else:
            yield index, logits.mean(dim=1)
