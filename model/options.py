"""`model_args` of both families by their published names: what a model is built of, checked without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from graph import fitting_graph, graph_of
from graph.common.schema import Checked, Problem, option

# what the data decide, and may differ where a trained model learns from others
OF_DATA = (
    "num_class", "num_point", "num_person", "graph", "graph_args", "channel", "in_channels", "window_size", "max_T"
)  # fmt: skip


@dataclass
class ModelOptions(Checked):
    """What the options of all families have in common, and what they tell of a model.

    Attributes:
        FREE: options that trained weights may be used with otherwise.
        FORMER: options of earlier versions that acted in training only; weights may still name them.
        CHANNELS: the option that holds the channels of the input.

    Raises:
        ValueError: values that are wrong, or contradict each other, all of them in one message.
    """

    OPENING: ClassVar = "model_args: "
    FREE: ClassVar[tuple[str, ...]] = ("dropout", "drop_key")
    FORMER: ClassVar = ("classifier_dropout", "drop_path")
    CHANNELS: ClassVar[str]

    num_class: int = option(60, low=1)
    num_point: int = option(25, low=1)
    num_person: int = option(2, low=1)
    graph: str | None = None  # import path; None: that of the skeleton with num_point joints
    graph_args: dict[str, Any] = field(default_factory=dict)

    drop_key: float = option(0.5, low=0, high=0.95)  # probability of a key to be dropped, where keys are

    def __post_init__(self) -> None:
        super().__post_init__()
        self.graph = fitting_graph(self.graph, self.num_point)

    def problems(self) -> Iterator[Problem]:
        """Values that are wrong, and combinations of values that contradict each other."""
        yield from super().problems()
        if self.graph is not None and "." not in self.graph:
            yield ("graph",), f"{self.graph!r} is no import path, such as graph.ntu_rgb_d.Graph"
        try:
            self.graph or graph_of(self.num_point)
        except ValueError as error:
            yield ("num_point", "graph"), f"{error}; name the graph of your skeleton as `graph`"

    @property
    def shape(self) -> tuple[int, int | None, int, int]:
        """(C, T, V, M) of the input; T is None where it may be any."""
        raise NotImplementedError

    @property
    def longest(self) -> int | None:
        """The most frames that the input may have; None: any number."""
        return None

    @property
    def title(self) -> str:
        """The name that papers have for such a model, or what its blocks are made of."""
        raise NotImplementedError


@dataclass
class StTrOptions(ModelOptions):
    """ST-TR's; the defaults are S-TR."""

    FREE: ClassVar = (*ModelOptions.FREE, "drop_connect", "window_size")
    CHANNELS: ClassVar = "channel"

    channel: int = option(3, low=1)  # C of the input: 3, or 6 for joints and bones
    window_size: int = option(300, low=1)  # T of the input, the size of relative tables
    channels: list[int] = field(default_factory=lambda: [64, 128, 256])  # widths of the three stages

    attention: bool = True  # spatial self-attention: S-TR
    tcn_attention: bool = False  # temporal self-attention: T-TR
    only_attention: bool = True  # False: graph convolution beside the spatial attention
    only_temporal_attention: bool = True  # False: temporal convolution beside the temporal attention
    all_layers: bool = False  # attention from the first layer on
    agcn: bool = False  # adaptive graph convolutions
    double_channel: bool = False  # twice the widths, for joints and bones
    concat_original: bool = True  # the raw input again, before the fourth block

    Nh: int = option(8, low=1)  # heads
    dk: float = 0.25  # share of the channels that keys have
    dv: float = 0.25  # share of the channels that values have beside a convolution
    more_channels: bool = False  # a head's share is 1 / n of dk and dv instead of 1 / Nh
    n: int = option(4, low=1)
    relative: bool = False  # relative positions of joints or frames
    relative_std: float = option(1.0, low=0, high=100)  # standard deviation of their first vectors
    adjacency: bool = False  # the graph as a bias of the spatial attention
    drop_connect: bool = True  # drop keys in training, with the probability drop_key
    skip_conn: bool = True  # add an attention's input to its output
    data_normalization: bool = True  # batch norm per joint and channel before an attention
    dim_block1: int = option(10, low=1)  # windows of temporal attention in the first stage (all_layers), by its width:
    dim_block2: int = option(30, low=1)  # up to 64, up to 128, beyond
    dim_block3: int = option(75, low=1)

    mask_learning: bool = True  # learnable mask on the graph
    use_data_bn: bool = True  # batch norm of the input
    use_local_bn: bool = False  # a graph convolution's batch norm per joint
    dropout: float = option(0.5, low=0, high=0.95)  # before temporal convolutions
    # standard deviation of the classifier's first weights; None: (2 / num_class)^½, as published
    classifier_std: float | None = option(0.01, low=0, high=100)

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if len(self.channels) != 3 or min(self.channels, default=0) < 4:
            yield ("channels",), f"{self.channels} are not three widths of at least 4"
        for key in ("dk", "dv"):
            if not 0 < getattr(self, key) <= 1:
                yield (key,), f"{getattr(self, key)} is not in (0, 1]"
        if min(self.Nh, self.n) < 1 or not (0 < self.dk <= 1 and 0 < self.dv <= 1):
            return
        keys = ("channels", "double_channel", "all_layers", "more_channels", "Nh", "n", "dk", "dv")
        uses = (("attention", "only_attention"), ("tcn_attention", "only_temporal_attention"))
        for name, only in uses:
            if getattr(self, name) and not getattr(self, only) and self.dv == 1:
                text = f"1 leaves no channels for the convolution beside attention; take less, or {only}: true"
                yield ("dv", only), text
            for width in self.widths if self.all_layers else self.widths[1:]:
                dk, dv = int(width * self.dk), self.value_channels(width, only=getattr(self, only))
                if getattr(self, name) and not self._splits(dk, dv, self.Nh):
                    shares = f"shares of 1 / n, n={self.n}, for" if self.more_channels else "equal parts for"
                    text = f"{dk} key and {dv} value channels of {width} do not give {shares} Nh={self.Nh} heads"
                    if fitting := [heads for heads in range(1, 17) if self._splits(dk, dv, heads)]:
                        text += f"; Nh can be {', '.join(map(str, fitting))}"
                    yield (name, only, *keys), text

    def _splits(self, dk: int, dv: int, heads: int) -> bool:
        if self.more_channels:
            return min(dk, dv) >= self.n and dk >= heads
        return dk >= heads and dk % heads == 0 and dv % heads == 0

    @property
    def shape(self) -> tuple[int, int | None, int, int]:
        return self.channel, self.window_size, self.num_point, self.num_person

    @property
    def title(self) -> str:
        names = {
            (True, True): "spatial and temporal attention in one stream (ST-TR-1s)",
            (True, False): "spatial attention (S-TR)",
            (False, True): "temporal attention (T-TR)",
            (False, False): "graph convolutions without attention",
        }
        return names[self.attention, self.tcn_attention] + (", adaptive graph (AGCN)" if self.agcn else "")

    @property
    def widths(self) -> list[int]:
        """Channels of the three stages."""
        return [width * (2 if self.double_channel else 1) for width in self.channels]

    def value_channels(self, width: int, *, only: bool) -> int:
        """dv: all channels of a block, or the share that a convolution leaves."""
        return width if only else int(width * self.dv)

    def blocks(self) -> list[tuple[int, int, int, int]]:
        """(stage, in, out, stride) of each block, without what `concat_original` adds; stages count from 0."""
        a, b, c = self.widths
        first = [(0, self.channel, a, 1)] if self.all_layers else []
        return [
            *first,
            *[(0, a, a, 1)] * 3,
            *[(1, a, b, 2), (1, b, b, 1), (1, b, b, 1)],
            *[(2, b, c, 2), (2, c, c, 1), (2, c, c, 1)],
        ]


