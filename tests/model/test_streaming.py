"""After t frames a stream has the logits that the model has of these t frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from model import Model as ZitZot
from model.st_tr import Model
from model.streaming import Stream, Window
from model.streaming_step import Step, Tail

SMALL: dict[str, Any] = {"num_class": 5, "num_point": 15, "window_size": 24, "channels": [8, 16, 32], "Nh": 2}
VARIANTS: dict[str, dict[str, Any]] = {
    "s-tr": {},
    "one person": {"num_person": 1},
    "augmented": {"only_attention": False, "relative": True, "adjacency": True},
    "all layers": {"all_layers": True},
    "no skips": {"skip_conn": False, "concat_original": False, "data_normalization": False, "use_data_bn": False},
    "graph alone": {"attention": False, "use_local_bn": True},
}


def model_of(**options: Any) -> Model:
    torch.manual_seed(0)
    model = Model(**{**SMALL, **options}).double()
    model.train()(torch.randn(4, 3, 24, 15, model.options.num_person, dtype=torch.float64))  # batch norms that differ
    return model.eval()


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_after_each_frame_are_those_of_the_clip(name: str) -> None:
    model = model_of(**VARIANTS[name])
    x = torch.randn(2, 3, 29, 15, model.options.num_person, dtype=torch.float64)
    x[:, :, 9:14, :, -1] = 0  # a person who is absent for a while
    stream = Stream(model)
    with torch.no_grad():
        for t in range(1, 30):
            stream.push(x[:, :, t - 1])
            torch.testing.assert_close(stream.logits(), model(x[:, :, :t]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", VARIANTS)
def test_steps_of_fixed_shapes_give_the_logits_of_the_clip(name: str) -> None:
    model = model_of(**VARIANTS[name])
    step = Step(model)
    tail, state = Tail(step), step.empty(2)
    shapes = [x.shape for x in state]
    assert len(step.names()) == len(state)
    x = torch.randn(2, 3, 29, 15, model.options.num_person, dtype=torch.float64)
    with torch.no_grad():
        for t in range(1, 30):
            state = step(x[:, :, t - 1], *state)
            expected = model(x[:, :, :t])
            torch.testing.assert_close(tail(*state), expected, rtol=0, atol=1e-10)
    assert expected.abs().max() > 0.01
    assert [x.shape for x in state] == shapes


def test_frames_may_come_several_at_a_time_and_answers_may_be_left_out() -> None:
    model = model_of()
    x = torch.randn(1, 3, 40, 15, 2, dtype=torch.float64)
    stream = Stream(model)
    for part in x.split([3, 1, 17, 2, 17], dim=2):
        stream.push(part)
    with torch.no_grad():
        torch.testing.assert_close(stream.logits(), model(x), rtol=0, atol=1e-10)
    stream.reset()
    stream.push(x[:, :, 5])
    with torch.no_grad():
        torch.testing.assert_close(stream.logits(), model(x[:, :, 5:6]), rtol=0, atol=1e-10)


def test_single_precision_of_a_long_stream() -> None:
    model = model_of().float()
    x = torch.randn(1, 3, 400, 15, 2)
    stream = Stream(model)
    for frame in x.unbind(dim=2):
        stream.push(frame)
    with torch.no_grad():
        torch.testing.assert_close(stream.logits(), model(x), rtol=0, atol=1e-5)


def test_a_stream_takes_the_weights_of_its_first_frame() -> None:
    stream, other, x = Stream(model := model_of()), model_of(), torch.randn(1, 3, 12, 15, 2)
    model.load_state_dict(other.state_dict())
    stream.push(x)
    with torch.no_grad():
        torch.testing.assert_close(stream.logits(), other(x), rtol=0, atol=1e-5)


def test_memory_does_not_grow() -> None:
    stream, sizes = Stream(model_of()), []
    for t in range(160):
        stream.push(torch.randn(1, 3, 15, 2))
        if t % 3 == 0:
            stream.logits()
        sums = [unit._sums for unit in stream._convolutions.values() if unit._sums is not None]
        sizes.append(sum(x.numel() for x in (*stream._waiting.values(), *stream._pushed, *sums)))
    assert max(sizes[80:]) <= max(sizes[:80])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"attention": False, "tcn_attention": True}, "temporal attention looks at all frames"),
        ({"tcn_attention": True}, "temporal attention looks at all frames"),
        ({"agcn": True}, "made of all frames"),
    ],
)
def test_what_sees_all_frames_is_refused_and_has_a_window(options: dict[str, Any], reason: str) -> None:
    model = model_of(**options)
    with pytest.raises(ValueError, match=reason):
        Stream(model)
    with pytest.raises(ValueError, match=reason):
        Step(model)
    window, x = Window(model, 24), torch.randn(1, 3, 30, 15, 2, dtype=torch.float64)
    for frame in x.unbind(dim=2):
        window.push(frame)
    with torch.no_grad():
        torch.testing.assert_close(window.logits(), model(x[:, :, -24:]))


def test_zit_zot_and_training_are_refused() -> None:
    with pytest.raises(ValueError, match="made of all frames"):
        Stream(ZitZot(num_class=3, num_point=17).eval())
    with pytest.raises(ValueError, match="training mode"):
        Stream(model_of().train())


def test_mistakes_are_told() -> None:
    stream = Stream(model_of())
    with pytest.raises(ValueError, match="no frame was pushed"):
        stream.logits()
    stream.push(torch.randn(2, 3, 15, 2))
    with pytest.raises(ValueError, match="3 streams, after 2"):
        stream.push(torch.randn(3, 3, 15, 2))
    with pytest.raises(ValueError, match="joints"):
        stream.push(torch.randn(2, 3, 14, 2))
