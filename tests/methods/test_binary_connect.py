"""BinaryConnect: how far a weight moves, and the random signs."""

from math import sqrt

import pytest
import torch
from torch import nn

from bitwright.core.hooks import after_step
from bitwright.ir import ops
from bitwright.lower import export, lower
from bitwright.methods import binary_connect
from bitwright.nn.convert import binarize


def step(layer: nn.Module, by: float) -> None:
    """One training pass, and a step of the optimizer by a given length."""
    layer.binarized_weight().sum().backward()
    with torch.no_grad():
        layer.weight += by
    after_step(layer)


@pytest.mark.parametrize(
    ("layer", "factor"), [(nn.Linear(4, 2), sqrt(6 / 1.5)), (nn.Conv2d(3, 5, 2), sqrt((3 + 5) * 4 / 1.5))]
)
def test_steps_are_as_long_as_published(layer: nn.Module, factor: float) -> None:
    binarize(layer, binary_connect(), where=[""])
    layer.weight.data.fill_(0.1)
    step(layer, -0.02)
    torch.testing.assert_close(layer.weight.detach(), torch.full_like(layer.weight, 0.1 - factor * 0.02))
    after_step(layer)  # there was no step since
    torch.testing.assert_close(layer.weight.detach(), torch.full_like(layer.weight, 0.1 - factor * 0.02))
    step(layer, 5.0)
    assert (layer.weight == 1).all()


def test_the_optimizer_may_set_the_length_of_a_step() -> None:
    layer = binarize(nn.Linear(4, 2), binary_connect(glorot_step=False), where=[""])
    layer.weight.data.fill_(0.1)
    step(layer, -0.02)
    torch.testing.assert_close(layer.weight.detach(), torch.full_like(layer.weight, 0.08))


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while tracing
def test_a_compiled_layer_steps_as_far() -> None:
    layer = binarize(nn.Linear(4, 2), binary_connect(), where=[""])
    layer.weight.data.fill_(0.1)
    torch.compile(layer, fullgraph=True, backend="aot_eager")(torch.randn(3, 4)).sum().backward()
    layer.weight.data.sub_(0.02)
    after_step(layer)
    torch.testing.assert_close(layer.weight.detach(), torch.full_like(layer.weight, 0.06))


def test_weights_learn_beyond_the_window_too() -> None:
    w = torch.tensor([[0.5, -1.0, 3.0, 0.0]], requires_grad=True)
    out = binary_connect().weight(nn.Linear(1, 1))(w)
    out.backward(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert out.tolist() == [[1, -1, 1, 1]]
    assert w.grad is not None and w.grad.tolist() == [[1, 2, 3, 4]]


def test_signs_are_drawn_by_the_hard_sigmoid() -> None:
    binarizer = binary_connect(stochastic=True).weight(nn.Linear(1, 1))
    levels = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.8, 1.0, 2.0])
    w = levels[:, None].repeat(1, 20000).requires_grad_()
    out = binarizer(w)
    assert out.unique().tolist() == [-1, 1]
    share = (out > 0).float().mean(1)
    torch.testing.assert_close(share, ((levels + 1) / 2).clamp(0, 1), rtol=0, atol=0.02)
    assert share[0] == share[1] == 0 and share[-2] == share[-1] == 1
    out.sum().backward()
    assert (w.grad == 1).all()


def test_a_network_of_random_signs_is_deployed_with_real_weights() -> None:
    layer = binarize(nn.Conv2d(4, 3, 3), binary_connect(stochastic=True), where=[""]).eval()
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(layer(x), nn.functional.conv2d(x, layer.weight, layer.bias))


def test_export_has_real_layers_of_binary_weights(tmp_path) -> None:
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    net.append(nn.Linear(36, 2))
    binarize(net, binary_connect())
    report = export(net, tmp_path / "net.bw", torch.randn(5, 2, 7, 7))
    assert report.bits == 0 and report.comparison.logits_relative < 1e-5


def test_real_layers_hold_the_signs() -> None:
    net = binarize(nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3)), binary_connect(), where=["1"])
    layer = next(op for op in lower(net, torch.randn(2, 2, 7, 7)).ops if isinstance(op, ops.Conv) and op.name == "1")
    assert set(layer.weight.flatten().tolist()) == {-1.0, 1.0}
