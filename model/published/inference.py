"""The options of a model that its weights settle: what the keys and shapes of a published state dict tell."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from graph import MODULES, fitting_graph, graph_of
from model import zit_zot
from model.options import OF_DATA
from model.options import StTrOptions as Options
from model.st_tr import Model

PARTITIONS = {"spatial": 3, "spatial*": 3, "distance": 2}  # of a labelling mode, else 1
STARTS = ("classifier_std", "relative_std")  # options of the start of training, which trained weights do not settle


def agree(settled: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that weights settle, and the given ones about which they are silent.

    Graphs are compared as they are used (`graph.fitting_graph`), and the result names the one that is.

    Raises:
        ValueError: options are given otherwise than the weights have them.
    """
    settled, given = _with_graph_in_use(settled, given)
    settled = {name: value for name, value in settled.items() if name not in STARTS or name not in given}
    differing = [name for name in settled if name in given and given[name] != settled[name]]
    if differing:
        held, said = (", ".join(f"{name}: {args[name]}" for name in differing) for args in (settled, given))
        keys = "the key" if len(differing) == 1 else "these keys"
        tune = ", or fine-tune what fits with --ignore_weights auto" if {*differing} <= {*OF_DATA} else ""
        raise ValueError(f"these weights hold {held}, model_args say {said}; set `{held}` or drop {keys}{tune}")
    return {**given, **settled}


