"""Names in published configurations: what is called otherwise here, and the options that do nothing there."""

from __future__ import annotations

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
