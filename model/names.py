"""Names that have become others: in published configurations, in wrapped models, in earlier state dicts of ours."""

from __future__ import annotations

import re

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
    "otpical_flow",  # so spelled in a published file
)


def plain_key(key: str) -> str:
    """A key of a state dict without `module.` (data parallel) and `_orig_mod.` (compiled), by its present name."""
    key = re.sub(r"^(module\.|_orig_mod\.)+|\b_orig_mod\.", "", key)
    key = re.sub(r"\battention\.relative\.", "attention.terms.relative.", key)
    return re.sub(r"\battention\.bias\.", "attention.terms.adjacency.", key)
