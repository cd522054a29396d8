"""What the keys of published state dicts mean here. Axis legend: K partitions, o and i channels out and in.

Sources: the state dicts of the published implementations (Plizzari et al., CVIU 2021; Zhang et al., IEEE TCSVT 2022).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

Fold = Callable[[list[Tensor]], Tensor]
FOLDS: dict[str, Fold] = {
    "as it is": lambda tensors: tensors[0],
    "beside": lambda weights: torch.cat([w.flatten(1) for w in weights], dim=1),  # (o, i, 1, 1) -> (o, K·i)
    "below": lambda tensors: torch.cat([t.flatten(1) if t.dim() > 1 else t for t in tensors]),  # -> (K·o, i), (K·o)
    "sum": lambda biases: torch.stack(biases).sum(dim=0),
    "tokens": lambda weights: rearrange(weights[0], "o i 1 s -> o (s i)"),  # of s frames
}
# published key inside a unit, our key, what becomes of the tensors (several where a partition's number k stands)
KEYS = (
    (r"(g_convolutions|conv_list|conv_d)\.(?P<k>\d+)\.weight", "conv.linear.weight", "beside"),
    (r"(g_convolutions|conv_list|conv_d)\.(?P<k>\d+)\.bias", "conv.linear.bias", "sum"),
    (r"conv_a\.(?P<k>\d+)\.(?P<p>weight|bias)", "query.{p}", "below"),
    (r"conv_b\.(?P<k>\d+)\.(?P<p>weight|bias)", "key.{p}", "below"),
    (r"down\.0\.(?P<p>weight|bias)", "down.linear.{p}", "below"),
    (r"down\.1\.(?P<p>\w+)", "down.bn.{p}", "as it is"),
    (r"(?P<d>down1?)\.conv\.(?P<p>weight|bias)", "{d}.linear.{p}", "below"),
    (r"(attention_conv\.)?qkv_conv\.weight", "attention.qkv.weight", "tokens"),
    (r"(attention_conv\.)?qkv_conv\.bias", "attention.qkv.bias", "as it is"),
    (r"(attention_conv\.)?attn_out\.(?P<p>weight|bias)", "attention.out.{p}", "below"),
    (r"(attention_conv\.)?(?P<p>key_rel(_diagonal)?)", "attention.terms.relative.{p}", "as it is"),
    (r"attention_conv\.mask", "attention.terms.adjacency.mask", "as it is"),
    (r"tcn_conv\.(?P<p>(conv|bn)\.\w+)", "conv.{p}", "as it is"),
    (r"data_bn\.(?P<p>\w+)", "norm.{p}", "as it is"),
    (r"mask", "conv.mask", "as it is"),
    (r"conv(?P<k>\d)1\.(?P<p>weight|bias)", "mix.{p}", "below"),  # Zoom Transformer's, from here on
    (r"conv12\.(?P<p>weight|bias)", "convs.0.{p}", "as it is"),
    (r"conv22\.(?P<p>weight|bias)", "convs.1.{p}", "as it is"),
    (r"conv32\.(?P<p>weight|bias)", "convs.2.{p}", "as it is"),
    (r"residual\.conv\.(?P<p>weight|bias)", "residual.linear.{p}", "below"),
    (r"transf1\.layers\.0\.0\.fn\.to_qkv\.(?P<p>\w+)", "spatial.attention.qkv.{p}", "as it is"),
    (r"transf1\.layers\.0\.0\.fn\.nn1\.(?P<p>\w+)", "spatial.attention.out.{p}", "as it is"),
    (r"transf1\.layers\.0\.1\.fn\.norm\.(?P<p>\w+)", "spatial.norm.{p}", "as it is"),
    (r"transf1\.layers\.0\.1\.fn\.fn\.nn1\.(?P<p>\w+)", "spatial.mlp.0.{p}", "as it is"),
    (r"transf1\.layers\.0\.1\.fn\.fn\.nn2\.(?P<p>\w+)", "spatial.mlp.3.{p}", "as it is"),
)
UNIT = re.compile(r"(?P<unit>([gt]cn[01]|(backbone|zit|zot)\.\d+(\.[gt]cn1)?)\.)(?P<rest>.+)")
ZOOM_LAYERS = {
    "body_transf.l1.": "",
    **{f"body_transf.l{i + 2}.": f"zit.{i}." for i in range(6)},
    **{f"group_transf.l{i + 1}.": f"zot.{i}." for i in range(2)},
    **{"body_transf.": "", "group_transf.": ""},
}
IDLE = re.compile(
    r"body_transf\.l\d\.mask|group_transf\.conv[12]\..+|person_bn\..+|data_bn\..+|.+\.[gt]cn1\.data_bn\..+|.+\.tcn1\.(tcn_conv|down)\..+|.+\.num_batches_tracked"
)


def translate(key: str) -> tuple[str, int, Fold]:
    """Our name of a published key, its partition's number (0 without one), and how its tensors become ours."""
    zoom = next((layer for layer in ZOOM_LAYERS if key.startswith(layer)), "")
    key = ZOOM_LAYERS.get(zoom, "") + key.removeprefix(zoom)
    if key == "fcn.weight":
        return key, 0, FOLDS["below"]
    if inside := UNIT.fullmatch(key):
        for pattern, name, fold in KEYS:
            if match := re.fullmatch(pattern, inside["rest"]):
                groups = match.groupdict()
                return inside["unit"] + name.format(**groups), int(groups.get("k") or 0), FOLDS[fold]
    return key, 0, FOLDS["as it is"]