def _with_graph_in_use(settled: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both with the graph that they lead to; weights that name none have that of their number of joints."""
    settled, given, V = dict(settled), dict(given), settled.get("num_point")
    if given.get("graph") is None:
        given.pop("graph", None)
    if isinstance(V, int) and (settled.get("graph") or str(given.get("graph")).startswith("graph.")):
        settled["graph"] = fitting_graph(settled.get("graph"), V)
        given |= {"graph": fitting_graph(given["graph"], V)} if "graph" in given else {}
    return settled, given


def family(state_dict: Mapping[str, Tensor]) -> type[Model | zit_zot.Model] | None:
    """The class of model that these published keys and shapes are of; None: they are of none.

    In ST-TR's `fcn` is a convolution; Zoom Transformer has a part for bodies and one for the group.
    """
    if "body_transf.data_bn.weight" in state_dict:
        return zit_zot.Model
    return Model if "fcn.weight" in state_dict and state_dict["fcn.weight"].dim() == 3 else None


def infer_model_args(published: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The options that keys and shapes of a published state dict settle.

    Where several values give the same shapes (`int(dk * width)`), it is the given one, or else the releases' one.

    Raises:
        ValueError: keys that such a state dict has are missing, or have no such shapes.
    """
    seen = _Shapes(published, given or {})
    try:
        return _infer_zoom(seen) if family(published) is zit_zot.Model else _infer(seen)
    except (LookupError, ArithmeticError) as error:
        raise ValueError(
            f"these weights are of no published model, or lack keys that tell its options ({error})"
        ) from error


def _infer(seen: _Shapes) -> dict[str, Any]:
    all_layers = not seen.last(r"^gcn0\.")
    lowest = r"backbone\.0\.gcn1" if all_layers else "gcn0"
    entry = seen.last(rf"^{lowest}\.(conv_list\.0|conv_d\.0|attention_conv\.qkv_conv)\.weight")
    num_class, width = seen["fcn.weight"][0], seen["fcn.weight"][1]
    num_input, channel = seen["data_bn.weight"][0], seen[entry][1]
    num_point = seen.num_point(num_input // channel)
    down = seen.get("backbone.3.down1.conv.weight")
    args: dict[str, Any] = {
        **{"num_class": num_class, "channel": channel, "num_point": num_point},
        "num_person": num_input // (num_point * channel),
        "graph": seen.given.get("graph") or graph_of(num_point),
        "double_channel": width == 512,
        "attention": bool(seen.last(r"gcn1\.attention_conv\.")),
        "tcn_attention": bool(seen.last(r"tcn1\.qkv_conv\.")),
        "all_layers": all_layers,
        "concat_original": down is not None and down[1] != width // 4,
    }
    if not (args["all_layers"] and args["attention"]):  # there are graph convolution units
        args["agcn"] = bool(seen.last(r"\.PA$"))
    if partitions := len(
        {m[2] for key in seen if (m := re.search(r"(conv_list|conv_d|g_convolutions)\.(\d+)\.", key))}
    ):
        graph_args = {"labeling_mode": "spatial", **seen.given.get("graph_args", {})}
        if PARTITIONS.get(graph_args["labeling_mode"], 1) != partitions:
            graph_args["labeling_mode"] = {3: "spatial", 2: "distance"}.get(partitions, "uniform")
        args["graph_args"] = graph_args
    if conv := seen.last(r"(^gcn0|gcn1)\.conv_list\.0\.weight"):
        unit = conv.removesuffix("conv_list.0.weight")
        args |= {"mask_learning": unit + "mask" in seen, "use_local_bn": seen[unit + "bn.weight"] != seen[conv][:1]}
    if args["attention"] or args["tcn_attention"]:
        args["relative"] = bool(seen.last("key_rel$"))
    if args["attention"]:
        args["adjacency"] = bool(seen.last(r"attention_conv\.mask$"))
        args |= seen.attention(seen.last(r"gcn1\.attention_conv\.attn_out\.weight"), "only_attention")
    if args["tcn_attention"]:
        args["data_normalization"] = bool(seen.last(r"tcn1\.data_bn\."))
        args |= seen.attention(seen.last(r"tcn1\.attn_out\.weight"), "only_temporal_attention")
        args |= seen.frames(width)
    return args


def _infer_zoom(seen: _Shapes) -> dict[str, Any]:
    num_point, channel = seen["body_transf.l1.gcn1.PA"][-1], seen["body_transf.l1.gcn1.conv_a.0.weight"][1]
    args: dict[str, Any] = {
        **zit_zot.ZOOM,
        **{"num_class": seen["group_transf.fc.bias"][0], "in_channels": channel, "num_point": num_point},
        "num_person": seen["body_transf.data_bn.weight"][0] // (num_point * channel),
        "num_head": seen["group_transf.conv1.bias"][0],
    }
    if graph := seen.given.get("graph"):
        args["graph"] = graph
    elif num_point == 17:
        args["graph"] = "graph.volleyball.AdjMatrixGraph"
    else:
        args |= {"graph": graph_of(num_point), "graph_args": {"labeling_mode": "spatial*"}}
    return args


class _Shapes(dict[str, tuple[int, ...]]):
    """Shapes of a published state dict by key, in order, and what they say; `given` options decide between equals."""

    def __init__(self, published: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        super().__init__({key: tuple(published[key].shape) for key in sorted(published)})
        self.given = given

    def last(self, pattern: str) -> str:
        """The last key, which is the widest layer's, that holds `pattern`; "" if none does."""
        return next((key for key in reversed(self) if re.search(pattern, key)), "")

    def choose(self, name: str, fits: Callable[[Any], bool], otherwise: Any) -> Any:
        """The given or else the default value of an option, if it fits the shapes."""
        values = (self.given.get(name), getattr(Options, name))
        return next((value for value in values if value is not None and fits(value)), otherwise)

    def num_point(self, product: int) -> int:
        """V, from what has it among its sizes, or else a divisor of `product`, joints times persons."""
        if key := self.last(r"(\.PA|mask)$"):
            return self[key][-1]
        layers = (("data_bn", "qkv_conv", 1), ("data_bn", "attention_conv.qkv_conv", 1), ("bn", "conv_list.0", 0))
        for key, (norm, layer, axis) in itertools.product(self, layers):
            channels = self.get(key.removesuffix(f"{norm}.weight") + f"{layer}.weight")
            if key.endswith(f".{norm}.weight") and channels and self[key][0] != channels[axis]:
                return self[key][0] // channels[axis]
        known = next((V for V in MODULES if product % V == 0), product)
        return int(self.choose("num_point", lambda V: product % V == 0, known))

    def attention(self, out: str, switch: str) -> dict[str, Any]:
        """Heads and their channels, from an attention's last layer; `switch` says if a convolution is beside it."""
        prefix = out.removesuffix("attn_out.weight")
        width = self[prefix.removesuffix("attention_conv.") + "bn.weight"][0]
        dv, inner = self[out][0], self[out][1]  # inner: the values of all heads
        keys = (self[prefix + "qkv_conv.weight"][0] - inner) // 2
        args: dict[str, Any] = {switch: dv == width}
        heads = self.given.get("Nh", Options.Nh)
        if table := self.get(prefix + "key_rel"):
            args["Nh"] = heads = keys // table[1]
        equal = self.given.get("n", Options.n) == heads  # a head's share is the same either way
        args["more_channels"] = inner != dv or (equal and self.given.get("more_channels", False))
        if args["more_channels"]:
            n = args["n"] = self.choose("n", lambda n: dv // n * heads == inner, heads * dv // inner)
            args["dk"] = self.choose("dk", lambda dk: int(width * dk) // n * heads == keys, keys // heads * n / width)
        else:
            args["dk"] = self.choose("dk", lambda dk: int(width * dk) == keys, keys / width)
        if dv != width:
            args["dv"] = self.choose("dv", lambda share: int(width * share) == dv, dv / width)
        return args

    def frames(self, width: int) -> dict[str, int]:
        """`window_size` and block sizes, as far as relative tables of frames hold them."""
        args = {}
        tables = {self[key.replace("key_rel", "bn.weight")][0]: key for key in self if key.endswith("tcn1.key_rel")}
        frames = {stage: (self[key][0] + 1) // 2 for stage, key in tables.items()}
        if block := frames.get(width // 4):
            args["dim_block1" if width == 256 else "dim_block2"] = block
        if half := frames.get(width // 2):
            args["window_size"] = self.choose("window_size", lambda T: half == -(-T // 2), 2 * half)
        return args