@dataclass
class ZitZotOptions(ModelOptions):
    """ZiT-ZoT's."""

    FREE: ClassVar = (*ModelOptions.FREE, "drop_connectivity")
    CHANNELS: ClassVar = "in_channels"

    in_channels: int = option(3, low=1)
    num_head: int = option(6, low=1)
    dropout: float = option(0.1, low=0, high=0.95)  # in the perceptrons
    max_T: int = option(100, low=1)  # most frames that relative positions of frames reach
    spatial: bool = True  # attention over the joints of a frame
    temporal: bool = True  # attention over the frames of a joint
    parallel: bool = False  # both of the same input, instead of one after the other
    multi_scale: bool = True  # convolutions over 1, 3 and 7 frames; False: over 9
    relative: bool = True  # relative positions in both attentions
    relative_std: float = option(0.1, low=0, high=100)  # standard deviation of their first vectors
    adaptive_mask: bool = True  # the graph, times a learnable mask, as a bias of the spatial attention
    drop_connectivity: bool = False  # drop keys of the temporal attention in training, with the probability drop_key
    group_relation: bool = True  # a learnt bias between persons
    # standard deviation of the classifier's first weights; None: uniform in ±276^-½, as torch has it
    classifier_std: float | None = option(None, low=0, high=100)
    person_order: bool = False  # the original's: a `data_bn` for each person, and absent persons count

    def problems(self) -> Iterator[Problem]:
        yield from super().problems()
        if self.num_head > 0 and 12 % self.num_head:
            text = f"{self.num_head} does not divide the widths 48, 96, 192 and 276; take 1, 2, 3, 4, 6 or 12"
            yield ("num_head",), text

    @property
    def shape(self) -> tuple[int, int | None, int, int]:
        return self.in_channels, None, self.num_point, self.num_person

    @property
    def longest(self) -> int | None:
        return self.max_T if self.temporal and self.relative else None

    @property
    def title(self) -> str:
        order = "parallel to" if self.parallel else "then"
        parts = ["spatial transformer" if self.spatial else "graph convolution"]
        parts += [f"{order} temporal transformer"] * self.temporal
        return f"ZiT-ZoT: {' '.join(parts)}, then {'multi-scale ' if self.multi_scale else ''}temporal convolution"


OPTIONS = {"model.st_tr.Model": StTrOptions, "model.zit_zot.Model": ZitZotOptions, "model.Model": ZitZotOptions}
