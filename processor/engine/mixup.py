"""Mixup: a batch trains on weighted means of pairs of its samples, and on both of their labels.

Source: Zhang et al., *mixup: Beyond Empirical Risk Minimization*, ICLR 2018, with one share for a batch as in its code.
Deviation: where a joint or a person is absent (zero) in one sample of a pair, that of the other stays as it is, so that
the origin is never mixed with a position. Axis legend: N samples, C channels, T frames, V joints, M persons.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta

CAMERA = re.compile(r"_v(\d+)|S\d+C(\d+)P\d+")  # in names of NW-UCLA (a01_s01_e00_v01) and NTU RGB+D (S001C001P001...)
Labels = list[tuple[float, Tensor]]  # labels (N,), each with its share of the loss


@dataclass(frozen=True)
class Mixup:
    """Mixes batches.

    Attributes:
        alpha: of the distribution Beta(alpha, alpha) from which the share of the first sample is drawn; that of
            the two which is larger goes to the sample whose place it is.
        cameras: the number of the camera of each training sample; samples of the same one are mixed.
    """

    alpha: float
    cameras: Tensor

    @classmethod
    def of(cls, alpha: float, pairs: str, names: Sequence[str]) -> Mixup | None:
        """Mixup among `any` samples of these names, or those of one `camera`; None without `alpha`.

        Raises:
            ValueError: a name does not tell its camera.
        """
        if not alpha:
            return None
        if pairs == "any":
            return cls(alpha, torch.zeros(len(names), dtype=torch.int64))
        matches = [(name, CAMERA.search(name)) for name in names]
        if unknown := [name for name, match in matches if not match]:
            raise ValueError(
                f"mixup_pairs: camera; the name of the sample {unknown[0]!r} tells no camera, as a01_s01_e00_v01 and "
                "S001C001P001R001A001 do; take mixup_pairs: any"
            )
        return cls(alpha, torch.tensor([int(match[1] or match[2]) for _, match in matches if match]))

    def __call__(self, x: Tensor, label: Tensor, index: Tensor) -> tuple[Tensor, Labels]:
        """The mixed samples (N, C, T, V, M) with both labels of each; `index` (N,) are their numbers in the data."""
        share = float(Beta(self.alpha, self.alpha).sample())
        share = max(share, 1 - share)
        partner = self.partners(index).to(x.device)
        other = x[partner]
        both = (x != 0).any(dim=1, keepdim=True) & (other != 0).any(dim=1, keepdim=True)
        mixed = torch.where(both, share * x + (1 - share) * other, x + other)
        return mixed, [(share, label), (1 - share, label[partner])]

    def partners(self, index: Tensor) -> Tensor:
        """(N,) the place in the batch of the sample that each is mixed with: a permutation within each camera."""
        order, camera = torch.randperm(len(index)), self.cameras[index]
        partner = torch.empty_like(order)
        partner[camera.argsort(stable=True)] = order[camera[order].argsort(stable=True)]
        return partner
