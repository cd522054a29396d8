"""Published checkpoints, of ST-TR and of Zoom Transformer: what their keys mean, and the model they are of.

Source: the published implementations' state dicts (Plizzari et al., CVIU 2021; Zhang et al., IEEE TCSVT 2022). The map
below is the only place that knows their keys. Axis legend of the shape comments: K partitions, V joints, o and i
channels out and in.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from graph import MODULES, fitting_graph, graph_of
from model import zit_zot
from model.layers.gcn import GCN, AdaptiveGCN
from model.names import RENAMED_IMPORTS, WITHOUT_EFFECT
from model.st_tr import Model, Options

log = logging.getLogger(__name__)

PARTITIONS = {"spatial": 3, "spatial*": 3, "distance": 2}  # of a labelling mode, else 1
STARTS = ("classifier_std",)  # options of the start of training, which trained weights do not settle
SLIP = 1e-6  # the value of every entry of the fixed adjacency that published agcn weights were trained with

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


def from_published(state_dict: Mapping[str, Any], model_args: Mapping[str, Any] | None = None) -> Model | zit_zot.Model:
    """The model of a published checkpoint, with its weights, in eval mode.

    Args:
        state_dict: of the published implementation, with or without `module.` prefixes; tensors or numpy arrays.
        model_args: options by their published names. What the weights settle need not be given; what leaves no
            trace in them (`Nh`, skip connections, normalised input) has the releases' values unless it is given.

    Raises:
        ValueError: keys or shapes that are not those of this model, or options that are not those of the weights.
    """
    published = {key.removeprefix("module."): torch.as_tensor(value) for key, value in state_dict.items()}
    given = {key: value for key, value in (model_args or {}).items() if key not in WITHOUT_EFFECT}
    if "graph" in given:
        given["graph"] = RENAMED_IMPORTS.get(given["graph"], given["graph"])
    model = (family(published) or Model)(**agree(infer_model_args(published, given), given))
    load_published(model, published)
    return model.eval()


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
        raise ValueError(f"these weights hold {held}, model_args say {said}; set `{held}` or drop {keys}")
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


def load_published(
    model: Model | zit_zot.Model, published: Mapping[str, Tensor], kept: Mapping[str, Tensor] | None = None
) -> None:
    """Loads a published state dict into `model`, but for the tensors `kept` (by our names).

    Raises:
        ValueError: keys or shapes that are not those of this model.
    """
    model.load_state_dict(convert(published, model, kept or {}))
    adaptive = [unit for unit in model.modules() if isinstance(unit, AdaptiveGCN)]
    if adaptive and isinstance(model, Model):  # Zoom Transformer's were trained with the true one
        log.info("published agcn weights: fixed adjacency set to %g, with which they were trained", SLIP)
        for name, buffer in model.named_buffers():
            if name.endswith((".A", ".adjacency")):
                buffer.fill_(SLIP if name.endswith(".A") else SLIP * len(adaptive[0].PA))


def convert(
    published: Mapping[str, Tensor], model: Model | zit_zot.Model, kept: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A published state dict as one of `model`; tensors without effect on the scores are logged as idle.

    Tensors named in `kept` come from there.

    Raises:
        ValueError: tensors that are missing, unknown, or of another shape than the model's.
    """
    sources: dict[str, list[tuple[int, str]]] = {}
    folds: dict[str, Fold] = {}
    for key in published:
        name, number, folds[name] = _translate(key)
        sources.setdefault(name, []).append((number, key))
    own = model.state_dict()
    local = {f"{name}.bn" for name, unit in model.named_modules() if isinstance(unit, GCN) and unit.local_bn}
    state: dict[str, Tensor] = {}
    idle: list[str] = []
    problems: list[str] = []
    for name, keys in sources.items():
        if name in kept:
            continue
        if name not in own:
            (idle if IDLE.fullmatch(keys[0][1]) else problems).extend(key for _, key in keys)
            continue
        parent = name.rpartition(".")[0]
        try:
            tensor = folds[name]([published[key] for _, key in sorted(keys)])
        except (RuntimeError, IndexError):
            shapes = " and ".join(str(tuple(published[key].shape)) for _, key in sorted(keys))
            problems.append(f"{keys[0][1]} has the shape {shapes}")
            continue
        if tensor.shape != own[name].shape:
            problems.append(f"{keys[0][1]} gives {tuple(tensor.shape)}, the model takes {tuple(own[name].shape)}")
        elif tensor.dim() == 1 and (parent in local or parent.endswith("cn1.norm")):
            tensor = rearrange(tensor, "(c v) -> (v c)", v=model.options.num_point)  # ours ends in channels
        state[name] = tensor
    fixed = {name for name in own if name.endswith((".A", ".adjacency"))}
    problems += [f"{name} is missing" for name in own.keys() - state.keys() - kept.keys() - fixed]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ValueError(f"these weights are not those of a model with these options: {shown}")
    if idle:
        log.info("published weights: %d tensors are idle, such as %s", len(idle), idle[0])
    return {**{name: own[name] for name in fixed}, **state, **kept}


def _translate(key: str) -> tuple[str, int, Fold]:
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
